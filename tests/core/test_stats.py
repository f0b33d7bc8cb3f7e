"""Intervals, against scipy, a bootstrap, a simulation and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from core.stats import Score, mcnemar, paired_difference, wilson


@given(st.integers(1, 4000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case: tuple[int, int]) -> None:
    correct, n = case
    for level in (0.95, 0.8):
        expected = stats.binomtest(correct, n).proportion_ci(level, method="wilson")
        assert wilson(correct, n, level) == pytest.approx(tuple(expected), abs=1e-9)


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0
    for wrong in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError):
            wilson(*wrong)
    with pytest.raises(ValueError):
        wilson(1, 2, level=1.0)


def test_a_score_adds_up() -> None:
    score = Score.of(843, 1492)
    assert score.accuracy == 843 / 1492
    assert score.ci95[0] < score.accuracy < score.ci95[1]
    logits = np.eye(11, dtype=np.float32)[[3, 4, 5, 5]]
    assert Score.from_logits(logits, np.array([3, 4, 0, 5])) == Score.of(3, 4)
    with pytest.raises(ValidationError):
        Score(n=2, correct=3, accuracy=1.0, ci95=(0.0, 1.0))
    with pytest.raises(ValueError):
        Score.from_logits(logits[:0], np.array([], dtype=np.int64))


def answers(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two networks, right with probability 0.70 and 0.65, on pictures that are hard for both."""
    easy = rng.random(n) < 0.5
    a = rng.random(n) < np.where(easy, 0.9, 0.5)
    b = rng.random(n) < np.where(easy, 0.9, 0.4)
    return a, b


def test_the_paired_interval_agrees_with_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    a, b = answers(rng, 1500)
    diff, low, high = paired_difference(a, b)
    assert diff == pytest.approx(a.mean() - b.mean())
    rows = rng.integers(0, 1500, (4000, 1500))
    resampled = a[rows].mean(axis=1) - b[rows].mean(axis=1)
    assert (low, high) == pytest.approx(np.percentile(resampled, (2.5, 97.5)), abs=0.003)


def test_the_paired_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        _, low, high = paired_difference(*answers(rng, 200))
        held += low <= 0.05 <= high
    assert 0.93 <= held / 600 <= 0.975


def test_pairing_is_worth_something_and_has_a_direction() -> None:
    rng = np.random.default_rng(2)
    a = rng.random(500) < 0.7
    b = a.copy()
    b[np.flatnonzero(a)[:25]] = False  # b is a, but wrong on 25 more
    diff, low, high = paired_difference(a, b)
    assert diff == pytest.approx(0.05) and 0 < low < diff < high
    back = paired_difference(b, a)
    assert back == pytest.approx((-diff, -high, -low))
    shuffled = paired_difference(a, rng.permutation(b))
    assert shuffled[2] - shuffled[1] > 2 * (high - low)
    same = paired_difference(a, a)
    assert same[0] == 0 and same[1] < 0 < same[2]


@pytest.mark.parametrize("only_a, only_b", [(0, 0), (5, 0), (3, 9), (40, 41), (900, 700)])
def test_mcnemar_is_the_sign_test_on_the_disagreements(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True] * 50)
    b = np.array([False] * only_a + [True] * only_b + [True] * 50)
    total = only_a + only_b
    expected = stats.binomtest(only_a, total, 0.5).pvalue if total else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-6)


def test_answers_that_are_not_paired_are_refused() -> None:
    for a, b in (([True], [True, False]), ([], []), ([[True]], [[True]])):
        with pytest.raises(ValueError):
            paired_difference(a, b)
