"""Learning rate and weight decay over a run."""

import math
from typing import Any

from torch import nn


def lr_factor(step: int, warmup: float, total: int) -> float:
    """Share of the highest learning rate at a step: linear warm-up, then half a cosine to 0.

    `warmup` and `total` in steps (Loshchilov & Hutter 2017, without restarts).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No weight decay on biases and BatchNorm: shrinking them only fights the normalisation."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
