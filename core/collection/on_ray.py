"""`reproduce` on a Ray cluster: what can be computed at the same time is, wherever there is room.

Each recipe is a task of Ray's that waits for its start and its teacher; then come the measurements,
step after step. A task whose machine is lost is given to another one, where the run goes on after
its last whole epoch. All machines must see the same folders (SMALL_PLATES_RUNS,
SMALL_PLATES_PRETRAINED) and this repository under the same paths; what comes out are the files that
`reproduce` makes alone. Importing this imports neither Ray nor torch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from core import checkpoints
from core.collection import reproduce as alone
from core.collection.recipes import Recipe, Schedule
from core.collection.reproduce import MEASUREMENTS, Log, Order, Report, Step
from core.errors import CheckpointError, ConfigError, UserError
from core.i18n import _, labelled
from core.paths import REPO
from core.training.runs import RunFolder

RETRIES = 5
"""How often a task is given to another machine after its own was lost."""
LOOK_S = 2.0
"""How often the driver looks at the runs' folders, seconds."""
RELEASE_S = 120.0
"""How long a lost process may hold on to its run after its machine was given up, seconds."""


@dataclass(frozen=True)
class Share:
    """What one task takes of its machine; it computes with as many threads as it has cores."""

    cores: int
    gpus: int


def reproduce_on_ray(
    address: str = "",
    schedule: Schedule = "quick",
    only: tuple[str, ...] = (),
    report: Report | None = None,
    device: str | None = None,
    steps: tuple[Step, ...] = alone.STEPS,
    log: Log = print,
) -> list[dict[str, Any]]:
    """`reproduce` on the cluster at `address` (`auto`, `host:port`), or one on this machine alone.

    Returns its rows; those of trainings made now also say on which machine they ended (`on`), and
    what they took (`core_hours`: of all epochs, those of a lost machine too). A task that fails
    takes with it what needs it; everything else is finished before its error is raised. Raises
    ConfigError where there is no Ray or no such cluster.
    """
    order = alone.order_of(schedule, only, device)
    with _cluster(address) as ray:
        made = _train(ray, order, report, log) if "training" in steps else {}
        _measure(ray, order, steps, log)
    rows = alone.status(schedule, only, steps)
    columns = {"on": None, "core_hours": None}
    return [
        row | columns | (made.get(row["checkpoint"], {}) if row["step"] == "training" else {})
        for row in rows
    ]


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Ray, connected; its makers hear nothing. A cluster begun here ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            _("Ray is not installed. Get it with: pip install -r requirements-cluster.txt")
        ) from None
    where: dict[str, Any] = {"address": address}
    if not address:
        where = {"address": "local", "include_dashboard": False}
    named = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("SMALL_PLATES_") or name.endswith("_ROOT")
    }
    path = os.pathsep.join(filter(None, (str(REPO), os.environ.get("PYTHONPATH"))))
    try:
        ray.init(**where, runtime_env={"env_vars": {**named, "PYTHONPATH": path}})
    except (ConnectionError, ValueError) as error:
        raise ConfigError(
            _("No Ray cluster answers at {address}: {why}").format(address=address, why=error)
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _shares(ray: Any, device: str | None) -> tuple[Share, Share]:
    """What a training takes, and a measurement.

    A training: OMP_NUM_THREADS cores, else those of the smallest machine; where there are GPUs, one
    of them. A measurement has the cores of a whole machine, the largest: others beside it would be
    in its times.
    """
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    computing = [int(node["CPU"]) for node in there if node.get("CPU", 0) >= 1]
    if not computing:
        raise ConfigError(_("The Ray cluster has no processor cores to compute on."))
    gpus = int(device != "cpu" and any(node.get("GPU", 0) >= 1 for node in there))
    asked = int(os.environ.get("OMP_NUM_THREADS") or min(computing))
    return Share(min(asked, max(computing)), gpus), Share(max(computing), gpus)


def _remote(ray: Any, work: Any, share: Share, name: str) -> Any:
    return ray.remote(work).options(
        name=name, num_cpus=share.cores, num_gpus=share.gpus, max_retries=RETRIES
    )


def _train(ray: Any, order: Order, report: Report | None, log: Log) -> dict[str, dict[str, Any]]:
    """Train and publish what is missing; what is told of each: checkpoint -> columns of its row."""
    share, _whole = _shares(ray, order.device)
    lacking = alone.without_photographs(order.chosen, log)
    tasks: dict[str, Any] = {}
    for recipe in order.chosen:
        if alone.is_done(recipe) or recipe.id in lacking:
            continue
        before = [tasks[id] for id in _needed(recipe) if id in tasks]
        task = _remote(ray, _make_checkpoint, share, recipe.id)
        tasks[recipe.id] = task.remote(recipe, order.schedule, order.device, share.cores, *before)
    runs = {
        recipe.id: RunFolder(alone.run_folder(recipe, order.schedule))
        for recipe in order.chosen
        if recipe.id in tasks
    }
    told = {id: len(run.metrics()) for id, run in runs.items()}

    def look() -> None:
        for id, run in runs.items():
            new = run.metrics()[told[id] :]
            told[id] += len(new)
            for entry in new if report else ():
                report(id, entry)  # type: ignore[misc]

    on = _finish(ray, tasks, look, log)
    return {
        id: {
            "on": where,
            "core_hours": round(
                share.cores * sum(entry["seconds"] for entry in runs[id].metrics()) / 3600, 6
            ),
        }
        for id, where in on.items()
    }


def _measure(ray: Any, order: Order, steps: tuple[Step, ...], log: Log) -> None:
    """Step after step, for one may need what an earlier one made; a step's tasks side by side."""
    _one, share = _shares(ray, order.device)
    for each in MEASUREMENTS:
        there = checkpoints.load_manifest()
        tasks = {
            f"{each.step} {id}": _remote(ray, _make_step, share, f"{each.step} {id}").remote(
                each.step, id, order, share.cores
            )
            for id in (each.subjects(order) if each.step in steps else ())
            if (not each.needs_checkpoint or id in there)
            and alone.state_of(each, id, order, log) not in ("done", "unreadable")
        }
        _finish(ray, tasks, lambda: None, log)


def _finish(ray: Any, tasks: dict[str, Any], look: Any, log: Log) -> dict[str, str]:
    """Wait for all tasks; name -> machine of each. Raises the first error, once all have ended."""
    names = {task: name for name, task in tasks.items()}
    left, on, errors = list(names), {}, []
    while left:
        ended, left = ray.wait(left, timeout=LOOK_S)
        look()
        for task in ended:
            try:
                on[names[task]] = ray.get(task)
                text = _("{name}: done on {machine}; {left} to go")
                log(text.format(name=names[task], machine=on[names[task]], left=len(left)))
            except UserError as error:  # Ray's own error, which is the task's too
                errors.append(_failure(names[task], getattr(error, "cause", error)))
                log(str(errors[-1]))
            except ray.exceptions.RayError as error:
                errors.append(_failure(names[task], error))
                log(str(errors[-1]))
    if errors:
        raise errors[0]
    return on


def _failure(name: str, why: object) -> UserError:
    return UserError(labelled(name, str(why)))


def _needed(recipe: Recipe) -> list[str]:
    return [id for id in (recipe.config.start_from, recipe.config.teacher) if id]


def _make_checkpoint(
    recipe: Recipe, schedule: Schedule, device: str | None, cores: int, *_before: str
) -> str:
    """A task: train, go on, publish. Ray passes it only when `_before` are made."""
    _compute_with(cores)
    if not alone.is_done(recipe):  # else the machine was lost between publishing and telling
        folder = alone.run_folder(recipe, schedule)
        _wait_until_free(folder)
        alone.make(recipe, folder, device)
    return _here()


def _make_step(step: Step, id: str, order: Order, cores: int) -> str:
    """A task: one measurement of one checkpoint, from where it was stopped."""
    _compute_with(cores)
    (measurement,) = (each for each in MEASUREMENTS if each.step == step)
    if measurement.needs_checkpoint and id not in checkpoints.load_manifest():
        raise CheckpointError(_("There is no checkpoint {id}.").format(id=id))
    measurement.make(id, print, order)
    return _here()


def _wait_until_free(folder: Path) -> None:
    """A machine that Ray has given up may still be at it for a moment."""
    until = monotonic() + RELEASE_S
    while folder.exists() and RunFolder(folder).status() == "running" and monotonic() < until:
        sleep(0.2)


def _compute_with(cores: int) -> None:
    import torch

    torch.set_num_threads(cores)


def _here() -> str:
    import ray

    return f"{ray.util.get_node_ip_address()}/{ray.get_runtime_context().get_node_id()[:6]}"
