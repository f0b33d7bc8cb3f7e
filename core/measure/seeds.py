"""A mean over training seeds and its interval: how far luck of training could have moved a result.

Student's t interval (Student 1908): mean -+ t(k - 1) s / sqrt(k) for k runs. With two or three runs
it is wide, and that is the truth about two or three runs.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from core.measure.accuracy import wilson


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of at least two values of independent runs; ValueError for fewer."""
    if len(values) < 2:
        raise ValueError("an interval over seeds takes two of them at least")
    mean = fmean(values)
    reach = t_quantile(len(values) - 1, level) * stdev(values) / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def accuracy_interval(
    correct: Sequence[int], n: int, level: float = 0.95
) -> tuple[float, float, float]:
    """(mean, low, high) of the accuracy of one recipe: `correct` of the same n pictures, per seed.

    Two kinds of luck that know nothing of each other, so their squares add: that of the pictures
    (Wilson's interval at the mean accuracy) and that of training (Student's t over seeds). With one
    seed only the first is known, and the interval is Wilson's. Clipped to 0..1. ValueError for no
    seed or no pictures.
    """
    if not correct or n < 1:
        raise ValueError("an accuracy takes a seed and a picture at least")
    mean = fmean(correct) / n
    # Wilson's interval at a mean that need not be a whole number of pictures
    low, high = (wilson(count, n, level) for count in (math.floor(mean * n), math.ceil(mean * n)))
    below, above = mean - low[0], high[1] - mean
    if len(correct) == 1:
        return mean, low[0], high[1]
    reach = mean_interval([count / n for count in correct], level)[2] - mean
    below, above = math.hypot(below, reach), math.hypot(above, reach)
    return mean, max(0.0, mean - below), min(1.0, mean + above)


def t_quantile(df: int, level: float = 0.95) -> float:
    """The t with P(|t_df| <= t) = level: 12.706 for one degree of freedom at 0.95."""
    if df < 1 or not 0 < level < 1:
        raise ValueError(f"no t quantile for df = {df}, level = {level}")
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(df)), in which t may be infinite
    for _halving in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _two_sided(middle, df) < level else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _two_sided(angle: float, df: int) -> float:
    """P(|t| <= sqrt(df) tan(angle)), exactly (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    if df % 2 == 0:
        term, total = 1.0, 1.0
        for k in range(1, df // 2):
            term *= cosine**2 * (2 * k - 1) / (2 * k)
            total += term
        return sine * total
    total, term = 0.0, cosine
    for k in range(1, (df - 1) // 2 + 1):
        total += term
        term *= cosine**2 * 2 * k / (2 * k + 1)
    return 2 / math.pi * (angle + sine * total)
