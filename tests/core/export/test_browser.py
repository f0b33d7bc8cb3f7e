"""The plan for the browser's engine: carried out in numpy, it answers as ONNX Runtime does."""

import json
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from core.checkpoints import get
from core.errors import CheckpointError
from core.export.browser import (
    BrowserFormat,
    browser_file,
    browser_plan,
    in_pickle,
    in_safetensors,
)
from core.export.files import make, open_file
from core.inference import export
from core.inference.predict import open_session
from core.models.design.network import build
from core.models.design.spec import Design
from core.models.registry import get as registered
from core.quantization.hw7 import decode8, encode8
from tests.core.models.designs import designs
from tests.tiny_network import pictures

Array = NDArray[np.float64]
ACTIVATIONS = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def read(plan: dict[str, Any], file: bytes, name: str) -> Array:
    """A tensor of the plan, flat, as the file has it."""
    place = plan["tensors"][name]
    kind = {"F32": "<f4", "F16": "<f2", "U8": "|u1"}[place["type"]]
    values = np.frombuffer(file, kind, place["size"], place["offset"]).astype(np.float64)
    if place["type"] != "U8":
        return values
    return (values / 255 * (place["high"] - place["low"]) + place["low"]).astype(np.float32)


def carry_out(plan: dict[str, Any], file: bytes, pixels: NDArray[np.uint8]) -> Array:
    """Logits of one picture (3, px, px): every layer as its definition says, nothing folded."""
    mean, std = (np.array(plan[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    maps: dict[int, Array] = {0: (pixels - mean) / std}
    for layer in plan["layers"]:
        x = maps[layer["in"][0]]
        if layer["op"] == "add":
            x = x + maps[layer["in"][1]]
        elif layer["op"] == "pool":
            empty = -np.inf if layer["kind"] == "max" else np.nan
            x = windows(x, layer, empty)
            x = x.max((3, 4)) if layer["kind"] == "max" else x.mean((3, 4))
        elif layer["op"] == "conv":
            x = convolved(plan, file, layer, x)
        x = ACTIVATIONS[layer["act"]](x)
        assert x.shape == tuple(layer["shape"])
        maps[layer["out"]] = x
    return maps[plan["layers"][-1]["out"]].ravel()


def windows(x: Array, layer: dict[str, Any], value: float) -> Array:
    """(C, H, W) -> what the kernel sees at each place: (C, rows, columns, tall, wide)."""
    top, left, bottom, right = layer["pad"]
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)
    seen = np.lib.stride_tricks.sliding_window_view(padded, layer["kernel"], (1, 2))
    down, across = layer["stride"]
    result: Array = seen[:, ::down, ::across]
    return result


def convolved(plan: dict[str, Any], file: bytes, layer: dict[str, Any], x: Array) -> Array:
    seen = windows(x, layer, 0.0)
    groups, outputs = layer["groups"], layer["shape"][0]
    kernels = read(plan, file, layer["weight"]).reshape(
        groups, outputs // groups, -1, *seen.shape[3:]
    )
    grouped = seen.reshape(groups, -1, *seen.shape[1:])
    y = np.einsum("goiyx,gihwyx->gohw", kernels, grouped).reshape(layer["shape"])
    if layer["bias"]:
        y = y + read(plan, file, layer["bias"]).reshape(-1, 1, 1)
    if layer["norm"]:
        names, epsilon = layer["norm"]["tensors"], layer["norm"]["epsilon"]
        scale, shift, mean, var = (read(plan, file, name).reshape(-1, 1, 1) for name in names)
        y = (y - mean) / np.sqrt(var + epsilon) * scale + shift
    return y


def shaken(net: nn.Module, seed: int) -> nn.Module:
    """The network with BatchNorms that are not at their defaults, and with logits of some units."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
                module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(module.num_features, generator=generator))
    return net.eval()


class Exported:
    """A network's graph with its weights in one of the two files, and what ONNX Runtime answers."""

    def __init__(self, key: str, format: BrowserFormat, seed: int = 0, px: int = 0) -> None:
        torch.manual_seed(seed)
        spec = registered(key)
        net, px = shaken(spec.build(), seed), px or spec.input_px
        state = {name: value.numpy() for name, value in net.state_dict().items()}
        weights = safetensors.numpy.save(state)
        graph = export.onnx_bytes(export.trace(net, spec, px), weights)
        if format == "safetensors":
            self.file, places = weights, in_safetensors(weights)
        else:
            self.file = encode8(state)
            places = in_pickle(self.file)
            shapes = {name: value.shape for name, value in state.items()}
            weights = safetensors.numpy.save(decode8(self.file, shapes) | {
                name: value for name, value in state.items() if not value.ndim
            })  # fmt: skip
        self.plan = json.loads(json.dumps(browser_plan(graph, places)))
        self.pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, px, px), np.uint8)
        self.pixels[1] = (
            self.pixels[1, :, :: px // 4, :: px // 4].repeat(px // 4, 1).repeat(px // 4, 2)
        )  # of large squares, not noise
        self.logits = open_session(graph, weights).run(None, {"pixels": self.pixels})[0]


@pytest.mark.parametrize("format", get_args(BrowserFormat))
def test_the_plan_of_a_checkpoint_answers_as_its_file(
    tiny_checkpoint: str, format: BrowserFormat
) -> None:
    made = browser_file(get(tiny_checkpoint), format)
    assert made.weights == make(tiny_checkpoint, format)
    assert made is browser_file(get(tiny_checkpoint), format)  # one for all visitors
    pixels = pictures(3).pixels
    expected = open_file(tiny_checkpoint, format, made.weights).run(None, {"pixels": pixels})[0]
    plan = json.loads(made.plan)
    answers = [carry_out(plan, made.weights, picture) for picture in pixels]
    np.testing.assert_allclose(answers, expected, atol=1e-3)
    assert len({layer["act"] for layer in plan["layers"]}) == 3
    kinds = {place["type"] for place in plan["tensors"].values()}
    assert kinds <= ({"U8"} if format == "hw7-8bit" else {"F16", "F32"})


def test_8_bit_tensors_are_read_where_they_lie() -> None:
    rng = np.random.default_rng(0)
    state: dict[str, NDArray[Any]] = {
        "weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "count": np.asarray(7),
        "one": np.array([2.5], np.float32),
        "equal": np.full(5, -1.5, np.float32),
    }
    file = encode8(state)
    places = in_pickle(file)
    assert list(places) == ["weight", "one", "equal"]
    restored = decode8(file)
    for name, place in places.items():
        assert place.shape == state[name].shape
        described = {"type": "U8", "offset": place.offset, "size": state[name].size,
                     "low": place.low, "high": place.high}  # fmt: skip
        read_here = read({"tensors": {name: described}}, file, name)
        assert np.array_equal(read_here.reshape(place.shape), restored[name])


@pytest.mark.parametrize("damage", [lambda file: file[:-1], lambda file: file[:30] + file])
def test_another_8_bit_file_is_refused(damage: Any) -> None:
    file = encode8({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)})
    with pytest.raises(CheckpointError):
        in_pickle(damage(file))


def graph_of(*nodes: Any, channels: int = 3, out: str = "logits") -> bytes:
    """An ONNX graph of pixels (N, 3, 8, 8) with weights `w` (4, channels, 3, 3) elsewhere."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 3, 8, 8])
    logits = helper.make_tensor_value_info(out, TensorProto.FLOAT, None)
    numbers = {"low": -1.0, "six": 6.0}
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in numbers.items()
    ]
    graph = helper.make_graph(list(nodes), "g", [pixels], [logits], constants)
    return helper.make_model(graph).SerializeToString()


CAST = helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Softmax", ["x"], ["logits"]),
        helper.make_node("Resize", ["x", "", "six"], ["logits"]),
        helper.make_node("Clip", ["x", "low", "six"], ["logits"]),
        helper.make_node("Clip", ["x"], ["logits"]),
        helper.make_node("Mul", ["x", "x"], ["logits"]),
        helper.make_node("Conv", ["x", "elsewhere"], ["logits"]),
        helper.make_node("Conv", ["x", "w"], ["logits"], dilations=[2, 2]),
        helper.make_node("Conv", ["x", "w", "six"], ["logits"]),
        helper.make_node("Gemm", ["x", "w"], ["logits"], transB=1),
        helper.make_node("BatchNormalization", ["x", "w", "w", "w", "w"], ["logits"]),
        helper.make_node("AveragePool", ["x"], ["logits"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["x"], ["logits"], kernel_shape=[3, 3], ceil_mode=1),
        helper.make_node("Add", ["x", "six"], ["logits"]),
    ],
    ids=lambda node: node.op_type,
)  # fmt: skip
def test_a_layer_that_the_engine_does_not_know_is_refused(node: Any) -> None:
    weights = safetensors.numpy.save({"w": np.zeros((4, 3, 3, 3), np.float32)})
    with pytest.raises(CheckpointError, match=f"does not know this layer: {node.op_type}"):
        browser_plan(graph_of(CAST, node), in_safetensors(weights))


def test_a_map_that_two_layers_read_keeps_its_values() -> None:
    """An activation is a part of the layer before it only where nothing else reads that layer."""
    weights = safetensors.numpy.save(
        {"w": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)}
    )
    graph = graph_of(
        CAST,
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Add", ["y", "z"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["logits"]),
    )
    plan = browser_plan(graph, in_safetensors(weights))
    pixels = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 8), np.uint8)
    model = onnx.load_model_from_string(graph)
    model.graph.initializer.append(
        numpy_helper.from_array(safetensors.numpy.load(weights)["w"], "w")
    )
    expected = open_session(model.SerializeToString()).run(None, {"pixels": pixels})[0].ravel()
    np.testing.assert_allclose(carry_out(plan, weights, pixels[0]), expected, rtol=1e-5)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(designs())
def test_any_design_has_a_plan_that_answers_as_onnx_runtime(design: Design) -> None:
    build(design)  # may be refused as too large, never with another error
    line = design.model_copy(update={"classes": 11}).line
    for format in get_args(BrowserFormat):
        made = Exported(f"design:{line}", format)
        answers = [carry_out(made.plan, made.file, picture) for picture in made.pixels]
        np.testing.assert_allclose(answers, made.logits, atol=1e-3, rtol=1e-4)
