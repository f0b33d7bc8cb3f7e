"""Choosing how to compute: measured the first time, read from the note after that."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.models import get
from core.training import speed
from core.training.speed import Compute, choose_compute, device_name


def test_the_choice_is_the_fastest_measured_and_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path))
    spec = get("dwpw_256k")
    chosen = choose_compute(spec, 32, 4, "auto", "cpu")
    (note,) = json.loads((tmp_path / "speed.json").read_text()).values()
    fastest = min(note["measured"], key=lambda row: row["step_ms"])
    assert len(note["measured"]) == 4
    assert chosen == Compute("cpu", fastest["bfloat16"], fastest["channels_last"])

    monkeypatch.setattr(speed, "_measure", lambda *_: pytest.fail("measured again"))
    assert choose_compute(spec, 32, 4, "auto", "cpu") == chosen


@pytest.mark.parametrize(
    ("patience_s", "slow", "rounds"), [(60.0, 1.3, (5, 5)), (60.0, 1.5, (5, 2)), (0.0, 1.3, (2, 2))]
)
def test_slow_networks_and_slow_candidates_are_measured_in_fewer_rounds(
    patience_s: float,
    slow: float,
    rounds: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path))
    monkeypatch.setattr(speed, "PATIENCE_S", patience_s)
    steps: list[Compute] = []

    def step_seconds(compute: Compute, *_: object) -> float:
        steps.append(compute)
        return slow if compute.bfloat16 else 1.0

    monkeypatch.setattr(speed, "_step_seconds", step_seconds)
    chosen = choose_compute(get("dwpw_256k"), 32, 4, "auto", "cpu")
    fast, other = rounds
    for bfloat16, expected in ((False, fast), (True, other)):
        for last in (False, True):
            assert steps.count(Compute("cpu", bfloat16, last)) == expected
    assert not chosen.bfloat16
    (note,) = json.loads((tmp_path / "speed.json").read_text()).values()
    assert [row["step_ms"] for row in note["measured"]] == [1e3, 1e3, slow * 1e3, slow * 1e3]


def test_a_named_precision_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path))
    state = torch.random.get_rng_state()
    assert not choose_compute(get("dwpw_256k"), 32, 4, "float32", "cpu").bfloat16
    assert torch.equal(state, torch.random.get_rng_state())
    (tmp_path / "speed.json").write_text("{broken")
    assert choose_compute(get("dwpw_256k"), 32, 4, "bfloat16", "cpu").bfloat16


def test_layout_changes_no_value() -> None:
    torch.manual_seed(0)
    net, x = get("dwpw_256k").build().eval(), torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        plain = net(x)
        last = Compute("cpu", False, True)
        placed = last.place(net)
        with last.autocast():
            assert torch.allclose(placed(last.lay(x)), plain, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_kept_memory_is_not_given_back() -> None:
    """In a process of its own: what is freed stays with the process, by the system's own count."""
    code = (
        "import ctypes, os, sys\n"
        "from core.training.speed import keep_memory\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "if sys.argv[1] == 'keep':\n    assert keep_memory()\n"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
        "libc.free.argtypes = [ctypes.c_void_p]\n"
        "p = libc.malloc(2**26); ctypes.memset(p, 1, 2**26)\n"
        "full = resident(); libc.free(p)\n"
        "print(full - resident())\n"
    )

    def given_back(mode: str) -> int:
        arguments = [sys.executable, "-c", code, mode]
        done = subprocess.run(
            arguments, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert given_back("plain") > 2**25
    assert given_back("keep") < 2**20


@pytest.mark.parametrize(("threads", "said"), [(1, ", 1 thread"), (3, ", 3 threads")])
def test_the_device_has_a_name(threads: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert device_name("cpu").endswith(said)
