"""Intervals, against scipy, a bootstrap, a simulation and hand-made cases."""

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.stats import (
    Score,
    mcnemar,
    mean_interval,
    paired_difference,
    paired_over_seeds,
    wilson,
)


@pytest.fixture(scope="module")
def scipy_stats() -> Any:
    """Imported here, because it takes a second of CPU, which no other test need wait for."""
    from scipy import stats

    return stats


@settings(deadline=None)  # scipy counts every case anew
@given(st.integers(1, 4000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(scipy_stats: Any, case: tuple[int, int]) -> None:
    correct, n = case
    for level in (0.95, 0.8):
        expected = scipy_stats.binomtest(correct, n).proportion_ci(level, method="wilson")
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
    for _ in range(300):
        _, low, high = paired_difference(*answers(rng, 200))
        held += low <= 0.05 <= high
    assert 0.93 <= held / 300 <= 0.98


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
def test_mcnemar_is_the_sign_test_on_the_disagreements(
    scipy_stats: Any, only_a: int, only_b: int
) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True] * 50)
    b = np.array([False] * only_a + [True] * only_b + [True] * 50)
    total = only_a + only_b
    expected = scipy_stats.binomtest(only_a, total, 0.5).pvalue if total else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-6)


def test_answers_that_are_not_paired_are_refused() -> None:
    for a, b in (([True], [True, False]), ([], []), ([[True]], [[True]])):
        with pytest.raises(ValueError):
            paired_difference(a, b)


def trained(
    rng: np.random.Generator, seeds: int, n: int, luck: float, lead: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """(K, N) right answers of two recipes whose seeds have luck, on pictures that are hard for all
    and that suit one recipe more than the other."""
    hard = rng.normal(0, 0.8, n)

    def answers(skill: float) -> np.ndarray:
        suits, noise = rng.normal(0, 0.4, n), rng.normal(0, 0.6, (seeds, n))
        return skill + rng.normal(0, luck, (seeds, 1)) - hard - suits + noise > 0

    return answers(0.4 + lead), answers(0.4)


def truth(luck: float, lead: float = 0.1) -> float:
    """What all pictures and all seeds of `trained` would show."""
    spread = NormalDist(0, np.sqrt(luck**2 + 0.8**2 + 0.4**2 + 0.6**2))
    return spread.cdf(0.4 + lead) - spread.cdf(0.4)


@pytest.mark.parametrize(("seeds", "luck"), [(2, 0.03), (3, 0.0), (3, 0.08), (5, 0.03)])
def test_the_interval_over_seeds_and_pictures_holds_the_truth(seeds: int, luck: float) -> None:
    rng = np.random.default_rng(seeds)
    held, alone, lead = 0, 0, truth(luck)
    for _ in range(300):
        a, b = trained(rng, seeds, 200, luck)
        _, low, high = paired_over_seeds(a, b)
        held += low <= lead <= high
        _, low, high = mean_interval([float(x) for x in a.mean(axis=1) - b.mean(axis=1)])
        alone += low <= lead <= high
    assert held / 300 >= 0.94
    assert alone <= held  # what the seeds alone promise is less


def test_with_many_seeds_it_agrees_with_a_bootstrap_of_seeds_and_pictures() -> None:
    """Owen's pigeonhole bootstrap (2007, Annals of Applied Statistics 1:386) draws rows and columns
    anew, independently; it counts the rest three times, which hardly matters here."""
    rng = np.random.default_rng(4)
    a, b = trained(rng, 40, 800, 0.15)
    difference, low, high = paired_over_seeds(a, b)
    apart = a.astype(float) - b
    assert difference == pytest.approx(apart.mean())
    drawn = [
        apart[rng.integers(0, 40, 40)][:, rng.integers(0, 800, 800)].mean() for _ in range(2000)
    ]
    expected = np.subtract(*np.percentile(drawn, (97.5, 2.5)))
    assert high - low == pytest.approx(expected, rel=0.12)


def test_the_parts_of_its_variance_are_those_of_a_two_way_table(scipy_stats: Any) -> None:
    """Mean squares from the printed table of a two-way analysis of variance, summed by hand."""
    a, b = trained(np.random.default_rng(6), 3, 500, 0.1)
    apart = a.astype(float) - b
    k, n = apart.shape
    total = (apart**2).sum() - apart.sum() ** 2 / (k * n)
    rows = (apart.sum(axis=1) ** 2).sum() / n - apart.sum() ** 2 / (k * n)
    columns = (apart.sum(axis=0) ** 2).sum() / k - apart.sum() ** 2 / (k * n)
    rest = (total - rows - columns) / ((k - 1) * (n - 1))
    of_pictures = max(0.0, columns / (n - 1) - rest) / (k * n)
    of_seeds = rows / (k - 1) / (k * n)
    expected = np.hypot(
        1.96 * np.sqrt(of_pictures), scipy_stats.t.ppf(0.975, k - 1) * np.sqrt(of_seeds)
    )
    difference, low, high = paired_over_seeds(a, b)
    assert high - difference == pytest.approx(expected, rel=0.01)
    assert difference - low == pytest.approx(high - difference)


def test_both_lucks_have_a_say_in_an_interval_over_seeds() -> None:
    rng = np.random.default_rng(8)
    a, b = answers(rng, 900)
    # one seed: the pictures alone
    assert paired_over_seeds([a], [b]) == paired_difference(a, b)
    # seeds that agree to the picture: the pictures' luck stays, and does not shrink with the seeds
    one, three = paired_difference(a, b), paired_over_seeds([a] * 3, [b] * 3)
    assert three == pytest.approx(one, abs=0.002)
    # recipes that never differ: a point is no honest interval
    same = paired_over_seeds([a] * 3, [a] * 3)
    assert same[0] == 0 and same[1] < 0 < same[2] < 0.01
    # seeds whose gain is now 0, now everything
    wild = paired_over_seeds([a, a | True], [a, a & False])
    assert wild[1] == -1.0 and wild[2] == 1.0
    back = paired_over_seeds([b, a], [a, a])
    assert paired_over_seeds([a, a], [b, a]) == pytest.approx((-back[0], -back[2], -back[1]))
    narrower = paired_over_seeds([a, a], [b, a], level=0.5)
    assert narrower[2] - narrower[1] < back[2] - back[1]


def test_seeds_that_are_not_paired_are_refused() -> None:
    yes = [True, False]
    for a, b in (([yes], [yes, yes]), ([], []), (yes, yes), ([[]], [[]]), ([yes], [[True]])):
        with pytest.raises(ValueError):
            paired_over_seeds(a, b)
