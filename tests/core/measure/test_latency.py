"""Timing, against calls whose duration is known because they sleep."""

import time
from functools import partial

import pytest

from core.measure.latency import time_calls


def test_sleeps_come_out_in_order_and_no_shorter_than_they_are() -> None:
    calls = {"slow": partial(time.sleep, 0.006), "fast": partial(time.sleep, 0.002)}
    found = time_calls(calls, repeats=9, warmup=1, threads=3)
    assert list(found) == ["slow", "fast"]
    assert 2 <= found["fast"].median_ms < found["slow"].median_ms
    assert found["slow"].median_ms >= 6
    for timing in found.values():
        assert timing.p25_ms <= timing.median_ms <= timing.p75_ms <= timing.p95_ms
        assert (timing.n, timing.threads) == (9, 3)


def test_one_slow_call_does_not_move_the_median() -> None:
    naps = iter([0.0, 0.05, *[0.001] * 20])
    found = time_calls({"a": lambda: time.sleep(next(naps))}, repeats=11, warmup=1)["a"]
    assert found.median_ms < 20 < 50 <= found.p95_ms * 2


def test_calls_take_turns_and_none_is_always_first() -> None:
    seen: list[str] = []
    calls = {name: partial(seen.append, name) for name in "abc"}
    time_calls(calls, repeats=3, warmup=2)
    assert "".join(seen) == "aabbcc" + "abc" + "bca" + "cab"


def test_the_budget_ends_it_but_not_before_three_rounds() -> None:
    nap = {"a": partial(time.sleep, 0.01)}
    assert time_calls(nap, repeats=1000, warmup=0, budget_s=0.1)["a"].n < 20
    assert time_calls(nap, repeats=1000, warmup=0, budget_s=0.0)["a"].n == 3
    assert time_calls(nap, repeats=2, warmup=0, budget_s=0.0)["a"].n == 2


def test_an_asynchronous_device_is_waited_for_inside_the_clock() -> None:
    pending = [0.0]

    def submit() -> None:
        pending[0] = 0.004

    def wait() -> None:
        time.sleep(pending[0])
        pending[0] = 0.0

    assert time_calls({"a": submit}, repeats=5, synchronize=wait)["a"].median_ms >= 4


@pytest.mark.parametrize("wrong", [{"calls": {}}, {"repeats": 0}, {"warmup": -1}])
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"calls": {"a": lambda: None}} | wrong
    with pytest.raises(ValueError):
        time_calls(**arguments)  # type: ignore[arg-type]
