"""A process that waits for a job: it becomes the job, with its log, its lock and its exit code."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from core.training.queue import process as jobs_process
from core.training.queue.line import JobQueue, JobSettings
from core.training.queue.process import WarmProcess
from tests.core.training.queue.queueing import FINGERPRINT, config, script, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no files are passed on there")

LIGHT = """
import sys
from functools import partial
from core.training.queue import process
process.warm_up = lambda: None
sys.exit(process.main(int(sys.argv[1])))
"""


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting processes import nothing heavy."""
    monkeypatch.setattr(jobs_process, "WAITING", [sys.executable, "-c", LIGHT])


def has_ended(process: psutil.Process) -> bool:
    return not lives(process)


def waiting(warm: WarmProcess) -> psutil.Process:
    """The process that waits."""
    assert warm._idle is not None
    return psutil.Process(warm._idle[0].pid)


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def warm(light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmProcess]:
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "none"))
    made = WarmProcess()
    made.prepare(jobs_process.environment(1))
    first = waiting(made)
    made.prepare(jobs_process.environment(1))
    assert waiting(made) == first, "at most one"
    yield made
    made.end()


def test_it_becomes_the_job(warm: WarmProcess, tmp_path: Path) -> None:
    """`runs --json` in its place: the log holds what it says, the lock is held to its end."""
    ready = waiting(warm)
    command = [*jobs_process.PROGRAM, "runs", "--json"]
    started = jobs_process.start(command, tmp_path, 1, warm)
    assert started.process.pid == ready.pid
    assert started.process.wait(60) == 0
    assert json.loads((tmp_path / jobs_process.LOG).read_text()) == {"runs": []}
    assert jobs_process.find(tmp_path, started.process.pid) is None
    again = jobs_process.start([*jobs_process.PROGRAM, "runs", "--nonsense"], tmp_path, 1, warm)
    assert again.process.pid != ready.pid and again.process.wait(60) == 2, "one job only"


def test_the_lock_is_held_while_it_runs_and_it_can_be_ended(
    warm: WarmProcess, tmp_path: Path
) -> None:
    waiting(warm).suspend()  # it cannot begin yet
    command = [*jobs_process.PROGRAM, "runs"]
    started = jobs_process.start(command, tmp_path, 1, warm)
    found = jobs_process.find(tmp_path, started.process.pid)
    assert found is not None and found.pid == started.process.pid
    psutil.Process(started.process.pid).resume()
    jobs_process.end(tmp_path, started.process.pid)
    wait_until(lambda: jobs_process.find(tmp_path, started.process.pid) is None)


def test_one_that_was_killed_is_not_used(warm: WarmProcess, tmp_path: Path) -> None:
    ready = waiting(warm)
    ready.kill()
    wait_until(lambda: not lives(ready))
    started = jobs_process.start([*jobs_process.PROGRAM, "runs"], tmp_path, 1, warm)
    assert started.process.pid != ready.pid and started.process.wait(60) == 0


def test_it_ends_when_it_is_not_wanted(
    light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_process, "IDLE_S", 0.3)
    idle = WarmProcess()
    for _time in range(2):  # it comes again
        idle.prepare(jobs_process.environment(1))
        ready = waiting(idle)
        assert lives(ready)
        wait_until(partial(has_ended, ready))


def test_it_ends_with_its_server(tmp_path: Path) -> None:
    """A server that is killed says nothing: the end of the socket does."""
    code = (
        "import os, sys\nfrom core.training.queue import process\n"
        f"process.WAITING = [sys.executable, '-c', {LIGHT!r}]\n"
        "warm = process.WarmProcess()\nwarm.prepare(dict(os.environ))\n"
        "print(warm._idle[0].pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    repo = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True)
    pid = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(pid), 60)


def test_a_queue_keeps_one_only_while_a_job_could_begin(light: None, tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "runs", JobSettings(), script)
    queue.prepare()
    ready = waiting(queue._warm)
    job = queue.ask(config(), "ann", FINGERPRINT)  # a script, which it cannot become
    queue._warm.end()
    wait_until(lambda: not lives(ready))
    queue.prepare()
    assert queue._warm._idle is None, "the place is taken"
    (job.run.path / "go").write_text("")
    wait_until(lambda: not queue.jobs()[0].is_active)
    queue.prepare()
    assert lives(waiting(queue._warm))
    queue._warm.end()
