"""The fuzzer finds what it is there to find."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import REPO

pytestmark = pytest.mark.slow

# In an interpreter of its own: what other tests took before would hide what an input takes.
FAULTS = """
import time
from core.errors import CheckpointError, UserError
from tests.fuzz.__main__ import Target, checked

def endless(data):
    end = time.process_time() + 1.2
    while time.process_time() < end:
        pass

def greedy(data):
    return len(b"x" * 260_000_000)

def faulty(data):
    raise UnicodeEncodeError("latin1", "x", 0, 1, "no")

def polite(data):
    raise CheckpointError("No.")

for reader, promised in ((polite, UserError), (faulty, ValueError), (faulty, UserError),
                         (endless, UserError), (greedy, UserError)):
    try:
        checked(Target(lambda: reader, list, promised))(b"")
        print("sound")
    except (AssertionError, UnicodeEncodeError) as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="atheris is for Linux")
def test_it_looks_at_time_memory_and_exceptions() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=REPO, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["sound", "sound"] and "latin1" in lines[2], done.stderr
    assert re.fullmatch(r"it took 1\.\d s", lines[3])
    assert re.fullmatch(r"it took 2\d\d MB", lines[4])


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
