"""A process that waits for the next job with everything imported: the job begins seconds earlier.

`import torch` and the first step of any network take longer than all that comes after them until
the first loss is known. A `WarmProcess` is one process that has done both and sleeps; it becomes
the job's process, with the job's log and lock as its own. It ends when it is not wanted any more,
and by itself when the server has gone. Windows passes no open files on: there is none there.

    python -m core.training.queue.warm FD     FD: the socket from which the job's words come
"""

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from core.paths import REPO

COMMAND = [sys.executable, "-m", "core.training.queue.warm"]
JOB_MODULES = ("core.cli.train", "core.training.queue.work")
"""What a job imports. By name: they import this module, in the server that starts jobs."""
IDLE_S = 300.0
_MOST_BYTES = 1 << 16


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
                        [*COMMAND, str(theirs.fileno())],
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
