"""What the number line shows of a layer: its weights, their levels, and the error of every scheme.

All bit widths are worked out at once, because the page moves between them in the browser
(`core.quantization.chart`). Only numpy; a layer takes milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.quantization.method import (
    BITS,
    SCHEMES,
    Error,
    Quantised,
    Scheme,
    dequantise,
    error_of,
    quantise,
)

LINE_BITS = BITS
BINS = 81
KINDS = ("widest", "middle", "narrowest")
"""Channels by their largest weight: three of them stand for all."""


class LayerError(NamedTuple):
    """What one scheme costs a layer at one number of bits."""

    scheme: Scheme
    bits: int
    levels: int
    """Different values there are to choose from, per scale."""
    error: Error


@dataclass(frozen=True, eq=False)
class Line:
    """Everything the number line draws of one layer under one scheme."""

    bins: pd.DataFrame
    """The weights: low, high, n."""
    levels: pd.DataFrame
    """bits, strip, value: strip -1 where all channels share the levels, else 0..2."""
    strips: pd.DataFrame
    """The three channels: strip, kind (one of KINDS), channel, low, high (of their weights)."""
    errors: pd.DataFrame
    """Every scheme at every number of bits: scheme, bits, levels, mse, sqnr_db, chosen."""
    reach: float
    """The axis goes from minus to plus this."""


def layer_errors(weight: NDArray[np.float32]) -> tuple[LayerError, ...]:
    """Every scheme at every number of bits, for one weight tensor (axis 0: output channels)."""
    found = []
    for scheme in SCHEMES:
        for bits in BITS:
            one = quantise(weight, scheme, bits)
            found.append(LayerError(scheme, bits, _count(one), error_of(weight, dequantise(one))))
    return tuple(found)


def _count(one: Quantised) -> int:
    return len(one.levels()) or 2**one.bits


def strip_channels(weight: NDArray[np.float32]) -> dict[str, int]:
    """The channels (axis 0) with the largest, the middle and the smallest reach, by KINDS.

    A channel of zeros is the narrowest only where there is no other; one channel is the widest.
    """
    reach = np.abs(weight.reshape(len(weight), -1)).max(axis=1, initial=0.0)
    order = np.argsort(-reach, kind="stable")
    alive = order[reach[order] > 0]
    ranked = alive if len(alive) else order
    places = dict.fromkeys((0, len(ranked) // 2, len(ranked) - 1))
    kinds = KINDS if len(places) == 3 else (KINDS[0], KINDS[2])
    return {kind: int(ranked[place]) for kind, place in zip(kinds, places, strict=False)}


def line(
    weight: NDArray[np.float32], scheme: Scheme, errors: tuple[LayerError, ...], bins: int = BINS
) -> Line:
    """The number line of a weight tensor under a scheme; `errors` come from `layer_errors`."""
    reach = 1.04 * (float(np.abs(weight).max(initial=0.0)) or 1.0)
    counts, edges = np.histogram(weight, bins=bins, range=(-reach, reach))
    channels = strip_channels(weight)
    flat = weight.reshape(len(weight), -1)
    strips = pd.DataFrame(
        [
            (strip, kind, channel, float(flat[channel].min()), float(flat[channel].max()))
            for strip, (kind, channel) in enumerate(channels.items())
        ],
        columns=["strip", "kind", "channel", "low", "high"],
    )
    return Line(
        bins=pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": counts}),
        levels=_levels(weight, scheme, list(channels.values())),
        strips=strips,
        errors=pd.DataFrame(
            [
                {
                    "scheme": each.scheme,
                    "bits": each.bits,
                    "levels": each.levels,
                    "mse": each.error.mse,
                    "sqnr_db": each.error.sqnr_db,
                    "chosen": each.scheme == scheme,
                }
                for each in errors
            ]
        ),
        reach=reach,
    )


def _levels(weight: NDArray[np.float32], scheme: Scheme, channels: list[int]) -> pd.DataFrame:
    parts = []
    for bits in BITS:
        if bits > 8:
            continue
        one = quantise(weight, scheme, bits)
        own = one.scale is not None and len(one.scale) > 1
        if not own:
            parts.append(pd.DataFrame({"bits": bits, "strip": -1, "value": one.levels()}))
        for strip, channel in enumerate(channels):
            values = one.levels(channel)
            parts.append(pd.DataFrame({"bits": bits, "strip": strip, "value": values}))
    return pd.concat(parts, ignore_index=True)


def middle_layer(tensors: Mapping[str, NDArray[np.float32]], names: list[str]) -> str:
    """The layer to begin with: of those with at least 1,000 weights the one in the middle."""
    large = [name for name in names if tensors[name].size >= 1000] or names
    return large[len(large) // 2]
