"""How to compute on this device: number format and memory layout, measured once and noted.

bfloat16 and channels_last make most convolutional networks two to three times faster to train on
a recent processor, and some (EfficientNet-Lite0) no faster at all: so it is measured, not assumed.
"""

import ctypes
import platform
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.models.registry import ModelSpec
from core.paths import cache_dir, read_json, write_json
from core.provenance import processor_name

ROUNDS = 4
HOPELESS = 1.4
"""A candidate this many times slower than the best, after its first timed step, is left out."""
PATIENCE_S = 20.0
"""A step of a large network takes seconds on one core: a choice is not worth minutes."""


@dataclass(frozen=True)
class Compute:
    """Device, number format and memory layout of a run."""

    device: str
    bfloat16: bool
    channels_last: bool

    def place(self, net: nn.Module) -> nn.Module:
        """The network on the device, in the layout."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return net.to(self.device).to(memory_format=layout)

    def lay(self, x: Tensor) -> Tensor:
        """A (B, 3, H, W) batch in the layout."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    @property
    def augments_on(self) -> str:
        """Where views are applied: on the device, but for `mps`, which lacks some of what it needs
        (reflected borders)."""
        return "cpu" if torch.device(self.device).type == "mps" else self.device

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a forward pass runs."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.bfloat16)


def room_for_photographs(device: str) -> int:
    """Bytes of a GPU that squares may take: half of what is free. 0 for other devices."""
    if torch.device(device).type != "cuda":
        return 0
    free, _all = torch.cuda.mem_get_info(device)
    return int(free) // 2


def keep_memory() -> bool:
    """Have glibc's allocator keep freed memory for this process; False where it is not glibc.

    By default it hands every large activation back to the system, and each step then pays for
    fresh pages: a third of the time of a small network's training step on a processor.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(mmap_max, 0) and libc.mallopt(trim_threshold, 2**31 - 1))


def best_device() -> str:
    """`cuda` where there is such a GPU, else `cpu`; `mps` (Apple's) only where it is asked for."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(device: str) -> str:
    """The processor's or the GPU's own name, for the provenance line."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    if torch.device(device).type == "mps":
        return f"{processor_name()}, GPU (mps)"
    threads = torch.get_num_threads()
    return f"{processor_name()}, {threads} thread{'' if threads == 1 else 's'}"


def choose_compute(
    spec: ModelSpec, px: int, batch_size: int, precision: str, device: str | None = None
) -> Compute:
    """The fastest way to train this network here; measured the first time, then read from a note.

    `precision`: "auto", "float32" or "bfloat16". Protocol: a warm-up step, then ROUNDS rounds of
    one step a candidate, interleaved; the smallest time counts, as noise only ever adds. After the
    first round those that are HOPELESS times slower than the best are left out. A network so slow
    that this passes PATIENCE_S gets fewer rounds, one at least.
    """
    device = device or best_device()
    candidates = [
        Compute(device, bfloat16, channels_last)
        for bfloat16 in (False, True)
        for channels_last in (False, True)
        if precision == "auto" or bfloat16 == (precision == "bfloat16")
    ]
    note = cache_dir() / "speed.json"
    name = "|".join(
        [device_name(device), torch.__version__, spec.key, f"{px}px", f"b{batch_size}", precision]
    )
    notes = _read(note)
    if name in notes:
        return Compute(device, notes[name]["bfloat16"], notes[name]["channels_last"])
    times = _measure(spec, px, batch_size, candidates)
    best = candidates[times.index(min(times))]
    rows = [
        asdict(c) | {"step_ms": round(t * 1e3, 2)} for c, t in zip(candidates, times, strict=True)
    ]
    notes = _read(note) | {name: asdict(best) | {"measured": rows}}
    write_json(note, notes)
    return best


def _read(note: Any) -> dict[str, Any]:
    try:
        content = read_json(note)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _measure(spec: ModelSpec, px: int, batch: int, candidates: list[Compute]) -> list[float]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nets = [c.place(spec.build()).train() for c in candidates]
        x = torch.rand(batch, 3, px, px, device=candidates[0].device)
        y = torch.randint(11, (batch,), device=candidates[0].device)
        best = [float("inf")] * len(candidates)
        began = time.perf_counter()
        for turn in range(1 + ROUNDS):
            if turn > 1 and time.perf_counter() - began > PATIENCE_S:
                break
            limit = HOPELESS * min(best)
            for i, (compute, net) in enumerate(zip(candidates, nets, strict=True)):
                if best[i] > limit:
                    continue
                seconds = _step_seconds(compute, net, x, y)
                if turn:
                    best[i] = min(best[i], seconds)
    return best


def _step_seconds(compute: Compute, net: nn.Module, x: Tensor, y: Tensor) -> float:
    _synchronise(compute.device)
    start = time.perf_counter()
    with compute.autocast():
        logits = net(compute.lay(x))
    nn.functional.cross_entropy(logits.float(), y).backward()
    net.zero_grad(set_to_none=True)
    _synchronise(compute.device)
    return time.perf_counter() - start


def _synchronise(device: str) -> None:
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
