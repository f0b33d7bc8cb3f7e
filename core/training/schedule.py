"""Learning rate and weight decay over a run."""

import math
from typing import Any

import torch
from torch import nn


def lr_factor(step: int, warmup: float, total: int) -> float:
    """Share of the highest learning rate at a step: linear warm-up, then half a cosine to 0.

    `warmup` and `total` in steps (Loshchilov & Hutter 2017, without restarts).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))


def adamw(net: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) in one kernel a step: a third of the time of one kernel a
    tensor for a small network, the same numbers up to float32's rounding."""
    return torch.optim.AdamW(parameter_groups(net, weight_decay), lr=lr, fused=True)


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No weight decay on biases and BatchNorm: shrinking them only fights the normalisation."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
