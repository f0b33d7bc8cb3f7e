"""The line of live runs: one process for a class, cancelled, timed out, abandoned, crashed.

The workers here are a few lines that obey the same protocol; a real one is driven at the end and
by the browser test.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import live
from core.live import BusyError, Job, LiveRuns
from core.pruning.rows import Point, PruningRow

ROW = PruningRow(method="l1", ratio=0.5, form="masked", params=9, nonzero=5, macs=7, size_bytes=36)
BEGIN = """
import json, os, sys, time
asked = json.loads(sys.stdin.readline())
say = lambda **said: print(json.dumps(said), flush=True)
with open(os.environ["STARTED"], "a") as file: file.write(f"{os.getpid()} {asked['ratio']}\\n")
print("a library's noise", flush=True)
say(step="accuracy", done=1, of=9)
"""
WAIT = "\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.01)\n"
GIVE = f"\nsay(rows=[json.loads('''{ROW.model_dump_json()}''')])\n"


def point(ratio: float = 0.5, method: str = "l1") -> Point:
    return Point("some-s0", "a" * 64, method, ratio)  # type: ignore[arg-type]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What processes were started so far: "pid ratio" each."""
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    monkeypatch.setenv("GO", str(tmp_path / "go"))
    file = tmp_path / "started"
    return lambda: file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def go(tmp_path: Path) -> Callable[[], None]:
    """Let the waiting workers finish."""
    return (tmp_path / "go").touch


def runs(program: str, **limits: float) -> LiveRuns:
    line: LiveRuns = LiveRuns(PruningRow, "", **limits)
    line._worker = (sys.executable, "-c", BEGIN + program)
    return line


def until(what: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def state(job: Job) -> str:
    return job.state


def is_alive(line: str) -> bool:
    try:
        os.kill(int(line.split()[0]), 0)
    except OSError:
        return False
    return True


def test_forty_who_ask_for_one_point_share_one_process(
    started: Callable[[], list[str]], go: Callable[[], None]
) -> None:
    line = runs(WAIT + GIVE)
    jobs = [line.ask(point(), f"visitor {number}") for number in range(40)]
    until(lambda: jobs[0].of == 9)
    assert all(job is jobs[0] for job in jobs) and jobs[0].state == "running"
    go()
    until(lambda: jobs[0].is_over)
    assert (jobs[0].state, jobs[0].rows) == ("done", (ROW,))
    assert line.ask(point(), "somebody later").rows == (ROW,)
    assert len(started()) == 1


def test_other_points_wait_in_a_line_that_has_an_end(
    started: Callable[[], list[str]], go: Callable[[], None]
) -> None:
    line = runs(WAIT + GIVE)
    ratios = [number / 100 for number in range(live.MAX_WAITING + 1)]
    jobs = [line.ask(point(ratio), f"visitor {ratio}") for ratio in ratios]
    assert [job.state for job in jobs] == ["running"] + ["waiting"] * live.MAX_WAITING
    assert [line.place(job.point) for job in jobs] == list(range(len(jobs)))
    with pytest.raises(BusyError, match="Try again"):
        line.ask(point(0.99), "one too many")
    until(lambda: started())
    assert len(started()) == 1  # one at a time
    go()
    until(lambda: all(job.is_over for job in jobs))
    assert [job.state for job in jobs] == ["done"] * len(jobs)
    assert [float(entry.split()[1]) for entry in started()] == ratios
    assert [job.point.ratio for job in line.finished("some-s0", "a" * 64, "l1")] == ratios
    assert line.finished("some-s0", "b" * 64, "l1") == []


def test_cancelling_kills_the_process_and_lets_the_next_one_start(
    started: Callable[[], list[str]], go: Callable[[], None]
) -> None:
    line = runs(WAIT + GIVE)
    first, second = line.ask(point(0.1), "ann"), line.ask(point(0.2), "bob")
    until(lambda: first.of == 9)
    line.leave(first.point, "ann")
    assert state(first) == "stopped"
    until(lambda: not is_alive(started()[0]))
    until(lambda: len(started()) == 2)
    assert state(second) == "running"
    go()
    until(lambda: second.is_over)
    assert (state(second), state(first)) == ("done", "stopped")
    assert line.ask(first.point, "ann").state in ("running", "done")  # and once more


def test_one_of_two_watchers_leaving_stops_nothing(started: Callable[[], list[str]]) -> None:
    line = runs(WAIT + GIVE)
    job = line.ask(point(), "ann")
    line.ask(point(), "bob")
    line.leave(point(), "ann")
    assert state(job) == "running"
    line.leave(point(), "bob")
    assert state(job) == "stopped"


def test_asking_for_another_point_leaves_the_first(started: Callable[[], list[str]]) -> None:
    line = runs(WAIT + GIVE)
    first = line.ask(point(0.1), "ann")
    second = line.ask(point(0.2), "ann")
    assert (first.state, second.state) == ("stopped", "running")
    line.leave(second.point, "ann")


def test_a_worker_that_cannot_start_is_said() -> None:
    line: LiveRuns[Point, PruningRow] = LiveRuns(PruningRow, "")
    line._worker = ("/nowhere/python",)
    job = line.ask(point(), "ann")
    assert (job.state, job.reason) == ("failed", "crashed")


def test_a_closed_tab_gives_the_machine_back(
    started: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = runs("\nwhile True: say(step='time'); time.sleep(0.02)\n")
    job = line.ask(point(), "ann")
    until(lambda: job.step == "time")
    monkeypatch.setattr(live, "PATIENCE_S", 0.0)
    until(lambda: job.is_over)
    assert job.state == "stopped"
    until(lambda: not is_alive(started()[0]))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("\nsys.exit('out of memory')\n", "crashed"),
        ("\nsay(error='no such network')\nsys.exit(1)\n", "said"),
        ("\nos._exit(9)\n", "crashed"),
    ],
)
def test_a_run_that_dies_is_said(
    started: Callable[[], list[str]], program: str, reason: str
) -> None:
    line = runs(program)
    job = line.ask(point(), "ann")
    until(lambda: job.is_over)
    assert (job.state, job.reason) == ("failed", reason)
    assert job.message
    again = line.ask(point(), "ann")
    assert again is not job  # a failed run may be tried again


def test_a_run_that_takes_too_long_is_ended(started: Callable[[], list[str]]) -> None:
    line = runs(WAIT, time_limit_s=0.5)
    job = line.ask(point(), "ann")
    until(lambda: job.is_over)
    assert (job.state, job.reason) == ("failed", "too_long")
    until(lambda: started() and not is_alive(started()[0]))


def test_the_worker_ends_with_its_server(tmp_path: Path) -> None:
    """The real worker's watch: when stdin ends, so does the process, in the middle of its work."""
    import subprocess

    program = (
        "import core.live, sys, time\n"
        "def measure(asked, report):\n"
        "    report({'step': 'prune'})\n"
        "    time.sleep(60)\n"
        "core.live.main('__main__:measure')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({"language": "en"}) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"step": "prune"}
    process.stdin.close()
    assert process.wait(20) == 1
