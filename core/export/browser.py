"""A network as the browser's engine (`engine.js`) takes it: a plan of layers, a file of weights.

The plan is JSON, read off the ONNX graph: BatchNorm and activation belong to the layer before
them, shapes are worked out, and each tensor is a place in a file that the network is shipped as,
its safetensors file or HW7's 8-bit file. That file goes to the browser as it is: the bytes that
are loaded are the bytes that are shown. The engine widens them. Nothing here imports torch.
"""

import json
import math
import pickletools
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from core.checkpoints import GRAPH, Checkpoint, read_files
from core.checkpoints.tensors import read_header
from core.errors import CheckpointError
from core.export.files import shipped
from core.i18n import _
from core.quantization.read_file import read_pickle

BrowserFormat = Literal["safetensors", "hw7-8bit"]
ENGINE = Path(__file__).with_name("engine.js")
"""The engine: JavaScript that defines `Network`."""
_ACTIVATIONS = {"Relu": "relu", "Clip": "relu6", "HardSwish": "hardswish", "Mul": "silu"}
_RENAMES = ("Cast", "Reshape", "Flatten", "Squeeze", "Identity")


class BrowserFile(NamedTuple):
    """What a browser loads to run a network."""

    plan: str
    """JSON, as `browser_plan` describes it."""
    weights: bytes
    """The file of weights, as it is offered for download."""


class Stored(NamedTuple):
    """Where a tensor lies in a file; an 8-bit code c stands for c / 255 (high - low) + low."""

    type: Literal["F32", "F16", "U8"]
    offset: int
    """Bytes from the start of the file."""
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 0.0


def browser_file(checkpoint: Checkpoint, format: BrowserFormat) -> BrowserFile:
    """Plan and weights of a checkpoint, made once for all visitors.

    Raises CheckpointError if its files are damaged or it has a layer that the engine does not know.
    """
    hashes = checkpoint.files[GRAPH].sha256, checkpoint.weights_sha256
    return _browser_file(checkpoint.id, format, *hashes)


@lru_cache(maxsize=16)
def _browser_file(id: str, format: BrowserFormat, *_hashes: str) -> BrowserFile:
    weights = shipped(id, format)
    tensors = in_pickle(weights) if format == "hw7-8bit" else in_safetensors(weights)
    plan = browser_plan(read_files(id, GRAPH)[1][GRAPH], tensors)
    return BrowserFile(json.dumps(plan, separators=(",", ":")), weights)


def in_safetensors(data: bytes) -> dict[str, Stored]:
    """The floating-point tensors of a safetensors file. Raises CheckpointError if damaged."""
    return {
        name: Stored("F16" if entry.dtype == "F16" else "F32", entry.begin, entry.shape)
        for name, entry in read_header(data).items()
        if entry.dtype != "I64"
    }


def in_pickle(data: bytes) -> dict[str, Stored]:
    """The tensors of an 8-bit file that `encode8` wrote. Raises CheckpointError for others."""
    arrays = {name: each for name, each in read_pickle(data).items() if isinstance(each, tuple)}
    steps = ((step.name, at or 0) for step, _argument, at in pickletools.genops(data))
    places = [at + 5 for name, at in steps if name == "BINBYTES"]  # an opcode, 4 bytes of length
    stored: dict[str, Stored] = {}
    for (name, (low, high, codes)), place in zip(arrays.items(), places, strict=False):
        content = np.asarray(codes)
        if data[place : place + content.size] == content.tobytes():
            ends = float(np.asarray(low)), float(np.asarray(high))
            stored[name] = Stored("U8", place, content.shape, *ends)
    if len(stored) != len(arrays):
        raise CheckpointError(_("This 8-bit file was not written here."))
    return stored


def browser_plan(graph: bytes, tensors: Mapping[str, Stored]) -> dict[str, Any]:
    """The plan of an ONNX graph, whose weights are called as in `tensors`.

    `px`, `mean`, `std` (of 3 channels, on 0-255), `tensors` (name -> type, offset, size, low, high)
    and `layers` in order: each an `op` (conv, pool, add, act), the numbers of the maps it reads
    (`in`; 0 is the normalised picture) and writes (`out`), the `shape` (C, H, W) of that, an `act`
    behind it (or null), and what its op needs: kernel, stride, pad (top, left, bottom, right),
    groups, weight, bias, norm. Raises CheckpointError for a layer that the engine does not know.
    """
    return _Planner(onnx.load_model_from_string(graph), tensors).plan()


class _Planner:
    """Reads a graph from its first node to its last; each is a layer, or a part of the last one."""

    def __init__(self, model: Any, tensors: Mapping[str, Stored]) -> None:
        self._nodes, self._tensors = model.graph.node, tensors
        self._constants = {each.name: each for each in model.graph.initializer}
        self._readers = Counter(name for node in self._nodes for name in node.input)
        self._stored_names: dict[str, str] = {}  # a weight widened by a Cast -> its own name
        self._sigmoids: dict[str, str] = {}  # output of a Sigmoid -> its input
        pixels = model.graph.input[0]
        self._maps = {pixels.name: 0}  # name in the graph -> number of the feature map
        self._shapes = [tuple(each.dim_value for each in pixels.type.tensor_type.shape.dim)[1:]]
        self._mean, self._std = [0.0] * 3, [1.0] * 3
        self._layers: list[dict[str, Any]] = []  # layer i makes map i + 1
        self._used: dict[str, Stored] = {}

    def plan(self) -> dict[str, Any]:
        for node in self._nodes:
            self._read(node, {each.name: onnx.helper.get_attribute_value(each)
                              for each in node.attribute})  # fmt: skip
        places = {
            name: {"type": each.type, "offset": each.offset, "size": math.prod(each.shape)}
            | ({"low": each.low, "high": each.high} if each.type == "U8" else {})
            for name, each in self._used.items()
        }
        return {
            "px": self._shapes[0][1], "mean": self._mean, "std": self._std,
            "tensors": places, "layers": self._layers,
        }  # fmt: skip

    def _read(self, node: Any, options: dict[str, Any]) -> None:
        kind = node.op_type
        maps = [self._maps[name] for name in node.input if name in self._maps]
        if kind == "Cast" and node.input[0] in self._tensors:
            self._stored_names[node.output[0]] = node.input[0]
        elif not maps or kind == "Shape":
            pass  # arithmetic with constants and with the number of pictures, for Reshape
        elif kind in _RENAMES:
            self._maps[node.output[0]] = maps[0]
        elif kind in ("Sub", "Div") and maps == [0]:
            values = numpy_helper.to_array(self._constants[node.input[1]]).ravel().tolist()
            self._mean, self._std = (values, self._std) if kind == "Sub" else (self._mean, values)
            self._maps[node.output[0]] = 0
        elif kind == "Sigmoid":
            self._sigmoids[node.output[0]] = node.input[0]
        elif kind in _ACTIVATIONS:
            self._activation(node, maps[0])
        elif kind == "BatchNormalization":
            self._norm(node, maps[0], options)
        elif kind == "Conv" or (kind == "Gemm" and options.get("transB")):
            self._convolution(node, maps[0], options)
        elif kind in ("MaxPool", "AveragePool"):
            self._pool(node, maps[0], options, options["kernel_shape"])
        elif kind in ("ReduceMean", "GlobalAveragePool"):
            self._pool(node, maps[0], {}, self._shapes[maps[0]][1:])
        elif kind == "Add" and len(maps) == 2 and self._shapes[maps[0]] == self._shapes[maps[1]]:
            self._layer(node, "add", maps, self._shapes[maps[0]])
        else:
            raise _unknown(node)

    def _layer(
        self, node: Any, op: str, maps: list[int], shape: tuple[int, ...], **rest: Any
    ) -> None:
        self._shapes.append(shape)
        self._maps[node.output[0]] = len(self._layers) + 1
        about = {"op": op, "in": maps, "out": len(self._layers) + 1, "shape": shape, "act": None}
        self._layers.append(about | rest)

    def _maker(self, name: str, map: int, readers: int = 1) -> dict[str, Any] | None:
        """The layer that makes a map, if what is read next may become a part of it."""
        layer = self._layers[map - 1] if map else None
        is_free = layer and layer["act"] is None and self._readers[name] == readers
        return layer if is_free else None

    def _convolution(self, node: Any, map: int, options: dict[str, Any]) -> None:
        weight = self._tensor(node, node.input[1])
        tall, wide = kernel = self._used[weight].shape[2:] or (1, 1)
        outputs, groups = self._used[weight].shape[0], options.get("group", 1)
        if node.op_type == "Gemm" and self._shapes[map][1:] != (1, 1):
            raise _unknown(node)  # a linear layer is a 1 x 1 convolution of a map of one place
        if options.get("dilations", [1, 1]) != [1, 1]:
            raise _unknown(node)
        self._layer(
            node, "conv", [map], (outputs, *self._sides(map, kernel, options)), kernel=kernel,
            **_window(options), groups=groups, weight=weight, norm=None,
            bias=self._bias(node, node.input[2]) if len(node.input) > 2 else None,
        )  # fmt: skip

    def _tensor(self, node: Any, name: str) -> str:
        name = self._stored_names.get(name, name)
        if name not in self._tensors:
            raise _unknown(node)
        self._used[name] = self._tensors[name]
        return name

    def _bias(self, node: Any, name: str) -> str | None:
        """Its name; None for the zeros that the exporter writes where a layer has none."""
        constant = self._constants.get(name)
        if name in self._tensors or constant is None:
            return self._tensor(node, name)
        if numpy_helper.to_array(constant).any():
            raise _unknown(node)
        return None

    def _norm(self, node: Any, map: int, options: dict[str, Any]) -> None:
        layer = self._maker(node.input[0], map)
        if layer is None or layer["op"] != "conv" or layer["norm"]:
            raise _unknown(node)
        names = [self._tensor(node, name) for name in node.input[1:5]]
        layer["norm"] = {"tensors": names, "epsilon": options["epsilon"]}
        self._maps[node.output[0]] = map

    def _activation(self, node: Any, map: int) -> None:
        kind, name = _ACTIVATIONS[node.op_type], node.input[0]
        if kind == "silu" and [name] != [self._sigmoids.get(each) for each in node.input[1:]]:
            raise _unknown(node)
        if kind == "relu6":
            bounds = [self._constants[each] for each in node.input[1:] if each in self._constants]
            if [float(numpy_helper.to_array(each)) for each in bounds] != [0, 6]:
                raise _unknown(node)
        layer = self._maker(name, map, readers=2 if kind == "silu" else 1)
        if layer is None:
            self._layer(node, "act", [map], self._shapes[map], act=kind)
        else:
            layer["act"] = kind
            self._maps[node.output[0]] = map

    def _pool(self, node: Any, map: int, options: dict[str, Any], kernel: Sequence[int]) -> None:
        window = _window({"strides": kernel} | options)
        kind = "max" if node.op_type == "MaxPool" else "mean"
        if options.get("ceil_mode") or (kind == "mean" and any(window["pad"])):
            raise _unknown(node)
        shape = self._shapes[map][0], *self._sides(map, kernel, {"strides": kernel} | options)
        self._layer(node, "pool", [map], shape, kind=kind, kernel=tuple(kernel), **window)

    def _sides(self, map: int, kernel: Sequence[int], options: dict[str, Any]) -> tuple[int, int]:
        """Height and width of what a window of this kernel gives."""
        window = _window(options)
        (top, left, bottom, right), (down, across) = window["pad"], window["stride"]
        _channels, height, width = self._shapes[map]
        return (
            (height + top + bottom - kernel[0]) // down + 1,
            (width + left + right - kernel[1]) // across + 1,
        )


def _window(options: Mapping[str, Any]) -> dict[str, list[int]]:
    return {
        "stride": list(options.get("strides", (1, 1))),
        "pad": list(options.get("pads", (0, 0, 0, 0))),
    }


def _unknown(node: Any) -> CheckpointError:
    return CheckpointError(
        _("The engine for the browser does not know this layer: {kind}, {name}.").format(
            kind=node.op_type, name=node.output[0]
        )
    )
