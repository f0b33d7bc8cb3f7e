"""How long whole networks take for a batch of pictures, several of them in one sitting.

Protocol of `core.measure.latency`: warm-up, then rounds in which every network is called once, in
turning order; one computing thread; median and quartiles. torch runs float32, NCHW, inference mode;
on a GPU, the GPU's own events are the clock. ONNX Runtime runs on the processor.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core.measure.latency import Timing, cuda_clock, time_calls, wall_clock

if TYPE_CHECKING:
    from torch import nn

THREADS = 1
_ONE_SITTING = threading.Lock()  # torch's number of threads belongs to the whole process


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
    runs: Mapping[str, Callable[[Any], Any]],
    px: int,
    batch: int = 1,
    *,
    repeats: int = 30,
    budget_s: float | None = None,
) -> dict[str, Timing]:
    """The same for ONNX Runtime: each of `runs` takes uint8 pixels (batch, 3, px, px)."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, px, px), dtype=np.uint8)
    calls = {name: partial(run, pixels) for name, run in runs.items()}
    return time_calls(calls, repeats=repeats, budget_s=budget_s, threads=THREADS)
