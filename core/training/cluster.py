"""Tasks on a Ray cluster, and one training as such a task.

A task whose machine is lost is given to another one, where a run goes on after its last whole
epoch. All machines must see the same folders (SMALL_PLATES_RUNS, SMALL_PLATES_PRETRAINED), the same
photographs, and this repository under the same paths; what comes out are the files of a run alone.
Importing this imports neither Ray nor torch.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from core.errors import ConfigError, UserError
from core.i18n import _
from core.paths import REPO
from core.training.config import TrainConfig
from core.training.runs import RunFolder

RETRIES = 5
"""How often a task is given to another machine after its own was lost."""
LOOK_S = 2.0
"""How often whoever asked looks at the runs' folders, seconds."""
RELEASE_S = 120.0
"""How long a lost process may hold on to its run after its machine was given up, seconds."""


@dataclass(frozen=True)
class Share:
    """What one task takes of its machine; it computes with as many threads as it has cores."""

    cores: int
    gpus: int


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at `address` (`auto`, `host:port`); its makers hear nothing.

    Without an address a cluster of this machine alone, which ends with the block. Raises
    ConfigError where there is no Ray or no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if _has_token():  # `ray start` asks for it; Ray reads this when it is imported
        os.environ.setdefault("RAY_AUTH_MODE", "token")
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


def _has_token() -> bool:
    """Whether this user has the secret that opens a cluster, where `ray get-auth-token` puts it."""
    kept = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or Path(kept).is_file()


def shares(ray: Any, device: str | None) -> tuple[Share, Share]:
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


def remote(ray: Any, work: Callable[..., Any], share: Share, name: str) -> Any:
    """`work` as a task of Ray's that has this share of some machine."""
    return ray.remote(work).options(
        name=name, num_cpus=share.cores, num_gpus=share.gpus, max_retries=RETRIES
    )


def train_on_ray(
    address: str,
    config: TrainConfig,
    folder: Path,
    report: Callable[[dict[str, Any]], None] | None = None,
    device: str | None = None,
    publish: bool = False,
) -> dict[str, Any]:
    """Train `config` in `folder` on the cluster at `address`; returns the run's result.

    This process asks, follows the folder and tells each whole epoch. When it is killed Ray ends the
    task, and the same call goes on with the run. `publish`: as `queue.work.run_job`. Raises what
    training raises, and ConfigError where there is no such cluster.
    """
    run = RunFolder(folder)
    told = len(run.metrics())
    with cluster(address) as ray:
        share, _whole = shares(ray, device)
        task = remote(ray, _train, share, folder.name).remote(
            config, folder.resolve(), device, publish, share.cores
        )
        is_done = False
        while not is_done:
            is_done = bool(ray.wait([task], timeout=LOOK_S)[0])
            new = run.metrics()[told:]
            told += len(new)
            for entry in new if report else ():
                report(entry)  # type: ignore[misc]
        try:
            result: dict[str, Any] = ray.get(task)
        except UserError as error:  # Ray's own error, which is the task's too
            raise cause_of(error) from None
        except ray.exceptions.RayError as error:
            raise UserError(str(error)) from None
    return result


def cause_of(error: UserError) -> UserError:
    """The error that a task has raised, of Ray's error about it."""
    cause = getattr(error, "cause", error)
    return cause if isinstance(cause, UserError) else error


def _train(
    config: TrainConfig, folder: Path, device: str | None, publish: bool, cores: int
) -> dict[str, Any]:
    """A task: one run, from where it was stopped."""
    compute_with(cores)
    wait_until_free(folder)
    if publish:
        from core.training.queue.work import run_job as train
    else:
        from core.training.loop import train
    return train(config, folder, device=device)


def wait_until_free(folder: Path) -> None:
    """A machine that Ray has given up may still be at it for a moment."""
    until = monotonic() + RELEASE_S
    while folder.exists() and RunFolder(folder).status() == "running" and monotonic() < until:
        sleep(0.2)


def compute_with(cores: int) -> None:
    """Let torch use so many threads in this process."""
    import torch

    torch.set_num_threads(cores)
