"""What each layer of a network sees, read from its ONNX graph: inputs, weights, outputs, no torch.

A layer here is a convolution with what follows it directly: BatchNorm, which in use is a scale and
a shift per channel, and an activation. The graph gives the maps before and after as further
outputs, so the numbers are the network's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from core.checkpoints import GRAPH, WEIGHTS, Checkpoint, read_files
from core.errors import CheckpointError
from core.i18n import _
from core.inference.explain import constant
from core.inference.predict import open_session, shared

Maps = NDArray[np.float32]
"""(C, h, w)."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution of C_in to C_out channels in g groups, BatchNorm and activation included."""

    name: str
    """Of its weights: "features.1.0"."""
    weight: NDArray[np.float32]
    """(C_out, C_in / g, k, k)."""
    bias: NDArray[np.float32]
    """(C_out,)."""
    groups: int
    strides: tuple[int, int]
    padding: tuple[int, int]
    """Zeros above and left of the map."""
    scale: NDArray[np.float32] | None
    """(C_out,): what BatchNorm multiplies by; None where there is no BatchNorm."""
    shift: NDArray[np.float32] | None
    """(C_out,): what it then adds."""
    activation: str
    """Its ONNX operator (Relu, Clip, HardSwish); empty where there is none."""
    bounds: tuple[float, float]
    """Smallest and largest value that the activation lets through."""
    before: str
    """The graph's name for the maps that it reads,"""
    sums: str
    """for what its convolution gives,"""
    after: str
    """and for the maps behind its activation."""

    @property
    def in_channels(self) -> int:
        """C_in."""
        return self.weight.shape[1] * self.groups

    def reads(self, channel: int) -> range:
        """The input channels that an output channel reads."""
        width = self.weight.shape[1]
        first = channel // (len(self.weight) // self.groups) * width
        return range(first, first + width)


@dataclass(frozen=True, eq=False)
class Pixel:
    """How one value of an output map came about."""

    inputs: NDArray[np.float32]
    """(C_in / g, k, k): what the kernel lies on; 0 beyond the edge."""
    weights: NDArray[np.float32]
    """(C_in / g, k, k)."""
    products: float
    """Sum of inputs x weights."""
    total: float
    """The same and the bias."""
    normalised: float
    """That after BatchNorm."""
    value: float | None
    """That after the activation; None for one that is not worked out here (HardSwish)."""


def pixel(layer: Layer, before: Maps, channel: int, y: int, x: int) -> Pixel:
    """The sum behind output `channel` at row `y`, column `x`; `before`: what the layer read."""
    weights = layer.weight[channel]
    corner = (y * layer.strides[0] - layer.padding[0], x * layer.strides[1] - layer.padding[1])
    inputs = np.zeros(weights.shape, np.float32)
    rows, columns = (
        range(max(0, -at), min(side, size - at))
        for at, side, size in zip(corner, weights.shape[1:], before.shape[1:], strict=True)
    )
    inputs[:, rows.start : rows.stop, columns.start : columns.stop] = before[
        layer.reads(channel),
        corner[0] + rows.start : corner[0] + rows.stop,
        corner[1] + columns.start : corner[1] + columns.stop,
    ]
    products = float((inputs.astype(np.float64) * weights).sum())
    total = products + float(layer.bias[channel])
    normalised = total
    if layer.scale is not None and layer.shift is not None:
        normalised = total * float(layer.scale[channel]) + float(layer.shift[channel])
    value = None if layer.activation == "HardSwish" else min(max(normalised, layer.bounds[0]),
                                                            layer.bounds[1])  # fmt: skip
    return Pixel(inputs, weights, products, total, normalised, value)


class Layers:
    """One network that shows what each of its layers sees."""

    def __init__(self, graph: bytes, weights: bytes | None = None, px: int | None = None) -> None:
        """`graph`: an ONNX file; `weights`: the safetensors file it points into, if it does.

        `px`: side of the pictures, if not the one that the network was trained on. Raises
        CheckpointError for a graph without convolutions.
        """
        model = onnx.load_model_from_string(graph)
        self.layers = _layers(model.graph, weights)
        if not self.layers:
            raise CheckpointError(_("This network has no convolutions."))
        if px is not None:
            for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
                dimension.dim_value = px
            del model.graph.value_info[:]  # sizes of maps, which are others now
        names = {name for each in self.layers for name in (each.before, each.sums, each.after)}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
        self._session = open_session(model.SerializeToString(), weights, keep_memory=False)

    def maps(self, picture: NDArray[np.uint8], names: Sequence[str]) -> list[Maps]:
        """The maps of these names, for one picture (3, px, px) of uint8 RGB."""
        return [maps[0] for maps in self._session.run(list(names), {"pixels": picture[None]})]


def _layers(graph: Any, weights: bytes | None) -> tuple[Layer, ...]:
    """The graph's convolutions, in the order in which they are computed."""
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {each.name: each for each in graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def values(name: str) -> NDArray[np.float32]:
        return constant(name, made_by, constants, weights).astype(np.float32)

    def next_node(name: str, *kinds: str) -> Any:
        following = readers.get(name, [])
        return following[0] if len(following) == 1 and following[0].op_type in kinds else None

    layers = []
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        weight = values(node.input[1])
        bias = values(node.input[2]) if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        after, scale, shift = node.output[0], None, None
        if (norm := next_node(after, "BatchNormalization")) is not None:
            gamma, beta, mean, variance = (values(name).astype(np.float64)
                                           for name in norm.input[1:])  # fmt: skip
            epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5)
            factor = gamma / np.sqrt(variance + epsilon)
            scale, shift = (each.astype(np.float32) for each in (factor, beta - mean * factor))
            after = norm.output[0]
        activation, bounds = "", (-np.inf, np.inf)
        if (last := next_node(after, "Relu", "Clip", "HardSwish")) is not None:
            activation, after = last.op_type, last.output[0]
            if activation == "Clip":
                least, most = [*last.input[1:], "", ""][:2]  # an empty name: no limit
                bounds = (
                    float(values(least)) if least else -np.inf,
                    float(values(most)) if most else np.inf,
                )
            elif activation == "Relu":
                bounds = (0.0, np.inf)
        layers.append(
            Layer(
                name=node.input[1].removesuffix(".float32").removesuffix(".weight"),
                weight=weight,
                bias=bias,
                groups=settings.get("group", 1),
                strides=tuple(settings.get("strides", (1, 1))),
                padding=tuple(settings.get("pads", (0, 0, 0, 0)))[:2],
                scale=scale,
                shift=shift,
                activation=activation,
                bounds=bounds,
                before=node.input[0],
                sums=node.output[0],
                after=after,
            )
        )
    return tuple(layers)


def layers_of(checkpoint: Checkpoint, px: int | None = None) -> Layers:
    """The shared `Layers` of a checkpoint. Raises CheckpointError if its files are not sound."""
    return shared(checkpoint, partial(_open, checkpoint.id, px), "layers", px)


def _open(id: str, px: int | None) -> Layers:
    files = read_files(id, GRAPH, WEIGHTS)[1]
    return Layers(files[GRAPH], files[WEIGHTS], px)
