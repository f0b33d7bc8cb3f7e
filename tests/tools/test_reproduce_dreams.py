"""Reproducing a student of dreams: it waits for its teacher's, and is tested on photographs."""

from pathlib import Path

import pytest

from core import checkpoints
from core.collection import recipes, reproduce
from core.collection.check import check
from core.collection.recipes import TEACHER, Recipe
from core.course import CLASSES
from core.data.dreams import DREAMS, dreams_dir, load_dreams
from core.data.find import find_food11
from core.distillation.against_scratch import pictures, trials
from core.training.config import TrainConfig
from tests.dreamers import fill_dreams
from tests.food import make_food11
from tools import dreams
from tools.dreams import DreamSettings

pytestmark = pytest.mark.slow

STUDENT = "dwpw_256k-dreams_distilled-s0"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, ...]:
    """A teacher small enough to train here, and a student of its dreams and of its photographs."""
    make_food11(tmp_path / "food", per_class={"training": 2, "validation": 1, "testing": 1})
    for name in ("PRETRAINED", "RUNS", "CACHE"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "food"))
    settings = TrainConfig(
        model="dwpw_256k", px=32, epochs=1, batch_size=11, warmup_epochs=0.5, precision="float32"
    )
    taught = settings.model_copy(update={"teacher": TEACHER})
    small = DreamSettings(px=64, per_class=3, validation=1, batch_per_class=3, steps=1)
    monkeypatch.setattr(dreams, "PLAN", (small,))
    dreamed = taught.model_copy(update={"data": DREAMS})
    tiny = (
        Recipe(TEACHER, "Teacher", "scratch", settings),
        Recipe(STUDENT, "Of dreams", "dreams_distilled", dreamed),
        Recipe("dwpw_256k-photos_distilled-s0", "Of photos", "photos_distilled", taught),
    )
    monkeypatch.setattr(recipes, "recipes", lambda schedule: tiny)
    return tiny


def states(said: list[str]) -> dict[str, str]:
    rows = reproduce.reproduce(steps=("training",), log=said.append)
    return {row["checkpoint"]: row["state"] for row in rows}


def test_whoever_learns_from_dreams_waits_for_them(plan: tuple[Recipe, ...]) -> None:
    said: list[str] = []
    assert states(said) == {one.id: "missing" if one.id == STUDENT else "done" for one in plan}
    (line,) = said
    assert STUDENT in line and TEACHER in line and "python -m tools dreams" in line

    fill_dreams()  # of another teacher
    assert states(said)[STUDENT] == "missing" and said == [line, line]
    said.clear()
    dreams.make_dreams(TEACHER, said.append)
    assert len([line for line in said if "batch" in line]) == 1
    said.clear()
    assert set(states(said).values()) == {"done"} and not said
    found = load_dreams()
    assert found is not None and found.sets[0].n == 3 * len(CLASSES)
    one, photographs = checkpoints.get(STUDENT), find_food11()
    assert one.config["data"] == DREAMS
    assert one.data.fingerprint == photographs.fingerprint and not one.data.is_food11
    assert one.data.name.startswith(photographs.name) and "Dreamed by the teacher" in one.data.name
    assert one.data.training == pictures(one) == 2 * len(CLASSES)
    assert one.test is not None and one.test.n == len(CLASSES)
    assert check()["ok"]
    (trial,) = trials(checkpoints.load_manifest().values())
    assert [against.b.first.recipe for against in trial.twins] == ["photos_distilled"]

    (dreams_dir() / "dreams.json").unlink()  # what is trained needs them no more
    assert set(states(said).values()) == {"done"} and not said
