"""`reproduce` on a Ray cluster: what can be computed at the same time is, wherever there is room.

Each recipe is a task of Ray's that waits for its start and its teacher; then come the measurements,
step after step. A task whose machine is lost is given to another one, where the run goes on after
its last whole epoch. All machines must see the same folders (SMALL_PLATES_RUNS,
SMALL_PLATES_PRETRAINED) and this repository under the same paths; what comes out are the files that
`reproduce` makes alone. Importing this imports neither Ray nor torch.
"""

from typing import Any

from core import checkpoints
from core.collection import reproduce as alone
from core.collection.recipes import Recipe, Schedule
from core.collection.reproduce import MEASUREMENTS, Log, Order, Report, Step
from core.errors import CheckpointError, UserError
from core.i18n import _, labelled
from core.training.cluster import (
    LOOK_S,
    cause_of,
    cluster,
    compute_with,
    remote,
    shares,
    wait_until_free,
)
from core.training.runs import RunFolder


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
    with cluster(address) as ray:
        made = _train(ray, order, report, log) if "training" in steps else {}
        _measure(ray, order, steps, log)
    rows = alone.status(schedule, only, steps)
    columns = {"on": None, "core_hours": None}
    return [
        row | columns | (made.get(row["checkpoint"], {}) if row["step"] == "training" else {})
        for row in rows
    ]


def _train(ray: Any, order: Order, report: Report | None, log: Log) -> dict[str, dict[str, Any]]:
    """Train and publish what is missing; what is told of each: checkpoint -> columns of its row."""
    share, _whole = shares(ray, order.device)
    lacking = alone.without_photographs(order.chosen, log)
    tasks: dict[str, Any] = {}
    for recipe in order.chosen:
        if alone.is_done(recipe) or recipe.id in lacking:
            continue
        before = [tasks[id] for id in _needed(recipe) if id in tasks]
        task = remote(ray, _make_checkpoint, share, recipe.id)
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
    _one, share = shares(ray, order.device)
    for each in MEASUREMENTS:
        there = checkpoints.load_manifest()
        tasks = {
            f"{each.step} {id}": remote(ray, _make_step, share, f"{each.step} {id}").remote(
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
                errors.append(_failure(names[task], cause_of(error)))
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
    compute_with(cores)
    if not alone.is_done(recipe):  # else the machine was lost between publishing and telling
        folder = alone.run_folder(recipe, schedule)
        wait_until_free(folder)
        alone.make(recipe, folder, device)
    return _here()


def _make_step(step: Step, id: str, order: Order, cores: int) -> str:
    """A task: one measurement of one checkpoint, from where it was stopped."""
    compute_with(cores)
    (measurement,) = (each for each in MEASUREMENTS if each.step == step)
    if measurement.needs_checkpoint and id not in checkpoints.load_manifest():
        raise CheckpointError(_("There is no checkpoint {id}.").format(id=id))
    measurement.make(id, print, order)
    return _here()


def _here() -> str:
    import ray

    return f"{ray.util.get_node_ip_address()}/{ray.get_runtime_context().get_node_id()[:6]}"
