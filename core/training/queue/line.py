"""The queue of trainings: first come, first served, one process a job, one job a device.

Whoever asks for a run that was asked for before (same settings, photographs, teacher and code)
shares it. A run stops when nobody who asked still wants it, and after the time that one may take at
a stretch, so that others get their turn; it can go on from there. All state is on the disk: a
server that starts anew, or a second one on the same folder, finds everything again. Nothing here
imports torch or knows a screen; pages look at `Job`s as often as they like.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core import checkpoints
from core.errors import JobError, UserError
from core.i18n import _
from core.models.registry import get
from core.paths import runs_dir
from core.provenance import commit
from core.training.config import TrainConfig
from core.training.queue import process
from core.training.queue.store import ACTIVE, Change, JobSettings, Row, State, Store, mark
from core.training.queue.warm import WarmProcess
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
    """Why it ended so: of a failure as `process.Ending` has it; `time` where it was stopped
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
        return process.last_lines(self.run.path)


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
        taught = checkpoints.get(config.teacher).weights_sha256
    parts = [config.model_dump_json(), fingerprint, taught, commit() if code is None else code]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]
    return f"{get(config.model).slug}-{recipe_of(config)}-s{config.seed}-{digest}"


Command = Callable[[TrainConfig, Path, str], list[str]]
ANYBODY = None
"""Instead of a visitor: the person at the command line, who may do everything."""
_LOOK_S = 2.0


@lru_cache(maxsize=4)
def _queue_of(root: Path) -> "JobQueue":
    return JobQueue(root)


def shared_queue() -> "JobQueue":
    """The queue over this machine's runs, one for all sessions of a server."""
    return _queue_of(runs_dir())


class JobQueue:
    """The line of trainings of one folder of runs; safe from every thread and several servers."""

    def __init__(
        self,
        root: Path | None = None,
        settings: JobSettings | None = None,
        command: Command = process.train_command,
    ) -> None:
        self.root = root or runs_dir()
        self.settings = settings or JobSettings.from_environment()
        self._command = command
        self._store = Store(self.root)
        self._children: dict[int, Any] = {}
        self._watched: set[int] = set()
        self._warm = WarmProcess()
        if self._store.exists():
            self.tick()

    def ask(self, config: TrainConfig, who: str, fingerprint: str) -> Job:
        """Queue a run for a visitor, or join the one that is the same; a stopped one goes on.

        Raises JobError where the visitor, or everybody together, has too many; UserError for a
        network or teacher that does not exist.
        """
        id = job_id(config, fingerprint)
        with self._store.change() as change:
            if change.row(id) is None:
                change.add(id, config.model_dump_json(), time.time())
                change.set(id, state="stopped")
            self._want(change, id, who)
            self._go_on(change)
        return self.job(id, who)

    def resume(self, id: str, who: str | None) -> Job:
        """Put a run that is not finished back into the queue; it goes on after its last epoch."""
        with self._store.change() as change:
            self._mine(change, id, who)
            self._want(change, id, who)
            self._go_on(change)
        return self.job(id, who)

    def stop(self, id: str, who: str | None) -> bool:
        """A visitor wants it no more; False if others do and it goes on. Every whole epoch is kept.

        Raises JobError for a job that is unknown or somebody else's.
        """
        with self._store.change() as change:
            row = self._mine(change, id, who)
            owners = change.owners().get(id, {})
            for owner in [mark(who)] if who is not None else owners:
                change.own(id, owner, wants=False)
                owners[owner] = False
            stops = row.state in ACTIVE and not any(owners.values())
            if stops:
                change.set(id, state="stopped", ended=time.time(), reason="", message="")
        if stops:
            process.end(self.root / row.id, row.pid)
            self.tick()
        return stops or row.state not in ACTIVE

    def delete(self, id: str, who: str | None) -> None:
        """Stop it and forget it: folder, checkpoint and entry, unless others have it too.

        Raises JobError for a job that is unknown or somebody else's.
        """
        self.stop(id, who)
        with self._store.change() as change:
            self._mine(change, id, who)
            if who is not None:
                change.disown(id, mark(who))
                if change.owners().get(id):
                    return
            change.remove(id)
            checkpoints.remove(id, self.root / checkpoints.own_dir().name)
            shutil.rmtree(self.root / id, ignore_errors=True)

    def jobs(self, who: str | None = "") -> list[Job]:
        """Every job, in the order of the queue; looking also keeps the queue going."""
        return self._look(who)[0]

    def unreadable(self, who: str | None = "") -> list[str]:
        """Ids of the visitor's jobs that `jobs` leaves out; they can be deleted."""
        return self._look(who)[1]

    def _look(self, who: str | None) -> tuple[list[Job], list[str]]:
        if not self._store.exists():
            return [], []
        with self._store.change() as change:
            self._go_on(change)
            rows, owners = change.rows(), change.owners()
        line = [row.id for row in rows if row.state == "queued"]
        jobs, lost = [], []
        for row in rows:
            wishes = owners.get(row.id, {})
            mine = who is None or mark(who) in wishes
            try:
                config = TrainConfig.model_validate_json(row.config)
                get(config.model)
            except (ValidationError, UserError):  # another version wrote it, perhaps
                lost += [row.id] if mine else []
                continue
            jobs.append(
                Job(
                    id=row.id,
                    config=config,
                    state=row.state,
                    place=line.index(row.id) + 1 if row.id in line else 0,
                    owners=sum(wishes.values()),
                    mine=mine,
                    reason=row.reason,
                    message=row.message,
                    asked=row.asked,
                    began=row.began,
                    ended=row.ended,
                    ran_s=self._ran_s(row) if row.state == "running" else None,
                    run=RunFolder(self.root / row.id),
                )
            )
        return jobs, lost

    def _ran_s(self, row: Row) -> float | None:
        """Seconds that a running job has been running; None if it never began."""
        seconds = process.ran_s(self.root / row.id, row.pid)
        if seconds is None and row.began is not None:  # an earlier version knew it by the clock
            seconds = max(0.0, time.time() - row.began)
        return seconds

    def job(self, id: str, who: str | None = "") -> Job:
        """One job. Raises JobError if there is none of that name."""
        for job in self.jobs(who):
            if job.id == id:
                return job
        raise _unknown(id)

    def prepare(self) -> None:
        """Somebody may soon ask for a run: keep a process ready that could begin it at once."""
        if len([job for job in self.jobs() if job.is_active]) < len(self.settings.devices):
            self._warm.prepare(process.environment(self.settings.threads))

    def tick(self) -> None:
        """Notice what has ended, start what can start."""
        with self._store.change() as change:
            self._go_on(change)

    def _want(self, change: Change, id: str, who: str | None) -> None:
        """Note the wish and queue the job, unless it runs or is done already."""
        row, owners = change.row(id), change.owners()
        assert row is not None
        active = {active.id for active in change.rows(*ACTIVE)}
        if row.state != "done" and who is not None:
            own = [other for other in active - {id} if owners.get(other, {}).get(mark(who))]
            if len(own) >= self.settings.per_visitor:
                raise JobError(
                    _(
                        "You have {n} trainings running or waiting already: stop one, or wait "
                        "until one has finished."
                    ).format(n=len(own))
                )
        if row.state not in (*ACTIVE, "done"):
            if len(active) >= self.settings.waiting:
                raise JobError(
                    _(
                        "{n} trainings are waiting for this machine already. Come back later."
                    ).format(n=len(active))
                )
            change.set(
                id,
                state="queued",
                turn=change.next_turn(),
                reason="",
                message="",
                exit_code=None,
                ended=None,
            )
        if who is not None:
            change.own(id, mark(who), wants=True)

    def _go_on(self, change: Change) -> None:
        running = []
        for row in change.rows("running"):
            if self._lives(row):
                running.append(row)
                if self._time_left(row) <= 0:
                    self._time_is_up(change, row)
                else:
                    self._watch(row)
            else:
                child = self._children.get(row.pid or 0)
                self._note_end(change, row, process.exit_code(child))
        taken = {row.slot for row in running}
        free = [n for n in range(len(self.settings.devices)) if n not in taken]
        for row in change.rows("queued"):
            if not free:
                break
            if self._is_taken(row):
                continue
            if self._start(change, row, free[0]):
                free.pop(0)

    def _lives(self, row: Row) -> bool:
        return process.find(self.root / row.id, row.pid) is not None

    def _is_taken(self, row: Row) -> bool:
        """Whether a stopped job's process has yet to end, or somebody at the command line trains
        this very folder."""
        folder = self.root / row.id
        return self._lives(row) or (folder.exists() and RunFolder(folder).status() == "running")

    def _time_left(self, row: Row) -> float:
        return self.settings.limit_s - (self._ran_s(row) or 0.0)

    def _time_is_up(self, change: Change, row: Row) -> None:
        """Stop a job for having run so long; whoever wants more of it resumes it."""
        for owner in change.owners().get(row.id, {}):
            change.own(row.id, owner, wants=False)
        minutes = str(round(self.settings.limit_s / 60))
        change.set(row.id, state="stopped", ended=time.time(), reason="time", message=minutes)
        # in a thread: ending may take seconds, and every server waits for this transaction
        threading.Thread(target=self._end, args=(row,), daemon=True).start()

    def _end(self, row: Row) -> None:
        process.end(self.root / row.id, row.pid)
        with contextlib.suppress(JobError):
            self.tick()

    def _start(self, change: Change, row: Row, slot: int) -> bool:
        """Start a job inside the transaction: no other server can start it meanwhile."""
        folder = self.root / row.id
        try:
            config = TrainConfig.model_validate_json(row.config)
            command = self._command(config, folder, self.settings.devices[slot])
            child, born = process.start(command, folder, self.settings.threads, self._warm)
        except (OSError, ValidationError) as error:
            reason = "disk" if getattr(error, "errno", None) == 28 else "crashed"
            now = time.time()
            change.set(row.id, state="failed", reason=reason, message=str(error), ended=now)
            return False
        self._children[child.pid] = child
        pid, began = child.pid, time.time()
        change.set(row.id, state="running", slot=slot, pid=pid, born=born, began=began)
        self._watch(row._replace(pid=pid, born=born, began=began))
        return True

    def _note_end(self, change: Change, row: Row, code: int | None) -> None:
        state, reason, message = process.ending(self.root / row.id, code)
        change.set(
            row.id,
            state=state,
            reason=reason,
            message=message,
            exit_code=code,
            ended=row.ended or time.time(),
        )

    def _mine(self, change: Change, id: str, who: str | None) -> Row:
        row = change.row(id)
        if row is None:
            raise _unknown(id)
        if who is not None and mark(who) not in change.owners().get(id, {}):
            raise JobError(_("This run belongs to somebody else: ask for it yourself to share it."))
        return row

    def _watch(self, row: Row) -> None:
        if row.pid is None or row.pid in self._watched:
            return
        self._watched.add(row.pid)
        threading.Thread(target=self._wait, args=(row,), daemon=True).start()

    def _wait(self, row: Row) -> None:
        assert row.pid is not None
        child, code = self._children.get(row.pid), None
        while child is None and self._time_left(row) > 0 and self._lives(row):
            time.sleep(_LOOK_S)
        if child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(max(0.0, self._time_left(row)) + 0.05)
        try:
            with self._store.change() as change:
                now = change.row(row.id)
                # another server may have found it dead before we could say how it died
                if (
                    now is not None
                    and now.pid == row.pid
                    and now.state in ("running", "interrupted")
                    and not (code is None and self._lives(row))
                ):
                    self._note_end(change, now, code)
                self._go_on(change)  # also where its time is up
        except JobError:  # a full disk: whoever looks next will notice
            pass
        finally:
            self._children.pop(row.pid, None)
            self._watched.discard(row.pid)


def _unknown(id: str) -> JobError:
    return JobError(_("There is no training called {id}.").format(id=repr(id)))
