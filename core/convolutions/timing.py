"""How long the four layers of `core.convolutions.method` really take, here.

Protocol: PyTorch, float32, NCHW, inference mode, random weights and input (a convolution's time
does not hang on its values), one computing thread, so that a class can use the app meanwhile. Each
batch size is timed by itself, the four layers in turn (`core.timing`). torch is imported
only when something is timed.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from core.convolutions.method import KINDS, ConvSetting, Cost, Kind, compare
from core.errors import UserError
from core.i18n import _
from core.timing import Timing, time_calls

if TYPE_CHECKING:
    from torch import nn


BATCHES = (1, 32)
THREADS = 1
REPEATS = 200
"""Rounds at most; the budget ends a slow layer's measuring earlier."""
BUDGET_S = 1.5
"""Seconds of measuring per batch size, warm-up not counted."""
MAX_MACS = 10_000_000_000
"""Most MACs in one round of all layers: a second or so on a slow thread."""
MAX_BYTES = 400_000_000
"""Most bytes of maps in any one layer: forty visitors share this machine's memory."""
WAIT_S = 15.0
"""How long to wait for another visitor's timing before saying so."""

_ONE_AT_A_TIME = threading.Lock()


class TimingBusyError(UserError):
    """Somebody else is timing on this machine: two at once would spoil both."""


@dataclass(frozen=True)
class ConvTimings:
    """What was measured, and what was left out."""

    timings: dict[int, dict[Kind, Timing]]
    """Batch size -> layer -> milliseconds per call, for the whole batch; without the sizes that
    would take too long or too much memory."""
    threads: int
    torch_version: str
    when: datetime


def is_too_heavy(setting: ConvSetting, batch: int) -> bool:
    """Whether timing this batch would take longer or more memory than a shared machine can give."""
    costs = compare(setting).values()
    macs = batch * sum(cost.macs for cost in costs)
    most = max(step.bytes_moved(batch) for cost in costs for step in cost.steps)
    return macs > MAX_MACS or most > MAX_BYTES


def build(cost: Cost) -> "nn.Sequential":
    """The real layer of a `Cost`: its steps as `nn.Conv2d`, in eval mode, random weights.

    Maps (B, C_in, H, H) to (B, C_out, H', H').
    """
    from torch import nn

    layers = [
        nn.Conv2d(
            step.in_channels,
            step.out_channels,
            step.kernel,
            step.stride,
            step.padding,
            groups=step.groups,
            bias=step.bias,
        )
        for step in cost.steps
    ]
    return nn.Sequential(*layers).eval()


def time_layers(
    setting: ConvSetting, *, budget_s: float = BUDGET_S, wait_s: float = WAIT_S
) -> ConvTimings:
    """Time the four layers at each of BATCHES that is not too heavy.

    Takes about `budget_s` seconds per batch size, and once per process the seconds of importing
    torch. One timing at a time in this process: TimingBusyError if another is still running after
    `wait_s` seconds. ConfigError for a setting with problems.
    """
    batches = [batch for batch in BATCHES if not is_too_heavy(setting, batch)]
    if not _ONE_AT_A_TIME.acquire(timeout=wait_s):
        raise TimingBusyError(
            _("Somebody else is timing on this machine just now. Try again in a few seconds.")
        )
    try:
        return _measure(setting, batches, budget_s)
    finally:
        _ONE_AT_A_TIME.release()


def _measure(setting: ConvSetting, batches: list[int], budget_s: float) -> ConvTimings:
    import torch

    threads_before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    timings: dict[int, dict[Kind, Timing]] = {}
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            layers = {kind: build(cost) for kind, cost in compare(setting).items()}
            for batch in batches:
                x = torch.rand(batch, setting.in_channels, setting.map_size, setting.map_size)
                timed = time_calls(
                    {kind: partial(layer, x) for kind, layer in layers.items()},
                    repeats=REPEATS,
                    budget_s=budget_s,
                    threads=THREADS,
                )
                timings[batch] = {kind: timed[kind] for kind in KINDS}
    finally:
        torch.set_num_threads(threads_before)
    return ConvTimings(
        timings=timings,
        threads=THREADS,
        torch_version=torch.__version__,
        when=datetime.now(UTC),
    )
