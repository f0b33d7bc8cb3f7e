"""A convolution's settings, and what to say of a combination that cannot work.

A mistake is explained and the nearest settings that do work are offered; nothing is refused
silently and nothing is corrected behind the reader's back.
"""

import math
from dataclasses import dataclass
from typing import Literal

from core.words import _

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
        low, high = LIMITS[uneven[0]]
        multiples = [m for m in range(s.groups, high + 1, s.groups) if m >= low]
        offers += [Offer(uneven[0], value) for value in _neighbours(multiples, channels[uneven[0]])]
    message = {
        "in_channels": _("{g} groups cannot share {n_in} input channels evenly."),
        "out_channels": _("{g} groups cannot share {n_out} output channels evenly."),
        "both": _("{g} groups can share neither {n_in} input nor {n_out} output channels evenly."),
    }[uneven[0] if len(uneven) == 1 else "both"]
    message = message.format(g=s.groups, n_in=s.in_channels, n_out=s.out_channels)
    why = _("Each group takes the same number of channels, so groups must divide both counts.")
    return [Problem(f"{message} {why}", tuple(offers))]


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
