"""Whatever a task does, its caller gets an answer or a sentence, and the next task is served."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core import i18n, limited, paths
from core.errors import CheckpointError, PhotoError, UserError
from core.limited import Limits, call, call_each
from tests import limited_tasks as tasks

FEW = Limits(cpu_s=1, wall_s=5, memory_bytes=200 * 2**20, answer_bytes=20 * 2**20)
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="limits as Linux and macOS know them"
)


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """Both workers run, so that a test's time is its task's."""
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _n: call(tasks.wait, 0.3), range(2)))
    yield


def refused(function: Callable[..., Any], *args: Any, limits: Limits = FEW) -> str:
    """The sentence that a call ends in; afterwards other tasks are served as before."""
    with pytest.raises(PhotoError) as raised:
        call(function, *args, limits=limits, error=PhotoError)
    assert call(tasks.echo, "next") == ["next"]
    text = str(raised.value)
    assert text[0].isupper() and text.endswith(".") and "\n" not in text
    return text


def test_values_arrive_as_they_were() -> None:
    values: list[Any] = [None, True, False, 0, -1, 2**70, 0.1, float("inf"), "", "麵包", "\ud800"]
    values += [b"", b"\x00\xff", [], (), {}, [1, [2, (3, {"a": b"4"})]], {"d": 1, "t": [2]}]
    values += [{1: 2, (3, 4): None}, {"b": {"a": {}}}]
    for value in values:
        (got,) = call(tasks.echo, value)
        assert got == value and type(got) is type(value)
        assert call(tasks.echo, 1, named=value) == [[1], {"named": value}]
    assert np.isnan(call(tasks.echo, float("nan"))[0])


@pytest.mark.parametrize("dtype", ["bool", "u1", ">i4", "u8", "f2", ">f8"])
def test_arrays_arrive_as_they_were(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((), (0,), (3,), (2, 0, 4), (2, 3, 4)):
        array = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
        for sent in (array, np.asfortranarray(array), array[..., ::-1] if array.ndim else array):
            (got,) = call(tasks.echo, sent)
            assert got.dtype == sent.dtype and got.shape == sent.shape
            assert np.array_equal(got, sent)


def test_what_cannot_be_sent_and_what_is_no_task_are_faults_of_the_program() -> None:
    arrays = [np.array(["a"]), np.array([None]), np.array([1j])]
    for value in (object(), {1, 2}, 1j, Path("x"), *arrays):
        with pytest.raises(TypeError, match="cannot be sent"):
            call(tasks.echo, value)
    for function in (tasks.unmarked, os.getpid):
        with pytest.raises(TypeError, match="not marked as a task"):
            call(function)


@pytest.mark.parametrize(
    "endless",
    [
        tasks.endless_in_c,
        pytest.param(tasks.endless, marks=pytest.mark.slow),
        pytest.param(tasks.endless_threads, marks=pytest.mark.slow),
    ],
)
def test_a_task_without_end_is_ended(endless: Callable[[], None]) -> None:
    started = time.monotonic()
    assert "too long" in refused(endless)
    assert time.monotonic() - started < 30


def test_processor_seconds_are_counted_anew_for_each_task() -> None:
    first = call(tasks.process)
    for _time in range(3):
        assert call(tasks.spend, 0.6, limits=FEW) == 0.6
    assert call(tasks.process) == first, "each is within a limit of one second"


def test_wall_time_ends_a_task_that_sleeps() -> None:
    started = time.monotonic()
    assert "too long" in refused(tasks.wait, 60, limits=Limits(wall_s=0.5))
    assert 0.5 <= time.monotonic() - started < 20


def test_memory_is_limited() -> None:
    assert call(tasks.hog, 100, limits=FEW) == 100 * 2**20
    assert "memory" in refused(tasks.hog, 300)
    assert "memory" in refused(tasks.hog_in_steps)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (tasks.leave, (0,)),
        (tasks.leave_politely, ()),
        (tasks.crash, ()),
        (tasks.signal_itself, ("SIGTERM",)),
        (tasks.fail, ()),
        (tasks.recurse, ()),
        (tasks.unsendable, ()),
        (tasks.huge, (30,)),
        (tasks.long_list, (500_000,)),
        (tasks.open_many, (100,)),
    ],
)
def test_a_fault_is_one_sentence(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    text = refused(function, *args)
    assert text == "This file is damaged and cannot be opened. Choose another one."


@pytest.mark.parametrize("error", [PhotoError, CheckpointError])
def test_a_fault_is_the_callers_kind_of_error(error: type[UserError]) -> None:
    with pytest.raises(error):
        call(tasks.fail, limits=FEW, error=error)


def test_a_worker_killed_in_its_task_is_like_one_without_memory() -> None:
    assert "memory" in refused(tasks.signal_itself, "SIGKILL")


@pytest.mark.parametrize(
    ("raised", "arrives"),
    [
        ("CheckpointError", CheckpointError),
        ("PhotoError", PhotoError),
        ("UserError", UserError),
        ("_OwnError", PhotoError),
    ],
)
def test_an_error_for_the_user_arrives_as_it_is(raised: str, arrives: type[UserError]) -> None:
    pid = call(tasks.process)
    with pytest.raises(UserError) as caught:
        call(tasks.refuse, raised, "Neither bread nor soup: 麵包.", error=CheckpointError)
    assert type(caught.value) is arrives
    assert str(caught.value) == "Neither bread nor soup: 麵包."
    assert call(tasks.process) == pid, "a refusal is no fault: the worker stays"


def test_an_endless_message_is_cut_and_can_be_written() -> None:
    with pytest.raises(PhotoError) as caught:
        call(tasks.refuse, "PhotoError", "\ud800" * 10_000)
    assert len(str(caught.value)) <= 2_000
    str(caught.value).encode()


def test_a_task_speaks_the_callers_language() -> None:
    i18n.set_language("zh-Hant")
    try:
        assert call(tasks.language) == "zh-Hant"
    finally:
        i18n.set_language("en")
    assert call(tasks.language) == "en"


def test_a_task_cannot_write_a_file(tmp_path: Path) -> None:
    refused(tasks.write, str(tmp_path / "file"))
    assert not (tmp_path / "file").exists() or not (tmp_path / "file").stat().st_size


def test_what_a_library_prints_is_no_answer() -> None:
    assert call(tasks.chatter) == "an answer"
    assert call(tasks.read_input) == b"", "nor does it read the next question"
    assert call(tasks.chatter) == "an answer"


def header(tree: Any, sizes: Any) -> bytes:
    text = json.dumps([tree, sizes]).encode()
    return len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    "raw",
    {
        "no message": b"\xff" * 50,
        "a header of 4 GB": b"\xff\xff\xff\xff",
        "a buffer of a terabyte": header({"d": [["value", {"b": 0}]]}, [2**40]),
        "negative": header({"d": [["value", {"b": 0}]]}, [-1]),
        "a buffer that is not there": header({"d": [["value", {"b": 7}]]}, []),
        "no json": (5).to_bytes(4, "little") + b"{[}]!",
        "deep": (200_000).to_bytes(4, "little") + b"[" * 200_000,
        "no dict": header(["value"], []),
        "no value": header({"d": []}, []),
        "an object": header({"d": [["value", {"a": [0, "|O", [1]]}]]}, [8]) + bytes(8),
        "a shape of its own": header({"d": [["value", {"a": [0, "|u1", [99]]}]]}, [8]) + bytes(8),
        "a negative shape": header({"d": [["value", {"a": [0, "|u1", [-8]]}]]}, [8]) + bytes(8),
        "a class of its own": header({"d": [["error", "SystemExit"], ["text", "x"]]}, []),
        "no text": header({"d": [["error", "PhotoError"], ["text", [1]]]}, []),
        "an unknown kind": header({"d": [["value", {"z": [1, 2, 3]}]]}, []),
        "two kinds": header({"t": [], "b": 0}, []),
        "a key that is a list": header({"d": [[["value"], 1]]}, []),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_answers_of_a_worker_that_was_taken_over(raw: tuple[str, bytes]) -> None:
    before = psutil.Process().memory_info().rss
    assert "damaged" in refused(tasks.answer_by_hand, raw[1])
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


def test_a_process_that_a_task_starts_ends_with_the_worker() -> None:
    other = call(tasks.child_that_stays)
    refused(tasks.fail)
    for _try in range(4):  # the workers take turns
        refused(tasks.leave, 0)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(other) and psutil.Process(other).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_items_in_one_exchange() -> None:
    items = [b".", b"y", b"z", b"."]
    got = call_each(tasks.first_byte_decides, items, limits=FEW, error=CheckpointError)
    assert got[0] == got[3] == 46 and got[2] == 122
    assert type(got[1]) is PhotoError and str(got[1]) == "This one is refused."
    assert call_each(tasks.first_byte_decides, []) == []
    assert call_each(tasks.echo, [1, 2], "and more") == [[1, "and more"], [2, "and more"]]


@pytest.mark.parametrize(
    "bad", [b"x", *(pytest.param(bad, marks=pytest.mark.slow) for bad in (b"l", b"m"))]
)
def test_one_item_that_ends_its_worker_spoils_no_other(bad: bytes) -> None:
    items = [b".", b".", bad, b"."]
    got = call_each(tasks.first_byte_decides, items, limits=FEW, error=CheckpointError)
    assert [got[0], got[1], got[3]] == [46] * 3
    assert type(got[2]) is CheckpointError
    says = {b"x": "damaged", b"l": "too long", b"m": "memory"}[bad]
    assert says in str(got[2])


def test_no_worker_says_nothing_about_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "_COMMAND", ["-c", "raise SystemExit(1)"])
    monkeypatch.setattr(limited, "_pool", limited._Pool(1))
    with pytest.raises(CheckpointError, match="just now"):
        call_each(tasks.first_byte_decides, [b".", b"."], error=CheckpointError)
    limited._pool.close()


@pytest.mark.slow
def test_limits_are_those_of_one_item() -> None:
    assert call_each(tasks.spend, [0.4] * 4, limits=FEW) == [0.4] * 4
    assert len(call_each(tasks.huge, [10] * 4, limits=FEW)) == 4
    assert call_each(tasks.sleep, [0.4] * 4, limits=Limits(wall_s=0.8)) == [0.4] * 4


def test_fifty_threads_at_once_are_served_by_two_workers() -> None:
    def ask(n: int) -> tuple[int, int]:
        (got,) = call(tasks.echo, n)
        return got, call(tasks.process)

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(ask, range(500)))
    assert [n for n, _pid in answers] == list(range(500))
    assert len({pid for _n, pid in answers}) <= limited.WORKERS


def test_who_came_first_is_served_first() -> None:
    order: list[int] = []

    def ask(n: int) -> None:
        call(tasks.wait, 0.05)
        order.append(n)

    with ThreadPoolExecutor(12) as threads:
        for n in range(12):
            threads.submit(ask, n)
            time.sleep(0.01)
    assert all(abs(n - place) <= 2 for place, n in enumerate(order)), order


def test_faults_and_answers_at_once() -> None:
    def ask(n: int) -> Any:
        try:
            return call((tasks.echo, tasks.leave, tasks.fail)[n % 3], *((n,) if n % 3 < 2 else ()))
        except UserError:
            return "refused"

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(9)))
    assert answers == [[n] if n % 3 == 0 else "refused" for n in range(9)]


@pytest.mark.slow
def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "_WAIT_S", 0.2)
    with ThreadPoolExecutor(8) as threads:
        long = [threads.submit(call, tasks.wait, 1.5) for _n in range(limited.WORKERS)]
        time.sleep(0.2)
        with pytest.raises(UserError, match="Many files"):
            call(tasks.echo, 1)
        assert all(isinstance(each.result(), int) for each in long)
    assert call(tasks.echo, 1) == [1]


def test_a_worker_that_was_killed_meanwhile_is_replaced_unseen() -> None:
    pid = call(tasks.process)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)], timeout=0.5)
    assert call(tasks.process) != pid


@pytest.mark.slow
def test_more_workers_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "cores", lambda: 4)
    usual = {child.pid for child in psutil.Process().children()}
    with limited.workers(6), ThreadPoolExecutor(8) as threads:
        pids = set(threads.map(lambda _n: call(tasks.wait, 0.5), range(16)))
    assert len(pids) == 4
    assert len({child.pid for child in psutil.Process().children()} - usual) <= 2
    with limited.workers(1), ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _n: call(tasks.wait, 0.1), range(8)))) == 2


def test_workers_are_started_before_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = limited._Pool(3)
    monkeypatch.setattr(limited, "_pool", pool)

    def started() -> int:
        return sum(slot.worker is not None for slot in pool._idle)

    for n, expected in ((1, 1), (1, 1), (2, 2), (1, 2), (9, 3)):
        limited.warm(tasks.echo, n=n)
        assert started() == expected
    assert call(tasks.echo, 1) == [1]
    assert len(pool._idle) == 3
    pool.close()


@pytest.mark.slow
def test_a_worker_that_leaks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "_RETIRE_CPU_S", 0)
    code = """
        from core import limited
        limited._RETIRE_CPU_S = 0
        limited._serve([])
    """
    pids = set()
    monkeypatch.setattr(limited, "_COMMAND", ["-c", textwrap.dedent(code)])
    with monkeypatch.context() as patch:
        patch.setattr(limited, "_pool", limited._Pool(1))
        for _time in range(3):
            pids.add(call(tasks.process))
        limited._pool.close()
    assert len(pids) == 3


@pytest.mark.slow
def test_a_worker_that_does_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["-c", "raise SystemExit(1)"], ["-c", "import time; time.sleep(60)"]):
        monkeypatch.setattr(limited, "_COMMAND", command)
        monkeypatch.setattr(limited, "_START_S", 1.0)
        monkeypatch.setattr(limited, "_pool", limited._Pool(1))
        with pytest.raises(UserError, match="just now"):
            call(tasks.echo, 1)
        limited._pool.close()


PARENT = """
    import os, sys, threading, time
    from core.limited import Limits, call, call_each
    from tests import limited_tasks as tasks

    print(call(tasks.process), flush=True)
    if sys.argv[1] == "idle":
        os._exit(0)
    task, args = {"busy": (tasks.endless, ()), "asleep": (tasks.wait, (60,))}[sys.argv[1]]
    limits = Limits(cpu_s=2, wall_s=3)
    threading.Thread(target=call, args=(task, *args), kwargs={"limits": limits}).start()
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["idle", "busy", "asleep"])
def test_workers_end_when_their_parent_does(state: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PARENT), state],
        cwd=paths.REPO,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    pid, deadline = int(done.stdout.split()[0]), time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{state}: the worker lives on"
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # to fork with threads about
def test_a_forked_process_has_workers_of_its_own() -> None:
    ours = call(tasks.process)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(call(tasks.process)).encode())
            limited._pool.close()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        theirs = int(answer.read())
    os.waitpid(pid, 0)
    assert theirs != ours
    assert call(tasks.process) == ours


@pytest.mark.slow
def test_memory_is_watched_where_the_kernel_does_not_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limited, "_KERNEL_HOLDS_MEMORY", False)
    code = """
        from core import limited
        limited._KERNEL_HOLDS_MEMORY = False
        limited._serve([])
    """
    monkeypatch.setattr(limited, "_COMMAND", ["-c", textwrap.dedent(code)])
    monkeypatch.setattr(limited, "_pool", limited._Pool(1))
    assert call(tasks.hog, 50, limits=FEW) == 50 * 2**20
    with pytest.raises(PhotoError, match="memory"):
        call(tasks.hog_in_steps, limits=Limits(memory_bytes=300 * 2**20), error=PhotoError)
    limited._pool.close()


@pytest.mark.slow
def test_an_idle_pool_does_nothing() -> None:
    call(tasks.echo, 1)
    processes = [psutil.Process(), *psutil.Process().children()]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(1)
    assert sum(sum(process.cpu_times()[:2]) for process in processes) - sum(before) < 0.1
