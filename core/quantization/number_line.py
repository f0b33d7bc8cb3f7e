"""What the number line shows of a layer: its weights, their levels, and the error of every scheme.

All of it follows from the weights, and k-means takes seconds for a large layer: so the rows of a
shipped network are worked out once and kept in `pretrained/results/layers-<checkpoint>.json`.
Only numpy.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.quantization.method import (
    BITS,
    SCHEMES,
    Scheme,
    dequantise,
    error_of,
    quantise,
)
from core.results import CheckpointRows, Frozen, MeasuredRow

LINE_BITS = BITS
BINS = 81
CODEBOOK_STEPS = 1000
"""Levels of a codebook are kept in steps of 1/1000 of the axis: less than a pixel."""
Kind = Literal["widest", "middle", "narrowest"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Channels by their largest weight: three of them stand for all."""


class Extent(Frozen):
    """What the evenly spaced schemes need to know of some weights."""

    low: float
    high: float
    mean_abs: float
    """Mean size: the two levels of one symmetric bit."""

    @classmethod
    def of(cls, weights: NDArray[np.float32]) -> "Extent":
        """Of any number of weights; zeros for none."""
        if not weights.size:
            return cls(low=0.0, high=0.0, mean_abs=0.0)
        mean = float(np.abs(weights.astype(np.float64)).mean())
        return cls(low=float(weights.min()), high=float(weights.max()), mean_abs=mean)

    def levels(self, scheme: Scheme, bits: int) -> NDArray[np.float64]:
        """The values that such weights are rounded to, ascending; `scheme` is not k-means.

        They depend on these three figures alone, so two weights can stand in for all.
        """
        one_sign_bit = bits == 1 and scheme.endswith("symmetric")
        ends = (-self.mean_abs, self.mean_abs) if one_sign_bit else (self.low, self.high)
        return quantise(np.array([ends], np.float32), scheme, bits).levels()


class Channel(Extent):
    """One output channel that stands for others."""

    kind: Kind
    channel: int


class LayerError(NamedTuple):
    """What one scheme costs a layer at one number of bits."""

    mse: float
    sqnr_db: float | None
    """None if nothing is lost."""


class LayerRow(MeasuredRow):
    """One weight tensor, as far as the number line shows it."""

    layer: str
    """Its name in the state dict."""
    size: int
    """Weights."""
    reach: float
    """The axis goes from minus to plus this."""
    counts: tuple[int, ...]
    """Weights in each of BINS equal parts of the axis."""
    extent: Extent
    channels: tuple[Channel, ...]
    """The widest, the middle and the narrowest, as far as there are as many."""
    codebooks: dict[int, tuple[int, ...]]
    """Bits -> the levels of k-means, in steps of reach / CODEBOOK_STEPS."""
    errors: dict[Scheme, tuple[LayerError, ...]]
    """Of every scheme, for each of LINE_BITS."""

    @property
    def key(self) -> str:
        """The layer's name."""
        return self.layer

    def levels(self, scheme: Scheme, bits: int) -> NDArray[np.float64]:
        """The values that all weights share, ascending; none at 16 bits."""
        if bits > 8:
            return np.empty(0)
        if scheme == "kmeans":
            return np.array(self.codebooks[bits]) * (self.reach / CODEBOOK_STEPS)
        return self.extent.levels(scheme, bits)

    def error(self, scheme: Scheme, bits: int) -> LayerError:
        """Of that scheme at that number of bits."""
        return self.errors[scheme][LINE_BITS.index(bits)]


class LayerRows(CheckpointRows[LayerRow]):
    """All weight tensors of a checkpoint, in its order."""

    kind = "layers"
    command = "python -m core quantize-grid {name} --stages layers"

    @staticmethod
    def order(key: str) -> int:
        """As they were added: the order of the network."""
        del key
        return 0


def layer_row(name: str, weight: NDArray[np.float32]) -> LayerRow:
    """One weight tensor, axis 0 its output channels. Seconds for 100,000 weights.

    Raises ConfigError for weights that are no numbers.
    """
    errors: dict[Scheme, tuple[LayerError, ...]] = {}
    codebooks: dict[int, tuple[int, ...]] = {}
    reach = 1.04 * (float(np.abs(weight).max(initial=0.0)) or 1.0)
    for scheme in SCHEMES:
        lost = []
        for bits in LINE_BITS:
            codes = quantise(weight, scheme, bits)
            error = error_of(weight, dequantise(codes))
            sqnr = None if error.sqnr_db is None else round(error.sqnr_db, 2)
            lost.append(LayerError(float(f"{error.mse:.4g}"), sqnr))
            if codes.codebook is not None:
                steps = np.rint(codes.codebook / reach * CODEBOOK_STEPS).astype(int)
                codebooks[bits] = tuple(steps.tolist())
        errors[scheme] = tuple(lost)
    return LayerRow(
        layer=name,
        size=weight.size,
        reach=reach,
        counts=tuple(np.histogram(weight, bins=BINS, range=(-reach, reach))[0].tolist()),
        extent=Extent.of(weight),
        channels=tuple(
            Channel(kind=kind, channel=channel, **Extent.of(weight[channel]).model_dump())
            for kind, channel in strip_channels(weight).items()
        ),
        codebooks=codebooks,
        errors=errors,
    )


def strip_channels(weight: NDArray[np.float32]) -> dict[Kind, int]:
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


def middle_layer(sizes: Mapping[str, int]) -> str:
    """The layer to begin with, by layers' weights: of those with at least 1,000 the middle one."""
    large: Sequence[str] = [name for name, size in sizes.items() if size >= 1000] or list(sizes)
    return large[len(large) // 2]
