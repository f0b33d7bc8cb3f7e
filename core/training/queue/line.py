"""The queue of trainings: first come, first served, one process a job, one job a device.

Whoever asks for a run that was asked for before (same settings, photographs, teacher and code)
shares it. A run stops when nobody who asked still wants it, and after the time that one may take at
a stretch, so that others get their turn; it can go on from there. Nothing here imports torch or
knows a screen; pages look at `Job`s as often as they like.

All state is on the disk: a server that starts anew, or a second one on the same folder, finds
everything again. What a run did stands in its folder; who asked for what, in which order, and which
process does it, stands in one SQLite file beside the folders, shared by every server on them. Each
change of it is one `BEGIN IMMEDIATE` transaction: only one process at a time decides what starts
next, so two servers cannot start a job twice, and a server killed in the middle leaves what was
there before.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from filelock import Timeout
from pydantic import ValidationError

from core import checkpoints
from core.cores import cores
from core.database import Database
from core.errors import JobError, UserError
from core.i18n import _
from core.models.registry import get
from core.paths import remedy, runs_dir, whole_number
from core.provenance import commit
from core.training.config import TrainConfig
from core.training.queue import process
from core.training.runs import RunFolder

State = Literal["queued", "running", "done", "stopped", "failed", "killed", "interrupted"]
ACTIVE: tuple[State, ...] = ("queued", "running")

FILE = "jobs.sqlite3"
RAY_PLACES = 4
"""How many runs ask a Ray cluster at once; each does by a process of its own on this machine."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,               -- also the name of the run folder
    config TEXT NOT NULL,              -- TrainConfig as JSON
    state TEXT NOT NULL,
    turn INTEGER NOT NULL,             -- place in the queue: the lowest starts first
    slot INTEGER,                      -- which of the server's devices it runs on
    pid INTEGER,
    born REAL,                         -- when it was made, by the clock: earlier versions need it
    exit_code INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    asked REAL NOT NULL,               -- seconds since the epoch, as are the next two
    began REAL,
    ended REAL
);
CREATE TABLE IF NOT EXISTS owners (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    visitor TEXT NOT NULL,             -- a hash: the file tells nobody who somebody is
    wants INTEGER NOT NULL,            -- 0: has stopped it, but keeps it
    PRIMARY KEY (job, visitor)
);
"""


class Row(NamedTuple):
    """One job as the file has it."""

    id: str
    config: str
    state: State
    turn: int
    slot: int | None
    pid: int | None
    born: float | None
    exit_code: int | None
    reason: str
    message: str
    asked: float
    began: float | None
    ended: float | None


class Store:
    """The SQLite file of a folder of runs. Any thread may use it: each change opens its own."""

    def __init__(self, root: Path) -> None:
        self.path = root / FILE
        self._file = Database(self.path, _SCHEMA)

    @contextlib.contextmanager
    def change(self) -> Iterator["Change"]:
        """A transaction that may write; undone where the block raises.

        Raises JobError where the file cannot be read or written: a full disk, a damaged file.
        """
        try:
            with self._file.change() as base:
                yield Change(base)
        except (sqlite3.Error, OSError, Timeout) as error:
            problem = _("The list of trainings, {file}, cannot be used ({reason}).").format(
                file=self.path, reason=getattr(error, "strerror", None) or error
            )
            raise JobError(f"{problem} {remedy(self.path)}".strip()) from error

    def exists(self) -> bool:
        """Whether anything was ever asked for here."""
        return self._file.exists()


class Change:
    """What can be read and written inside one transaction."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def rows(self, *states: State) -> list[Row]:
        """Jobs in these states (all, if none is named), in the order of the queue."""
        rows = map(Row._make, self._base.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY turn"))
        return [row for row in rows if not states or row.state in states]

    def row(self, id: str) -> Row | None:
        """One job, or None."""
        values = self._base.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
        return None if values is None else Row._make(values)

    def add(self, id: str, config: str, asked: float) -> None:
        """A new job, last in the queue."""
        self._base.execute(
            "INSERT INTO jobs (id, config, state, turn, asked) VALUES (?, ?, 'queued', ?, ?)",
            (id, config, self.next_turn(), asked),
        )

    def set(self, id: str, **values: object) -> None:
        """Change columns of a job."""
        unknown = values.keys() - set(Row._fields)
        if unknown:
            raise ValueError(f"no such columns: {unknown}")
        names = ", ".join(f"{name} = ?" for name in values)
        self._base.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), id))

    def remove(self, id: str) -> None:
        """Forget a job and who wanted it."""
        self._base.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def next_turn(self) -> int:
        """The place behind everybody who waits."""
        (last,) = self._base.execute("SELECT coalesce(max(turn), 0) FROM jobs").fetchone()
        return int(last) + 1

    def owners(self) -> dict[str, dict[str, bool]]:
        """Job -> {visitor's hash: whether they want it to run}."""
        owners: dict[str, dict[str, bool]] = {}
        for job, visitor, wants in self._base.execute("SELECT job, visitor, wants FROM owners"):
            owners.setdefault(job, {})[visitor] = bool(wants)
        return owners

    def own(self, job: str, visitor: str, wants: bool) -> None:
        """Note that a visitor (a hash) has this job, and whether they want it to run."""
        self._base.execute(
            "INSERT INTO owners VALUES (?, ?, ?) "
            "ON CONFLICT (job, visitor) DO UPDATE SET wants = excluded.wants",
            (job, visitor, int(wants)),
        )

    def disown(self, job: str, visitor: str) -> None:
        """A visitor (a hash) has it no more."""
        self._base.execute("DELETE FROM owners WHERE job = ? AND visitor = ?", (job, visitor))


_COLUMNS = ", ".join(Row._fields)


def mark(visitor: str) -> str:
    """What the file knows of a visitor: a hash of their secret id."""
    return hashlib.sha256(visitor.encode()).hexdigest()[:20] if visitor else ""


@dataclass(frozen=True)
class JobSettings:
    """The limits of a queue, and the environment variables by which whoever runs it sets them."""

    devices: tuple[str, ...] = ("",)
    """Where jobs compute, one at a time each; "" lets the job choose: a GPU if there is one.
    SMALL_PLATES_DEVICES, such as cuda:0,cuda:1; without it every GPU, or the processor. `ray` is a
    place on the cluster at SMALL_PLATES_RAY, which has RAY_PLACES of them unless told otherwise."""
    threads: int = 1
    """Processor threads of a job: SMALL_PLATES_TRAIN_THREADS."""
    per_visitor: int = 4
    """How many one visitor may have running and waiting: SMALL_PLATES_JOBS_PER_VISITOR."""
    waiting: int = 60
    """How many may be running and waiting altogether: SMALL_PLATES_JOBS_WAITING."""
    limit_s: float = 2 * 3600
    """How long a job may run before it is stopped, not lost: SMALL_PLATES_JOB_MINUTES."""

    @classmethod
    def from_environment(cls) -> Self:
        """What the variables say. Raises ConfigError where one is no number."""
        named = os.environ.get("SMALL_PLATES_DEVICES", "")
        devices = tuple(word.strip() for word in named.split(",") if word.strip()) or _devices()
        on_processor = sum(device in ("", "cpu") for device in devices)
        return cls(
            devices=devices,
            threads=whole_number(
                "SMALL_PLATES_TRAIN_THREADS", max(1, cores() // max(1, on_processor))
            ),
            per_visitor=whole_number("SMALL_PLATES_JOBS_PER_VISITOR", cls.per_visitor),
            waiting=whole_number("SMALL_PLATES_JOBS_WAITING", cls.waiting),
            limit_s=60.0 * whole_number("SMALL_PLATES_JOB_MINUTES", round(cls.limit_s / 60)),
        )


def _devices() -> tuple[str, ...]:
    """RAY_PLACES on a cluster if one is named; else one place a GPU where there are several: asking
    torch would cost the server its memory."""
    if os.environ.get(process.RAY_ADDRESS):
        return (process.RAY,) * RAY_PLACES
    gpus = sorted(Path("/dev").glob("nvidia[0-9]*"))
    return tuple(f"cuda:{n}" for n in range(len(gpus))) if len(gpus) > 1 else ("",)


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
        self._warm = process.WarmProcess()
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
        if set(self.settings.devices) == {process.RAY}:
            return  # what asks a cluster imports no torch
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
