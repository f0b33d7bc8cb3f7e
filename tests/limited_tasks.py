"""Tasks for `core.limited` that go wrong in every way, and one that does not."""

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

from core import i18n
from core.errors import CheckpointError, PhotoError, UserError
from core.limited import task


class _OwnError(PhotoError):
    """A subclass that the parent has never heard of."""


@task
def echo(*values: Any, **named: Any) -> Any:
    return [list(values), named] if named else list(values)


@task
def process() -> int:
    return os.getpid()


@task
def wait(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@task
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@task
def endless() -> None:
    while True:
        pass


@task
def endless_in_c() -> None:
    import re

    re.match(r"(a+)+$", "a" * 60 + "b")


@task
def spend(cpu_s: float) -> float:
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        pass
    return cpu_s


@task
def endless_threads() -> None:
    for _thread in range(3):
        threading.Thread(target=endless, daemon=True).start()
    time.sleep(60)


@task
def hog(megabytes: int) -> int:
    return len(np.ones(megabytes * 2**20, np.uint8))


@task
def hog_in_steps() -> None:
    kept = []
    while True:
        kept.append(b"x" * 2**20)


@task
def leave(code: int) -> None:
    os._exit(code)


@task
def leave_politely() -> None:
    sys.exit("goodbye")


@task
def crash() -> None:
    ctypes.string_at(0)


@task
def signal_itself(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


@task
def huge(megabytes: int) -> bytes:
    return bytes(megabytes * 2**20)


@task
def long_list(n: int) -> list[int]:
    return list(range(n))


@task
def refuse(kind: str, text: str) -> None:
    known = {e.__name__: e for e in (CheckpointError, PhotoError, UserError, _OwnError)}
    raise known[kind](text)


@task
def language() -> str:
    return i18n.language()


@task
def fail() -> None:
    raise ZeroDivisionError("a secret of the server")


@task
def recurse() -> None:
    recurse()


@task
def unsendable() -> object:
    return object()


@task
def write(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"x")
        file.flush()


@task
def open_many(n: int) -> int:
    return len([os.open(os.devnull, os.O_RDONLY) for _file in range(n)])


@task
def chatter() -> str:
    print("a line that is no answer", flush=True)
    os.write(1, b"\xff" * 100)
    return "an answer"


@task
def read_input() -> bytes:
    return sys.stdin.buffer.read()


@task
def answer_by_hand(raw: bytes) -> None:
    """What a worker that was taken over might send: found among its open files, a pipe to us."""
    for number in range(3, 64):
        try:
            if os.fstat(number).st_mode & 0o170000 == 0o010000:
                os.write(number, raw)
        except OSError:
            continue
    time.sleep(60)


@task
def child_that_stays() -> int:
    """A process of the worker's own, which would hold its pipes open."""
    import subprocess

    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def unmarked() -> None:
    raise AssertionError("only tasks are run")


@task
def first_byte_decides(data: bytes) -> int:
    if data[:1] == b"x":
        os._exit(1)
    if data[:1] == b"l":
        endless()
    if data[:1] == b"m":
        hog_in_steps()
    if data[:1] == b"y":
        raise PhotoError("This one is refused.")
    return data[0]
