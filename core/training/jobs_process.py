"""One job's process: how it is started, whether it still lives, how it ended.

It belongs to no browser session and not even to the server: it has a session and a log file of its
own, runs on when the server ends, and writes its ending into its folder (`ended.json`). A process
is known by its number and the moment it was made, because numbers come back.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from core.places import REPO
from core.training.config import TrainConfig

LOG, ENDED, REPORT = "log.txt", "ended.json", "report.json"
NICE = 10
LAST_LINES = 12
_LOG_TAIL_BYTES = 20_000


class Started(NamedTuple):
    """A process that was started here."""

    process: "subprocess.Popen[bytes]"
    born: float


class Ending(NamedTuple):
    """How a process ended."""

    state: str
    """`done`, `failed` (it says why), `killed` (by the system), `interrupted` (nobody saw it)."""
    reason: str
    """`loss`, `disk`, `data`, `said`, `crashed`, `signal`, or empty."""
    message: str


def train_command(config: TrainConfig, folder: Path, device: str) -> list[str]:
    """The command line that trains `config` in `folder` and makes it a checkpoint."""
    command = [sys.executable, "-m", "core", "train", *config_arguments(config)]
    command += ["--folder", str(folder), "--publish"]
    return command + (["--device", device] if device else [])


def config_arguments(config: TrainConfig) -> list[str]:
    """A configuration as the options of `python -m core train`; defaults are left out."""
    words = []
    for name, value in config.model_dump(exclude_defaults=True).items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return words


def start(command: Sequence[str], folder: Path, threads: int) -> Started:
    """Start a job's process at low priority; its words go to `log.txt`. OSError if it cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENDED).unlink(missing_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=REPO,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the server's terminal is not meant for it
        )
    with contextlib.suppress(psutil.Error):  # it may be gone already
        known = psutil.Process(process.pid)
        with contextlib.suppress(psutil.Error, OSError):
            known.nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", NICE))
        return Started(process, known.create_time())
    return Started(process, 0.0)


def is_alive(pid: int | None, born: float | None) -> bool:
    """Whether that very process still runs."""
    return find(pid, born) is not None


def find(pid: int | None, born: float | None) -> psutil.Process | None:
    """That very process, if it still runs, or has ended and another server has yet to hear how."""
    if not pid or not born:
        return None
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - born) > 0.05:
            return None
        dead = process.status() == psutil.STATUS_ZOMBIE and process.ppid() in (os.getpid(), 1)
        return None if dead else process
    except psutil.Error:
        return None


def end(pid: int | None, born: float | None, patience_s: float = 3.0) -> None:
    """End a job's process: asked first, then made to. Its last whole epoch is on the disk."""
    process = find(pid, born)
    if process is None:
        return
    with contextlib.suppress(psutil.Error):
        process.terminate()
        try:
            process.wait(patience_s)
        except psutil.TimeoutExpired:
            process.kill()


def exit_code(child: "subprocess.Popen[bytes] | None") -> int | None:
    """How a child that has ended, ended; None where it is nobody's child here.

    Not `poll()`: that says None while another thread is just collecting the child.
    """
    if child is None:
        return None
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.wait(timeout=2)
    return None


def last_lines(folder: Path, most: int = LAST_LINES) -> list[str]:
    """The end of a job's log; of a progress bar, what it showed last."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1].strip() for line in text.split("\n")]
    return [line for line in lines if line][-most:]


def ending(folder: Path, exit_code: int | None) -> Ending:
    """How the process of this folder ended; `exit_code` where somebody saw it (None: nobody).

    Its own word counts first. Without it: a negative code is a signal, i.e. the system or a person
    killed it; 2 is a message for the user in the last line of the log; anything else is a crash.
    """
    told = _told(folder)
    if told is not None:
        return Ending(str(told["state"]), str(told["reason"]), str(told["message"]))
    lines = last_lines(folder)
    last = lines[-1] if lines else ""
    if exit_code is None:
        return Ending("interrupted", "", "")
    if exit_code < 0 or exit_code in (130, 137, 143):
        number = -exit_code if exit_code < 0 else exit_code - 128
        return Ending("killed", "signal", str(number))
    if any("No space left on device" in line for line in lines[-3:]):
        return Ending("failed", "disk", last)
    return Ending("failed", "said" if exit_code == 2 else "crashed", last)


def _told(folder: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((folder / ENDED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(told, dict) and {"state", "reason", "message"} <= told.keys()
    return told if complete else None
