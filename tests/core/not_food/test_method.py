"""The scores against formulas of their own, the plane against least squares, the limit by count."""

import math

import numpy as np
import pytest

from core.not_food.method import DIRECTIONS, SCORES, Plane, energy, limit, scores

RNG = np.random.default_rng(5)
Z = RNG.normal(0, 4, (50, 11)).astype(np.float32)


def test_energy_is_minus_the_logarithm_of_the_sum_of_powers() -> None:
    expected = [-math.log(sum(math.exp(float(value)) for value in row)) for row in Z]
    assert energy(Z) == pytest.approx(expected, abs=1e-9)
    assert energy(Z + 1000) == pytest.approx(np.array(expected) - 1000)  # nothing overflows


def test_a_shift_of_all_logits_leaves_the_softmax_alone_and_moves_the_others() -> None:
    features = RNG.normal(size=(50, 30)).astype(np.float32)
    plane = Plane.of(RNG.normal(size=(200, 30)).astype(np.float32))
    before, after = (scores(logits, features, plane) for logits in (Z, Z + 7))
    assert set(before) == set(SCORES)
    assert after["confidence"] == pytest.approx(before["confidence"], abs=1e-6)
    assert after["max_logit"] == pytest.approx(before["max_logit"] - 7, abs=1e-5)
    assert after["energy"] == pytest.approx(before["energy"] - 7, abs=1e-5)
    p = np.exp(Z.astype(float)) / np.exp(Z.astype(float)).sum(1, keepdims=True)
    assert before["confidence"] == pytest.approx(1 - p.max(1))
    assert before["max_logit"] == pytest.approx(-Z.max(1))


def test_the_distance_is_what_least_squares_leaves() -> None:
    mixing = RNG.normal(size=(6, 40))
    training = (RNG.normal(size=(300, 6)) @ mixing + 3).astype(np.float32)
    training += RNG.normal(0, 0.05, training.shape).astype(np.float32)
    plane = Plane.of(training)
    features = RNG.normal(3, 2, (9, 40)).astype(np.float32)
    for row, got in zip(features, plane.distance(features), strict=True):
        apart = row - plane.mean
        near, *_ = np.linalg.lstsq(plane.directions.T, apart, rcond=None)
        assert got == pytest.approx(np.linalg.norm(apart - plane.directions.T @ near), rel=1e-3)
    inside = (RNG.normal(size=(9, 6)) @ mixing + 3).astype(np.float32)
    assert plane.distance(inside).max() < 0.2 < plane.distance(features).min()
    assert plane.directions @ plane.directions.T == pytest.approx(np.eye(DIRECTIONS), abs=2e-3)


def test_a_plane_is_the_same_after_a_file() -> None:
    plane = Plane.of(RNG.normal(size=(100, 25)).astype(np.float32))
    again = Plane.from_text(plane.text)
    assert (again.mean == plane.mean).all() and (again.directions == plane.directions).all()
    assert again.text == plane.text
    few = Plane.of(Z)  # half of 11 features
    assert few.directions.shape == (5, 11) and few.distance(Z).max() > 1


@pytest.mark.parametrize(
    "text",
    ["", "11", "3 no base64!", "2 AAAA", "4 AAAA", "x AAAA", Plane.of(Z).text[:-8] + "AH4AfgB+"],
)
def test_what_is_no_plane_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Plane.from_text(text)


@pytest.mark.parametrize("n", [1, 19, 20, 21, 863])
def test_at_least_the_share_keeps_to_the_limit_and_no_lower_one_would_do(n: int) -> None:
    values = RNG.permutation(np.arange(n)).astype(float)
    got = limit(values)
    assert (values <= got).mean() >= 0.95
    assert n == 1 or (values <= got - 1).mean() < 0.95
