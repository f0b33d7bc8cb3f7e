"""One live run at a time, however many visitors ask; each in a process of its own.

A measurement has a line of its own: its point, its rows, and the function that measures one.

Visitors who ask for the same point share one run, and its result stays for the next. The others
wait in a short line or are told to come back. A run ends when the last one who watches it leaves,
stops looking, or after TIME_LIMIT_S. Nothing here knows streamlit, nothing here imports torch, and
no thread here touches a page: pages look at a `Job` as often as they like.

The process is this module run as a program with the function's name (`core.pruning.live:measure`):
it gets the point as JSON on stdin, and answers with progress and rows as JSON lines on stdout. It
computes with one thread at low priority, so that the app stays quick for everybody, and ends when
stdin ends: that is, when the server that started it is no more.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import IO, Any, Generic, Literal, TypeVar, cast

from pydantic import BaseModel

from core.errors import UserError
from core.i18n import _, language, set_language
from core.paths import REPO

State = Literal["waiting", "running", "done", "failed", "stopped"]

MAX_WAITING = 6
KEPT_RESULTS = 60
TIME_LIMIT_S = 300.0
PATIENCE_S = 45.0
"""A watcher who has not looked for so long has gone: a closed tab."""


class BusyError(UserError):
    """Too many visitors wait for their run."""


P = TypeVar("P", bound=tuple[Any, ...])
R = TypeVar("R", bound=BaseModel)

Report = Callable[[dict[str, Any]], None]
"""Hears `{"step", "done", "of"}` while a point is measured, and at the end `{"rows": [...]}`."""


@dataclass
class Job(Generic[P, R]):
    """One run as its watchers see it. Change it only in `LiveRuns`."""

    point: P
    state: State = "waiting"
    step: str = ""
    """`start`, `prune`, `accuracy`, `time`: what it is doing."""
    done: int = 0
    of: int = 0
    """Progress within the step; of = 0 where that is not known."""
    rows: tuple[R, ...] = ()
    reason: Literal["", "said", "too_long", "crashed"] = ""
    """Why it failed; "said": `message` is a sentence for the visitor."""
    message: str = ""
    finished: float = 0.0
    """Seconds since the epoch."""
    watchers: dict[str, float] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")

    def is_watched(self) -> bool:
        """Whether somebody has looked at it lately."""
        return any(time.monotonic() - seen < PATIENCE_S for seen in self.watchers.values())


class LiveRuns(Generic[P, R]):
    """The line of runs of one server; safe to use from every session's thread."""

    def __init__(self, row: type[R], measure: str, time_limit_s: float = TIME_LIMIT_S) -> None:
        """`row`: what the rows are. `measure`: `module:function` that measures a point, which it
        gets as a dict of the named tuple's fields, with a function for its progress and rows."""
        self.row, self._time_limit_s = row, time_limit_s
        self._worker: tuple[str, ...] = (sys.executable, "-m", __name__, measure)
        self._lock = threading.RLock()
        self._jobs: OrderedDict[P, Job[P, R]] = OrderedDict()

    def ask(self, point: P, who: str) -> Job[P, R]:
        """Start, join or queue the run of a point for a visitor, who leaves any other one.

        A finished run is given as it is. Raises BusyError where the line is full.
        """
        with self._lock:
            for other in [job.point for job in self._jobs.values() if who in job.watchers]:
                if other != point:
                    self.leave(other, who)
            job = self._jobs.get(point)
            if job is None or job.state in ("failed", "stopped"):
                waiting = [other for other in self._jobs.values() if other.state == "waiting"]
                if len(waiting) >= MAX_WAITING:
                    raise BusyError(
                        _(
                            "{n} others are waiting for this machine already. Try again in a "
                            "minute; the cached curves are there meanwhile."
                        ).format(n=len(waiting))
                    )
                self._jobs.pop(point, None)
                job = self._jobs[point] = Job(point)
            job.watchers[who] = time.monotonic()
            self._start_next()
            return job

    def look(self, point: P, who: str) -> Job[P, R] | None:
        """The run of a point, if any; its visitor is known to be there still."""
        with self._lock:
            job = self._jobs.get(point)
            if job is not None and who in job.watchers:
                job.watchers[who] = time.monotonic()
            self._start_next()
            return job

    def place(self, point: P) -> int:
        """How many runs come before this one; 0 if it is running, over or unknown."""
        with self._lock:
            line = [job.point for job in self._jobs.values() if not job.is_over]
            return line.index(point) if point in line else 0

    def leave(self, point: P, who: str) -> None:
        """A visitor wants it no more; without any other, the run is stopped."""
        with self._lock:
            job = self._jobs.get(point)
            if job is None:
                return
            job.watchers.pop(who, None)
            if not job.is_over and not job.watchers:
                self._stop(job)
                self._start_next()

    def finished(self, *prefix: Any) -> list[Job[P, R]]:
        """Runs that are done of the points that begin so, in the points' order."""
        with self._lock:
            done = [
                job
                for job in self._jobs.values()
                if job.state == "done" and job.point[: len(prefix)] == prefix
            ]
        return sorted(done, key=lambda job: job.point)

    def _start_next(self) -> None:
        """Start the first who waits if none is running; forget the oldest results."""
        waiting = []
        for job in self._jobs.values():
            if job.state == "running" and not job.is_watched():
                self._stop(job)
            elif job.state == "waiting" and not job.is_watched():
                job.state = "stopped"
            elif job.state == "waiting":
                waiting.append(job)
        over = [job.point for job in self._jobs.values() if job.is_over]
        for point in over[: max(0, len(over) - KEPT_RESULTS)]:
            del self._jobs[point]
        if waiting and not any(job.state == "running" for job in self._jobs.values()):
            self._start(waiting[0])

    def _start(self, job: Job[P, R]) -> None:
        job.state, job.step = "running", "start"
        try:
            process = subprocess.Popen(
                self._worker,
                cwd=REPO,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",  # a library may say anything on stderr
            )
        except OSError as error:
            job.state, job.reason, job.message = "failed", "crashed", str(error)
            return
        job.process = process
        assert process.stdin
        point = cast(Any, job.point)._asdict() | {"language": language()}
        with contextlib.suppress(OSError):  # it is dead already: `_follow` will notice
            process.stdin.write(json.dumps(point) + "\n")
            process.stdin.flush()  # and left open: its end tells it that the server has gone
        timer = threading.Timer(self._time_limit_s, self._too_long, (job, process))
        timer.daemon = True
        timer.start()
        threading.Thread(target=self._follow, args=(job, process, timer), daemon=True).start()

    def _stop(self, job: Job[P, R]) -> None:
        job.state, job.finished = "stopped", time.time()
        if job.process is not None:
            job.process.kill()

    def _too_long(self, job: Job[P, R], process: "subprocess.Popen[str]") -> None:
        with self._lock:
            if job.state == "running" and job.process is process:
                job.state, job.finished = "failed", time.time()
                job.reason = "too_long"
                process.kill()

    def _follow(
        self, job: Job[P, R], process: "subprocess.Popen[str]", timer: threading.Timer
    ) -> None:
        """Read what the worker says until it ends (its own thread)."""
        assert process.stdout and process.stderr
        last: list[str] = []
        noise = threading.Thread(target=_drain, args=(process.stderr, last), daemon=True)
        noise.start()
        for line in process.stdout:
            self._hear(job, line)
        code = process.wait()
        noise.join(timeout=2)  # its last words tell why it died; a child of its own may hold on
        timer.cancel()
        with self._lock:
            if job.state == "running":
                job.state, job.finished = "failed", time.time()
                if not job.reason:
                    job.reason, job.message = "crashed", f"{code}: {' '.join(last)[-200:]}"
            self._start_next()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def _hear(self, job: Job[P, R], line: str) -> None:
        try:
            news: dict[str, Any] = json.loads(line)
            rows = tuple(self.row.model_validate(row) for row in news.get("rows", ()))
        except ValueError:  # a library's print: not ours
            return
        with self._lock:
            if job.state != "running":
                return
            if rows:
                job.rows, job.state, job.finished = rows, "done", time.time()
            elif "error" in news:
                job.reason, job.message = "said", str(news["error"])
            else:
                job.step, job.done, job.of = news["step"], news.get("done", 0), news.get("of", 0)
                if not job.is_watched():
                    self._stop(job)


def _drain(pipe: IO[str], last: list[str]) -> None:
    """Keep a pipe from filling up; the last lines are kept for a crash report."""
    with contextlib.suppress(ValueError):  # closed by the one who follows
        for line in pipe:
            last[:] = [*last[-3:], line.strip()]


def main(measure: str) -> int:
    """Read one point, measure it with `module:function`; 0 if it was done, 1 if it could not be."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")

    def report(news: dict[str, Any]) -> None:
        print(json.dumps(news), file=pipe, flush=True)

    point = json.loads(sys.stdin.readline())
    set_language(point.pop("language"))
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    with contextlib.redirect_stdout(sys.stderr):
        try:
            module, function = measure.split(":")
            getattr(import_module(module), function)(point, report)
        except UserError as error:
            report({"error": str(error)})
            return 1
    return 0


def _end_with_the_server() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
