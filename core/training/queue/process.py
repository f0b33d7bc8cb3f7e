"""One job's process: how it is started, whether it still lives, how it ended.

It belongs to no browser session and not even to the server: it has a session and a log file of its
own, runs on when the server ends, and writes its ending into its folder (`ended.json`).

A process is known by a lock on `.process.json` in its folder, not by the time at which it was made:
that moves when the clock is set, and process numbers come back. The server takes the lock and the
process inherits it (`flock` belongs to the open file), so it holds it from its first moment, and
the kernel lets go of it at its last, however it ends. Windows' locks cannot be inherited: there,
and for a job that an earlier version started, its command line has to name the folder.

To begin seconds earlier, a process may wait with everything imported: `import torch` and the first
step of any network take longer than all that comes after them until the first loss is known. A
`WarmProcess` is one process that has done both and sleeps; it becomes the job's process, with the
job's log and lock as its own. It ends when it is not wanted any more, and by itself when the server
has gone. Windows passes no open files on: there is none there.

    python -m core.training.queue.process FD     FD: the socket from which the job's words come
"""

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from core.paths import REPO, read_json
from core.training import runs
from core.training.config import TrainConfig

if sys.platform != "win32":
    import fcntl

LOG, ENDED, REPORT, PROCESS = "log.txt", "ended.json", "report.json", ".process.json"
PROGRAM = [sys.executable, "-m", "core"]
RAY, RAY_ADDRESS = "ray", "SMALL_PLATES_RAY"
NICE = 10
LAST_LINES = 12
_LOG_TAIL_BYTES = 20_000
WAITING = [sys.executable, "-m", "core.training.queue.process"]
JOB_MODULES = ("core.cli.train", "core.training.queue.work")
"""What a job imports. By name: they import this module, and torch, which no server needs."""
IDLE_S = 300.0
_MOST_BYTES = 1 << 16


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
    """The command line that trains `config` in `folder` and makes it a checkpoint.

    device: one of torch's, empty for the job's own choice, or `ray`: on the cluster at
    SMALL_PLATES_RAY.
    """
    command = [*PROGRAM, "train", *config_arguments(config)]
    command += ["--folder", str(folder), "--publish"]
    if device == RAY:
        return [*command, "--ray", os.environ.get(RAY_ADDRESS) or "auto"]
    return command + (["--device", device] if device else [])


def config_arguments(config: TrainConfig) -> list[str]:
    """A configuration as the options of `python -m core train`; defaults are left out."""
    words = []
    for name, value in config.model_dump(exclude_defaults=True).items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return words


def environment(threads: int) -> dict[str, str]:
    """The environment of a job's process."""
    return {
        # waiting threads sleep: on a shared machine spinning took six times the processor's time
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # as `last_lines` reads it
    }


class WarmProcess:
    """At most one process that waits for a job. Any thread may use it."""

    def __init__(self) -> None:
        self._idle: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(IDLE_S, self.end)

    def prepare(self, environment: Mapping[str, str]) -> None:
        """Start it, unless it waits already; it ends after IDLE_S without another such call."""
        if sys.platform == "win32":
            return
        with self._lock, contextlib.suppress(OSError):  # without it the job imports torch itself
            self._timer.cancel()
            if self._idle is None or self._idle[0].poll() is not None:
                self._close()
                ours, theirs = socket.socketpair()
                with theirs:
                    process = subprocess.Popen(
                        [*WAITING, str(theirs.fileno())],
                        cwd=REPO,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                        pass_fds=(theirs.fileno(),),
                    )
                self._idle = process, ours
            self._timer = threading.Timer(IDLE_S, self.end)
            self._timer.daemon = True
            self._timer.start()

    def take(
        self, arguments: Sequence[str], log: int, lock: int | None
    ) -> "subprocess.Popen[bytes] | None":
        """Make it the process of `python -m core` with these arguments; None if there is none.

        log, lock: open files that become its output and stay open to its end.
        """
        with self._lock:
            idle, self._idle = self._idle, None
            self._timer.cancel()
        if idle is None or lock is None:
            return None
        process, ours = idle
        with ours:
            try:
                socket.send_fds(ours, [json.dumps(list(arguments)).encode()], [log, lock])
            except OSError:  # somebody ended it
                process.wait()
                return None
        return process

    def end(self) -> None:
        """End it, if it waits."""
        with self._lock:
            self._timer.cancel()
            self._close()

    def _close(self) -> None:
        if self._idle is not None:
            process, ours = self._idle
            self._idle = None
            ours.close()  # it reads the end of the socket, and ends
            threading.Thread(target=process.wait, daemon=True).start()  # no zombie stays


def start(
    command: Sequence[str], folder: Path, threads: int, warm: WarmProcess | None = None
) -> Started:
    """Start a job's process at low priority; its words go to `log.txt`. OSError if it cannot.

    Nobody else may start one in this folder meanwhile (the queue's transaction sees to that).
    `warm`: where a process may wait that can become one of `python -m core`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (ENDED, runs.FILE):  # of the process before
        (folder / name).unlink(missing_ok=True)
    with (folder / LOG).open("ab") as log, _held(folder) as lock:
        process = None
        if warm is not None and list(command[:3]) == PROGRAM:
            process = warm.take(command[3:], log.fileno(), lock)
        if process is None:
            process = subprocess.Popen(
                command,
                cwd=REPO,
                env=environment(threads),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the server's terminal is not meant for it
                pass_fds=() if lock is None else (lock,),
            )
        # into the locked file itself: a new one in its place would be without the lock
        noted = _Noted(process.pid, time.monotonic())
        (folder / PROCESS).write_text(json.dumps(noted._asdict()), encoding="utf-8")
    with contextlib.suppress(psutil.Error):  # it may be gone already
        known = psutil.Process(process.pid)
        with contextlib.suppress(psutil.Error, OSError):
            known.nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", NICE))
        return Started(process, known.create_time())
    return Started(process, 0.0)


class _Noted(NamedTuple):
    """What `.process.json` says of the process that was started last."""

    pid: int
    since: float
    """`time.monotonic()` at its start, which every process of this machine reads alike until the
    machine starts anew; no job lives longer than that."""


def find(folder: Path, pid: int | None) -> psutil.Process | None:
    """The process of this folder's job, if it still runs; `pid`: the number that the queue has."""
    noted, held = _noted(folder), _is_held(folder)
    if noted is not None and held:
        pid = noted.pid
    elif noted is not None and held is False and noted.pid == pid:
        return None
    try:
        # before the lock is looked at again: psutil signals no later owner of the number
        process = psutil.Process(pid or -1)
        lives = _is_held(folder) if held else _names(process, folder)
    except (psutil.Error, ValueError, OverflowError):  # none of that number, or no number
        return None
    return process if lives else None


def ran_s(folder: Path, pid: int | None) -> float | None:
    """Seconds since the folder's job was started as process `pid`, whatever the clock did since.

    None where that is not known: an earlier version started it. Only for a job that lives.
    """
    noted = _noted(folder)
    return time.monotonic() - noted.since if noted is not None and noted.pid == pid else None


def end(folder: Path, pid: int | None, patience_s: float = 3.0) -> None:
    """End a job's process: asked first, then made to. Its last whole epoch is on the disk."""
    process = find(folder, pid)
    if process is None:
        return
    with contextlib.suppress(psutil.Error):
        process.terminate()
        try:
            process.wait(patience_s)
        except psutil.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[int | None]:
    """A new `.process.json` and a lock on it, for a child to inherit; None on Windows.

    New, because a lock on the old one may have leaked to somebody who lives on.
    """
    if sys.platform == "win32":
        yield None
        return
    new = folder / f"{PROCESS}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.replace(new, folder / PROCESS)
        yield lock
    finally:
        os.close(lock)  # and not unlocked: that would unlock the child's, too


def _is_held(folder: Path) -> bool | None:
    """Whether a process holds the folder's lock; None where no process can."""
    if sys.platform == "win32":
        return None
    try:
        lock = os.open(folder / PROCESS, os.O_RDONLY)
    except OSError:
        return False
    try:
        # shared: two who look at the same moment do not take each other for the job
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _noted(folder: Path) -> _Noted | None:
    try:
        content = read_json(folder / PROCESS)
        return _Noted(int(content["pid"]), float(content["since"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _names(process: psutil.Process, folder: Path) -> bool:
    """Whether the command line names the folder, by whatever path it is reached."""
    return any(Path(word).name == folder.name for word in process.cmdline())


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
    content = _written_ending(folder)
    if content is not None:
        return Ending(str(content["state"]), str(content["reason"]), str(content["message"]))
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


def _written_ending(folder: Path) -> dict[str, Any] | None:
    try:
        content = read_json(folder / ENDED)
    except (OSError, ValueError):
        return None
    complete = isinstance(content, dict) and {"state", "reason", "message"} <= content.keys()
    return content if complete else None


def main(descriptor: int) -> int:
    """Import everything, wait, become the job; returns the job's exit code, 0 if none came."""
    with socket.socket(fileno=descriptor) as server:
        warm_up()
        message, files, *_rest = socket.recv_fds(server, _MOST_BYTES, 2)
        if not message:
            return 0
        while part := server.recv(_MOST_BYTES):
            message += part
    log, lock = files
    os.set_inheritable(lock, False)  # it is this process' alone
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    from core.cli.main import main as run

    return run(json.loads(message))


def warm_up() -> None:
    """What every training does before its first loss: imports, and one step of a small network."""
    import torch

    from core.models import get
    from core.training.learner import adamw

    for name in JOB_MODULES:
        importlib.import_module(name)
    spec = get("dwpw_256k")
    net: Any = spec.build()
    optimizer = adamw(net, 1e-3, 0.01)
    for kind in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=kind, enabled=kind != torch.float32):
            logits = net(spec.normalize(torch.zeros(2, 3, 64, 64)))
        torch.nn.functional.cross_entropy(logits.float(), torch.zeros(2).long()).backward()
        optimizer.step()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
