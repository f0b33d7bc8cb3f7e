"""What one convolution costs, and the cheaper layers in its place: closed form, no torch.

Four layers take a map of C_in channels, H x H, to C_out channels, H' x H', with a k x k kernel:

- standard: every output channel reads every input channel (`nn.Conv2d`);
- group: channels are cut into g groups that do not see each other (Krizhevsky et al. 2012;
  ResNeXt, Xie et al. 2017);
- separable: a depthwise k x k layer (a group for each channel), then a pointwise 1 x 1 layer
  (Sifre 2014; MobileNets, Howard et al. 2017);
- lowrank: k x 1 to R channels, then 1 x k to C_out channels: scheme 2 of Jaderberg, Vedaldi &
  Zisserman 2014, "Speeding up Convolutional Neural Networks with Low Rank Expansions".

Answers HW7 Q1 and Q4 and HW13 Q1. A MAC is one multiplication and one addition; biases, BatchNorm
and activations are not counted as MACs (as in `core.measure.cost`). Values are float32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from core.errors import ConfigError
from core.measure.conv_setting import ConvSetting, problems

Kind = Literal["standard", "group", "separable", "lowrank"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BYTES = 4
"""Of one float32 value."""


@dataclass(frozen=True)
class Step:
    """One `nn.Conv2d`. Pairs are (vertical, horizontal)."""

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    bias: bool
    in_size: tuple[int, int]

    @property
    def out_size(self) -> tuple[int, int]:
        """Height and width of the output map."""
        height, width = (
            (size + 2 * padding - kernel) // stride + 1
            for size, padding, kernel, stride in zip(
                self.in_size, self.padding, self.kernel, self.stride, strict=True
            )
        )
        return height, width

    @property
    def weights(self) -> int:
        """Number of weights, biases left out."""
        return self.out_channels * (self.in_channels // self.groups) * math.prod(self.kernel)

    @property
    def params(self) -> int:
        """Weights and biases."""
        return self.weights + self.bias * self.out_channels

    @property
    def macs(self) -> int:
        """Each weight works once at each place of the output map."""
        return self.weights * math.prod(self.out_size)

    @property
    def out_values(self) -> int:
        """Values written for one picture."""
        return self.out_channels * math.prod(self.out_size)

    def bytes_moved(self, batch: int = 1) -> int:
        """Least traffic with memory: input and parameters read once, output written once."""
        in_values = self.in_channels * math.prod(self.in_size)
        return BYTES * (batch * (in_values + self.out_values) + self.params)


@dataclass(frozen=True)
class Cost:
    """What a layer of one or two steps costs, for one picture where no batch is given."""

    kind: Kind
    steps: tuple[Step, ...]

    @property
    def params(self) -> int:
        """Weights and biases of all steps."""
        return sum(step.params for step in self.steps)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one picture."""
        return sum(step.macs for step in self.steps)

    @property
    def activation_bytes(self) -> int:
        """Bytes of what the steps write, the map between two steps included, the input not."""
        return BYTES * sum(step.out_values for step in self.steps)

    def bytes_moved(self, batch: int = 1) -> int:
        """Least memory traffic: a map between two steps is written once and read once."""
        return sum(step.bytes_moved(batch) for step in self.steps)

    def intensity(self, batch: int = 1) -> float:
        """Arithmetic intensity in MACs per byte moved; twice that in FLOPs per byte.

        The idea is the roofline's (Williams, Waterman & Patterson 2009): where it is low, the
        processor waits for memory.
        """
        return batch * self.macs / self.bytes_moved(batch)


def layer_cost(kind: Kind, setting: ConvSetting) -> Cost:
    """The cost of one kind of layer. ConfigError if `problems` finds one with the setting."""
    if found := problems(setting):
        raise ConfigError(found[0].message)
    return Cost(kind, _STEPS[kind](setting))


def compare(setting: ConvSetting) -> dict[Kind, Cost]:
    """The cost of all four layers, the standard one first. ConfigError as `layer_cost`."""
    return {kind: layer_cost(kind, setting) for kind in KINDS}


def bottleneck_cost(setting: ConvSetting) -> Cost:
    """The other usual low-rank pair: k x k to R channels, then 1 x 1 to C_out channels.

    It cuts the filters by output channel (Denton et al. 2014; Zhang et al. 2015).
    """
    wide = replace(setting, out_channels=setting.rank, bias=False)
    (first,) = _standard(wide)
    last = _pointwise(setting.rank, setting.out_channels, first.out_size, setting.bias)
    return Cost("lowrank", (first, last))


def rule_of_thumb(kind: Kind, setting: ConvSetting) -> float:
    """Share of the standard layer's weights, as one keeps it in mind.

    Group 1/g; separable 1/C_out + 1/k^2; low-rank R (C_in + C_out) / (k C_in C_out). Exact for the
    weights; biases add a little. Exact for the MACs of the first two, and of the third where the
    output map is as large as the input map.
    """
    c_in, c_out, k = setting.in_channels, setting.out_channels, setting.kernel_size
    match kind:
        case "group":
            return 1 / setting.groups
        case "separable":
            return 1 / c_out + 1 / k**2
        case "lowrank":
            return setting.rank * (c_in + c_out) / (k * c_in * c_out)
    return 1.0


def _standard(s: ConvSetting) -> tuple[Step, ...]:
    return _group(replace(s, groups=1))


def _group(s: ConvSetting) -> tuple[Step, ...]:
    size = (s.map_size, s.map_size)
    return (
        Step(
            s.in_channels,
            s.out_channels,
            (s.kernel_size, s.kernel_size),
            (s.stride, s.stride),
            (s.padding, s.padding),
            s.groups,
            s.bias,
            size,
        ),
    )


def _separable(s: ConvSetting) -> tuple[Step, ...]:
    (depthwise,) = _group(replace(s, out_channels=s.in_channels, groups=s.in_channels))
    pointwise = _pointwise(s.in_channels, s.out_channels, depthwise.out_size, s.bias)
    return depthwise, pointwise


def _lowrank(s: ConvSetting) -> tuple[Step, ...]:
    k, size = s.kernel_size, (s.map_size, s.map_size)
    # no bias in the first step: the second could always take it over
    column = Step(s.in_channels, s.rank, (k, 1), (s.stride, 1), (s.padding, 0), 1, False, size)
    row = Step(
        s.rank, s.out_channels, (1, k), (1, s.stride), (0, s.padding), 1, s.bias, column.out_size
    )
    return column, row


def _pointwise(in_channels: int, out_channels: int, size: tuple[int, int], bias: bool) -> Step:
    return Step(in_channels, out_channels, (1, 1), (1, 1), (0, 0), 1, bias, size)


_STEPS: dict[Kind, Callable[[ConvSetting], tuple[Step, ...]]] = {
    "standard": _standard,
    "group": _group,
    "separable": _separable,
    "lowrank": _lowrank,
}
