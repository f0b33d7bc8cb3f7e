"""A checkpoint's curves: kept, proved to be its own, and no condition for being a checkpoint."""

import json
from pathlib import Path
from typing import Any

import pytest

from core import checkpoints
from core.checkpoints import HISTORY, History, history
from core.collection.check import check
from core.errors import CheckpointError
from core.training.loop import train
from core.training.runs import RunFolder
from tests.food import make_food11
from tests.tiny_network import publish_tiny


def entry(epoch: int, right: int = 3) -> dict[str, Any]:
    """An epoch's metrics as the training loop writes them."""
    return {
        "epoch": epoch, "lr": 0.001, "px": 24, "loss": 2.123456789, "loss_hard": 2.0,
        "loss_soft": None, "train_accuracy": 0.5, "agreement": None, "val_loss": 2.5,
        "val_accuracy": right / 7, "val_correct": right, "val_n": 7, "images_per_s": 9.0,
        "seconds": 1.25,
    }  # fmt: skip


def test_it_travels_with_the_checkpoint(pretrained: Path) -> None:
    made = History.of([entry(1), entry(2, 5)], chosen_epoch=2)
    publish_tiny(history=made)
    found = history("tiny-scratch-s0")
    assert found is not None
    assert found.val_accuracy() == (3 / 7, 5 / 7)
    assert (found.chosen_epoch, found.loss) == (2, (2.123457, 2.123457))
    file = json.loads((pretrained / "tiny-scratch-s0" / HISTORY).read_text())
    assert file["val_correct"] == [3, 5] and file["loss_soft"] == [None, None]
    assert check(photographs=False)["ok"]


def test_without_one_nothing_is_missing(tiny_checkpoint: str) -> None:
    assert history(tiny_checkpoint) is None
    assert check(photographs=False)["ok"]


def test_a_changed_file_is_noticed(pretrained: Path) -> None:
    publish_tiny(history=History.of([entry(1)], 1))
    path = pretrained / "tiny-scratch-s0" / HISTORY
    path.write_text(path.read_text().replace("[3]", "[4]"))
    with pytest.raises(CheckpointError, match="SHA-256"):
        history("tiny-scratch-s0")


@pytest.mark.parametrize(
    ("entries", "chosen"),
    [
        ([], 1),
        ([{"epoch": 1}], 1),
        ([entry(1)], 2),
        ([entry(1, 8)], 1),
        ([{**entry(1), "loss": float("nan")}], 1),
    ],
)
def test_impossible_figures_are_refused(entries: list[dict[str, Any]], chosen: int) -> None:
    with pytest.raises(CheckpointError, match="not complete"):
        History.of(entries, chosen)


@pytest.mark.slow
def test_a_published_checkpoint_has_the_history_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.collection import reproduce
    from core.collection.recipes import Recipe
    from core.training.config import TrainConfig

    for name in ("PRETRAINED", "RUNS", "CACHE"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name.lower()))
    per_class = {"training": 2, "validation": 1, "testing": 1}
    food = make_food11(tmp_path / "food", per_class=per_class, size=(48, 40))
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    config = TrainConfig(
        model="dwpw_256k", px=32, epochs=2, batch_size=11, warmup_epochs=0.5, precision="float32"
    )
    recipe = Recipe("dwpw_256k-scratch-s0", "Student", "scratch", config)
    run = RunFolder(reproduce.run_folder(recipe, "quick"))
    train(config, run.path)
    reproduce.publish(recipe, run.path)
    published = (checkpoints.folder(recipe.id) / HISTORY).read_bytes()
    right = [line["val_correct"] for line in run.metrics()]
    assert json.loads(published)["val_correct"] == right
