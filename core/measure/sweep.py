"""What a sweep over temperature and alpha found: points, and the file that keeps them.

One student, one teacher, one short schedule; only T, alpha and the seed change from point to point
(Hinton et al. 2015, section 2; HW7 Q2, HW13 Q2.1). The points without a teacher are the same
schedule on the labels alone. The file is `pretrained/results/sweep-<model>.json`; no torch here.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import CheckpointError
from core.measure.accuracy import Score
from core.measure.seeds import mean_interval
from core.places import pretrained_dir, write_atomic
from core.words import _


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SweepPoint(_Frozen):
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


class Sweep(_Frozen):
    """All points of one sweep and what they share."""

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
    found: dict[tuple[float | None, float | None], list[Score]] = {}
    for point in sweep.points:
        found.setdefault(point.setting, []).append(point.test or point.validation)
    rows = []
    for (temperature, alpha), scores in found.items():
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


def sweep_path(model: str) -> Path:
    """Where the sweep of this student is kept."""
    return pretrained_dir() / "results" / f"sweep-{model}.json"


def load_sweep(model: str) -> Sweep | None:
    """The sweep of a student; None if nobody made one. Raises CheckpointError if unreadable."""
    path = sweep_path(model)
    try:
        return Sweep.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            _("{file} cannot be read. Get it again with git, or make it with: {command}").format(
                file=path.name, command="python -m core reproduce --steps sweep"
            )
        ) from error


def save_sweep(sweep: Sweep) -> None:
    """Write a sweep, atomically, a line per point so that a change shows as what it is."""
    content = sweep.model_dump(mode="json")
    points: Sequence[dict[str, Any]] = content.pop("points")
    parts = [f'"{name}": {json.dumps(value)}' for name, value in content.items()]
    lines = ",\n".join(json.dumps(point, separators=(",", ":")) for point in points)
    parts.append(f'"points": [\n{lines}\n]' if points else '"points": []')
    write_atomic(sweep_path(sweep.model), ("{\n" + ",\n".join(parts) + "\n}\n").encode())
