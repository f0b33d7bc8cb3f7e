"""One training in the queue, as whoever looks at it sees it, and the name by which it is known."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from core import checkpoints
from core.errors import UserError
from core.models.registry import get
from core.provenance import commit
from core.training import jobs_process
from core.training.config import TrainConfig
from core.training.jobs_store import ACTIVE, Row, State, mark
from core.training.runs import RunFolder


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
    """Why it ended so: of a failure as `jobs_process.Ending` has it; `time` where it was stopped
    for having run the `message` minutes that one may."""
    message: str
    asked: float
    began: float | None
    ended: float | None
    ran_s: float | None
    """How long it has been running; None if it is not."""
    run: RunFolder

    @property
    def is_active(self) -> bool:
        """Whether it runs or will."""
        return self.state in ACTIVE

    def lines(self) -> list[str]:
        """The last lines it has written."""
        return jobs_process.last_lines(self.run.path)


def recipe_of(config: TrainConfig) -> str:
    """`distilled`, `imagenet`, `finetuned` or `scratch`: what its checkpoint will be called."""
    if config.teacher:
        return "distilled"
    return "imagenet" if config.pretrained else "finetuned" if config.start_from else "scratch"


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


def job_of(
    row: Row, owners: dict[str, bool], line: list[str], who: str | None, root: Path
) -> Job | None:
    """A row of the queue's file as visitor `who` sees it; None if it cannot be read here: another
    version wrote it, perhaps.

    owners: visitor's hash -> whether they want it to run; line: ids of those that wait, in order.
    """
    try:
        config = TrainConfig.model_validate_json(row.config)
        get(config.model)
    except (ValidationError, UserError):
        return None
    return Job(
        id=row.id,
        config=config,
        state=row.state,
        place=line.index(row.id) + 1 if row.id in line else 0,
        owners=sum(owners.values()),
        mine=who is None or mark(who) in owners,
        reason=row.reason,
        message=row.message,
        asked=row.asked,
        began=row.began,
        ended=row.ended,
        ran_s=ran_s(row, root) if row.state == "running" else None,
        run=RunFolder(root / row.id),
    )


def ran_s(row: Row, root: Path) -> float | None:
    """Seconds that a running job has been running; None if it never began."""
    found = jobs_process.ran_s(root / row.id, row.pid)
    if found is None and row.began is not None:  # an earlier version knew it by the clock alone
        found = max(0.0, time.time() - row.began)
    return found
