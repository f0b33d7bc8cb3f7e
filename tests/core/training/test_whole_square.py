"""A network that sees the whole square of a picture, not its middle: trained, served, teaching."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core import checkpoints
from core.collection import check
from core.collection.recipes import Recipe
from core.collection.reproduce import publish
from core.data.find import find_food11
from core.inference.predict import predict_photo, predictor
from core.models.registry import MODELS
from core.photos import prepare, read_photo_file, to_square
from core.training.config import TrainConfig
from core.training.learner import Learner
from core.training.loop import train
from core.training.photographs import generator, learned_from
from core.training.publish import model_card
from core.training.runs import RunFolder
from core.training.speed import Compute
from core.training.teacher_cache import load_teacher
from tests.core.training.test_more_data import more

__all__ = ["more"]

PX = 48
ID = "whole-scratch-s0"


@pytest.fixture
def whole(
    tiny: TrainConfig,
    more: Path,
    food: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> checkpoints.Checkpoint:
    """A published network of 48 px that sees all of the square, and learned from further photos."""
    spec = replace(MODELS["dwpw_256k"], key="whole", crop=1.0)
    monkeypatch.setitem(MODELS, "whole", spec)
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    changed = {"model": "whole", "px": PX, "epochs": 1, "warmup_epochs": 0.0, "lr": 1e-3}
    config = tiny.model_copy(update=changed | {"more_data": str(more)})
    train(config, tmp_path / "run")
    return publish(Recipe(ID, "Whole", "scratch", config), tmp_path / "run")


def _right(food: Path, split: str) -> tuple[int, int]:
    """How many it gets right of whole squares made here, by its graph; and of how many."""
    index = find_food11(food)
    rows = index.of(split)
    squares = [to_square(read_photo_file(index.root / index.files[row]), PX) for row in rows]
    logits = predictor(ID).logits(np.stack(squares))
    return int((logits.argmax(1) == index.labels[rows]).sum()), len(rows)


@pytest.mark.slow
def test_it_is_measured_checked_and_served_on_the_whole_square(
    whole: checkpoints.Checkpoint, food: Path, tmp_path: Path
) -> None:
    assert whole.crop == 1.0 and checkpoints.get(ID).crop == 1.0
    for split, score in (("validation", whole.validation), ("testing", whole.test)):
        assert score is not None and (score.correct, score.n) == _right(food, split)
        found = check.evaluate(ID, split)
        assert (found["correct"], found["n"]) == (score.correct, score.n)
    assert RunFolder(tmp_path / "run").result()["validation"]["n"] == 22  # type: ignore[index]
    (row,) = check.check()["checkpoints"]
    assert row["ok"] and row["recomputed"]["testing"]["correct"] == whole.test.correct  # type: ignore[union-attr]

    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8))
    (told,) = predict_photo(image, [ID])
    square = image.crop((10, 0, 80, 70))
    assert np.array_equal(told.logits, predictor(ID).logits(to_square(square, PX)[None])[0])
    middle = predictor(ID).logits(prepare(image, PX)[None])[0]
    assert not np.allclose(told.logits, middle)


def test_its_entry_names_the_further_photographs(
    whole: checkpoints.Checkpoint, food: Path, more: Path
) -> None:
    stored = checkpoints.get(ID).data
    assert stored.fingerprint == find_food11(food).fingerprint and stored.training == 44
    assert stored.more is not None and stored.more.training == 66
    assert stored.more.fingerprint == find_food11(more).fingerprint
    assert stored.learned_from == 44 + 66
    (line,) = (line for line in model_card(whole).splitlines() if "besides" in line)
    assert "66 photographs of More photographs" in line and stored.more.fingerprint in line
    plain = checkpoints.DataInfo(
        name="a", fingerprint="b", is_food11=False, training=1, validation=1, testing=1
    )
    assert "more" not in plain.model_dump() and plain.learned_from == 1


@pytest.mark.slow
@pytest.mark.parametrize("views", [0, 2])
def test_it_teaches_with_the_same_view_of_more_of_the_picture(
    views: int,
    whole: checkpoints.Checkpoint,
    tiny: TrainConfig,
    food: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the teacher is asked about: the student's crops, drawn from its own, finer squares."""
    index = find_food11(food)
    config = tiny.model_copy(update={"teacher": ID, "views": views, "epochs": 1, "mixup": 0.2})
    teacher = load_teacher(ID, 32, "cpu")
    assert (teacher.px, teacher.crop, teacher.runtime) == (PX, 1.0, "onnxruntime")
    training = learned_from(config, index, 32, 0.875)
    shown = learned_from(config, index, PX, 1.0)
    spec = MODELS[tiny.model]
    compute = Compute("cpu", bfloat16=False, channels_last=False)
    learner = Learner(config, spec, spec.build(), compute, training, training, teacher, shown=shown)
    asked: list[torch.Tensor] = []

    def answer(x: torch.Tensor) -> torch.Tensor:
        asked.append(x)
        return torch.zeros(len(x), 11)

    monkeypatch.setattr(teacher, "ask", answer)
    learner.epoch(0)
    pictures = torch.cat(asked)
    assert pictures.shape == (44, 3, PX, PX)
    if views:  # the same pictures as the student's, but for what scaling blurs
        view, _key = learner._view(0)
        order = torch.randperm(44, generator=generator(config.seed, "order", 0))
        student = learner._see(order, view, 32, training)
        small = torch.nn.functional.interpolate(pictures, (32, 32), mode="area")
        seen, told = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (student, small))
        assert bool((torch.cosine_similarity(seen, told) > 0.8).all())


def test_a_whole_run_learns_from_it(
    whole: checkpoints.Checkpoint, tiny: TrainConfig, more: Path, tmp_path: Path
) -> None:
    config = tiny.model_copy(
        update={"teacher": ID, "views": 1, "more_data": str(more), "more_share": 0.5}
    )
    result = train(config, tmp_path / "student")
    assert result["validation"]["n"] == 22
    answers = list((tmp_path / "cache" / "answers").glob("*.npy"))
    assert len(answers) == 1
    kept = np.load(answers[0])
    assert kept.shape == (110, 11) and int((kept != 0).any(axis=1).sum()) == 44 + 33


def test_squares_of_other_photographs_are_refused(
    tiny: TrainConfig, food: Path, whole: checkpoints.Checkpoint
) -> None:
    index, spec = find_food11(food), MODELS[tiny.model]
    training = learned_from(tiny, index, 32, 0.875)
    half = learned_from(tiny.model_copy(update={"share": 0.5}), index, PX, 1.0)
    compute = Compute("cpu", bfloat16=False, channels_last=False)
    with pytest.raises(ValueError, match="other photographs"):
        Learner(tiny, spec, spec.build(), compute, training, training, shown=half)
