"""Strangers' bytes are opened in a process of their own, within limits that the system enforces.

A decoder of hostile bytes may loop for ever, ask for gigabytes, crash, or one day be taken over. So
a *task* (a function marked with `task`) runs in one of a few warm worker processes, and whatever
goes wrong there costs the caller one sentence: the worker is ended and another takes its place.

- CPU seconds, memory, written files and core dumps are limited by the kernel (`setrlimit`), wall
  time by a timer in the worker and by a watching thread here. Where the kernel does not hold memory
  (macOS) or anything (Windows), the watching thread looks at the worker's memory, too.
- Both directions speak JSON and raw buffers, never pickle: an answer may come from code that is not
  ours any more. It is checked here against an upper bound before memory is set aside for it.
- A worker ends when its standard input does, so none outlives the process that started it.

`call(function, data, limits=..., error=PhotoError)` is thread-safe. Callers wait in the order in
which they came, so what is decoded at once is bounded by the number of workers.
"""

import atexit
import ctypes
import importlib
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np

from core import errors, i18n, paths
from core.cores import cores
from core.errors import UserError
from core.i18n import _

T = TypeVar("T")

WORKERS = 2
"""Worker processes of one process, where it may use as many cores."""

_COMMAND = ("-m", "core.limited")
_MAX_HEADER = 2**20  # bytes of JSON in an answer
_MAX_TEXT = 2_000  # characters of an error's message
_START_S = 60.0  # for an interpreter and its imports, on a busy machine
_WAIT_S = 60.0  # for a free worker
_RETIRE_CPU_S = 600  # a worker that worked so long is replaced: decoders leak
_LOOK_S = 0.05  # between two looks at memory, where the kernel does not hold it
_KERNEL_HOLDS_MEMORY = sys.platform == "linux"
_WIDE_TYPES = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
_NO_WORKER = frozenset({"start", "busy"})  # kinds of fault that say nothing about the data
_DTYPES = frozenset(
    {"|b1", "|i1", "|u1"} | {f"{order}{kind}" for order in "<>" for kind in _WIDE_TYPES}
)

_log = logging.getLogger(__name__)
_tasks: set[str] = set()


@dataclass(frozen=True)
class Limits:
    """What one task may use."""

    cpu_s: int = 10
    """Processor seconds, all threads together; ends within a second after."""
    wall_s: float = 30.0
    """Seconds until the worker is ended, whatever it does."""
    memory_bytes: int = 2**30
    """Memory on top of what the idle worker has, the task's data included."""
    answer_bytes: int = 2**28
    """The largest answer: its arrays and bytes together."""


def task(function: Callable[..., T]) -> Callable[..., T]:
    """Mark a module's function as one that may run in a worker.

    It takes and gives None, bool, int, float, str, bytes, numpy arrays of plain numbers, and
    lists, tuples and dicts of these.
    """
    _tasks.add(_name(function))
    return function


def call(
    function: Callable[..., T],
    /,
    *args: Any,
    limits: Limits | None = None,
    error: type[UserError] = UserError,
    **kwargs: Any,
) -> T:
    """`function(*args, **kwargs)`, run in a worker; the function is a `task`.

    A UserError that it raises arrives as the same class with the same text, in the language of this
    context. Everything else that goes wrong (a limit, a crash, an exception, an answer that is too
    large) is raised as `error` with one plain sentence.
    """
    try:
        (answer,) = _ask(function, [(args, kwargs)], limits or Limits())
    except _Fault as fault:
        raise error(fault.sentence()) from fault
    if isinstance(answer, UserError):
        raise answer
    value: T = answer
    return value


def call_each(
    function: Callable[..., T],
    items: Sequence[Any],
    *args: Any,
    limits: Limits | None = None,
    error: type[UserError] = UserError,
) -> list[T | UserError]:
    """`call` of a task with each item and `args`, in one exchange with one worker.

    Gives an answer or the error for each. The limits are those of one item. Raises `error` where
    no worker is to be had.
    """
    limits = limits or Limits()
    try:
        return _ask(function, [((item, *args), {}) for item in items], limits)
    except _Fault as fault:
        if fault.kind in _NO_WORKER:
            raise error(fault.sentence()) from fault
        if len(items) <= 1:
            return [error(fault.sentence()) for _item in items]
    singly = (call_each(function, [item], *args, limits=limits, error=error) for item in items)
    return [answer for answers in singly for answer in answers]  # one of them spoilt it for all


def _ask(function: Callable[..., Any], calls: list[Any], limits: Limits) -> list[Any]:
    """What a worker answers to some calls: a value or a UserError to each. Raises _Fault."""
    name = _name(function)
    if name not in _tasks:
        raise TypeError(f"{name} is not marked as a task")
    message = _message(
        {
            "task": name,
            "language": i18n.language(),
            "limits": [limits.cpu_s, limits.wall_s, limits.memory_bytes],
            "calls": calls,
        }
    )
    try:
        return _pool.ask(name.split(":")[0], message, limits, len(calls))
    except _Fault as fault:
        _log.warning("%s in a worker: %s", name, fault)
        raise


@contextmanager
def workers(n: int) -> Iterator[None]:
    """Use up to `n` workers meanwhile, if that is more than there are: for reading thousands.

    No more than this process may use cores.
    """
    added = _pool.grow(min(n, cores()))
    try:
        yield
    finally:
        _pool.shrink(added)


def warm(*functions: Callable[..., Any], n: int = WORKERS) -> None:
    """Start up to `n` workers, with the modules of these tasks loaded, without waiting for them."""
    _pool.warm([_name(function).split(":")[0] for function in functions], n)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


_ERRORS: dict[str, type[UserError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, UserError)
}


class _Fault(Exception):
    """Why a worker gave no answer: `kind` for the sentence, the text for the log."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind

    def sentence(self) -> str:
        return {
            "time": _("This file takes too long to open. Choose another one."),
            "memory": _("This file needs too much memory to open. Choose another one."),
            "start": _("Files cannot be opened here just now. Try again in a minute."),
            "busy": _("Many files are being opened here just now. Try again in a minute."),
        }.get(self.kind, _("This file is damaged and cannot be opened. Choose another one."))


# Messages: 4 bytes with the length of the header, the header, the buffers that it names.


def _message(content: Any) -> list[memoryview]:
    """The parts of a message. Raises TypeError for a kind of value that cannot be sent."""
    buffers: list[memoryview] = []
    tree = _packed(content, buffers)
    header = json.dumps([tree, [buffer.nbytes for buffer in buffers]]).encode()
    return [memoryview(len(header).to_bytes(4, "little") + header), *buffers]


def _send(pipe: IO[bytes], message: list[memoryview]) -> None:
    for left in message:
        while left:
            left = left[pipe.write(left) :]


def _receive(pipe: IO[bytes], most_header: int, most_bytes: float) -> Any:
    """The next message. EOFError where the pipe ends, ValueError for one that is too large."""
    length = int.from_bytes(_read(pipe, 4), "little")
    if length > most_header:
        raise ValueError(f"a header of {length} bytes")
    tree, sizes = json.loads(_read(pipe, length))
    if not all(type(size) is int and size >= 0 for size in sizes) or sum(sizes) > most_bytes:
        raise ValueError("buffers that are too large")
    return _unpacked(tree, [_read(pipe, size) for size in sizes])


def _read(pipe: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        n = pipe.readinto(left)  # type: ignore[attr-defined]
        if not n:
            raise EOFError
        left = left[n:]
    return content


def _packed(value: Any, buffers: list[memoryview]) -> Any:
    """`value` as JSON: what JSON does not know is a dict with the letter of its kind."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_packed(item, buffers) for item in value]
    if isinstance(value, tuple):
        return {"t": [_packed(item, buffers) for item in value]}
    if isinstance(value, dict):
        return {"d": [[_packed(k, buffers), _packed(v, buffers)] for k, v in value.items()]}
    if isinstance(value, bytes | bytearray | memoryview):
        buffers.append(memoryview(value).cast("B"))
        return {"b": len(buffers) - 1}
    if isinstance(value, np.ndarray) and value.dtype.str in _DTYPES:
        buffers.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        return {"a": [len(buffers) - 1, value.dtype.str, list(value.shape)]}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _unpacked(node: Any, buffers: list[bytearray]) -> Any:
    if isinstance(node, list):
        return [_unpacked(item, buffers) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "t":
        return tuple(_unpacked(item, buffers) for item in content)
    if kind == "d":
        return {_unpacked(k, buffers): _unpacked(v, buffers) for k, v in content}
    if kind == "b":
        return bytes(buffers[content])
    number, dtype, shape = content
    if kind != "a" or dtype not in _DTYPES or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("an unknown kind of value")
    flat = np.frombuffer(buffers[number], dtype)
    if flat.size != math.prod(shape):
        raise ValueError("an array is not as long as its shape says")
    return flat.reshape(shape)


class _Worker:
    """One worker process, seen from the process that started it."""

    def __init__(self, modules: list[str]) -> None:
        # Reserved address space counts as memory: one heap, and no pool of threads for algebra.
        alone = ("MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        fresh = {**dict.fromkeys(alone, "1"), "PYTHONDONTWRITEBYTECODE": "1"}
        options: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is for the parent
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NO_WINDOW}
        self.process = subprocess.Popen(
            [sys.executable, *_COMMAND, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=paths.REPO,
            env=os.environ | fresh,
            **options,
        )
        self.ready = False
        self.deadline = math.inf
        self.most_memory = 0
        """Bytes it may have resident; 0 where the kernel holds it."""
        self.resident = 0
        """Bytes it had resident when it was ready."""
        self.ended_for = ""
        """The kind of fault for which it was killed."""

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it, and whatever it may have started."""
        if self.process.returncode is None:  # not waited for yet, so the number is still its own
            with suppress(OSError):
                if sys.platform == "win32":
                    self.process.kill()
                else:
                    os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()

    def memory(self) -> int:
        """Bytes resident now; 0 where that is unknown."""
        import psutil  # only where the kernel does not hold memory

        with suppress(psutil.Error):
            return int(psutil.Process(self.process.pid).memory_info().rss)
        return 0

    def exchange(
        self, watch: "_Watch", message: list[memoryview], limits: Limits, calls: int
    ) -> "_Answers":
        """Send a message and wait for its answers. Raises _Fault, after which it is of no use."""
        assert self.process.stdin and self.process.stdout
        stage = "start"
        try:
            if not self.ready:
                with watch.over(self, _START_S):
                    _read(self.process.stdout, 1)
                self.ready = True
                self.resident = 0 if _KERNEL_HOLDS_MEMORY else self.memory()
            stage = "crash"
            most = 0 if _KERNEL_HOLDS_MEMORY else self.resident + limits.memory_bytes
            with watch.over(self, limits.wall_s * calls, most):
                _send(self.process.stdin, message)
                answer = _receive(self.process.stdout, _MAX_HEADER, limits.answer_bytes * calls)
            if self.ended_for:
                raise EOFError
            return _checked(answer, calls)
        except _Fault:
            raise
        except (OSError, EOFError) as error:
            raise self._fault(stage) from error
        except Exception as error:  # an answer that is none of ours: the worker may be taken over
            raise _Fault("crash", f"its answer: {error!r}") from error

    def _fault(self, stage: str) -> _Fault:
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            code = 0
        kind = stage if stage == "start" else self.ended_for or _KIND_OF_END.get(code, stage)
        return _Fault(kind, f"it ended with {code}")


_KIND_OF_END = (
    {}
    if sys.platform == "win32"
    else {
        -signal.SIGXCPU: "time",
        -signal.SIGALRM: "time",
        -signal.SIGKILL: "memory",  # by the kernel, of a machine that has no more
    }
)


class _Answers(NamedTuple):
    values: list[Any]
    """To each call a value, or a UserError to be raised."""
    last: bool
    """Whether the worker wants to be replaced."""


def _checked(answer: Any, calls: int) -> _Answers:
    """Answers of a known form; raises _Fault where a fault is reported, ValueError for others."""
    if type(answer) is not dict:
        raise ValueError("no answer")
    if "fault" in answer:
        kind = "memory" if answer["fault"] == "memory" else "exception"
        raise _Fault(kind, repr(answer.get("text"))[:_MAX_TEXT])
    if type(answer["answers"]) is not list or len(answer["answers"]) != calls:
        raise ValueError("another number of answers")
    values: list[Any] = []
    for each in answer["answers"]:
        if "error" in each:
            if type(each["text"]) is not str:
                raise ValueError("a message that is no text")
            text = each["text"][:_MAX_TEXT].encode(errors="replace").decode()
            values.append(_ERRORS[each["error"]](text))
        else:
            values.append(each["value"])
    return _Answers(values, answer.get("last") is True)


class _Watch:
    """Ends workers that are over their time (or memory). Its thread sleeps while nothing is due."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy: set[_Worker] = set()
        self._next = math.inf  # when the thread looks again
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, worker: _Worker, seconds: float, most_memory: int = 0) -> Iterator[None]:
        with self._changed:
            worker.deadline = time.monotonic() + seconds
            worker.most_memory = most_memory
            self._busy.add(worker)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="limits", daemon=True)
                self._thread.start()
            if most_memory or worker.deadline < self._next:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(worker)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for worker in self._busy:
                    if now >= worker.deadline:
                        worker.ended_for = worker.ended_for or "time"
                        worker.kill()
                    elif worker.most_memory and worker.memory() > worker.most_memory:
                        worker.ended_for = worker.ended_for or "memory"
                        worker.kill()
                due = [w.deadline for w in self._busy if not w.ended_for]
                if any(worker.most_memory for worker in self._busy):
                    due.append(now + _LOOK_S)
                self._next = min(due, default=math.inf)
                self._changed.wait(None if self._next == math.inf else max(self._next - now, 0.0))


class _Slot:
    """A place for one worker, which is started when it is first needed."""

    worker: _Worker | None = None


class _Pool:
    """The slots of this process. A slot that becomes free goes to whoever has waited longest."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._idle = deque(_Slot() for _slot in range(size))  # started ones at the right
        self._waiting: deque[Future[_Slot]] = deque()
        self._size = size
        self._too_many = 0  # slots to give up when they become free
        self._modules: list[str] = []
        self._watch = _Watch()

    def ask(self, module: str, message: list[memoryview], limits: Limits, calls: int) -> list[Any]:
        """A worker's answers to a message for a task of `module`. Raises _Fault."""
        if module not in self._modules:
            self._modules.append(module)  # every worker started from now on loads it at once
        slot = self._take()
        try:
            if slot.worker is None or not slot.worker.alive():
                self._start(slot)
            assert slot.worker
            answers = slot.worker.exchange(self._watch, message, limits, calls)
        except _Fault as fault:
            self._stop(slot)
            if fault.kind != "start":
                self._start_early(slot)
            raise
        except BaseException:  # such as Ctrl-C: nobody would take the answer
            self._stop(slot)
            raise
        else:
            if answers.last:
                self._stop(slot)
                self._start_early(slot)
            return answers.values
        finally:
            self._give(slot)

    def _take(self) -> _Slot:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            place: Future[_Slot] = Future()
            self._waiting.append(place)
        try:
            return place.result(_WAIT_S)
        except FutureTimeoutError:
            pass
        with self._lock:
            if not place.done():
                self._waiting.remove(place)
                raise _Fault("busy", f"no worker was free for {_WAIT_S:g} s")
        return place.result()

    def _give(self, slot: _Slot) -> None:
        with self._lock:
            if self._too_many:
                self._too_many -= 1
                gone = True
            elif self._waiting:
                self._waiting.popleft().set_result(slot)
                gone = False
            else:
                (self._idle.append if slot.worker else self._idle.appendleft)(slot)
                gone = False
        if gone:
            self._stop(slot)

    def _stop(self, slot: _Slot) -> None:
        worker, slot.worker = slot.worker, None
        if worker:
            worker.close()

    def _start(self, slot: _Slot) -> None:
        self._stop(slot)
        try:
            slot.worker = _Worker(list(self._modules))
        except OSError as error:  # no memory, or too many processes
            raise _Fault("start", repr(error)) from error

    def _start_early(self, slot: _Slot) -> None:
        """So that it gets ready while nobody waits for it."""
        with suppress(_Fault):  # then whoever needs it tries again
            self._start(slot)

    def warm(self, modules: list[str], n: int) -> None:
        with self._lock:
            self._modules += [module for module in modules if module not in self._modules]
            started = self._size - sum(slot.worker is None for slot in self._idle)
            idle = [slot for slot in self._idle if slot.worker is None][: max(0, n - started)]
            for slot in idle:
                self._idle.remove(slot)
        for slot in idle:
            self._start_early(slot)
            self._give(slot)

    def grow(self, size: int) -> int:
        with self._lock:
            added = max(0, size - self._size)
            self._size += added
        for _slot in range(added):
            self._give(_Slot())
        return added

    def shrink(self, by: int) -> None:
        with self._lock:
            self._size -= by
            self._too_many += by
            gone = []
            while self._too_many and self._idle:
                gone.append(self._idle.popleft())
                self._too_many -= 1
        for slot in gone:
            self._stop(slot)

    def close(self) -> None:
        with self._lock:
            idle = list(self._idle)
        for slot in idle:
            self._stop(slot)


def give_memory_back() -> None:
    """The C library of most Linuxes keeps what is freed for later, unless it is asked."""
    with suppress(OSError, TypeError, AttributeError):  # no such library, or another
        ctypes.CDLL(None).malloc_trim(0)


def _new_pool() -> None:
    global _pool
    _pool = _Pool(min(WORKERS, cores()))


_pool: _Pool
_new_pool()
atexit.register(lambda: _pool.close())
if hasattr(os, "register_at_fork"):  # pipes and threads are the parent's
    os.register_at_fork(after_in_child=_new_pool)


# From here on: the worker's side.


def _serve(modules: list[str]) -> None:
    """Answer requests until standard input ends."""
    with os.fdopen(os.dup(0), "rb", 0) as source, os.fdopen(os.dup(1), "wb", 0) as sink:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)  # what a library prints is no answer
        for module in modules:
            importlib.import_module(module)
        limited = _Limited()
        os.dup2(nowhere, 2)  # decoders complain of what they are given
        sink.write(b".")
        while True:
            try:
                request = _receive(source, sys.maxsize, math.inf)
            except EOFError:
                return
            _send(sink, _answer(request, limited))


def _answer(request: dict[str, Any], limited: "_Limited") -> list[memoryview]:
    module, name = request["task"].split(":")
    if module not in sys.modules:
        importlib.import_module(module)  # before the limits: it is ours
        limited.measure()
    i18n.set_language(request["language"])
    answers: list[dict[str, Any]] = []
    try:
        if request["task"] not in _tasks:
            raise TypeError("this function is not a task")
        function = getattr(sys.modules[module], name)
        for args, kwargs in request["calls"]:
            try:
                with limited.to(*request["limits"]):
                    answers.append({"value": function(*args, **kwargs)})
            except UserError as error:
                known = next(c.__name__ for c in type(error).__mro__ if c.__name__ in _ERRORS)
                answers.append({"error": known, "text": str(error)})
        return _message({"answers": answers, "last": time.process_time() > _RETIRE_CPU_S})
    except MemoryError:
        return _message({"fault": "memory", "text": ""})
    except BaseException:
        return _message({"fault": "exception", "text": traceback.format_exc()[-_MAX_TEXT:]})


if sys.platform == "win32":

    class _Limited:
        """Windows has no limits of this kind: the parent watches."""

        def measure(self) -> None: ...

        @contextmanager
        def to(self, cpu_s: int, wall_s: float, memory_bytes: int) -> Iterator[None]:
            del cpu_s, wall_s, memory_bytes
            yield

else:
    import resource

    class _Limited:
        """This process's limits: some for good, the others for the length of a task."""

        def __init__(self) -> None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
            files = _least(64, *resource.getrlimit(resource.RLIMIT_NOFILE))
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            self._cpu = resource.getrlimit(resource.RLIMIT_CPU)
            self._memory = resource.getrlimit(resource.RLIMIT_AS)
            self.measure()

        def measure(self) -> None:
            """Take what the process has now for what it has when idle."""
            self._idle = 0
            with suppress(OSError):  # there is no /proc but on Linux
                pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
                self._idle = int(pages) * resource.getpagesize()

        @contextmanager
        def to(self, cpu_s: int, wall_s: float, memory_bytes: int) -> Iterator[None]:
            used = math.ceil(time.process_time() + cpu_s)  # it counts from the process's start
            resource.setrlimit(resource.RLIMIT_CPU, (_least(used, *self._cpu), self._cpu[1]))
            holds = self._idle and _KERNEL_HOLDS_MEMORY
            if holds:
                most = _least(self._idle + memory_bytes, *self._memory)
                resource.setrlimit(resource.RLIMIT_AS, (most, self._memory[1]))
            signal.setitimer(signal.ITIMER_REAL, wall_s)  # ends it if the parent cannot
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                if holds:
                    resource.setrlimit(resource.RLIMIT_AS, self._memory)
                resource.setrlimit(resource.RLIMIT_CPU, self._cpu)

    def _least(*limits: int) -> int:
        return min((n for n in limits if n != resource.RLIM_INFINITY), default=0)


if __name__ == "__main__":
    from core import limited  # under its own name, where the tasks' modules find it

    limited._serve(sys.argv[1:])
