"""The fuzzer finds what it is there to find."""

import re
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from core.errors import CheckpointError, UserError
from tests.conftest import REPO
from tests.fuzz.__main__ import Target, checked


def endless(_data: bytes) -> None:
    end = time.process_time() + 1.2
    while time.process_time() < end:
        pass


def greedy(_data: bytes) -> int:
    return len(b"x" * 260_000_000)


def faulty(_data: bytes) -> None:
    raise UnicodeEncodeError("latin1", "x", 0, 1, "no")


def polite(_data: bytes) -> None:
    raise CheckpointError("No.")


def one(reader, promised=UserError):
    return checked(Target(lambda: reader, list, promised))


@pytest.mark.skipif(sys.platform != "linux", reason="atheris is for Linux")
def test_it_looks_at_time_memory_and_exceptions() -> None:
    one(polite)(b"")
    one(faulty, ValueError)(b"")
    with pytest.raises(UnicodeEncodeError):
        one(faulty)(b"")
    with pytest.raises(AssertionError, match=r"took 1\.\d s"):
        one(endless)(b"")
    with pytest.raises(AssertionError, match=r"took 2\d\d MB"):
        one(greedy)(b"")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", "9"],
        cwd=REPO, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\w+): 3 s, \d+ inputs, sound$", done.stdout, re.M) == [
        "network", "photo", "boxes"
    ]  # fmt: skip
