"""The fast BatchNorm distance against autograd on the formula, written out."""

import torch
from torch import nn

from tests.tiny_network import trained
from tools.dreams import MatchedNorm, match


def slow(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """The distance as its docstring says it, with torch's own mean and variance."""
    assert norm.running_mean is not None and norm.running_var is not None
    var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    remembered = norm.running_var + norm.eps
    in_units = (mean - norm.running_mean) ** 2 / remembered
    return (in_units + (torch.log(var + norm.eps) - torch.log(remembered)) ** 2 / 2).mean()


def a_norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(5).eval().requires_grad_(False)
    torch.manual_seed(0)
    for values, low in ((norm.running_mean, -1), (norm.running_var, 0.5), (norm.weight, 0.5)):
        assert values is not None
        values.uniform_(low, 2)
    norm.bias.uniform_(-1, 1)
    return norm


def test_value_and_gradient_are_those_of_the_formula() -> None:
    norm = a_norm()
    x = (torch.randn(4, 5, 6, 7) * 3 + 1).requires_grad_()
    weights = torch.randn(4, 5, 6, 7)
    (slow(norm, x) * 0.7 + (norm(x) * weights).sum()).backward()
    assert x.grad is not None
    expected, x.grad = x.grad.clone(), None
    for layout in (torch.contiguous_format, torch.channels_last):
        fast = MatchedNorm(norm)
        y = fast(x.contiguous(memory_format=layout))
        assert fast.distance is not None
        torch.testing.assert_close(y, norm(x))
        torch.testing.assert_close(fast.distance, slow(norm, x))
        (fast.distance * 0.7 + (y * weights).sum()).backward()
        torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-6)
        x.grad = None


def test_the_distance_is_zero_for_the_remembered_statistics_alone() -> None:
    norm = a_norm()
    assert norm.running_mean is not None and norm.running_var is not None
    x = torch.randn(8, 5, 16, 16)
    var, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
    z = (x - mean) / var.sqrt()
    x = z * norm.running_var.view(1, -1, 1, 1).sqrt() + norm.running_mean.view(1, -1, 1, 1)
    fast = MatchedNorm(norm)
    fast(x)
    assert fast.distance is not None and fast.distance < 1e-8
    fast(x + 1)
    assert fast.distance > 0.1


def test_a_network_answers_as_before_and_every_layer_is_matched() -> None:
    net = trained()
    x = torch.randn(3, 3, 24, 24)
    before = net(x)
    layers = match(net)
    torch.testing.assert_close(net(x), before)
    assert len(layers) == 2 and not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert all(layer.distance is not None and layer.distance > 0 for layer in layers)
