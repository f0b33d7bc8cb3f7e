"""From a design to its layers: the one description that is counted, built and written as source.

A plan is a list of parts (stem, blocks, head), each a tuple of small records such as `Conv` and
`Norm`. Residual blocks hold theirs inside. Whoever walks a plan, to count it (`design_cost`), to
build it (`designed`) or to print it (`design_source`), meets the same layers in the same order, so
the three cannot disagree on what a “separable block” is. Nothing here imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.models.design.spec import BOTTLENECK_EXPANSION, RESIDUAL, Design, Stage

ACT_LAYERS = {"relu": "ReLU", "relu6": "ReLU6", "hardswish": "Hardswish", "silu": "SiLU"}
"""Activation -> its class in torch.nn."""


@dataclass(frozen=True)
class Conv:
    """A convolution, as nn.Conv2d takes it; `same` pads to ceil(side / stride), as TensorFlow."""

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = True
    layer: str = "Conv2d"
    same: bool = False


@dataclass(frozen=True)
class Norm:
    """A BatchNorm2d."""

    channels: int


@dataclass(frozen=True)
class Act:
    """An activation; not `listed` where it is a function call, which torchsummary cannot see."""

    layer: str
    listed: bool = True


@dataclass(frozen=True)
class MaxPool:
    """A max pool."""

    kernel: int = 2
    stride: int = 2
    padding: int = 0


@dataclass(frozen=True)
class Upsample:
    """An enlargement, bilinear, as nn.Upsample does it; a described network's, never a design's."""

    factor: float


@dataclass(frozen=True)
class Head:
    """Global average pool and a linear layer; `pool_listed` False: the pool is a function call."""

    channels: int
    classes: int
    pool_listed: bool = True
    dropout: bool = False


@dataclass(frozen=True)
class Residual:
    """Parts with `act` between them; then the input is added, then perhaps `act` once more."""

    layer: str
    """Name of the class, which torchsummary prints."""
    parts: tuple[tuple["Layer", ...], ...]
    shortcut: tuple["Layer", ...] | None
    """Layers that make the input fit; () to add it as it is, None to add nothing."""
    act: Act
    act_last: bool = True


Layer = Conv | Norm | Act | MaxPool | Upsample | Head | Residual
Kind = Literal["enlargement", "stem", "block", "head"]


def torch_call(layer: Conv | Norm | Act | MaxPool) -> tuple[str, tuple[int, ...], dict[str, int]]:
    """The class of torch.nn, its arguments and its keyword arguments (those not at default)."""
    if isinstance(layer, Norm):
        return "BatchNorm2d", (layer.channels,), {}
    if isinstance(layer, Act):
        return layer.layer, (), {}
    if isinstance(layer, MaxPool):
        step = {} if layer.stride == layer.kernel else {"stride": layer.stride}
        return "MaxPool2d", (layer.kernel,), step | _set(padding=(layer.padding, 0))
    options = _set(
        stride=(layer.stride, 1),
        padding=(layer.padding, 0),
        groups=(layer.groups, 1),
        bias=(layer.bias, True),
    )
    return "Conv2d", (layer.in_channels, layer.out_channels, layer.kernel), options


def _set(**values: tuple[int, int]) -> dict[str, int]:
    return {name: value for name, (value, default) in values.items() if value != default}


@dataclass(frozen=True)
class Part:
    """A stretch of the network that a reader sees as one thing."""

    kind: Kind
    layers: tuple[Layer, ...]
    stage: int = 0
    """Number of the stage, from 1; 0 for what is no stage's."""
    block: int = 0
    """Number of the block in its stage, from 1."""


Plan = tuple[Part, ...]


def state_shapes(parts: Plan) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors in the built network's state dict, in its order, without the counters.

    Their names are those of `core.models.design.network.DesignedNet`.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, layer: Layer) -> None:
        if isinstance(layer, Conv):
            sides = (layer.out_channels, layer.in_channels // layer.groups, *(layer.kernel,) * 2)
            shapes[f"{name}.weight"] = sides
            if layer.bias:
                shapes[f"{name}.bias"] = sides[:1]
        elif isinstance(layer, Norm):
            for tensor in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.{tensor}"] = (layer.channels,)
        elif isinstance(layer, Head):
            shapes["classifier.weight"] = layer.classes, layer.channels
            shapes["classifier.bias"] = (layer.classes,)
        elif isinstance(layer, Residual):
            inner = {f"parts.{number}": part for number, part in enumerate(layer.parts)}
            for place, part in (inner | {"shortcut": layer.shortcut or ()}).items():
                for number, each in enumerate(part):
                    add(f"{name}.{place}.{number}", each)

    blocks = 0
    for part in parts:
        name = "stem" if part.kind != "block" else f"blocks.{blocks}"
        blocks += part.kind == "block"
        alone = part.kind == "block" and len(part.layers) == 1
        for number, layer in enumerate(part.layers):
            add(name if alone else f"{name}.{number}", layer)
    return shapes


def plan(design: Design) -> Plan:
    """The layers of a design, in order of execution."""
    act = Act(ACT_LAYERS[design.activation])
    outer = Act(act.layer, listed=not design.functional)
    stem = design.stem
    layers: tuple[Layer, ...] = (
        Conv(3, stem.width, stem.kernel, stem.stride, _pad(design, stem.kernel), bias=stem.bias),
        Norm(stem.width),
        outer,
    )
    if stem.pool:
        layers += (MaxPool(stem.pool, 2, padding=1 if stem.pool == 3 else 0),)
    parts, channels = [Part("stem", layers)], stem.width
    for number, stage in enumerate(design.stages, 1):
        for block in range(1, stage.repeats + 1):
            stride = 2 if stage.down == "stride" and block == 1 else 1
            layers = tuple(_block(design, stage, channels, stride, act, outer))
            if stage.down == "pool" and block == stage.repeats:
                layers += (MaxPool(),)
            parts.append(Part("block", layers, number, block))
            channels = stage.channels
    head = Head(channels, design.classes, pool_listed=not design.functional)
    return (*parts, Part("head", (head,)))


def _pad(design: Design, kernel: int) -> int:
    return kernel // 2 if design.padding else 0


def _block(
    design: Design, stage: Stage, channels: int, stride: int, act: Act, outer: Act
) -> Iterator[Layer]:
    if stage.block in RESIDUAL:
        yield _residual(design, stage, channels, stride, act, outer)
        return
    width, kernel, pad = stage.width, stage.kernel, _pad(design, stage.kernel)
    if stage.block == "separable":  # HW7's: nothing behind the pointwise layer
        yield Conv(channels, channels, kernel, stride, pad, channels, design.bias)
        yield from (Norm(channels), act)
        yield Conv(channels, width, bias=design.bias)
        return
    yield Conv(channels, width, kernel, stride, pad, stage.groups, design.bias)
    yield from (Norm(width), act)


def _residual(
    design: Design, stage: Stage, channels: int, stride: int, act: Act, outer: Act
) -> Residual:
    width, out, bias = stage.width, stage.channels, design.bias
    same_shape = stride == 1 and channels == out

    def dense(a: int, b: int, kernel: int = 1, step: int = 1, groups: int = 1) -> tuple[Layer, ...]:
        return (Conv(a, b, kernel, step, kernel // 2, groups, bias), Norm(b))

    def separable(a: int, b: int, kernel: int = 1, step: int = 1) -> tuple[Layer, ...]:
        depthwise = Conv(a, a, kernel, step, kernel // 2, groups=a, bias=bias)
        return (depthwise, Norm(a), act, Conv(a, b, bias=bias), Norm(b))

    if stage.block == "inverted":
        inner = channels * stage.expansion
        deep = (dense(inner, inner, stage.kernel, stride, inner), dense(inner, width))
        widen = (dense(channels, inner),) if stage.expansion > 1 else ()
        shortcut: tuple[Layer, ...] | None = () if same_shape else None
        return Residual("InvertedResidual", widen + deep, shortcut, outer, act_last=False)
    conv = dense if stage.block == "resnet" else separable
    shortcut = () if same_shape else conv(channels, out, 1, stride)
    if stage.block == "bottleneck":
        assert out == BOTTLENECK_EXPANSION * width
        parts = (
            conv(channels, width),
            conv(width, width, stage.kernel, stride),
            conv(width, out),
        )
        return Residual("Bottleneck", parts, shortcut, outer)
    parts2 = (conv(channels, width, stage.kernel, stride), conv(width, width, stage.kernel))
    return Residual("BasicBlock", parts2, shortcut, outer)
