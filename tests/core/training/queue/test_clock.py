"""A job's process is known whatever the clock does, however its number comes back, and by whichever
server looks; its time is counted by a clock that nobody sets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.training.config import TrainConfig
from core.training.queue import process as jobs_process
from core.training.queue.line import ANYBODY, JobQueue, JobSettings, Store
from core.training.runs import FILE as PROGRESS
from tests.core.training.queue.queueing import (
    FINGERPRINT,
    config,
    has_begun,
    queue,
    script,
    starts,
    wait_until,
)

DAY = 86_400.0


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder of runs; whatever still runs in it is ended afterwards."""
    folder = tmp_path / "runs 小盤子"
    folder.mkdir()
    yield folder
    for line in starts(folder):
        try:
            os.kill(int(line.split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """Somebody else's process."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def pid_of(root: Path, id: str) -> int:
    return int((root / id / "starts.txt").read_text().split()[-2])


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def begun(one: JobQueue, seed: int = 0) -> str:
    """Ask for a run and wait until its process has said its number."""
    id = one.ask(config(seed), "v", FINGERPRINT).id
    wait_until(lambda: has_begun(one.root, id))
    return id


def rewrite(root: Path, id: str, **values: object) -> None:
    with Store(root).change() as change:
        change.set(id, **values)


def set_clock(monkeypatch: pytest.MonkeyPatch, by_s: float) -> None:
    """The clock is set: `time.time` and what psutil makes of the kernel's ticks move, no more."""
    now, created = time.time, psutil.Process.create_time
    monkeypatch.setattr(time, "time", lambda: now() + by_s)
    monkeypatch.setattr(psutil.Process, "create_time", lambda one: created(one) + by_s)


@pytest.mark.parametrize("by_s", [-DAY, DAY])
def test_a_live_job_is_not_orphaned_when_the_clock_is_set(
    root: Path, by_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = queue(root)
    id = begun(one)
    one.ask(config(1), "v", FINGERPRINT)
    set_clock(monkeypatch, by_s)
    for server in (one, queue(root)):  # the one that started it, and one that starts anew
        assert [job.state for job in server.jobs("v")] == ["running", "queued"]
    assert len(starts(root)) == 1
    assert queue(root).stop(id, "v") is True
    wait_until(lambda: not lives(pid_of(root, id)))
    wait_until(lambda: len(starts(root)) == 2)
    assert one.job(id).state == "stopped"


@pytest.mark.slow
def test_a_wrong_moment_and_a_halt_make_no_job_dead(root: Path) -> None:
    """Whatever moment of its start the list has; a process that is held up can be stopped, too."""
    id = begun(queue(root))
    with Store(root).change() as change:
        row = change.row(id)
    assert row is not None and row.born
    for born in (row.born + 1, 0.0, None):
        rewrite(root, id, born=born)
        assert queue(root).job(id).state == "running"
    os.kill(pid_of(root, id), signal.SIGSTOP)
    assert queue(root).job(id).state == "running"
    queue(root).stop(id, "v")
    wait_until(lambda: not lives(pid_of(root, id)))


@pytest.mark.parametrize("noted", [True, False], ids=["its lock is free", "without a lock"])
def test_a_number_that_came_back_is_somebody_else(
    root: Path, stranger: "subprocess.Popen[bytes]", noted: bool
) -> None:
    """Even where the number and the moment that the list has are the stranger's."""
    one = queue(root)
    id = begun(one)
    os.kill(pid_of(root, id), signal.SIGKILL)
    wait_until(lambda: not one.job(id).is_active)
    born = psutil.Process(stranger.pid).create_time()
    rewrite(root, id, state="running", pid=stranger.pid, born=born)
    file = root / id / jobs_process.PROCESS
    if noted:
        file.write_text(json.dumps({"pid": stranger.pid, "since": time.monotonic()}))
    else:
        file.unlink()
    second = queue(root)
    assert second.job(id).state == "interrupted"
    second.delete(id, ANYBODY)
    assert stranger.poll() is None


def test_a_job_that_an_earlier_version_started_is_still_known(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row with `born`, a process without a lock: running while the app was brought up to date."""
    one = queue(root)
    id = begun(one)
    os.kill(pid_of(root, id), signal.SIGKILL)
    wait_until(lambda: not one.job(id).is_active)
    folder = root / id
    (folder / jobs_process.PROCESS).unlink()
    link = root.parent / "runs by another name"
    link.symlink_to(root)
    process = subprocess.Popen(script(config(), link / id, ""), env={"OMP_NUM_THREADS": "1"})
    wait_until(lambda: len(starts(root)) == 2)
    born = psutil.Process(process.pid).create_time()
    rewrite(root, id, state="running", pid=process.pid, born=born, began=time.time())
    set_clock(monkeypatch, -DAY)
    second = queue(root)
    assert second.job(id).state == "running"
    second.stop(id, ANYBODY)
    wait_until(lambda: process.poll() is not None)
    assert second.job(id).state == "stopped"


def test_a_job_whose_server_died_before_it_could_note_it_runs_once(root: Path) -> None:
    """Killed between the start and the end of its transaction: the list has it waiting."""
    one = queue(root)
    id = begun(one)
    rewrite(root, id, state="queued", pid=None, born=None, slot=None, began=None)
    second = queue(root)
    assert second.job(id).state == "queued" and len(starts(root)) == 1
    assert second.stop(id, ANYBODY) is True
    wait_until(lambda: not lives(pid_of(root, id)))


def test_a_job_that_is_only_just_starting_is_known_at_once(root: Path) -> None:
    """Long before its program could have taken a lock of its own."""

    def sleeps(config: TrainConfig, folder: Path, device: str) -> list[str]:
        return [sys.executable, "-S", "-c", "import time; time.sleep(60)"]

    one = JobQueue(root, JobSettings(("",), 1, 4, 60), sleeps)
    id = one.ask(config(), "v", FINGERPRINT).id
    for _look in range(20):
        assert queue(root).job(id).state == "running"
    pid = json.loads((root / id / jobs_process.PROCESS).read_text())["pid"]
    one.stop(id, "v")
    wait_until(lambda: not lives(pid))


FORKS = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
child = os.fork()
if child:
    (folder / "starts.txt").write_text(f"{os.getpid()} 0\\n{child} 0\\n")
time.sleep(60)
"""


def test_a_killed_job_is_dead_though_a_child_of_its_own_lives_on(root: Path) -> None:
    def forks(config: TrainConfig, folder: Path, device: str) -> list[str]:
        return [sys.executable, "-S", "-c", FORKS, str(folder)]

    one = JobQueue(root, JobSettings(("",), 1, 4, 60), forks)
    id = begun(one)
    wait_until(lambda: len(starts(root)) == 2)
    parent, child = (int(line.split()[0]) for line in starts(root))
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: one.job(id).state == "killed")
    assert lives(child)
    one.resume(id, "v")
    wait_until(lambda: not lives(parent) and one.job(id).state == "running")
    second = int(json.loads((root / id / jobs_process.PROCESS).read_text())["pid"])
    assert second not in (parent, child)
    os.kill(child, signal.SIGKILL)


def test_two_who_look_at_once_do_not_take_each_other_for_the_job(root: Path) -> None:
    import fcntl

    one = queue(root)
    id = begun(one)
    os.kill(pid_of(root, id), signal.SIGKILL)
    wait_until(lambda: not one.job(id).is_active)
    with (root / id / jobs_process.PROCESS).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert jobs_process.find(root / id, pid_of(root, id)) is None


def test_a_note_that_is_cut_short_is_no_note(root: Path) -> None:
    folder = root / "some run"
    folder.mkdir()
    for text in ("", "{", "[]", '{"pid": 1e999, "since": 0}', '{"pid": -3}'):
        (folder / jobs_process.PROCESS).write_text(text)
        assert jobs_process.find(folder, None) is None, text
        assert jobs_process.ran_s(folder, 1) is None, text


def test_the_time_that_a_job_may_take_is_not_the_clocks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(limit_s: float) -> JobQueue:
        return JobQueue(root, JobSettings(("",), 1, 4, 60, limit_s=limit_s), script)

    one = limited(3600)
    id = begun(one)
    set_clock(monkeypatch, -DAY)
    assert [server.job(id).state for server in (one, limited(3600))] == ["running"] * 2
    ran = one.job(id).ran_s
    assert ran is not None and 0 < ran < 60
    strict = limited(0.1)
    wait_until(lambda: strict.job(id).state == "stopped")
    assert strict.job(id).reason == "time" and strict.job(id).ran_s is None
    wait_until(lambda: not lives(pid_of(root, id)))


def test_what_the_process_before_said_of_its_epoch_is_not_the_next_ones(root: Path) -> None:
    one = queue(root)
    id = begun(one)
    (root / id / PROGRESS).write_text("{}")
    one.stop(id, "v")
    wait_until(lambda: not lives(pid_of(root, id)))
    one.resume(id, "v")
    wait_until(lambda: len(starts(root)) == 2)
    assert not (root / id / PROGRESS).exists()


def test_a_resumed_job_waits_for_its_own_process_to_end(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, and asked for again before the system has ended it: never two in one folder."""
    one = queue(root)
    id = begun(one)
    ended: list[Any] = []
    monkeypatch.setattr(jobs_process, "end", lambda *arguments: ended.append(arguments))
    one.stop(id, "v")
    assert one.resume(id, "v").state == "queued" and len(starts(root)) == 1
    monkeypatch.undo()
    jobs_process.end(*ended[0])
    one.tick()
    wait_until(lambda: len(starts(root)) == 2)
