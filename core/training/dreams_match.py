"""How far a batch's statistics are from those that BatchNorm remembers, and fast enough to dream.

A BatchNorm layer keeps the mean and variance of everything it saw in training: a summary of the
training photographs that ships with the weights. DeepInversion (Yin et al. 2020, "Dreaming to
Distill", eq. 4) asks of made-up pictures that they leave the same statistics in every layer.

Here the distance of a layer is counted in its own units: mean over channels of
    (m - mu)^2 / s^2 + (ln v - ln s^2)^2 / 2
for the batch's mean m and variance v against the remembered mu and s^2. The paper's plain norms
let the layers with the largest variances drown all others (in EfficientNet-Lite0 by a factor of
thousands). Autograd's own way costs more than the network: the variance alone, on a processor, ten
times what all convolutions do. So each layer is one function with its gradient written out.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Matched(torch.autograd.Function):
    """BatchNorm in eval mode that also returns the distance of its input's statistics."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mu: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        n = x.numel() // x.shape[1]
        mean, spread = torch.empty_like(mu), torch.empty_like(var)
        torch.batch_norm_update_stats(x, mean.zero_(), spread.zero_(), 1.0)
        spread.mul_((n - 1) / n)  # it gives n - 1 its due; the gradient below does not
        off, ratio = mean - mu, ((spread + eps) / (var + eps)).log()
        distance = (off.square() / (var + eps)).mean() + ratio.square().mean() / 2
        by_mean = 2 * off / (var + eps) / len(mu)  # d distance / d mean, of each channel
        by_var = ratio / (spread + eps) / len(mu)
        # d mean / d x = 1 / n and d variance / d x = 2 (x - mean) / n: linear in x
        slope = 2 * by_var / n
        ctx.save_for_backward(x, slope, by_mean / n - slope * mean, weight * (var + eps).rsqrt())
        return F.batch_norm(x, mu, var, weight, bias, False, 0.0, eps), distance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        through, of_distance = grads
        x, slope, offset, scale = ctx.saved_tensors
        zeros, ones = torch.zeros_like(slope), torch.ones_like(slope)
        # slope x + offset in one pass: a BatchNorm that does nothing else
        pulled = F.batch_norm(
            x, zeros, ones, slope * of_distance, offset * of_distance, False, 0.0, 0.0
        )
        return pulled.addcmul_(through, scale.view(1, -1, 1, 1)), None, None, None, None, None


class MatchedNorm(nn.Module):
    """Stands in for a BatchNorm2d in eval mode; `distance` is that of the latest batch."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        zeros, ones = torch.zeros_like(norm.running_mean), torch.ones_like(norm.running_var)
        self.register_buffer("mean", norm.running_mean.detach().clone())
        self.register_buffer("var", norm.running_var.detach().clone())
        self.register_buffer("weight", ones if norm.weight is None else norm.weight.detach())
        self.register_buffer("bias", zeros if norm.bias is None else norm.bias.detach())
        self.eps = norm.eps
        self.distance: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, normalised by the remembered statistics."""
        y, self.distance = _Matched.apply(x, self.mean, self.var, self.weight, self.bias, self.eps)
        return y


def match(net: nn.Module) -> list[MatchedNorm]:
    """Put a MatchedNorm in place of every BatchNorm2d that keeps statistics; `net` is changed.

    Freezes the weights and sets eval mode. The layers come back in the network's order; an empty
    list means that there is nothing to match.
    """
    net.eval().requires_grad_(False)
    layers = []
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child.running_mean is not None:
                layers.append(MatchedNorm(child))
                setattr(module, name, layers[-1])
    return layers
