"""How sure a count of right answers makes us: an interval around one accuracy, or a difference.

One accuracy: Wilson's score interval (Wilson 1927). Two networks on the same pictures: their
answers are paired, so the difference gets Newcombe's paired score interval (Newcombe 1998,
Statistics in Medicine 17:2635, method 10), and McNemar's exact test says whether chance could
have done it. Trained again with other seeds, the same two recipes differ by something else:
`paired_over_seeds` holds the luck of the pictures and that of training.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from core.data.pixels import Pixels


class Labelled(NamedTuple):
    """Pictures with their true classes: what an accuracy is measured on."""

    pixels: NDArray[np.uint8]
    """(N, 3, px, px), RGB on 0-255."""
    labels: NDArray[np.int64]
    """(N,), 0..10."""


def labelled(pixels: "Pixels", split: str, px: int) -> Labelled:
    """The labelled pictures of one split at px x px, cut from the middle of the stored squares.

    The same cut as `core.photos.prepare` makes, so an upload and a test picture go one way.
    Raises DataError for an unknown split, ValueError where the stored squares are too small.
    """
    from core.photos import centre_crop

    if px > pixels.stored:
        raise ValueError(f"{pixels.stored} px squares hold no {px} px picture")
    rows = pixels.split(split)
    rows = rows[pixels.labels[rows] >= 0]
    return Labelled(centre_crop(pixels.pixels[rows], px), pixels.labels[rows])


class Score(BaseModel):
    """An accuracy that says on how many pictures it stands; fractions, 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    n: int = Field(gt=0)
    correct: int = Field(ge=0)
    accuracy: float = Field(ge=0, le=1)
    ci95: tuple[float, float]
    """95 % Wilson interval of the accuracy, over pictures."""

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.correct > self.n:
            raise ValueError("more right answers than pictures")
        return self

    @classmethod
    def of(cls, correct: int, n: int) -> Self:
        """The score of `correct` right answers out of `n` pictures, n > 0 (else ValueError)."""
        if n < 1:
            raise ValueError("no pictures, no accuracy")
        return cls(n=n, correct=correct, accuracy=correct / n, ci95=wilson(correct, n))

    @classmethod
    def from_logits(cls, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """The score of logits (N, 11) against true classes (N,), N > 0."""
        return cls.of(int((logits.argmax(1) == labels).sum()), len(labels))


def wilson(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval: the accuracies under which `correct` of n is no surprise.

    With p = correct / n and z the normal quantile of `level`, its bounds are
        (p + z^2/2n -+ z sqrt(p(1 - p)/n + z^2/4n^2)) / (1 + z^2/n).
    Unlike p -+ z sqrt(p(1 - p)/n) it stays inside 0..1 and is honest near both ends
    (Wilson 1927, JASA 22:209; Brown, Cai & DasGupta 2001). No pictures give (0, 1).
    Raises ValueError unless 0 <= correct <= n and 0 < level < 1.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} right answers of {n}?")
    z = _quantile(level)
    if n == 0:
        return 0.0, 1.0
    p = correct / n
    middle = p + z * z / (2 * n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if correct == 0 else (middle - reach) / scale
    high = 1.0 if correct == n else (middle + reach) / scale
    return low, high


def paired_difference(
    correct_a: ArrayLike, correct_b: ArrayLike, level: float = 0.95
) -> tuple[float, float, float]:
    """Accuracy of a minus accuracy of b on the same pictures, with its interval (diff, low, high).

    `correct_a`, `correct_b`: (N,) true where the network was right, same pictures in the same
    order; all three results are fractions, -1..1. Method: Newcombe 1998, method 10: the Wilson
    intervals of both accuracies, joined with the correlation phi between the two networks'
    answers. Raises ValueError for unequal lengths or no pictures.
    """
    a, b = _pair(correct_a, correct_b)
    n = len(a)
    right_a, right_b = int(a.sum()), int(b.sum())
    p_a, p_b = right_a / n, right_b / n
    low_a, high_a = wilson(right_a, n, level)
    low_b, high_b = wilson(right_b, n, level)
    phi = _phi(a, b)

    def reach(towards_a: float, towards_b: float) -> float:
        square = towards_a**2 - 2 * phi * towards_a * towards_b + towards_b**2
        return math.sqrt(max(0.0, square))

    difference = p_a - p_b
    low = difference - reach(p_a - low_a, high_b - p_b)
    high = difference + reach(high_a - p_a, p_b - low_b)
    return difference, low, high


def paired_over_seeds(
    correct_a: ArrayLike, correct_b: ArrayLike, level: float = 0.95
) -> tuple[float, float, float]:
    """Accuracy of recipe a minus recipe b, over seeds and pictures (difference, low, high).

    `correct_a`, `correct_b`: (K, N) true where the network of a seed was right on a picture; the
    same K seeds and N pictures in the same order. The results are fractions, -1..1. The interval is
    about other pictures *and* other seeds, which are crossed: each seed answers each picture.

    The difference of a seed on a picture is -1, 0 or 1. Its variance has three parts (two-way
    random effects, Searle 1971): s of the seeds, p of the pictures, and the rest e; the mean has
    the variance s/K + p/N + e/KN. The spread of the seeds' means holds s and e, so Student's t over
    seeds covers s/K + e/KN; what is left is p/N, the pictures' spread without its part of e. The
    squares of both reaches add. The interval is never narrower than pictures alone make it.

    Networks that agree on almost everything have hardly any spread to see: as Bonett & Price (2012,
    J. Educ. Behav. Stat. 37:479) do, one picture that only a gets right and one that only b does
    are added before the pictures' spread is measured. With one seed the luck of training is
    unknown, and the interval is `paired_difference`'s. Raises ValueError for unequal shapes, no
    seed or no pictures.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"paired answers of seeds need one shape, not {a.shape} and {b.shape}")
    seeds, n = a.shape
    if seeds == 1:
        return paired_difference(a[0], b[0], level)
    apart = a.astype(float) - b  # (K, N)
    by_seed, by_picture = apart.mean(axis=1), apart.mean(axis=0)
    mean, _low, high = mean_interval([float(value) for value in by_seed], level)
    rest = apart - by_seed[:, None] - by_picture[None, :] + mean
    of_rest = float((rest**2).sum()) / ((seeds - 1) * max(1, n - 1)) / seeds
    of_pictures = float(np.var([*by_picture, 1.0, -1.0], ddof=1))
    z = _quantile(level)
    pictures = z * math.sqrt(of_pictures / n)
    without_rest = z * math.sqrt(max(0.0, of_pictures - of_rest) / n)
    reach = max(pictures, math.hypot(high - mean, without_rest))
    return mean, max(-1.0, mean - reach), min(1.0, mean + reach)


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> float:
    """Two-sided p of McNemar's exact test that a and b are equally often right (McNemar 1947).

    Only pictures on which exactly one of them is right count; without a difference between the
    networks each of those is a fair coin. Inputs as in `paired_difference`; 1 if there are none.
    """
    a, b = _pair(correct_a, correct_b)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    total = only_a + only_b
    # lgamma, because 2**total leaves the floats at about a thousand pictures
    tail = sum(
        math.exp(
            math.lgamma(total + 1)
            - math.lgamma(k + 1)
            - math.lgamma(total - k + 1)
            - total * math.log(2)
        )
        for k in range(min(only_a, only_b) + 1)
    )
    return min(1.0, 2 * tail)


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def _pair(
    correct_a: ArrayLike, correct_b: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or len(a) == 0:
        raise ValueError(f"paired answers need one length, not {a.shape} and {b.shape}")
    return a, b


def _phi(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Newcombe's phi: the correlation of two yes/no answers, shrunk where it is positive."""
    n = len(a)
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    spread = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if spread == 0:
        return 0.0
    determinant = float(both * neither - only_a * only_b)
    if determinant > 0:  # Newcombe's continuity correction
        determinant = max(determinant - n / 2, 0)
    return determinant / math.sqrt(spread)


# A mean over training seeds and its interval: how far luck of training could have moved a result.
#
# Student's t interval (Student 1908): mean -+ t(k - 1) s / sqrt(k) for k runs. With two or three
# runs it is wide, and that is the truth about two or three runs.


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


@lru_cache(maxsize=256)
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
