"""Ctrl-C at every moment of a program's life: one line, exit code 130, no traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")

WAIT = """
import pathlib, time
def wait():
    pathlib.Path({mark!r}).touch()
    time.sleep(30)
"""


def interrupted(
    command: list[str], mark: Path, path: Path, times: int = 1
) -> "tuple[int, str, subprocess.Popen[str]]":
    """Start, wait for the mark, press Ctrl-C (the whole foreground group hears it); how it ends."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{REPO}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell that runs the tests in the background has them deaf to SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    give_up = time.monotonic() + 60
    for n in range(times):
        told = mark if n == 0 else mark.with_name(f"{mark.name}{n}")
        while not told.exists():
            assert process.poll() is None and time.monotonic() < give_up, process.communicate()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    return process.returncode, err, process


def assert_said_once(code: int, err: str) -> None:
    assert (code, err) == (130, "Stopped.\n")


@pytest.mark.parametrize(
    ("program", "module", "way"),
    [
        ("core", "difflib", "exec('wait()')"),  # before the program is there
        ("core", "platformdirs", "try_to_import()"),  # among its imports
        ("core", "tyro", "wait()"),  # when it has begun
        ("tools", "platformdirs", "exec('wait()')"),
        ("tools", "tyro", "try_to_import()"),
    ],
)
def test_an_import_is_interrupted(tmp_path: Path, program: str, module: str, way: str) -> None:
    """A module that takes its time, also one that makes an ImportError of whatever happens."""
    mark = tmp_path / "mark"
    source = WAIT.format(mark=str(mark)) + (
        "def try_to_import():\n"
        "    try:\n        wait()\n"
        "    except BaseException:\n        raise ImportError('half a module') from None\n"
    )
    (tmp_path / f"{module}.py").write_text(f"{source}{way}\n", encoding="utf-8")
    words = ["models"] if program == "core" else ["tables"]
    assert_said_once(*interrupted(["-m", program, *words], mark, tmp_path)[:2])


WAYS = {
    "at work": "wait()",
    "in what is built from a text": "exec('wait()')",
    "in a destructor, where exceptions are dropped": """
class Thing:
    def __del__(self):
        wait()
thing = Thing()
del thing
time.sleep(30)
""",
    "and somebody makes another error of it": """
try:
    wait()
except BaseException:
    raise RuntimeError("a library's own words") from None
""",
    "and what was begun is put right": """
try:
    wait()
finally:
    pathlib.Path({mark!r} + ".tidy").touch()
""",
    "and somebody says what came of it": """
from core.errors import UserError
try:
    wait()
except BaseException:
    raise UserError("Stopped.") from None
""",
    "when all is done": "import atexit; atexit.register(wait)",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_command_is_interrupted(tmp_path: Path, way: str) -> None:
    mark = tmp_path / "mark"
    body = "".join(f"        {line}\n" for line in way.format(mark=str(mark)).strip().split("\n"))
    (tmp_path / "some_command.py").write_text(
        WAIT.format(mark=str(mark))
        + "from dataclasses import dataclass\nfrom core.cli import main as cli\n"
        "from core.cli.answer import Answer\n"
        "@dataclass(frozen=True)\nclass Waits:\n    def run(self):\n"
        f"{body}        return Answer({{}}, '')\n"
        "def main(words):\n"
        "    return cli.main(words, {'waits': cli.Entry('some_command:Waits', '')}, 'x')\n",
        encoding="utf-8",
    )
    program = "from core.cli.start import start; start('some_command:main')"
    code, err, _process = interrupted(["-c", program, "waits"], mark, tmp_path)
    assert_said_once(code, err)
    if "tidy" in way:
        assert (tmp_path / "mark.tidy").exists()


def test_who_presses_twice_does_not_wait(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "some_command.py").write_text(
        WAIT.format(mark=str(mark)) + "def main(words):\n    try:\n        wait()\n    finally:\n"
        f"        pathlib.Path({str(mark)!r} + '1').touch()\n        time.sleep(30)\n",
        encoding="utf-8",
    )
    began = time.monotonic()
    program = "from core.cli.start import start; start('some_command:main')"
    code, err, _process = interrupted(["-c", program], mark, tmp_path, times=2)
    assert_said_once(code, err)
    assert time.monotonic() - began < 25


def test_what_runs_in_the_background_stays_deaf(tmp_path: Path) -> None:
    """As a shell starts `command &`: Ctrl-C is for what is in front."""
    (tmp_path / "some_command.py").write_text(
        "import os, signal\ndef main(words):\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 0\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", "from core.cli.start import start; start('some_command:main')"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"},
        capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_of_our_own_is_still_a_traceback(tmp_path: Path) -> None:
    """Nothing is hidden that nobody interrupted."""
    (tmp_path / "some_command.py").write_text("def main(words):\n    1 / 0\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from core.cli.start import start; start('some_command:main')"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
