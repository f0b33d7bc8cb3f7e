"""What a sweep over temperature and alpha found: points, and the file that keeps them.

One student, one teacher, one short schedule; only T, alpha and the seed change from point to point
(Hinton et al. 2015, section 2; HW7 Q2, HW13 Q2.1). The points without a teacher are the same
schedule on the labels alone. The file is `pretrained/results/sweep-<model>.json`; no torch here.
"""

from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from core.results import Frozen, ResultFile
from core.stats import Score, mean_interval


class SweepPoint(Frozen):
    """One training: `temperature` and `alpha` are None where no teacher taught."""

    temperature: float | None
    alpha: float | None
    seed: int
    best_epoch: int
    validation: Score
    test: Score | None
    """None where the photographs hold no labelled test split."""
    wall_s: float

    @property
    def setting(self) -> tuple[float | None, float | None]:
        """What the comparison is about: (temperature, alpha)."""
        return self.temperature, self.alpha


class Sweep(ResultFile):
    """All points of one sweep and what they share."""

    kind = "sweep"
    command = "python -m core reproduce --steps sweep"
    lists = ("points",)

    model: str
    teacher: str
    teacher_sha256: str
    shared: dict[str, Any]
    """Training settings common to every point (`core.training.config.TrainConfig`)."""
    data: str
    is_food11: bool
    fingerprint: str
    device: str
    versions: dict[str, str]
    commit: str
    date: str
    points: tuple[SweepPoint, ...] = ()

    @property
    def name(self) -> str:
        """The student's model."""
        return self.model


def points_frame(sweep: Sweep) -> pd.DataFrame:
    """One row per training: temperature, alpha, seed, split, n, correct, accuracy in %."""
    rows = []
    for point in sweep.points:
        score = point.test or point.validation
        rows.append(
            {
                "temperature": point.temperature,
                "alpha": point.alpha,
                "seed": point.seed,
                "split": "testing" if point.test else "validation",
                "n": score.n,
                "correct": score.correct,
                "accuracy": 100 * score.accuracy,
            }
        )
    return pd.DataFrame(rows)


class Setting(NamedTuple):
    """One setting over its seeds; accuracies on the test split, else on the validation split."""

    temperature: float | None
    alpha: float | None
    seeds: int
    n: int
    mean: float
    low: float
    high: float
    """95 % interval: over seeds (Student's t) where there are two or more, else Wilson's."""


def settings(sweep: Sweep) -> list[Setting]:
    """Every setting, averaged over its seeds: labels alone first, then by alpha and temperature."""
    by_setting: dict[tuple[float | None, float | None], list[Score]] = {}
    for point in sweep.points:
        by_setting.setdefault(point.setting, []).append(point.test or point.validation)
    rows = []
    for (temperature, alpha), scores in by_setting.items():
        accuracies = [score.accuracy for score in scores]
        low, high = scores[0].ci95
        if len(scores) > 1:
            _mean, low, high = mean_interval(accuracies)
        rows.append(
            Setting(
                temperature,
                alpha,
                len(scores),
                scores[0].n,
                fmean(accuracies),
                max(0.0, low),
                min(1.0, high),
            )
        )
    return sorted(rows, key=lambda row: (row.alpha or 0, row.temperature or 0))
