"""The queue's memory: one SQLite file beside the run folders, shared by every server on them.

Each change is one `BEGIN IMMEDIATE` transaction: only one process at a time decides what starts
next, so two servers on one folder cannot start a job twice, and a server killed in the middle
leaves what was there before. What a run did stands in its folder; here stands only who asked for
what, in which order, and which process does it.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

from filelock import Timeout

from core.cores import cores
from core.database import Database
from core.errors import JobError
from core.i18n import _
from core.paths import remedy, whole_number

State = Literal["queued", "running", "done", "stopped", "failed", "killed", "interrupted"]
ACTIVE: tuple[State, ...] = ("queued", "running")

FILE = "jobs.sqlite3"

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

    @contextmanager
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
    SMALL_PLATES_DEVICES, such as cuda:0,cuda:1; without it every GPU, or the processor."""
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
    """One place a GPU where there are several; asking torch would cost the server its memory."""
    gpus = sorted(Path("/dev").glob("nvidia[0-9]*"))
    return tuple(f"cuda:{n}" for n in range(len(gpus))) if len(gpus) > 1 else ("",)
