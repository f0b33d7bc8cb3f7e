"""A sweep trains every point once, keeps what it measured, and goes on where it was stopped."""

from pathlib import Path
from typing import Any

import pytest

from core import checkpoints
from core.collection import recipes, reproduce
from core.collection.recipes import Recipe
from core.distillation.measure import make_sweep, missing_points
from core.distillation.sweep import Sweep, settings
from core.errors import UserError
from core.paths import runs_dir
from core.training.config import TrainConfig
from core.training.loop import train
from tests.food import make_food11

pytestmark = pytest.mark.slow

TEACHER = "dwpw_256k-scratch-s0"
BASE = TrainConfig(
    model="dwpw_256k", px=32, epochs=1, batch_size=11, warmup_epochs=0.5, precision="float32"
)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """Two settings, one on labels alone, on generated pictures, with a teacher that exists."""
    food = tmp_path / "food"
    make_food11(food, per_class={"training": 2, "validation": 1, "testing": 1}, size=(48, 40))
    for name, folder in (("PRETRAINED", "pretrained"), ("RUNS", "runs"), ("CACHE", "cache")):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / folder))
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    plan = (Recipe(TEACHER, "Teacher", "scratch", BASE),)
    monkeypatch.setattr(recipes, "recipes", lambda schedule: plan)
    reproduce.reproduce(steps=("training",))
    taught = {"teacher": TEACHER, "alpha": 0.9, "temperature": 2.0}
    return [BASE, BASE.model_copy(update=taught), BASE.model_copy(update={**taught, "seed": 1})]


def test_every_point_is_trained_once_and_kept(
    points: list[TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_points(points) == points
    trained: list[TrainConfig] = []

    def stop_after_two(config: TrainConfig, folder: Path, device: str) -> dict[str, Any]:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(config)
        return train(config, folder, device=device)

    monkeypatch.setattr("core.distillation.measure.train", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        make_sweep(points, log=lambda _line: None)
    assert missing_points(points) == points[2:]

    monkeypatch.setattr("core.distillation.measure.train", train)
    said: list[str] = []
    found = make_sweep(points, log=said.append)
    assert missing_points(points) == [] and len(said) == 1
    assert found == Sweep.load("dwpw_256k")
    assert found.teacher_sha256 == checkpoints.get(TEACHER).weights_sha256
    assert [(p.temperature, p.alpha, p.seed) for p in found.points] == [
        (None, None, 0), (2.0, 0.9, 0), (2.0, 0.9, 1),
    ]  # fmt: skip
    assert {point.test.n for point in found.points if point.test} == {11}
    assert not list(runs_dir().glob("sweep-*"))


def test_the_point_without_a_teacher_is_the_checkpoint_trained_the_same_way(
    points: list[TrainConfig],
) -> None:
    """Same settings and seed as the published one, measured by another path (ONNX Runtime)."""
    (point, *_rest) = make_sweep(points[:2], log=lambda _line: None).points
    entry = checkpoints.get(TEACHER)
    assert entry.test and point.test and point.validation == entry.validation
    assert abs(point.test.correct - entry.test.correct) <= 1  # a tie may round either way


def test_other_teacher_weights_or_settings_start_anew(points: list[TrainConfig]) -> None:
    make_sweep(points[:2], log=lambda _line: None)
    longer = [config.model_copy(update={"epochs": 2}) for config in points[:2]]
    assert missing_points(points[:2]) == []
    assert missing_points(longer) == longer
    with pytest.raises(UserError, match="T, alpha and seed only"):
        missing_points([points[0], longer[1]])


def test_settings_average_over_seeds(points: list[TrainConfig]) -> None:
    found = make_sweep(points, log=lambda _line: None)
    alone, taught = settings(found)
    assert (alone.temperature, alone.seeds, alone.n) == (None, 1, 11)
    assert (taught.temperature, taught.alpha, taught.seeds) == (2.0, 0.9, 2)
    a, b = (p.test.accuracy for p in found.points[1:] if p.test)
    assert taught.mean == pytest.approx((a + b) / 2)
    # Student's t with one degree of freedom: 12.706 standard errors; |a - b| / 2 is one of them
    reach = 12.706 * abs(a - b) / 2
    assert taught.low == pytest.approx(max(0.0, taught.mean - reach), abs=1e-3)
