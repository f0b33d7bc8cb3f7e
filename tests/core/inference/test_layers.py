"""Layers read from a graph, against torch's hooks, ONNX Runtime, and a sum written out here."""

import numpy as np
import pytest
import torch
from torch import nn

from core import checkpoints
from core.errors import CheckpointError
from core.inference.export import onnx_bytes, trace
from core.inference.layers import Layers, layers_of, pixel
from core.inference.predict import open_session
from core.photos import prepare
from tests.food import food_picture
from tests.pages.shelf import colour_graph
from tests.tiny_network import PX, SPEC, pictures


def several_layers() -> nn.Sequential:
    """Convolutions of every kind: stride, padding, groups, kernel, bias, BatchNorm, activation."""
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 1),
        nn.Conv2d(16, 4, 5, padding=2, groups=2), nn.Hardswish(),
        nn.Conv2d(4, 6, 3, stride=3, bias=False), nn.BatchNorm2d(6),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 11),
    )  # fmt: skip
    with torch.no_grad():
        for norm in (module for module in net if isinstance(module, nn.BatchNorm2d)):
            for statistics in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                assert statistics is not None
                statistics.copy_(torch.rand(norm.num_features) + 0.2)
    return net.eval()


ENDS = {"0": (2, "Clip"), "3": (5, "Relu"), "6": (6, ""), "7": (8, "HardSwish"), "9": (10, "")}
"""Name of a layer's weights -> the module it ends with, and its activation in the graph."""


def test_every_layer_gives_what_torch_gives_and_a_pixel_is_its_sum() -> None:
    net, picture = several_layers(), pictures(1).pixels[0]
    graph = onnx_bytes(trace(net, SPEC, PX))
    mean, std = torch.tensor(SPEC.mean), torch.tensor(SPEC.std)
    values = (torch.from_numpy(picture)[None].float() - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    by_torch = [values[0].numpy()]  # before the first module, and after each
    with torch.no_grad():
        for module in net:
            values = module(values)
            by_torch.append(values[0].numpy().copy())
    opened = Layers(graph)
    assert {layer.name: layer.activation for layer in opened.layers} == {
        name: activation for name, (_end, activation) in ENDS.items()
    }
    for layer in opened.layers:
        before, sums, after = opened.maps(picture, [layer.before, layer.sums, layer.after])
        first, last = int(layer.name), ENDS[layer.name][0]
        assert layer.in_channels == len(before)
        assert np.abs(before - by_torch[first]).max() < 1e-4
        assert np.abs(sums - by_torch[first + 1]).max() < 1e-4
        assert np.abs(after - by_torch[last + 1]).max() < 1e-4
        for channel in range(len(after)):
            for y in {0, after.shape[1] // 2, after.shape[1] - 1}:  # the edges are padded
                for x in {0, after.shape[2] - 1}:
                    made = pixel(layer, before, channel, y, x)
                    assert made.inputs.shape == made.weights.shape == layer.weight.shape[1:]
                    products = float((made.inputs * made.weights).sum())
                    assert made.products == pytest.approx(products, abs=1e-4)
                    assert made.total == pytest.approx(sums[channel, y, x], abs=1e-4)
                    if made.value is not None:
                        assert made.value == pytest.approx(after[channel, y, x], abs=1e-4)
                    assert (made.value is None) == (layer.activation == "HardSwish")
    groups = next(layer for layer in opened.layers if layer.name == "7")
    assert [list(groups.reads(channel)) for channel in range(4)] == [
        *[list(range(8))] * 2,
        *[list(range(8, 16))] * 2,
    ]
    larger = Layers(graph, px=2 * PX)
    (after,) = larger.maps(picture.repeat(2, 1).repeat(2, 2), [larger.layers[0].after])
    assert after.shape == (8, 2 * PX, 2 * PX)


def test_a_graph_without_convolutions_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no convolutions"):
        Layers(colour_graph(0.0))


def test_a_shipped_student_shows_its_own_numbers() -> None:
    checkpoint = checkpoints.get("dwpw_256k-distilled-s0")
    opened = layers_of(checkpoint)
    picture = prepare(food_picture(3, 1), checkpoint.input_px, checkpoint.crop)
    (logits,) = opened.maps(picture, ["logits"])
    files = checkpoints.read_files(checkpoint.id, "model.onnx", "weights.safetensors")[1]
    plain = open_session(files["model.onnx"], files["weights.safetensors"])
    assert np.abs(logits - plain.run(None, {"pixels": picture[None]})[0]).max() < 1e-4
    rng = np.random.default_rng(0)
    for layer in opened.layers:
        before, after = opened.maps(picture, [layer.before, layer.after])
        for _time in range(4):
            channel, y, x = (int(rng.integers(size)) for size in after.shape)
            assert pixel(layer, before, channel, y, x).value == pytest.approx(
                after[channel, y, x], abs=1e-4
            )
    assert layers_of(checkpoint) is opened
