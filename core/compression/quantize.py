"""Quantisation: a weight is kept as a small whole number, and a few floats say what it stands for.

With b bits there are 2^b codes. *Uniform* schemes space the values evenly,

    w ~ (code - zero) * scale + offset,

*min-max* from the smallest to the largest weight (HW7's 8 bits), *symmetric* from -max|w| to
max|w| with 0 on a level; one scale per tensor, or per output channel, whose sizes differ (Jacob et
al. 2018; Krishnamoorthi 2018). *k-means* lets the weights choose the values: a codebook per tensor
(Han, Mao & Dally 2016, "Deep Compression"). 16 bits are float16, whatever the scheme.
Only numpy: a page quantises a layer in milliseconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.compression.quantize_codebook import between, cluster
from core.errors import ConfigError
from core.words import _

Scheme = Literal[
    "tensor_minmax", "tensor_symmetric", "channel_symmetric", "channel_minmax", "kmeans"
]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)

Floats = NDArray[np.float32]
Tensors = Mapping[str, Floats]
"""Parameters by their state-dict names."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """One tensor as codes. What a scheme does not use is None."""

    scheme: Scheme
    bits: int
    shape: tuple[int, ...]
    codes: NDArray[Any]
    """uint8 in 0..2^bits - 1, in `shape`; at 16 bits the float16 values themselves."""
    scale: Floats | None = None
    """(1,), or (out,) for the channel schemes: the distance of neighbouring levels."""
    offset: Floats | None = None
    """Of the same length: what code 0 stands for (min-max schemes)."""
    codebook: Floats | None = None
    """(at most 2^bits,), ascending: what each code stands for (k-means)."""

    @property
    def zero(self) -> float:
        """The code, or the point between two codes, that stands for `offset` (or for 0)."""
        if self.scheme not in ("tensor_symmetric", "channel_symmetric"):
            return 0.0
        return 0.5 if self.bits == 1 else float(2 ** (self.bits - 1) - 1)

    @property
    def step(self) -> NDArray[np.float64] | None:
        """Distance of neighbouring levels, (1,) or (out,); None where they are not even."""
        return None if self.scale is None else self.scale.astype(np.float64)

    def values(self) -> NDArray[np.float64]:
        """What the codes stand for, in `shape`, not yet rounded to float32."""
        if self.codebook is not None:
            return self.codebook.astype(np.float64)[self.codes]
        if self.scale is None:
            return self.codes.astype(np.float64)
        values = (self.codes - self.zero) * _along(self.scale, self.shape)
        return values if self.offset is None else values + _along(self.offset, self.shape)

    def levels(self, channel: int = 0) -> NDArray[np.float64]:
        """All values that a weight of this output channel can take, ascending; none at 16 bits."""
        if self.codebook is not None:
            return self.codebook.astype(np.float64)
        if self.scale is None:
            return np.empty(0)
        at = channel if len(self.scale) > 1 else 0
        top = int(2 * self.zero) if self.zero else 2**self.bits - 1
        offset = 0.0 if self.offset is None else float(self.offset[at])
        return (np.arange(top + 1) - self.zero) * float(self.scale[at]) + offset


class Error(NamedTuple):
    """What rounding cost."""

    mse: float
    """Mean squared difference."""
    sqnr_db: float | None
    """Signal to quantisation noise, 10 log10(sum w^2 / sum (w - w')^2); None if nothing was lost.
    Each bit is worth about 6 dB."""
    worst: float
    """Largest difference."""


def check(scheme: str, bits: int) -> None:
    """Raises ConfigError unless there is such a scheme and 1 <= bits <= 8, or 16."""
    if scheme not in SCHEMES:
        raise ConfigError(
            _("There is no quantisation scheme {scheme}. Choose one of: {known}.").format(
                scheme=repr(scheme), known=", ".join(SCHEMES)
            )
        )
    if bits not in BITS:
        raise ConfigError(_("Weights take 1 to 8 bits, or 16, not {bits}.").format(bits=bits))


def quantise(weight: Floats, scheme: Scheme, bits: int) -> Quantised:
    """The codes of one tensor of one dimension or more; its first axis is the output channel.

    Uniform schemes round to the nearest level: off by half a step at most. The exception is one
    symmetric bit, sign(w) * mean|w|, the least squared error of two such levels (Rastegari et al.
    2016). Raises ConfigError for an unknown scheme or number of bits, and for weights that are no
    numbers or too large for the format.
    """
    check(scheme, bits)
    if not np.isfinite(weight).all():
        raise ConfigError(_("A weight is not a finite number: it cannot be quantised."))
    if bits == 16:
        with np.errstate(over="ignore"):
            half = weight.astype(np.float16)
        if not np.isfinite(half).all():
            raise ConfigError(_("A weight is too large for 16 bits."))
        return Quantised(scheme, bits, weight.shape, half)
    if scheme == "kmeans":
        codebook = cluster(weight, 2**bits)
        nearest = np.searchsorted(between(codebook), weight.astype(np.float64))
        return Quantised(scheme, bits, weight.shape, nearest.astype(np.uint8), codebook=codebook)
    by_channel = scheme.startswith("channel") and weight.ndim > 1 and weight.size > 0
    rows = weight.astype(np.float64).reshape(len(weight) if by_channel else 1, -1)  # (G, n)
    if scheme.endswith("minmax"):
        low, high = _extremes(rows)
        offset = low.astype(np.float32)
        scale, top, zero = _scale((high - low) / (2**bits - 1)), 2**bits - 1, 0.0
    elif bits == 1:
        mean = np.abs(rows).mean(1) if rows.size else np.zeros(len(rows))
        offset, scale, top, zero = None, _scale(2 * mean), 1, 0.5
    else:
        top, zero = 2**bits - 2, 2 ** (bits - 1) - 1.0
        offset, scale = None, _scale(np.maximum(*map(np.abs, _extremes(rows))) / zero)
    moved = rows if offset is None else rows - offset.astype(np.float64)[:, None]
    steps = np.divide(moved, scale[:, None], out=np.zeros_like(rows), where=scale[:, None] > 0)
    # of two levels nobody is in the middle: the sign decides, and 0 goes up
    codes = (steps >= 0) if zero == 0.5 else np.clip(np.rint(steps + zero), 0, top)
    return Quantised(
        scheme, bits, weight.shape, codes.astype(np.uint8).reshape(weight.shape), scale, offset
    )


def dequantise(quantised: Quantised) -> Floats:
    """The weights that the codes stand for, as the network computes with them: float32."""
    restored: Floats = quantised.values().astype(np.float32)
    return restored


def error_of(weight: Floats, restored: NDArray[Any]) -> Error:
    """What was lost between two arrays of one shape."""
    return _error([(weight, restored)])


def _error(pairs: Iterable[tuple[Floats, NDArray[Any]]]) -> Error:
    signal, noise, worst, n = 0.0, 0.0, 0.0, 0
    for weight, restored in pairs:
        exact = weight.astype(np.float64)
        gap = exact - restored
        signal += float((exact**2).sum())
        noise += float((gap**2).sum())
        n += gap.size
        worst = max(worst, float(np.abs(gap).max(initial=0.0)))
    sqnr = 10 * float(np.log10(signal / noise)) if noise and signal else None
    return Error(noise / n if n else 0.0, sqnr, worst)


def _extremes(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not rows.size:
        return np.zeros(len(rows)), np.zeros(len(rows))
    return rows.min(1), rows.max(1)


def _scale(exact: NDArray[np.float64]) -> Floats:
    """The step as it is stored; a range too narrow for float32 still has a step of its own."""
    with np.errstate(over="ignore"):
        scale = exact.astype(np.float32)
    if not np.isfinite(scale).all():
        raise ConfigError(_("The weights span more than float32 can say: they cannot be quantised"))
    # float32's smallest numbers are coarse: rounded down, the levels would not reach the ends
    short = (scale < np.finfo(np.float32).tiny) & (scale < exact)
    return np.where(short, np.nextafter(scale, np.float32(1)), scale)


def _along(per_group: Floats, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(1,) or (out,) so that it broadcasts over a tensor of that shape, in float64."""
    return per_group.astype(np.float64).reshape(-1, *(1,) * (len(shape) - 1))


# -- whole networks --------------------------------------------------------------------------------


def quantisable(tensors: Mapping[str, NDArray[Any]]) -> list[str]:
    """Names of the weights of convolutions and linear layers; biases and BatchNorm stay floats."""
    return [name for name, t in tensors.items() if t.ndim >= 2 and name.endswith(".weight")]


def network_error(tensors: Tensors, restored: Tensors) -> Error:
    """What was lost over all weights in `restored` together."""
    return _error((tensors[name], values) for name, values in restored.items())
