"""Trainings that learn from other photographs first: what they share, and what they wait for."""

from dataclasses import replace
from pathlib import Path

import pytest

from core import checkpoints
from core.collection import recipes, reproduce
from core.collection.recipes import FOOD101, LESSON, TEACHER, Recipe
from core.data.find import find_food11
from core.errors import CheckpointError
from core.training.config import TrainConfig
from tests.tools.test_distinct import NOT, photographs
from tools.near_duplicates import write_distinct

pytestmark = pytest.mark.slow

PLAN = {recipe.id: recipe for recipe in recipes.recipes("quick")}
START, AFTER, PLAIN = "dwpw_256k-food101-s0", "dwpw_256k-food101_scratch-s0", "dwpw_256k-scratch-s0"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A start, a network that goes on from it, and one that does not; photographs for both."""
    source = photographs(tmp_path / "source", 2)
    (source / "PROVENANCE.md").write_text(NOT)
    monkeypatch.setenv("FOOD11_ROOT", str(photographs(tmp_path / "food", 1)))
    monkeypatch.delenv(FOOD101, raising=False)
    for name in ("PRETRAINED", "RUNS", "CACHE"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name.lower()))
    settings = TrainConfig(
        model="dwpw_256k", px=32, epochs=1, batch_size=11, warmup_epochs=0, precision="float32"
    )

    def planned(id: str, kind: str, **more: str) -> Recipe:
        return Recipe(id, id, kind, settings.model_copy(update=more))

    tiny = (
        planned(START, "food101", data=FOOD101),
        planned(AFTER, "food101_scratch", start_from=START),
        planned(PLAIN, "scratch"),
    )
    monkeypatch.setattr(recipes, "recipes", lambda schedule: tiny)
    return source


def states(said: list[str], only: tuple[str, ...] = ()) -> list[str]:
    rows = reproduce.reproduce(only=only, steps=("training",), log=said.append)
    return [row["state"] for row in rows]


def test_without_the_photographs_they_are_left_out_and_the_others_made(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert states(said) == ["missing", "missing", "done"]
    (line,) = said
    assert f"{START}, {AFTER}." in line and PLAIN not in line
    assert FOOD101 in line and "tools distinct" in line
    monkeypatch.setenv(FOOD101, str(source))  # with its duplicates, if any: nobody looked
    assert states(said) == ["missing", "missing", "done"] and said[1] == line


def test_with_them_the_start_is_measured_on_its_own_set(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_distinct(find_food11(source), find_food11(), tmp_path / "made", progress=False)
    monkeypatch.setenv(FOOD101, str(tmp_path / "made"))
    said: list[str] = []
    assert states(said, (START, AFTER)) == ["done", "done"] and not said
    start, after = checkpoints.get(START), checkpoints.get(AFTER)
    assert (start.data.name, start.data.fingerprint) == (made.index.name, made.index.fingerprint)
    assert after.data.fingerprint == find_food11().fingerprint != start.data.fingerprint
    assert start.config["data"] == FOOD101 and after.config["start_from"] == START

    monkeypatch.delenv(FOOD101)  # what is made needs the photographs no more
    assert states(said) == ["done", "done", "done"] and not said


def test_what_goes_on_waits_for_its_start(source: Path) -> None:
    with pytest.raises(CheckpointError, match=f"starts from {START}, which is missing"):
        states([], (AFTER,))


def differing(a: str, b: str) -> set[str]:
    one, other = (PLAN[id].config.model_dump() for id in (a, b))
    return {name for name in one if one[name] != other[name]}


def test_arms_differ_in_the_teacher_only() -> None:
    taught, alone = (f"dwpw_256k-food101_{kind}-s0" for kind in ("distilled", "scratch"))
    assert differing(taught, alone) <= {"teacher", "alpha", "temperature"}
    config = PLAN[taught].config
    assert config.start_from == START and config.teacher == TEACHER
    assert {name: getattr(config, name) for name in LESSON} == LESSON
    plain = differing(taught, "dwpw_256k-distilled-s0")
    assert plain == {"start_from", "epochs"}
    assert PLAN[taught].title.endswith("pre-trained on Food-101, distilled")


@pytest.mark.parametrize("model", ["dwpw_256k", "best_100k"])
def test_the_start_is_learned_from_labels_alone(model: str) -> None:
    config = PLAN[f"{model}-food101-s0"].config
    assert (config.data, config.px, config.epochs, config.teacher) == (FOOD101, 64, 60, "")
    assert PLAN[f"{model}-food101_distilled-s0"].config.start_from == f"{model}-food101-s0"
    assert not any("food101" in one.id for one in recipes.recipes("full"))


def test_a_stronger_teacher_is_compared_with_the_others_on_equal_terms() -> None:
    for seed in recipes.SEEDS:
        for other in ("distilled", "distilled_weak"):
            pair = (f"dwpw_256k-distilled_stronger-s{seed}", f"dwpw_256k-{other}-s{seed}")
            assert differing(*pair) == {"teacher"}
    assert PLAN["dwpw_256k-distilled_stronger-s0"].config.teacher == recipes.STRONGER_TEACHER


@pytest.mark.parametrize("model", ["dwpw_256k", "best_100k"])
def test_further_photographs_add_no_steps(model: str) -> None:
    for seed in recipes.SEEDS:
        more = PLAN[f"{model}-food101_more_distilled-s{seed}"].config
        plain = PLAN[f"{model}-food101_distilled-s{seed}"].config
        assert (more.more_data, plain.more_data) == (recipes.FOOD_MORE, "")
        assert more.start_from == plain.start_from == f"{model}-food101-s{seed}"
        photographs = 3634 + round(more.more_share * 11271)
        assert more.epochs * photographs == pytest.approx(plain.epochs * 3634, rel=0.02)


def test_further_photographs_must_be_distinct(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plain,) = (recipe for recipe in recipes.recipes("quick") if recipe.id == PLAIN)
    more = replace(plain, config=plain.config.model_copy(update={"more_data": recipes.FOOD_MORE}))
    monkeypatch.setattr(recipes, "recipes", lambda schedule: (more,))
    said: list[str] = []
    for root in ("", str(source)):  # nobody has looked whether these are tested on
        monkeypatch.setenv(recipes.FOOD_MORE, root)
        assert states(said) == ["missing"] and recipes.FOOD_MORE in said[-1]
    made = write_distinct(find_food11(source), find_food11(), tmp_path / "made", progress=False)
    monkeypatch.setenv(recipes.FOOD_MORE, str(tmp_path / "made"))
    assert states(said) == ["done"] and len(said) == 2
    data = checkpoints.get(PLAIN).data
    assert data.fingerprint == find_food11().fingerprint
    assert data.more is not None and data.more.fingerprint == made.index.fingerprint
