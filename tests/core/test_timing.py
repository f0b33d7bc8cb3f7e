"""Timing, against calls whose duration is known because they sleep."""

import time
from functools import partial

import pytest
import torch

from core.timing import cuda_clock, time_calls, time_networks


def test_sleeps_come_out_in_order_and_no_shorter_than_they_are() -> None:
    calls = {"slow": partial(time.sleep, 0.006), "fast": partial(time.sleep, 0.002)}
    found = time_calls(calls, repeats=9, warmup=1, threads=3)
    assert list(found) == ["slow", "fast"]
    assert 2 <= found["fast"].median_ms < found["slow"].median_ms
    assert found["slow"].median_ms >= 6
    for timing in found.values():
        assert timing.p25_ms <= timing.median_ms <= timing.p75_ms <= timing.p95_ms
        assert (timing.n, timing.threads) == (9, 3)


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


class QueueingDevice:
    """Stands in for `torch.cuda`: work is queued at once and done later, in simulated time.

    `now_ms` is the host's time, `free_at_ms` when the device has done all that was queued.
    """

    def __init__(self) -> None:
        self.now_ms = self.free_at_ms = 0.0
        self.waits = 0

    def queue(self, work_ms: float, host_ms: float = 0.1) -> None:
        """A kernel: the host is through after `host_ms`, the device takes `work_ms` for it."""
        self.now_ms += host_ms
        self.free_at_ms = max(self.free_at_ms, self.now_ms) + work_ms

    def synchronize(self) -> None:
        self.now_ms = max(self.now_ms, self.free_at_ms)
        self.waits += 1

    def Event(self, enable_timing: bool = False) -> "QueueingEvent":  # noqa: N802 (torch's name)
        assert enable_timing, "torch's events keep no time unless asked to"
        return QueueingEvent(self)


class QueueingEvent:
    """Passed by the device when all that was queued before it is done, as `torch.cuda.Event`."""

    def __init__(self, device: QueueingDevice) -> None:
        self.device = device
        self.passed_ms: float | None = None

    def record(self) -> None:
        self.passed_ms = max(self.device.now_ms, self.device.free_at_ms)

    def synchronize(self) -> None:
        assert self.passed_ms is not None, "waits for ever"
        self.device.now_ms = max(self.device.now_ms, self.passed_ms)

    def elapsed_time(self, end: "QueueingEvent") -> float:
        assert self.passed_ms is not None and end.passed_ms is not None
        if self.device.now_ms < end.passed_ms:
            raise RuntimeError("CUDA error: device not ready")  # as torch says
        return end.passed_ms - self.passed_ms


def test_a_gpu_is_timed_by_its_own_events() -> None:
    """Neither the host's queueing nor work that was queued before belongs to a call."""
    gpu = QueueingDevice()
    gpu.queue(500)  # somebody's earlier work
    calls = {"long": partial(gpu.queue, 8), "short": partial(gpu.queue, 3)}
    found = time_calls(calls, repeats=6, warmup=2, clock=cuda_clock(gpu))
    # the kernel starts when the host has queued it, 0.1 ms after the event on an idle queue
    assert found["long"].p25_ms == found["long"].p95_ms == pytest.approx(8.1)
    assert found["short"].p25_ms == found["short"].p95_ms == pytest.approx(3.1)
    assert gpu.waits == 12  # before every measured call


def test_gaps_in_which_a_gpu_waits_for_the_host_are_part_of_its_time() -> None:
    gpu = QueueingDevice()

    def many_small_layers() -> None:
        for _layer in range(20):
            gpu.queue(0.01, host_ms=0.2)

    found = time_calls({"a": many_small_layers}, repeats=3, clock=cuda_clock(gpu))
    assert found["a"].median_ms == pytest.approx(20 * 0.2 + 0.01)


def test_networks_on_the_processor_are_timed_by_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no event is asked for: a machine without a GPU has none."""

    def never(*_arguments: object, **_named: object) -> None:
        raise AssertionError("a CUDA call on the way to a processor")

    for name in ("Event", "synchronize", "device"):
        monkeypatch.setattr(torch.cuda, name, never)

    class Sleeper(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(0.004)
            return x

    found = time_networks({"a": Sleeper()}, 8, repeats=5)
    assert found["a"].median_ms >= 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_real_gpu_takes_as_long_as_the_wall_clock_says() -> None:
    left = torch.rand(4096, 4096, device="cuda")

    def work() -> None:
        for _turn in range(20):
            left @ left

    def waited() -> None:
        work()
        torch.cuda.synchronize()

    events = time_calls({"a": work}, repeats=9, clock=cuda_clock(torch.cuda))["a"]
    wall = time_calls({"a": waited}, repeats=9)["a"]
    assert events.median_ms == pytest.approx(wall.median_ms, rel=0.2)
    networks = time_networks({"a": torch.nn.Conv2d(3, 8, 3)}, 64, repeats=5, device="cuda")
    assert networks["a"].median_ms > 0


@pytest.mark.parametrize("wrong", [{"calls": {}}, {"repeats": 0}, {"warmup": -1}])
def test_nonsense_is_refused(wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"calls": {"a": lambda: None}} | wrong
    with pytest.raises(ValueError):
        time_calls(**arguments)  # type: ignore[arg-type]
