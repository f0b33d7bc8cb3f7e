"""How long a call takes, measured so that the comparison is fair.

Protocol: every candidate is called `warmup` times unmeasured (allocation, caches, lazy
compilation); then rounds, each calling every candidate once, in an order that turns by one place
a round, so that a slow spell of the machine hits all of them alike and no one always runs first.
The median is the figure, with the quartiles and the 95th percentile beside it: timings have a long
tail to one side, which a mean would follow. Threads are the caller's business (they belong to torch
or ONNX Runtime) and are only stated here.

The clock. On a processor, a call has done its work when it returns: wall time by
`time.perf_counter`. A GPU only queues the work, so the time is its own, between two events that it
passes before and after the call's kernels (`torch.cuda.Event`), on a queue that was empty when the
call came. Where the processor cannot queue kernels fast enough, the gaps are part of that time, as
they are of the answer's; the wait of the processor for the GPU at the end is not.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.i18n import _

if TYPE_CHECKING:
    from torch import nn


MIN_ROUNDS = 3

Clock = Callable[[Callable[[], Any]], float]
"""Calls what it is given once; returns the milliseconds that took."""


class Timing(BaseModel):
    """Milliseconds per call over `n` measured calls, with `threads` computing threads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median_ms: float
    p25_ms: float
    p75_ms: float
    p95_ms: float
    n: int
    threads: int


class Spread(BaseModel):
    """Milliseconds per call: median and quartiles of `n` calls, as results keep them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    median: float
    p25: float
    p75: float
    n: int

    @classmethod
    def of(cls, timing: Timing) -> "Spread":
        """The same figures, rounded to the microsecond."""
        figures = (round(x, 3) for x in (timing.median_ms, timing.p25_ms, timing.p75_ms))
        return cls(**dict(zip(("median", "p25", "p75"), figures, strict=True)), n=timing.n)

    def report(self) -> dict[str, float]:
        """The figures as the command line gives them."""
        return {"median": self.median, "p25": self.p25, "p75": self.p75}

    def against(self, whole: "Spread", noise: float = 0.0) -> Literal["faster", "slower", "same"]:
        """Different only where the middle halves of the calls lie apart.

        And, where it is known by what share of `whole` equal work was seen to differ in that
        sitting, only where the medians lie further apart than that `noise`.
        """
        if abs(self.median - whole.median) <= noise * whole.median:
            return "same"
        if self.p75 < whole.p25:
            return "faster"
        return "slower" if self.p25 > whole.p75 else "same"


def wall_clock(call: Callable[[], Any]) -> float:
    """Milliseconds from the call to its return: right for work that is done by then."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def thread_clock(call: Callable[[], Any]) -> float:
    """Processor time of this thread: right for work in one thread on a machine that is busy.

    On Windows, where that time moves in steps of 16 ms, the wall clock.
    """
    if sys.platform == "win32":
        return wall_clock(call)
    start = time.thread_time()
    call()
    return 1000 * (time.thread_time() - start)


def cuda_clock(cuda: Any) -> Clock:
    """The clock of a GPU's own events, for work on the current device and stream.

    `cuda`: the module `torch.cuda` (given, so that nothing here imports torch).
    """

    def clock(call: Callable[[], Any]) -> float:
        began, ended = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        cuda.synchronize()  # earlier work, and the warm-up's, is not this call's
        began.record()
        call()
        ended.record()
        ended.synchronize()
        return float(began.elapsed_time(ended))

    return clock


def time_calls(
    calls: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 30,
    warmup: int = 3,
    budget_s: float | None = None,
    threads: int = 1,
    clock: Clock = wall_clock,
) -> dict[str, Timing]:
    """Time every call as the module's docstring says; all of them get the same number of rounds.

    `repeats`: rounds at most. `budget_s`: seconds of measuring after which no new round starts,
    except that at least three rounds (or `repeats`, if fewer) are made. `threads`: how many the
    calls use, to be stated with the result. `clock`: `cuda_clock` for calls that work on a GPU.
    Raises ValueError for no calls, repeats < 1 or warmup < 0; what a call raises passes through.
    """
    if not calls or repeats < 1 or warmup < 0:
        raise ValueError("time_calls needs at least one call, one repeat and no negative warm-up")
    for call in calls.values():
        for _call in range(warmup):
            call()
    names = list(calls)
    took_ms: dict[str, list[float]] = {name: [] for name in names}
    began = time.perf_counter()
    for turn in range(repeats):
        spent = time.perf_counter() - began
        if budget_s is not None and turn >= MIN_ROUNDS and spent > budget_s:
            break
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            took_ms[name].append(clock(calls[name]))
    return {name: summary(values, threads) for name, values in took_ms.items()}


def summary(took_ms: Sequence[float], threads: int) -> Timing:
    """Median, quartiles and 95th percentile of measured milliseconds, at least one."""
    p25, median, p75, p95 = (float(q) for q in np.percentile(took_ms, (25, 50, 75, 95)))
    return Timing(
        median_ms=median, p25_ms=p25, p75_ms=p75, p95_ms=p95, n=len(took_ms), threads=threads
    )


# How long whole networks take for a batch of pictures, several of them in one sitting.
#
# Protocol of `core.timing`: warm-up, then rounds in which every network is called once, in
# turning order; one computing thread; median and quartiles. torch runs float32, NCHW, inference
# mode; on a GPU, the GPU's own events are the clock. ONNX Runtime runs on the processor.


THREADS = 1
ENGINES = ("torch", "onnx")
"""What a network is timed in."""
BATCHES = (1, 32)
"""Pictures a call that times are given for."""
COLUMNS = tuple(f"{engine}_{batch}" for engine in ENGINES for batch in BATCHES)
"""What results call the times of an engine and a batch: "torch_1"."""
_ONE_SITTING = threading.Lock()  # torch's number of threads belongs to the whole process


REPEATS = {1: 30, 32: 8}
BUDGET_S = {1: 15.0, 32: 25.0}
"""Rounds at most and seconds of measuring in a sitting, per batch size."""


def time_sitting(
    nets: Mapping[str, "nn.Module"],
    sessions: Mapping[str, Any],
    px: int,
    log: Callable[[str], None],
) -> dict[str, dict[str, Spread]]:
    """Name -> column of COLUMNS -> times. Only what took turns in one sitting may be compared.

    `nets` for torch and ONNX Runtime `sessions` with the input `pixels`; a name may be in either.
    `px`: side of a picture. `log` hears of each batch size.
    """
    latency: dict[str, dict[str, Spread]] = {}
    for batch in BATCHES:
        limits: dict[str, Any] = {"repeats": REPEATS[batch], "budget_s": BUDGET_S[batch]}
        by_engine = (
            time_networks(nets, px, batch, **limits),
            time_sessions(sessions, px, batch, **limits),
        )
        for engine, timed in zip(ENGINES, by_engine, strict=True):
            for name, timing in timed.items():
                latency.setdefault(name, {})[f"{engine}_{batch}"] = Spread.of(timing)
        log(f"timed, batch {batch}")
    return latency


def column_title(column: str) -> str:
    """One of COLUMNS in words: "PyTorch, batch 1"."""
    engine, batch = column.split("_")
    name = {"torch": "PyTorch", "onnx": "ONNX Runtime"}[engine]
    return _("{engine}, batch {n}").format(engine=name, n=batch)


def time_networks(
    nets: Mapping[str, "nn.Module"],
    px: int,
    batch: int = 1,
    *,
    repeats: int = 30,
    budget_s: float | None = None,
    device: str = "cpu",
) -> dict[str, Timing]:
    """Milliseconds per call of torch networks on `batch` pictures of `px` x `px`.

    The networks are moved to `device` and put into eval mode. `repeats` and `budget_s` as in
    `time_calls`.
    """
    import torch

    on_gpu = torch.device(device).type == "cuda"
    clock = cuda_clock(torch.cuda) if on_gpu else wall_clock
    place = torch.cuda.device(device) if on_gpu else contextlib.nullcontext()
    pictures = torch.rand(batch, 3, px, px, generator=torch.Generator().manual_seed(0)).to(device)
    placed = {name: net.to(device).eval() for name, net in nets.items()}
    with _ONE_SITTING, torch.inference_mode(), place:  # events belong to the current GPU
        before = torch.get_num_threads()
        torch.set_num_threads(THREADS)
        try:
            calls = {name: partial(net, pictures) for name, net in placed.items()}
            return time_calls(
                calls, repeats=repeats, budget_s=budget_s, threads=THREADS, clock=clock
            )
        finally:
            torch.set_num_threads(before)


def time_sessions(
    sessions: Mapping[str, Any],
    px: int,
    batch: int = 1,
    *,
    repeats: int = 30,
    budget_s: float | None = None,
    clock: Clock = wall_clock,
) -> dict[str, Timing]:
    """The same for ONNX Runtime sessions: their input `pixels` is uint8 (batch, 3, px, px)."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, px, px), dtype=np.uint8)
    calls = {name: partial(each.run, None, {"pixels": pixels}) for name, each in sessions.items()}
    return time_calls(calls, repeats=repeats, budget_s=budget_s, threads=THREADS, clock=clock)
