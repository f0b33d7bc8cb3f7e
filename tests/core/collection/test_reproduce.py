"""Reproducing: trains what is missing, publishes it, and does nothing the second time."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from core import checkpoints
from core.collection import recipes, reproduce
from core.collection.check import check
from core.collection.recipes import FOOD101, FOOD_MORE, LESSON, TEACHER, Recipe
from core.data.find import find_food11
from core.errors import CheckpointError, UserError
from core.low_rank import rows as lowrank_rows
from core.training.config import TrainConfig
from tests import results_shelf
from tests.food import make_food11
from tests.tools.test_distinct import NOT, photographs
from tools.near_duplicates import write_distinct

PLAN = {recipe.id: recipe for recipe in recipes.recipes("quick")}
START, AFTER, PLAIN = "dwpw_256k-food101-s0", "dwpw_256k-food101_scratch-s0", "dwpw_256k-scratch-s0"
TAUGHT = "dwpw_256k-distilled-s0"
TINY = TrainConfig(
    model="design:px32-relu6-stem8p-sep16", px=32, epochs=1, batch_size=11, warmup_epochs=0,
    precision="float32",
)  # fmt: skip
"""Made in a few steps; the ids below only name it."""


def planned(id: str, kind: str, **more: Any) -> Recipe:
    return Recipe(id, id, kind, TINY.model_copy(update=more))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PRETRAINED", "RUNS", "CACHE"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / name.lower()))


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, ...]:
    """A schedule of a teacher and a student, small enough to train here."""
    tiny = planned(PLAIN, "scratch"), planned(TAUGHT, "distilled", epochs=2, teacher=PLAIN)
    monkeypatch.setattr(recipes, "recipes", lambda schedule: tiny)
    return tiny


@pytest.fixture
def food(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "food"
    make_food11(folder, per_class={"training": 2, "validation": 1, "testing": 1}, size=(48, 40))
    monkeypatch.setenv("FOOD11_ROOT", str(folder))


def states(messages: list[str], only: tuple[str, ...] = ()) -> list[str]:
    rows = reproduce.reproduce(only=only, steps=("training",), log=messages.append)
    return [row["state"] for row in rows]


@pytest.mark.slow
def test_all_is_made_once_and_measures_as_stated(plan: tuple[Recipe, ...], food: None) -> None:
    assert [row["state"] for row in reproduce.status(steps=("training",))] == ["missing", "missing"]
    with pytest.raises(CheckpointError, match="Make that one first"):
        reproduce.reproduce(only=(TAUGHT,))
    epochs: list[tuple[str, int]] = []

    def hear(name: str, entry: dict[str, Any]) -> None:
        epochs.append((name, entry["epoch"]))

    rows = reproduce.reproduce(report=hear, steps=("training",))
    assert [row["state"] for row in rows] == ["done", "done"]
    assert epochs == [(PLAIN, 1), (TAUGHT, 1), (TAUGHT, 2)]
    entry = checkpoints.get(TAUGHT)
    assert entry.teacher == PLAIN
    assert entry.test is not None and entry.test.n == 11
    assert entry.config == plan[1].config.model_dump(mode="json")
    proof = check()
    assert proof["ok"], proof

    before = checkpoints.manifest_path().read_bytes()
    reproduce.reproduce(report=hear, steps=("training",))
    assert len(epochs) == 3 and checkpoints.manifest_path().read_bytes() == before


@pytest.mark.slow
def test_a_run_on_other_photographs_is_not_published(
    plan: tuple[Recipe, ...], food: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.training.loop import train

    folder = reproduce.run_folder(plan[0], "quick")
    train(plan[0].config, folder)
    other = tmp_path / "other"
    make_food11(other, per_class={"training": 3, "validation": 1, "testing": 1}, size=(48, 40))
    monkeypatch.setenv("FOOD11_ROOT", str(other))
    with pytest.raises(UserError, match="other photographs"):
        reproduce.publish(plan[0], folder)
    assert checkpoints.load_manifest() == {}


@pytest.mark.parametrize(
    ("step", "module"),
    [
        ("pruning", "core.pruning"),
        ("quantization", "core.quantization"),
        ("lowrank", "core.low_rank"),
    ],
)
def test_a_grid_is_missing_then_begun_then_done(
    plan: tuple[Recipe, ...], monkeypatch: pytest.MonkeyPatch, step: reproduce.Step, module: str
) -> None:
    """Missing until its first stage is there; then what is left is made."""
    grids = import_module(f"{module}.measure")
    monkeypatch.setattr(lowrank_rows, "MODELS", (TINY.model,))

    def state() -> str:
        (row,) = reproduce.status(only=(PLAIN,), steps=(step,))
        assert (row["step"], row["checkpoint"]) == (step, PLAIN)
        return str(row["state"])

    assert state() == "missing"
    results_shelf.publish("dwpw_256k-scratch", 0, 640)
    left, asked = list(grids.STAGES), []
    monkeypatch.setattr(grids, "missing_stages", lambda id: tuple(left))

    def make_grid(id: str, stages: tuple[str, ...], *_more: Any, **_named: Any) -> None:
        asked.append((id, stages))
        left.clear()

    monkeypatch.setattr(grids, "make_grid", make_grid)
    assert state() == "missing"
    left.remove(grids.STAGES[0])
    assert state() == "started"
    rest = tuple(left)
    reproduce.reproduce(only=(PLAIN,), steps=(step,), log=lambda line: None)
    assert asked == [(PLAIN, rest)] and state() == "done"


@pytest.mark.slow
def test_only_networks_of_k_x_k_convolutions_are_factored(
    plan: tuple[Recipe, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reproduce.status(steps=("lowrank",)) == []
    monkeypatch.setattr(lowrank_rows, "MODELS", (TINY.model,))
    rows = reproduce.status(steps=("lowrank",))  # the taught twin only where it is named
    assert [row["checkpoint"] for row in rows] == [PLAIN]


@pytest.mark.parametrize("schedule", get_args(recipes.Schedule))
def test_the_real_plans_are_sound(schedule: recipes.Schedule) -> None:
    """Ids are unique and say what they are; each teacher and start comes before who needs it."""
    seen: set[str] = set()
    for recipe in recipes.recipes(schedule):
        config = recipe.config
        assert recipe.id not in seen
        assert recipe.id.startswith(f"{config.model}-") and recipe.id.endswith(f"-s{config.seed}")
        assert {config.teacher, config.start_from} <= seen | {""}
        seen.add(recipe.id)
    assert schedule == "quick" or not any("food101" in id for id in seen)


def differing(a: str, b: str, plan: dict[str, Recipe] = PLAN) -> set[str]:
    one, other = (plan[id].config.model_dump() for id in (a, b))
    return {name for name in one if one[name] != other[name]}


def test_compared_students_differ_in_what_is_compared() -> None:
    lesson = {"teacher", "alpha", "temperature"}
    for schedule in get_args(recipes.Schedule):
        plan = {recipe.id: recipe for recipe in recipes.recipes(schedule)}
        assert differing(PLAIN, TAUGHT, plan) <= lesson
    taught = "dwpw_256k-food101_distilled-s0"
    assert differing(taught, AFTER) <= lesson
    config = PLAN[taught].config
    assert config.start_from == START and config.teacher == TEACHER
    assert {name: getattr(config, name) for name in LESSON} == LESSON
    assert differing(taught, TAUGHT) == {"start_from", "epochs"}
    for seed in recipes.SEEDS:
        stronger = f"dwpw_256k-distilled_stronger-s{seed}"
        assert PLAN[stronger].config.teacher == recipes.STRONGER_TEACHER
        for other in ("distilled", "distilled_weak"):
            assert differing(stronger, f"dwpw_256k-{other}-s{seed}") == {"teacher"}


@pytest.mark.parametrize("model", ["dwpw_256k", "best_100k"])
def test_a_start_learns_from_labels_and_further_photographs_add_no_steps(model: str) -> None:
    start = PLAN[f"{model}-food101-s0"].config
    assert (start.data, start.px, start.epochs, start.teacher) == (FOOD101, 64, 60, "")
    for seed in recipes.SEEDS:
        more = PLAN[f"{model}-food101_more_distilled-s{seed}"].config
        plain = PLAN[f"{model}-food101_distilled-s{seed}"].config
        assert (more.more_data, plain.more_data) == (FOOD_MORE, "")
        assert more.start_from == plain.start_from == f"{model}-food101-s{seed}"
        seen = 3634 + round(more.more_share * 11271)
        assert more.epochs * seen == pytest.approx(plain.epochs * 3634, rel=0.02)


def test_what_can_be_named() -> None:
    """Of a network made from another only its files can be asked for, once it is there."""
    with pytest.raises(UserError, match="no training called nothing"):
        recipes.chosen_recipes("quick", ("nothing",))
    cut = "dwpw_256k-distilled_narrow_bn_gamma22p6_ft1x5"
    with pytest.raises(UserError, match=f"no training called {cut}-s0"):
        reproduce.status(only=(f"{cut}-s0",))
    results_shelf.fill({cut: (740,), "dwpw_256k-distilled": (830,)})
    rows = reproduce.status(only=(f"{cut}-s0",), steps=("training", "pruning", "shipping"))
    assert [(row["step"], row["checkpoint"]) for row in rows] == [("shipping", f"{cut}-s0")]
    both = reproduce.status(only=(f"{cut}-s0", TAUGHT), steps=("shipping",))
    assert {row["checkpoint"] for row in both} == {f"{cut}-s0", TAUGHT}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A start, a network that goes on from it, and one that does not; photographs for both."""
    source = photographs(tmp_path / "source", 2)
    (source / "PROVENANCE.md").write_text(NOT)
    monkeypatch.setenv("FOOD11_ROOT", str(photographs(tmp_path / "food", 1)))
    monkeypatch.delenv(FOOD101, raising=False)
    tiny = (
        planned(START, "food101", data=FOOD101),
        planned(AFTER, "food101_scratch", start_from=START),
        planned(PLAIN, "scratch"),
    )
    monkeypatch.setattr(recipes, "recipes", lambda schedule: tiny)
    return source


@pytest.mark.slow
def test_a_start_needs_its_photographs_and_is_measured_on_them(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=f"starts from {START}, which is missing"):
        states([], (AFTER,))
    messages: list[str] = []
    assert states(messages) == ["missing", "missing", "done"]  # the others are made
    (line,) = messages
    assert f"{START}, {AFTER}." in line and PLAIN not in line
    assert FOOD101 in line and "tools distinct" in line
    monkeypatch.setenv(FOOD101, str(source))  # with its duplicates, if any: nobody looked
    assert states(messages) == ["missing", "missing", "done"] and messages[1] == line

    made = write_distinct(find_food11(source), find_food11(), tmp_path / "made", progress=False)
    monkeypatch.setenv(FOOD101, str(tmp_path / "made"))
    assert states(messages, (START, AFTER)) == ["done", "done"] and len(messages) == 2
    start, after = checkpoints.get(START), checkpoints.get(AFTER)
    assert (start.data.name, start.data.fingerprint) == (made.index.name, made.index.fingerprint)
    assert after.data.fingerprint == find_food11().fingerprint != start.data.fingerprint
    assert start.config["data"] == FOOD101 and after.config["start_from"] == START
    monkeypatch.delenv(FOOD101)  # what is made needs the photographs no more
    assert states(messages) == ["done", "done", "done"] and len(messages) == 2


@pytest.mark.slow
def test_further_photographs_must_be_distinct(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = planned(PLAIN, "scratch")
    more = replace(plain, config=plain.config.model_copy(update={"more_data": FOOD_MORE}))
    monkeypatch.setattr(recipes, "recipes", lambda schedule: (more,))
    messages: list[str] = []
    for root in ("", str(source)):  # nobody has looked whether these are tested on
        monkeypatch.setenv(FOOD_MORE, root)
        assert states(messages) == ["missing"] and FOOD_MORE in messages[-1]
    made = write_distinct(find_food11(source), find_food11(), tmp_path / "made", progress=False)
    monkeypatch.setenv(FOOD_MORE, str(tmp_path / "made"))
    assert states(messages) == ["done"] and len(messages) == 2
    data = checkpoints.get(PLAIN).data
    assert data.fingerprint == find_food11().fingerprint
    assert data.more is not None and data.more.fingerprint == made.index.fingerprint
