"""The queue: one process however many ask, one at a time, and the truth after every kind of end."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from core.errors import JobError, UserError
from core.training.config import TrainConfig
from core.training.queue import process
from core.training.queue.line import JobQueue, JobSettings, Store, job_id
from tests.core.training.queue.queueing import (
    FINGERPRINT,
    config,
    has_begun,
    queue,
    script,
    starts,
    wait_until,
)

REPO = Path(__file__).resolve().parents[4]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder of runs; whatever still runs in it is ended afterwards."""
    folder = tmp_path / "runs 小盤子"
    folder.mkdir()
    yield folder
    for line in starts(folder):
        pid = int(line.split()[0])
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def go(root: Path, id: str, complaint: str = "") -> None:
    (root / id / "go").write_text(complaint)


def have_started(root: Path, n: int) -> bool:
    return len(starts(root)) == n


def is_done(one: JobQueue, id: str) -> bool:
    return one.job(id).state == "done"


def pid_of(root: Path, id: str) -> int:
    return int((root / id / "starts.txt").read_text().split()[-2])


def test_twenty_sessions_that_ask_for_the_same_run_share_one_process(root: Path) -> None:
    one = queue(root)
    ids: list[str] = []

    def ask(who: str) -> None:
        ids.append(one.ask(config(), who, FINGERPRINT).id)

    sessions = [threading.Thread(target=ask, args=(f"v{n}",)) for n in range(20)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(ids) == 20 and len(set(ids)) == 1
    wait_until(lambda: has_begun(root, ids[0]))
    (job,) = one.jobs("v7")
    assert (job.state, job.owners, job.mine) == ("running", 20, True)
    assert not one.job(ids[0], "a stranger").mine
    go(root, ids[0])
    wait_until(lambda: one.job(ids[0]).state == "done")
    assert one.ask(config(), "late", FINGERPRINT).state == "done"
    assert len(starts(root)) == 1


def test_first_come_first_served_one_at_a_time(root: Path) -> None:
    one = queue(root)
    ids = [one.ask(config(seed), "v", FINGERPRINT).id for seed in (3, 1, 2)]
    assert [(job.id, job.state, job.place) for job in one.jobs()] == [
        (ids[0], "running", 0),
        (ids[1], "queued", 1),
        (ids[2], "queued", 2),
    ]
    for n, id in enumerate(ids):
        wait_until(partial(has_begun, root, id))
        assert len(starts(root)) == n + 1
        go(root, id)  # nobody looks at the queue: the next starts by itself
    wait_until(lambda: {job.state for job in one.jobs()} == {"done"})


def test_a_job_a_device(root: Path) -> None:
    one = queue(root, devices=("cuda:0", "cuda:1"))
    for seed in range(3):
        one.ask(config(seed), "v", FINGERPRINT)
    assert [job.state for job in one.jobs()] == ["running", "running", "queued"]


def test_a_visitor_may_ask_for_so_many(root: Path) -> None:
    one = queue(root, per_visitor=2)
    first = one.ask(config(0), "v", FINGERPRINT)
    one.ask(config(1), "v", FINGERPRINT)
    one.ask(config(1), "v", FINGERPRINT)  # the same again counts once
    with pytest.raises(JobError, match="2 trainings"):
        one.ask(config(2), "v", FINGERPRINT)
    assert len(one.jobs()) == 2
    one.ask(config(2), "somebody else", FINGERPRINT)
    one.stop(first.id, "v")
    one.ask(config(2), "v", FINGERPRINT)


def test_stop_and_resume_belong_to_those_who_asked(root: Path) -> None:
    one = queue(root)
    id = one.ask(config(), "a", FINGERPRINT).id
    one.ask(config(), "b", FINGERPRINT)
    wait_until(lambda: has_begun(root, id))
    for forbidden in (one.stop, one.resume, one.delete):
        with pytest.raises(JobError, match="somebody else"):
            forbidden(id, "c")
    assert one.stop(id, "a") is False  # b still wants it
    assert one.job(id).state == "running"
    assert one.stop(id, "b") is True
    assert one.job(id).state == "stopped"
    wait_until(lambda: not lives(root, id))
    one.resume(id, "a")
    wait_until(lambda: len(starts(root)) == 2)
    one.delete(id, "a")  # b has it still
    assert one.job(id, "b").state == "stopped" and not one.job(id, "a").mine
    one.delete(id, "b")
    assert one.jobs() == [] and not (root / id).exists()


def lives(root: Path, id: str) -> bool:
    """Whether the process that ran last still does, asked of the system alone."""
    try:
        return psutil.Process(pid_of(root, id)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_every_end_is_told_with_its_last_lines(root: Path) -> None:
    """Killed by the system, complained in words, and a full disk where nothing could be written."""
    jobs = queue(root, devices=("a", "b", "c"))
    killed, complains, full = (jobs.ask(config(seed), "v", FINGERPRINT).id for seed in range(3))
    go(root, complains, "The soup is cold.")
    go(root, full, "runs/state.pt: No space left on device")
    wait_until(lambda: jobs.job(killed).lines())
    os.kill(pid_of(root, killed), signal.SIGKILL)
    wait_until(lambda: not any(job.is_active for job in jobs.jobs()))
    ends = [jobs.job(id) for id in (killed, complains, full)]
    assert [(job.state, job.reason) for job in ends] == [
        ("killed", "signal"), ("failed", "said"), ("failed", "disk"),
    ]  # fmt: skip
    assert [job.message for job in ends[:2]] == ["9", "The soup is cold."]
    # its threads, which sleep while they wait, and a low priority reached it
    assert ends[0].lines() == ["hello from 1 PASSIVE 10"]
    assert jobs.resume(killed, "v").is_active


SERVER = """
import sys, time
from pathlib import Path
from tests.core.training.queue.queueing import FINGERPRINT, config, queue
one = queue(Path(sys.argv[1]))
for seed in map(int, sys.argv[2].split(",")):
    one.ask(config(seed), sys.argv[3], FINGERPRINT)
print("asked", flush=True)
time.sleep(60)
"""


def server(root: Path, seeds: str, who: str) -> "subprocess.Popen[str]":
    """Another server on the same folder, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, str(root), seeds, who],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_server_that_starts_anew_finds_what_runs_and_what_was_interrupted(root: Path) -> None:
    first = server(root, "0,1", "v")
    assert first.stdout and first.stdout.readline() == "asked\n"
    id, waiting = (job_id(config(seed), FINGERPRINT) for seed in (0, 1))
    wait_until(lambda: has_begun(root, id))
    first.kill()
    first.wait()
    second = queue(root)  # the job has outlived its server
    assert [(job.id, job.state) for job in second.jobs("v")] == [
        (id, "running"),
        (waiting, "queued"),
    ]
    os.kill(pid_of(root, id), signal.SIGKILL)  # nobody here is told how it ends
    wait_until(lambda: has_begun(root, waiting))
    assert second.job(id, "v").state == "interrupted" and second.job(id, "v").mine
    go(root, waiting)
    second.resume(id, "v")
    wait_until(lambda: len((root / id / "starts.txt").read_text().splitlines()) == 2)


@pytest.mark.slow
def test_two_servers_on_one_folder_start_each_job_once(root: Path) -> None:
    both = [server(root, "0,1,2", "a"), server(root, "2,1,0", "b")]
    for one in both:
        assert one.stdout and one.stdout.readline() == "asked\n"
    here = queue(root)
    assert len(here.jobs()) == 3
    for n in range(3):
        wait_until(partial(have_started, root, n + 1))
        (running,) = [job.id for job in here.jobs() if job.state == "running"]
        assert here.job(running).owners == 2
        go(root, running)
        wait_until(partial(is_done, here, running))
    assert len({line.split()[0] for line in starts(root)}) == len(starts(root)) == 3
    for one in both:
        one.kill()
        one.wait()
    with sqlite3.connect(Store(root).path) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_same_run_is_the_same_settings_photographs_and_code() -> None:
    name = job_id(config(), FINGERPRINT, "abc")
    assert name == job_id(TrainConfig(epochs=3), FINGERPRINT, "abc")
    others = {
        job_id(config(1), FINGERPRINT, "abc"),
        job_id(config(), "another", "abc"),
        job_id(config(), FINGERPRINT, "abd"),
    }
    assert len(others | {name}) == 4
    with pytest.raises(UserError, match="no model"):
        job_id(TrainConfig(model="soup"), FINGERPRINT)
    with pytest.raises(UserError, match="soup"):
        job_id(TrainConfig(teacher="soup"), FINGERPRINT)


def test_a_configuration_survives_the_command_line() -> None:
    from core.cli.main import COMMANDS, _parse

    wanted = TrainConfig(
        model="design:px64-relu6-stem16p-sep32p-sep64",
        pretrained=False,
        alpha=0.25,
        mixup=0.2,
        px=64,
        share=0.1,
        seed=3,
        data="a folder/小",
        select="last",
    )
    command = process.train_command(wanted, Path("there"), "cpu")
    read = _parse(COMMANDS["train"], "train", command[4:])
    assert (read.config, read.folder, read.device, read.publish) == (  # type: ignore[attr-defined]
        wanted,
        Path("there"),
        "cpu",
        True,
    )
    taught = wanted.model_copy(update={"pretrained": True, "model": "resnet18"})
    arguments = process.config_arguments(taught)
    assert _parse(COMMANDS["train"], "train", arguments).config == taught  # type: ignore[attr-defined]


def test_a_damaged_list_is_said(root: Path) -> None:
    Store(root).path.write_bytes(b"no database at all" * 100)
    with pytest.raises(JobError, match="cannot be used"):
        JobQueue(root)


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_stopped_and_can_go_on(root: Path) -> None:
    """Nobody looks: it is stopped all the same, and the next one starts."""
    one = JobQueue(root, JobSettings(("",), 1, 4, 60, limit_s=1.5), script)
    id = one.ask(config(0), "v", FINGERPRINT).id
    waiting = one.ask(config(1), "v", FINGERPRINT).id
    wait_until(lambda: has_begun(root, id))
    wait_until(lambda: has_begun(root, waiting))
    job = one.job(id, "v")
    assert (job.state, job.reason, job.owners) == ("stopped", "time", 0)
    assert job.mine and job.ended and job.began and 1.5 <= job.ended - job.began < 20
    wait_until(lambda: not lives(root, id))

    patient = JobQueue(root, JobSettings(("", ""), 1, 4, 60), script)
    resumed = patient.resume(id, "v")  # its time counts anew
    assert resumed.state == "running" and resumed.reason == ""
    wait_until(lambda: len((root / id / "starts.txt").read_text().splitlines()) == 2)


def test_a_job_of_a_server_that_has_gone_is_stopped_too(root: Path) -> None:
    first = server(root, "0", "v")
    assert first.stdout and first.stdout.readline() == "asked\n"
    id = job_id(config(0), FINGERPRINT)
    wait_until(lambda: has_begun(root, id))
    first.kill()
    first.wait()
    second = JobQueue(root, JobSettings(("",), 1, 4, 60, limit_s=0.1), script)
    wait_until(lambda: second.job(id).state == "stopped")
    assert second.job(id).reason == "time"
    wait_until(lambda: not lives(root, id))
