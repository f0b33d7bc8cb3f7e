"""One training in the queue, as whoever looks at it sees it, and the name by which it is known."""

import hashlib
import json
from dataclasses import dataclass

from core import checkpoints
from core.models.registry import get
from core.training import jobs_process
from core.training.config import TrainConfig
from core.training.jobs_store import ACTIVE, State
from core.training.runs import RunFolder, commit


@dataclass(frozen=True)
class Job:
    """One run as its visitor sees it."""

    id: str
    config: TrainConfig
    state: State
    place: int
    """How many are to be started before this one, itself included; 0 if it is not waiting."""
    owners: int
    """How many visitors want it to run."""
    mine: bool
    """Whether the visitor who looks has asked for it."""
    reason: str
    message: str
    asked: float
    began: float | None
    ended: float | None
    run: RunFolder

    @property
    def is_active(self) -> bool:
        """Whether it runs or will."""
        return self.state in ACTIVE

    def lines(self) -> list[str]:
        """The last lines it has written."""
        return jobs_process.last_lines(self.run.path)


def recipe_of(config: TrainConfig) -> str:
    """`distilled`, `imagenet` or `scratch`: what the run's checkpoint will be called."""
    return "distilled" if config.teacher else "imagenet" if config.pretrained else "scratch"


def job_id(config: TrainConfig, fingerprint: str, code: str | None = None) -> str:
    """The name of a run: the same for equal settings, photographs, teacher's weights and code.

    Raises UserError for an unknown network, CheckpointError for an unknown teacher.
    """
    taught = ""
    if config.teacher:
        taught = checkpoints.get(config.teacher).files[checkpoints.WEIGHTS].sha256
    parts = [config.model_dump_json(), fingerprint, taught, commit() if code is None else code]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]
    return f"{get(config.model).slug}-{recipe_of(config)}-s{config.seed}-{digest}"
