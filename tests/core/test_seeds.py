"""Student's t against the printed tables, and the interval against its own promise."""

import math
import statistics

import numpy as np
import pytest

from core.stats import accuracy_interval, mean_interval, t_quantile, wilson


@pytest.mark.parametrize(
    ("df", "level", "printed"),
    [
        (1, 0.95, 12.706),
        (2, 0.95, 4.303),
        (3, 0.95, 3.182),
        (4, 0.95, 2.776),
        (5, 0.99, 4.032),
        (9, 0.90, 1.833),
        (10, 0.95, 2.228),
        (30, 0.95, 2.042),
    ],
)
def test_quantiles_are_the_tables(df: int, level: float, printed: float) -> None:
    assert t_quantile(df, level) == pytest.approx(printed, abs=6e-4)


def test_the_interval_by_hand() -> None:
    mean, low, high = mean_interval([0.01, 0.03, 0.02])
    assert mean == pytest.approx(0.02)
    assert high - mean == pytest.approx(4.3027 * 0.01 / math.sqrt(3), rel=1e-4)
    assert mean - low == pytest.approx(high - mean)


def test_three_seeds_cover_the_truth_in_95_of_100() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for draw in rng.normal(1.0, 2.0, (2000, 3)):
        _mean, low, high = mean_interval([float(value) for value in draw])
        held += low <= 1.0 <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[], [0.1]])
def test_one_run_has_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two"):
        mean_interval(values)


@pytest.mark.parametrize(("df", "level"), [(0, 0.95), (3, 1.0), (3, 0.0)])
def test_senseless_quantiles_are_refused(df: int, level: float) -> None:
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(df, level)


def test_an_accuracys_interval_covers_pictures_and_training() -> None:
    """Networks of varying luck on pictures of varying difficulty: 95 of 100 intervals hold the
    accuracy that all pictures and all trainings would give."""
    rng = np.random.default_rng(5)
    truth, n, k, held, rounds = 0.6, 400, 3, 0, 2000
    for _round in range(rounds):
        hard = rng.normal(0, 0.8, n)  # shared by the seeds, as the pictures are
        luck = rng.normal(0, 0.1, k)
        line = 0.33 + luck[:, None] - hard[None, :] + rng.normal(0, 1.0, (k, n))
        correct = [int(row.sum()) for row in line > 0]
        _mean, low, high = accuracy_interval(correct, n)
        held += low <= truth <= high
    exact = statistics.NormalDist(0.33, math.sqrt(0.1**2 + 0.8**2 + 1)).cdf(0)
    assert 1 - exact == pytest.approx(truth, abs=0.004)
    assert 0.93 <= held / rounds <= 0.999


def test_one_seed_has_wilsons_interval_and_none_has_none() -> None:
    assert accuracy_interval([60], 100) == pytest.approx((0.6, *wilson(60, 100)))
    with pytest.raises(ValueError, match="a seed and a picture"):
        accuracy_interval([], 100)
