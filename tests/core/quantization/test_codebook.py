"""The codebook of k-means against the exact optimum, which dynamic programming finds slowly."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from core.quantization.method import cluster, dequantise, error_of, quantise

BITS = (1, 2, 3, 4, 5, 6)
N = 600
SHAPES = ("normal", "laplace", "float16", "depthwise", "outliers", "uniform", "skewed", "few")


@cache
def weights(shape: str, n: int = N) -> NDArray[np.float32]:
    """Weights as trained layers have them, and some harder ones."""
    draw = np.random.default_rng(7)
    values = {
        "normal": lambda: draw.normal(0, 0.05, n),
        "laplace": lambda: draw.laplace(0, 0.02, n),
        "float16": lambda: draw.normal(0, 0.02, n).astype(np.float16),  # as checkpoints store them
        "depthwise": lambda: np.concatenate([draw.normal(0, 0.02, n // 2),
                                             draw.normal(0, 0.3, n - n // 2)]),  # dead channels
        "outliers": lambda: np.append(draw.normal(0, 0.05, n - 4), [-1.5, 0.9, 1.0, 2.0]),
        "uniform": lambda: draw.uniform(-1, 1, n),
        "skewed": lambda: draw.gamma(1.0, 0.1, n) + 10.0,  # far from zero
        "few": lambda: np.rint(draw.normal(0, 40, n)) / 64,  # many values occur often
    }[shape]()  # fmt: skip
    return np.asarray(values, np.float32)


def squared_error(weight: NDArray[np.float32], centres: NDArray[np.float32]) -> float:
    """Of every weight to the nearest of all centres, the long way."""
    gaps = np.abs(weight.astype(np.float64)[:, None] - centres.astype(np.float64))
    return float((gaps.min(1) ** 2).sum())


def least_errors(weight: NDArray[np.float32], most: int) -> dict[int, float]:
    """The smallest squared error with 1, 2, ... `most` clusters, over all ways to cut.

    best[k, j] = min over i of best[k - 1, i] + spread of points i to j.
    """
    points = np.sort(weight.astype(np.float64)) - float(weight.astype(np.float64).mean())
    n = len(points)
    sums, squares = (np.concatenate([[0.0], np.cumsum(points**p)]) for p in (1, 2))
    i, j = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    size = np.maximum(j - i, 1)
    spread = np.where(j > i, squares[j] - squares[i] - (sums[j] - sums[i]) ** 2 / size, np.inf)
    best = spread[0].copy()
    best[0] = 0.0
    found = {1: float(best[n])}
    for k in range(2, most + 1):
        best = np.minimum((best[:, None] + spread).min(0), best)
        found[k] = float(best[n])
    return found


@cache
def exact(shape: str) -> dict[int, float]:
    return least_errors(weights(shape), 2 ** max(BITS))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_is_close_to_the_least_there_is(shape: str) -> None:
    for bits in BITS:
        error = squared_error(weights(shape), cluster(weights(shape), 2**bits))
        assert 0.999 * exact(shape)[2**bits] <= error <= 1.05 * exact(shape)[2**bits], bits


def test_clusters_of_a_small_tensor_are_the_best_there_are() -> None:
    for seed in range(6):
        weight = np.random.default_rng(seed).normal(0, 0.2, 60).astype(np.float32)
        least = least_errors(weight, 8)
        for k in (2, 4, 8):
            centres = cluster(weight, k)
            assert len(centres) == k and (np.diff(centres) > 0).all()
            assert squared_error(weight, centres) == pytest.approx(least[k], rel=1e-5)


@pytest.mark.parametrize("n", [30_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_bit_more_is_never_worse_nor_are_even_levels_better(shape: str, n: int) -> None:
    weight = weights(shape, n)
    before = np.inf
    for bits in (*BITS, 7, 8):
        book = error_of(weight, dequantise(quantise(weight, "kmeans", bits))).mse
        even = error_of(weight, dequantise(quantise(weight, "tensor_minmax", bits))).mse
        assert book <= before and book <= even * (1 + 1e-6), bits
        before = book


def test_no_weight_is_given_to_a_farther_value_and_it_repeats() -> None:
    weight = weights("normal", 2048).reshape(32, 64)
    book = quantise(weight, "kmeans", 3)
    np.testing.assert_array_equal(book.codes, quantise(weight, "kmeans", 3).codes)
    nearest = np.abs(weight[..., None] - book.levels()).argmin(-1)
    np.testing.assert_array_equal(book.codes, nearest)


def test_few_values_are_their_own_codebook() -> None:
    weight = np.array([[0.5, -1.0, 0.5], [2.0, -1.0, 0.5]], np.float32)
    one = quantise(weight, "kmeans", 2)
    assert one.codebook is not None and one.codebook.tolist() == [-1.0, 0.5, 2.0]
    np.testing.assert_array_equal(dequantise(one), weight)


@pytest.mark.parametrize("k", [3, 16, 64])
def test_values_as_far_apart_as_float32_goes(k: int) -> None:
    """No overflow and no lost centre: sums of squares stay within float64."""
    weight = np.random.default_rng(3).normal(size=500).astype(np.float32)
    weight[:3] = 3e38, -3e38, 1e-38
    centres = cluster(weight, k)
    assert np.isfinite(centres).all() and (np.diff(centres) > 0).all()
    assert centres[0] == pytest.approx(-3e38) and centres[-1] == pytest.approx(3e38)
