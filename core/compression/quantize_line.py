"""The number line of a layer: where its weights lie, and which values b bits leave them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compression.quantize import (
    BITS,
    Error,
    Floats,
    Quantised,
    Scheme,
    dequantise,
    error_of,
    quantise,
)

BINS = 60


@dataclass(frozen=True, eq=False)
class NumberLine:
    """The weights of a tensor, or of one output channel, as a histogram; the levels over it."""

    edges: NDArray[np.float64]
    """(bins + 1,)"""
    counts: NDArray[np.int64]
    """(bins,)"""
    levels: NDArray[np.float64]
    """Values that can be represented, ascending. None for 16 bits, and none for a channel scheme
    where no channel was chosen: each has its own."""
    step: float | None
    """Distance of neighbouring levels, where they are even and there is one such distance."""
    used: int
    """How many different values the shown weights take afterwards."""
    error: Error
    """Of the weights shown."""
    error_all: Error
    """Of the whole tensor."""
    n: int
    """Weights shown."""
    channel: int | None


def number_line(
    weight: Floats, scheme: Scheme, bits: int, channel: int | None = None, bins: int = BINS
) -> NumberLine:
    """Histogram, levels and error of one tensor, or of one of its output channels (axis 0).

    Raises ConfigError as `quantise` does, IndexError for a channel that is not there.
    """
    quantised = quantise(weight, scheme, bits)
    restored = dequantise(quantised)
    shown: tuple[NDArray[Any], NDArray[Any]] = (weight, restored)
    if channel is not None:
        shown = weight[channel], restored[channel]
    error = error_of(*shown)
    counts, edges = np.histogram(shown[0], bins)
    own = len(quantised.scale) > 1 if quantised.scale is not None else False
    known = not own or channel is not None
    step = quantised.step if known else None
    at = channel if own and channel is not None else 0
    return NumberLine(
        edges=edges.astype(np.float64),
        counts=counts.astype(np.int64),
        levels=quantised.levels(at) if known else np.empty(0),
        step=None if step is None else float(step[at]),
        used=_used(quantised, restored, channel, known),
        error=error,
        error_all=error if channel is None else error_of(weight, restored),
        n=shown[0].size,
        channel=channel,
    )


def _used(quantised: Quantised, restored: Floats, channel: int | None, known: bool) -> int:
    """Different values among the shown weights; counting codes is quicker than sorting floats."""
    at = slice(None) if channel is None else channel
    if not known or quantised.bits == 16:
        return len(np.unique(restored[at]))
    return int(np.count_nonzero(np.bincount(quantised.codes[at].ravel())))


def error_by_bits(weight: Floats, scheme: Scheme) -> list[tuple[int, Error]]:
    """What each number of bits costs: (bits, error) for 1 to 8, and 16."""
    return [(bits, error_of(weight, dequantise(quantise(weight, scheme, bits)))) for bits in BITS]
