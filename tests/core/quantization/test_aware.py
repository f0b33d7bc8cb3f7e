"""Fake quantisation: numpy's levels in the forward pass, the identity in the backward pass."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import ConfigError
from core.quantization.aware import FakeQuantise, fake_quantised, prepare_aware, without_fakes
from core.quantization.method import dequantise, quantise
from tests.tiny_network import trained


@pytest.mark.parametrize("bits", range(1, 9))
def test_torch_and_numpy_round_alike(bits: int) -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(bits))
    weight[0] = 0  # a dead channel
    expected = dequantise(quantise(weight.numpy(), "channel_symmetric", bits))
    np.testing.assert_array_equal(fake_quantised(weight, bits).numpy(), expected)


def test_the_gradient_goes_straight_through() -> None:
    weight = torch.randn(3, 5, requires_grad=True)
    wanted = torch.randn(3, 5)
    (FakeQuantise(2)(weight) * wanted).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, wanted)


def test_a_network_computes_with_rounded_weights_and_learns_on_floats() -> None:
    net = trained()
    before = copy.deepcopy(net)
    prepare_aware(net, 3)
    picture = torch.randn(2, 3, 24, 24)
    expected = copy.deepcopy(before)
    with torch.no_grad():
        for module in expected.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                values = dequantise(quantise(module.weight.numpy(), "channel_symmetric", 3))
                module.weight.copy_(torch.from_numpy(values))
    torch.testing.assert_close(net(picture), expected(picture))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    net(picture).square().sum().backward()
    optimizer.step()
    floats = without_fakes(net)
    rounded = without_fakes(prepare_aware(copy.deepcopy(floats), 3), rounded=True)
    assert set(floats.state_dict()) == set(before.state_dict())
    moved = floats.get_parameter("fc.weight") - before.get_parameter("fc.weight")
    assert float(moved.detach().abs().max()) > 0
    again = dequantise(
        quantise(floats.get_parameter("fc.weight").detach().numpy(), "channel_symmetric", 3)
    )
    np.testing.assert_array_equal(rounded.get_parameter("fc.weight").detach().numpy(), again)


def test_there_is_no_fake_with_nine_bits() -> None:
    with pytest.raises(ConfigError, match="9"):
        FakeQuantise(9)
