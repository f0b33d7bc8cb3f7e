"""The codebook of k-means: the values that stand for all weights of a tensor with least error.

In one dimension every cluster is a run of the sorted values, so a clustering is a list of cuts, and
prefix sums give the cost of any run at once. The best cuts could be found exactly by dynamic
programming (Wang & Song 2011, "Ckmeans.1d.dp"), in time that grows with the number of weights. Here
it is done in bands: from a good start, all cuts move together to the best of some places around
each, wide steps first, until none of them wants to move. Lloyd's rounds alone stop too early: no
single move helps any more, although a row of cuts moved together would.
Only numpy; milliseconds, also for a layer of 400,000 weights.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    found = [_lloyd(runs, one) for one in (even, _in_bands(runs, start))]
    cuts = min(found, key=runs.total)
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
