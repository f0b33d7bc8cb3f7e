"""How long a call takes, measured so that the comparison is fair.

Protocol: every candidate is called `warmup` times unmeasured (allocation, caches, lazy
compilation); then rounds, each calling every candidate once, in an order that turns by one place
a round, so that a slow spell of the machine hits all of them alike and no one always runs first.
Wall time by `time.perf_counter`. The median is the figure, with the quartiles and the 95th
percentile beside it: timings have a long tail to one side, which a mean would follow.
Threads are the caller's business (they belong to torch or ONNX Runtime) and are only stated here.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

MIN_ROUNDS = 3


class Timing(BaseModel):
    """Milliseconds per call over `n` measured calls, with `threads` computing threads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median_ms: float
    p25_ms: float
    p75_ms: float
    p95_ms: float
    n: int
    threads: int


def time_calls(
    calls: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 30,
    warmup: int = 3,
    budget_s: float | None = None,
    threads: int = 1,
    synchronize: Callable[[], Any] | None = None,
) -> dict[str, Timing]:
    """Time every call as the module's docstring says; all of them get the same number of rounds.

    `repeats`: rounds at most. `budget_s`: seconds of measuring after which no new round starts,
    except that at least three rounds (or `repeats`, if fewer) are made. `threads`: how many the
    calls use, to be stated with the result. `synchronize`: waits for a device that works
    asynchronously (`torch.cuda.synchronize`); called before the clock starts and before it stops.
    Raises ValueError for no calls, repeats < 1 or warmup < 0; what a call raises passes through.
    """
    if not calls or repeats < 1 or warmup < 0:
        raise ValueError("time_calls needs at least one call, one repeat and no negative warm-up")
    wait = synchronize or _nothing
    for call in calls.values():
        for _ in range(warmup):
            call()
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    began = time.perf_counter()
    for turn in range(repeats):
        spent = time.perf_counter() - began
        if budget_s is not None and turn >= MIN_ROUNDS and spent > budget_s:
            break
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            wait()
            start = time.perf_counter()
            calls[name]()
            wait()
            seconds[name].append(time.perf_counter() - start)
    return {name: _summary(values, threads) for name, values in seconds.items()}


def _summary(seconds: list[float], threads: int) -> Timing:
    p25, median, p75, p95 = (1000 * float(q) for q in np.percentile(seconds, (25, 50, 75, 95)))
    return Timing(
        median_ms=median, p25_ms=p25, p75_ms=p75, p95_ms=p95, n=len(seconds), threads=threads
    )


def _nothing() -> None:
    """What a device that works synchronously needs by way of waiting."""
