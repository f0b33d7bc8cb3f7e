"""The cores that a process may use: its affinity and its cgroups' quota, whichever is less."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import cores as counted
from core.cores import cores

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores with a cgroup tree of its own, empty so far."""
    monkeypatch.setattr(counted, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(counted, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    (tmp_path / "own").write_text("0::/\n")
    return tmp_path


def put(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("limit", "n"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("400000 50000", 8),
        ("9900000 100000", 16),
        ("max 100000", 16),
        ("", 16),
        ("soup", 16),
        ("0 0", 16),
    ],
)
def test_a_containers_quota_counts(groups: Path, limit: str, n: int) -> None:
    put(groups / "cgroup", "cpu.max", limit)
    assert cores() == n


def test_the_least_on_the_way_up_counts(groups: Path) -> None:
    (groups / "own").write_text("0::/kubepods/pod 1/box\n")
    put(groups / "cgroup" / "kubepods", "cpu.max", "600000 100000")
    put(groups / "cgroup" / "kubepods" / "pod 1", "cpu.max", "300000 100000")
    put(groups / "cgroup" / "kubepods" / "pod 1" / "box", "cpu.max", "max 100000")
    assert cores() == 3
    put(groups / "cgroup" / "elsewhere", "cpu.max", "100000 100000")
    assert cores() == 3


@pytest.mark.parametrize("kinds", ["cpu,cpuacct", "cpuacct,cpu", "cpu"])
def test_version_1_of_cgroups_counts_too(groups: Path, kinds: str) -> None:
    (groups / "own").write_text(f"5:memory:/box\n4:{kinds}:/box\n0::/\n")
    put(groups / "cgroup" / "cpu" / "box", "cpu.cfs_quota_us", "250000")
    put(groups / "cgroup" / "cpu" / "box", "cpu.cfs_period_us", "100000")
    put(groups / "cgroup" / "memory" / "box", "cpu.cfs_quota_us", "1")
    assert cores() == 3
    put(groups / "cgroup" / "cpu" / "box", "cpu.cfs_quota_us", "-1")
    assert cores() == 16


def test_a_path_that_is_the_hosts_finds_the_root(groups: Path) -> None:
    (groups / "own").write_text("0::/docker/0123\n")
    put(groups / "cgroup", "cpu.max", "200000 100000")
    assert cores() == 2


def test_without_cgroups_affinity_counts(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (groups / "own").unlink()
    assert cores() == 16
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_held_to_one_core_counts_one() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from core.cores import cores; from core.training.queue.line import JobSettings;"
        "assert cores() == JobSettings.from_environment().threads == 1"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SMALL_PLATES_TRAIN")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
