"""Training that knows its weights will be quantised: fake quantisation, straight-through gradients.

In the forward pass every convolution and linear layer computes with w' = quantise(w), dequantised
again. Rounding has no slope, so the backward pass pretends that there was none of it: the gradient
of w' goes to w as it is (the straight-through estimator: Bengio, Leonard & Courville 2013; in
quantised networks: Jacob et al. 2018). w itself stays a float and adds up what rounding would
swallow. The levels are those of `core.compression.quantize`'s `channel_symmetric`.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core.compression.quantize import check


class FakeQuantise(nn.Module):
    """Weights (out, ...) -> the same, rounded to what `bits` can say, per output channel."""

    def __init__(self, bits: int) -> None:
        """Raises ConfigError unless 1 <= bits <= 8."""
        super().__init__()
        check("channel_symmetric", bits)
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """Rounded in the forward pass; in the backward pass the gradient goes straight through."""
        rounded = fake_quantised(weight.detach(), self.bits)
        return weight + (rounded - weight).detach()

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def fake_quantised(weight: Tensor, bits: int) -> Tensor:
    """`channel_symmetric` and back, on the weights' own device: float32 -> float32."""
    flat = weight.double().flatten(1)  # as exact as numpy does it, so that both give one answer
    if bits == 1:
        scale = flat.abs().mean(1).float().double()
        values = torch.where(flat >= 0, 1.0, -1.0) * scale[:, None]
    else:
        top = 2 ** (bits - 1) - 1
        scale = (flat.abs().amax(1) / top).float().double()
        safe = torch.where(scale > 0, scale, 1.0)[:, None]
        values = (flat / safe).round().clamp(-top, top) * scale[:, None]
    return values.float().reshape(weight.shape)


def prepare_aware(net: nn.Module, bits: int) -> nn.Module:
    """Give every convolution and linear layer of `net` quantised weights, in place; returns it."""
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            parametrize.register_parametrization(module, "weight", FakeQuantise(bits))
    return net


def without_fakes(net: nn.Module, *, rounded: bool = False) -> nn.Module:
    """Plain weights again, in place: the floats behind the rounding, or the rounded ones."""
    for module in list(net.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=rounded)
    return net
