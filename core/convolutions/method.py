"""A convolution's settings, what it and the cheaper layers in its place cost, and what to say of a
combination that cannot work.

A mistake is explained and the nearest settings that do work are offered; nothing is refused
silently and nothing is corrected behind the reader's back.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from core.errors import ConfigError
from core.i18n import _, paragraph

Field = Literal[
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "groups", "map_size"
]
LIMITS: dict[Field, tuple[int, int]] = {
    "in_channels": (1, 1024),
    "out_channels": (1, 1024),
    "groups": (1, 1024),
    "map_size": (1, 224),
    "kernel_size": (1, 11),
    "stride": (1, 4),
    "padding": (0, 10),
}
"""Smallest and largest value a page offers; the formulas hold beyond them."""


@dataclass(frozen=True)
class ConvSetting:
    """The layer in question; to begin with, the fourth convolution of `plain_2m` (HW7)."""

    in_channels: int = 64
    """C_in."""
    out_channels: int = 128
    """C_out."""
    kernel_size: int = 3
    """k: the kernel is k x k."""
    stride: int = 1
    padding: int = 1
    """Zeros added on each side."""
    groups: int = 8
    """g, of the group convolution."""
    bias: bool = True
    map_size: int = 16
    """H: the input map is H x H."""
    rank: int = 48
    """R, of the low-rank pair."""

    @property
    def out_size(self) -> int:
        """H': side of the output map; below 1 where the kernel does not fit."""
        return (self.map_size + 2 * self.padding - self.kernel_size) // self.stride + 1

    def rank_at(self, share: float) -> int:
        """The rank that is this share (0..1) of `full_rank`; at least 1."""
        return max(1, round(share * self.full_rank))

    @property
    def full_rank(self) -> int:
        """k min(C_in, C_out): from this rank on, the low-rank pair can be any convolution."""
        return self.kernel_size * min(self.in_channels, self.out_channels)

    @property
    def break_even_rank(self) -> int:
        """The largest rank with fewer weights than the standard layer; 0 where there is none."""
        standard = self.kernel_size * self.in_channels * self.out_channels
        return (standard - 1) // (self.in_channels + self.out_channels)


EXAMPLES: dict[str, ConvSetting] = {
    "plain_2m_4": ConvSetting(),
    "plain_2m_8": ConvSetting(in_channels=256, out_channels=256, map_size=8, rank=192),
    "hw13_residual": ConvSetting(stride=2, map_size=224),
}
"""Layers of the homeworks' networks: the fourth and the eighth convolution of `plain_2m`, and the
first of the second stage of `hw13_residual` (there depthwise + pointwise)."""


@dataclass(frozen=True)
class Offer:
    """A change of one field that puts a problem right."""

    field: Field
    value: int


@dataclass(frozen=True)
class Problem:
    """Why a setting cannot work, in words, and the nearest settings that can."""

    message: str
    offers: tuple[Offer, ...]


def problems(setting: ConvSetting) -> list[Problem]:
    """All that keeps the layers from being built; empty where the setting is fine."""
    return [*_grouping(setting), *_emptiness(setting)]


def _grouping(s: ConvSetting) -> list[Problem]:
    channels: dict[Field, int] = {"in_channels": s.in_channels, "out_channels": s.out_channels}
    uneven: list[Field] = [field for field, n in channels.items() if n % s.groups]
    if not uneven:
        return []
    # a number that divides both channel counts divides their greatest common divisor
    common = math.gcd(s.in_channels, s.out_channels)
    divisors = [d for d in range(1, common + 1) if common % d == 0]
    offers = [Offer("groups", value) for value in _neighbours(divisors, s.groups)]
    if len(uneven) == 1:
        least, most = LIMITS[uneven[0]]
        multiples = [m for m in range(s.groups, most + 1, s.groups) if m >= least]
        offers += [Offer(uneven[0], value) for value in _neighbours(multiples, channels[uneven[0]])]
    message = {
        "in_channels": _("{g} groups cannot share {n_in} input channels evenly."),
        "out_channels": _("{g} groups cannot share {n_out} output channels evenly."),
        "both": _("{g} groups can share neither {n_in} input nor {n_out} output channels evenly."),
    }[uneven[0] if len(uneven) == 1 else "both"]
    message = message.format(g=s.groups, n_in=s.in_channels, n_out=s.out_channels)
    why = _("Each group takes the same number of channels, so groups must divide both counts.")
    return [Problem(paragraph([message, why]), tuple(offers))]


def _emptiness(s: ConvSetting) -> list[Problem]:
    padded = s.map_size + 2 * s.padding
    if padded >= s.kernel_size:
        return []
    missing = s.kernel_size - padded
    wanted = (
        Offer("padding", s.padding + (missing + 1) // 2),
        Offer("kernel_size", padded),
        Offer("map_size", s.map_size + missing),
    )
    offers = tuple(o for o in wanted if LIMITS[o.field][0] <= o.value <= LIMITS[o.field][1])
    message = _(
        "A {k} × {k} kernel does not fit into a {h} × {h} map with {p} zeros of padding on each "
        "side: that is {padded} × {padded}, and the output would be empty."
    ).format(k=s.kernel_size, h=s.map_size, p=s.padding, padded=padded)
    return [Problem(message, offers)]


def _neighbours(values: list[int], wanted: int) -> list[int]:
    """The nearest value below and above; `values` ascending and without `wanted` itself."""
    below = [value for value in values if value < wanted][-1:]
    above = [value for value in values if value > wanted][:1]
    return below + above


# What one convolution costs, and the cheaper layers in its place: closed form, no torch.
#
# Four layers take a map of C_in channels, H x H, to C_out channels, H' x H', with a k x k kernel:
#
# - standard: every output channel reads every input channel (`nn.Conv2d`);
# - group: channels are cut into g groups that do not see each other (Krizhevsky et al. 2012;
#   ResNeXt, Xie et al. 2017);
# - separable: a depthwise k x k layer (a group for each channel), then a pointwise 1 x 1 layer
#   (Sifre 2014; MobileNets, Howard et al. 2017);
# - lowrank: k x 1 to R channels, then 1 x k to C_out channels: scheme 2 of Jaderberg, Vedaldi &
#   Zisserman 2014, "Speeding up Convolutional Neural Networks with Low Rank Expansions".
#
# Answers HW7 Q1 and Q4 and HW13 Q1. A MAC is one multiplication and one addition; biases, BatchNorm
# and activations are not counted as MACs (as in `core.models.cost`). Values are float32.


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
    for problem in problems(setting):
        raise ConfigError(problem.message)
    return Cost(kind, _steps(kind, setting))


def compare(setting: ConvSetting) -> dict[Kind, Cost]:
    """The cost of all four layers, the standard one first. ConfigError as `layer_cost`."""
    return {kind: layer_cost(kind, setting) for kind in KINDS}


def bottleneck_cost(setting: ConvSetting) -> Cost:
    """The other usual low-rank pair: k x k to R channels, then 1 x 1 to C_out channels.

    It cuts the filters by output channel (Denton et al. 2014; Zhang et al. 2015).
    """
    wide = replace(setting, out_channels=setting.rank, bias=False)
    (first,) = _steps("standard", wide)
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


def _steps(kind: Kind, s: ConvSetting) -> tuple[Step, ...]:
    k, size = s.kernel_size, (s.map_size, s.map_size)

    def square(out_channels: int, groups: int) -> Step:
        stride, padding = (s.stride, s.stride), (s.padding, s.padding)
        return Step(s.in_channels, out_channels, (k, k), stride, padding, groups, s.bias, size)

    if kind == "separable":
        depthwise = square(s.in_channels, groups=s.in_channels)
        return depthwise, _pointwise(s.in_channels, s.out_channels, depthwise.out_size, s.bias)
    if kind == "lowrank":
        # no bias in the first step: the second could always take it over
        column = Step(s.in_channels, s.rank, (k, 1), (s.stride, 1), (s.padding, 0), 1, False, size)
        middle = column.out_size
        row = Step(s.rank, s.out_channels, (1, k), (1, s.stride), (0, s.padding), 1, s.bias, middle)
        return column, row
    return (square(s.out_channels, s.groups if kind == "group" else 1),)


def _pointwise(in_channels: int, out_channels: int, size: tuple[int, int], bias: bool) -> Step:
    return Step(in_channels, out_channels, (1, 1), (1, 1), (0, 0), 1, bias, size)


HW7_Q4_ACCURACY = {"group": 0.71607, "separable": 0.76867, "standard": 0.77047}
"""Test accuracy on Food-11 of HW7 Q4's three networks of about 1 MB (`group8_277k`, `dwpw_256k`,
`plain_275k`), as a homework report states them: one run each, no interval given."""


@lru_cache(maxsize=128)
def changed_outputs(
    channels: int, groups: int, layers: int = 3, *, shuffle: bool = False, seed: int = 0
) -> tuple[int, ...]:
    """After each of `layers`, how many of its `channels` change when input channel 1 is nudged.

    In a stack where every layer has the same g groups, a channel never meets the other groups: it
    is g narrow networks side by side. Each layer is a group convolution with random weights on a
    map of one pixel, so that only the wiring counts; nothing nonlinear stands between, which could
    only hide a change. With `shuffle` the channels of all groups are dealt out evenly to the groups
    of the next layer (ShuffleNet, Zhang et al. 2018). ValueError if `groups` does not divide
    `channels`.
    """
    if channels % groups:
        raise ValueError(f"{groups} groups cannot share {channels} channels evenly")
    random = np.random.default_rng(seed)
    per_group = channels // groups
    plain = random.random(channels)
    both = np.stack([plain, plain], axis=1).reshape(groups, per_group, 2)  # plain, nudged
    both[0, 0, 1] += 1.0
    counts = []
    for _layer in range(layers):
        weights = random.random((groups, per_group, per_group)) + 0.5
        both = weights @ both / per_group  # (g, out, in) @ (g, in, 2) -> (g, out, 2)
        change = np.abs(both[..., 1] - both[..., 0])
        counts.append(int((change > 1e-9).sum()))
        if shuffle:
            both = both.reshape(groups, per_group, 2).swapaxes(0, 1).reshape(both.shape)
    return tuple(counts)
