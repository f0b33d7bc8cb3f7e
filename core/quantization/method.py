"""Quantisation: a weight is kept as a small whole number, and a few floats say what it stands for.

With b bits there are 2^b codes. *Uniform* schemes space the values evenly,

    w ~ (code - zero) * scale + offset,

*min-max* from the smallest to the largest weight (HW7's 8 bits), *symmetric* from -max|w| to
max|w| with 0 on a level; one scale per tensor, or per output channel, whose sizes differ (Jacob
et al. 2018; Krishnamoorthi 2018). *k-means* lets the weights choose the values: a codebook per
tensor (Han, Mao & Dally 2016, "Deep Compression"). 16 bits are float16, whatever the scheme.

The codebook has close to the least error. In one dimension every cluster is a run of the sorted
values, so a clustering is a list of cuts, and prefix sums give the cost of any run at once. The
best cuts could be found exactly by dynamic programming (Wang & Song 2011, "Ckmeans.1d.dp"), in time
that grows with the number of weights. Here it is done in bands: from a good start, all cuts move
together to the best of some places around each, wide steps first, until none of them wants to move.
Lloyd's rounds alone stop too early: no single move helps any more, although a row of cuts moved
together would. Only numpy; milliseconds, also for a layer of 400,000 weights.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.i18n import _

Floats64 = NDArray[np.float64]
Cuts = NDArray[np.int64]
"""(k + 1,), ascending from 0 to the number of distinct values: cluster i is the run between two."""

LLOYD_ROUNDS = 100
SLICES = 256
STRIDES = (1 / 4, 1 / 16, 0.0)
"""Steps between the places tried for a cut, in sizes of the smaller cluster beside it; 0: one."""
REACH = 8
"""Places tried on either side of a cut."""
MANY_CENTRES, ROUNDS, FEW_ROUNDS = 64, 40, 8
"""Most rounds of a step; with more centres than MANY_CENTRES few, so that 8 bits stay quick."""


class _Runs(NamedTuple):
    """Distinct values, how often each occurs, and sums of all before each place."""

    values: Floats64
    """(n,), ascending, moved so that their mean is 0: differences of sums stay exact."""
    times: NDArray[np.int64]
    """(n,)"""
    counts: Floats64
    """(n + 1,)"""
    sums: Floats64
    squares: Floats64

    def cost(self, start: Cuts, end: Cuts) -> Floats64:
        """Squared error of runs around their means; 0 of an empty one, infinite backwards."""
        n, total = self.counts[end] - self.counts[start], self.sums[end] - self.sums[start]
        spread = self.squares[end] - self.squares[start] - total**2 / np.maximum(n, 1)
        return np.where(end < start, np.inf, np.maximum(spread, 0.0))

    def total(self, cuts: Cuts) -> float:
        """Squared error of a whole clustering."""
        return float(self.cost(cuts[:-1], cuts[1:]).sum())

    def nearest(self, centres: Floats64) -> Cuts:
        """The clustering that gives every value to the nearest centre."""
        inner = np.searchsorted(self.values, between(centres))
        return np.concatenate([[0], inner, [len(self.values)]]).astype(np.int64)


def cluster(weight: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """At most k centres of the values, ascending: k-means in one dimension, always the same.

    Begins at cuts as dense as the cube root of the values' density (Panter & Dite 1951); up to
    MANY_CENTRES, at the best choice among SLICES of those. Lloyd's rounds from evenly spaced
    levels are tried, too, so that it is never worse than those. With k or fewer distinct values
    those are the centres.
    """
    ordered = np.sort(weight, axis=None)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: ordered.size])
    if len(first) <= k:
        return ordered[first].astype(np.float32)
    times = np.diff(np.append(first, ordered.size))
    exact = ordered[first].astype(np.float64)
    middle = float(np.average(exact, weights=times))
    runs = _runs(exact - middle, times)
    even = runs.nearest(np.linspace(runs.values[0], runs.values[-1], k))
    start = _best_slices(runs, k) if k <= MANY_CENTRES else _by_density(runs, k)
    cuts = min((_lloyd(runs, cuts) for cuts in (even, _in_bands(runs, start))), key=runs.total)
    full = np.unique(cuts[:-1][np.diff(cuts) > 0])
    means = np.add.reduceat(runs.values * times, full) / np.add.reduceat(times, full)
    return np.unique((means + middle).astype(np.float32))


def between(centres: NDArray[np.float32] | Floats64) -> Floats64:
    """Where the nearest centre changes: the middles of neighbouring centres, (k - 1,)."""
    exact = centres.astype(np.float64)
    middles: Floats64 = (exact[1:] + exact[:-1]) / 2
    return middles


def _runs(values: Floats64, times: NDArray[np.int64]) -> _Runs:
    sums = [np.concatenate([[0.0], np.cumsum(times * values**power)]) for power in (0, 1, 2)]
    return _Runs(values, times, *sums)


def _by_density(runs: _Runs, k: int) -> Cuts:
    """k runs that lie as dense as the cube root of the density of the values around them."""
    n = len(runs.values)
    place = np.arange(n)
    around = max(1, n // k)
    low, high = np.maximum(place - around, 0), np.minimum(place + around, n - 1)
    width = runs.values[high] - runs.values[low]
    mass = runs.counts[high] - runs.counts[low]
    dense = np.cumsum(np.cbrt(mass * width**2) / (high - low))  # cbrt(mass / width) * width
    steps = np.arange(k + 1)
    cuts = np.rint(np.interp(np.linspace(0, dense[-1], k + 1), dense, place + 1)).astype(np.int64)
    cuts[0], cuts[-1] = 0, n
    apart = np.maximum.accumulate(cuts - steps) + steps  # no run is empty
    return np.minimum(apart, n - steps[::-1])


def _best_slices(runs: _Runs, k: int) -> Cuts:
    """The k runs with the least squared error that slices of the values allow, exactly."""
    ends = _by_density(runs, min(len(runs.values), SLICES))
    cost = runs.cost(ends[:, None], ends[None, :])  # (from, to)
    best, back = cost[0], []
    for _run in range(k - 1):
        sofar = best[:, None] + cost
        back.append(sofar.argmin(0))
        best = sofar.min(0)
    path = [len(ends) - 1]
    for chosen in reversed(back):
        path.append(int(chosen[path[-1]]))
    return ends[[0, *reversed(path)]].astype(np.int64)


def _lloyd(runs: _Runs, cuts: Cuts) -> Cuts:
    """Every value to the nearest mean, every mean to the middle of its values, over and over."""
    centres = runs.values[cuts[:-1].clip(max=len(runs.values) - 1)]
    for _round in range(LLOYD_ROUNDS):
        n, total = np.diff(runs.counts[cuts]), np.diff(runs.sums[cuts])
        centres = np.divide(total, n, out=centres, where=n > 0)
        moved = runs.nearest(np.maximum.accumulate(centres))
        if np.array_equal(moved, cuts):
            break
        cuts = moved
    return cuts


def _in_bands(runs: _Runs, cuts: Cuts) -> Cuts:
    """Move all cuts at once, each to one of the places around it, by dynamic programming."""
    k, n = len(cuts) - 1, len(runs.values)
    rounds = ROUNDS if k <= MANY_CENTRES else FEW_ROUNDS
    around = np.arange(-REACH, REACH + 1)
    ends = np.zeros((1, len(around)), np.int64)
    for share in STRIDES:
        for _round in range(rounds):
            sizes = np.diff(cuts)
            stride = np.maximum((np.minimum(sizes[:-1], sizes[1:]) * share).astype(np.int64), 1)
            tried = np.clip(
                cuts[1:-1, None] + stride[:, None] * around, 0, n
            )  # (k - 1, 2 REACH + 1)
            placed = np.concatenate([ends, tried, ends + n])
            moved = _best_path(runs.cost(placed[:-1, :, None], placed[1:, None, :]), placed)
            if np.array_equal(moved, cuts):
                break
            cuts = moved
    return cuts


def _best_path(cost: Floats64, placed: Cuts) -> Cuts:
    """One place of each row of `placed` (k + 1, m); cost (k, m, m) of a run between two rows."""
    best, columns = cost[0, 0], np.arange(placed.shape[1])
    back = np.empty((len(cost), len(columns)), np.int64)
    for row in range(1, len(cost)):
        sofar = best[:, None] + cost[row]
        back[row] = sofar.argmin(0)
        best = sofar[back[row], columns]
    path = [0]
    for chosen in back[:0:-1]:
        path.append(int(chosen[path[-1]]))
    inner = placed[np.arange(1, len(placed) - 1), path[:0:-1]]
    return np.concatenate([placed[0, :1], inner, placed[-1, :1]])


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
    signal, noise, n = 0.0, 0.0, 0
    for weight, restored in pairs:
        exact = weight.astype(np.float64)
        gap = exact - restored
        signal += float((exact**2).sum())
        noise += float((gap**2).sum())
        n += gap.size
    sqnr = 10 * float(np.log10(signal / noise)) if noise and signal else None
    return Error(noise / n if n else 0.0, sqnr)


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


def quantisable(tensors: Mapping[str, NDArray[Any]]) -> list[str]:
    """Names of the weights of convolutions and linear layers; biases and BatchNorm stay floats."""
    return [name for name, t in tensors.items() if t.ndim >= 2 and name.endswith(".weight")]


def network_error(tensors: Tensors, restored: Tensors) -> Error:
    """What was lost over all weights in `restored` together."""
    return _error((tensors[name], values) for name, values in restored.items())
