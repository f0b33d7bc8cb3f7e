"""Dreams on the pages: offered where there is no photo, and never shown as one."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.collection.recipes import preset
from core.data.dreams import DREAMS, dreams_dir, load_dreams
from core.training.config import TrainConfig
from core.training.queue.line import JobQueue, JobSettings
from pages.training import compared
from tests.core.training.queue.queueing import script
from tests.dreamers import fill_dreams
from tests.food import food_picture, make_food11
from tests.pages import shelf

Open = Callable[..., AppTest]
MARK = "generated picture (made from a teacher's weights)"


@pytest.fixture(autouse=True)
def home(pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    fill_dreams()


def text(app: AppTest) -> str:
    kinds = ("markdown", "success", "warning", "info", "error", "caption")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))


def captions(app: AppTest) -> list[str]:
    """What stands under the pictures."""
    return [image.caption for block in app.get("image") for image in block.proto.imgs]


def test_without_photographs_a_dream_is_looked_at_and_named_one(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER, shelf.SCRATCH)
    app = open_page("compare", dream_of="Soup", tab="classes")
    assert not app.exception
    assert captions(app)[0].lower() == f"{MARK}."
    assert "made as **Soup**" in text(app) and "label says" not in text(app)
    assert "Of 22 generated pictures at 128 px the teacher recognises 22" in text(app)
    assert "`dwpw_256k-scratch-s0`, which learned from labels alone, 11 (50" in text(app)
    table = app.dataframe[0].value
    assert set(table["photo"]) == {f"Soup, {MARK} (1)"}
    assert table.set_index("checkpoint").loc[shelf.TEACHER, "first"] == "Soup"
    next(one for one in app.button if one.label == "Next picture").click()
    app.run()
    assert set(app.dataframe[0].value["photo"]) == {f"Soup, {MARK} (2)"}


def test_photographs_come_first_where_there_are_some(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(make_food11(tmp_path / "food")))
    shelf.fill(shelf.TEACHER)
    app = open_page("compare")
    assert "The label says" in text(app) and MARK not in text(app) + captions(app)[0]
    app = open_page("compare", photo_from="dream")
    assert captions(app)[0].lower() == f"{MARK}."


def test_a_damaged_sheet_is_said_and_nothing_breaks(open_page: Open) -> None:
    shelf.fill(shelf.TEACHER)
    for file in dreams_dir().glob("128-*.jpg"):
        file.write_bytes(file.read_bytes()[:-1])
    app = open_page("compare")
    assert not app.exception
    assert "not the file it should be" in text(app)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobQueue:
    root = tmp_path / "runs"
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(root))
    one = JobQueue(root, JobSettings(threads=1), script)
    monkeypatch.setattr("core.training.queue.line.shared_queue", lambda: one)
    monkeypatch.setattr("pages.kit.visitor.visitor", lambda: "a" * 32)
    return one


METRICS = {
    "epoch": 1, "lr": 0.001, "loss": 2.0, "loss_hard": 2.0, "loss_soft": None, "val_loss": 2.0,
    "train_accuracy": 0.5, "agreement": None, "val_accuracy": 0.25, "val_n": 8,
    "images_per_s": 100.0, "seconds": 2.0,
}  # fmt: skip


def lesson(config: TrainConfig) -> dict[str, object]:
    """What the teacher's menu adds."""
    return {name: getattr(config, name) for name in ("teacher", "alpha", "temperature")}


@pytest.mark.slow
def test_photographs_that_are_refused_are_not_passed_over_in_silence(
    open_page: Open, queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path))
    for number in range(1, 12):
        folder = tmp_path / "training" / str(number)
        folder.mkdir(parents=True)
        food_picture(number - 1, 0, (8, 8)).save(folder / "photo.jpg")
    app = open_page("training")
    assert not app.exception and "learns from 33 pictures of 64 px" in text(app)
    assert any("are not used" in one.value and "1 to 11" in one.value for one in app.warning)


def test_without_photographs_a_training_learns_from_dreams(
    open_page: Open, queue: JobQueue
) -> None:
    app = open_page("training")
    assert not app.exception
    assert "learns from 33 pictures of 64 px" in text(app) and MARK in text(app)
    (question,) = (one.label for one in app.button_group if one.key == "guess_right")
    assert "of 100 new generated pictures" in question and "photograph" not in question
    next(one for one in app.button if "Start" in one.label).click().run()
    (job,) = queue.jobs(None)
    said = preset("minute", dreamed=True)
    assert said["share"] == 1 and said != preset("minute")
    assert job.config == TrainConfig(**said, data=DREAMS, **lesson(job.config))
    queue.stop(job.id, None)
    job.run.write_metrics([METRICS])
    (line,) = compared([job])
    assert (
        "right on 25 % of new generated pictures" in re.sub(r"\s", " ", line)
        and "validation" not in line
    )


def the_section() -> None:
    """A page of nothing but the section, for AppTest."""
    from pages.distillation import without_photographs
    from pages.kit import networks

    without_photographs(networks.checkpoints())


def test_the_experiment_says_what_is_missing() -> None:
    shelf.fill(shelf.TEACHER)
    app = AppTest.from_function(the_section, default_timeout=30).run()
    assert not app.exception
    assert "No student has learned from them yet" in text(app)
    assert all("generated, not a photograph" in one for one in captions(app))
    assert len(captions(app)) == 3
    (dreams_dir() / "dreams.json").unlink()
    assert load_dreams() is None
    app.run()
    assert not app.exception and "python -m tools dreams" in app.code[0].value


def test_the_experiment_is_told_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A student of dreams, right on 80 of 220, against a twin right on 130, paired."""
    from core.checkpoints import by_recipe
    from core.distillation.against_scratch import trials
    from core.stats import paired_difference
    from pages import distillation
    from tests.core.distillation import test_dreamed as trial

    def stored(id: str) -> tuple[np.ndarray, np.ndarray]:
        answers = np.where(trial.RIGHT[id], trial.LABELS, (trial.LABELS + 1) % 11)
        return np.eye(11, dtype=np.float32)[answers], trial.LABELS

    monkeypatch.setattr(by_recipe, "test_logits", stored)
    found = by_recipe.collect([trial.DREAMED, trial.FEW])
    assert len(found) == 2
    made = distillation.Compared({}, [], trials([trial.DREAMED, trial.FEW]))
    monkeypatch.setattr(distillation, "compared", lambda found: made)
    app = AppTest.from_function(the_section, default_timeout=30).run()
    assert not app.exception
    (chart,) = app.get("vega_lite_chart")
    assert chart
    gap, low, high = paired_difference(trial.RIGHT[trial.DREAMED.id], trial.RIGHT[trial.FEW.id])
    said = text(app)
    assert "**968 generated pictures** against **981 photographs**" in said
    assert f"{100 * gap:+.1f}".replace("-", "−") in said
    assert f"({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−") in said
    assert "The photographs taught more." in said and "One seed" in said
