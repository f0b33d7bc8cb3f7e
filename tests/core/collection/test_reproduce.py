"""Reproducing: trains what is missing, publishes it, and does nothing the second time."""

from pathlib import Path
from typing import Any, get_args

import pytest

from core import checkpoints
from core.collection import recipes, reproduce
from core.collection.check import check
from core.collection.recipes import Recipe
from core.errors import CheckpointError, UserError
from core.training.config import TrainConfig
from tests import results_shelf
from tests.food import make_food11

pytestmark = pytest.mark.slow


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, ...]:
    """A schedule of a teacher and a student, small enough to train here."""
    food = tmp_path / "food"
    make_food11(food, per_class={"training": 2, "validation": 1, "testing": 1}, size=(48, 40))
    for name, folder in (("PRETRAINED", "pretrained"), ("RUNS", "runs"), ("CACHE", "cache")):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(tmp_path / folder))
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    settings = TrainConfig(
        model="dwpw_256k", px=32, epochs=2, batch_size=11, warmup_epochs=0.5, precision="float32"
    )
    teacher, student = "dwpw_256k-scratch-s0", "dwpw_256k-distilled-s0"
    tiny = (
        Recipe(teacher, "Teacher", "scratch", settings),
        Recipe(student, "Student", "distilled", settings.model_copy(update={"teacher": teacher})),
    )
    monkeypatch.setattr(recipes, "recipes", lambda schedule: tiny)
    return tiny


def test_all_is_made_once_and_measures_as_stated(plan: tuple[Recipe, ...]) -> None:
    assert [row["state"] for row in reproduce.status(steps=("training",))] == ["missing", "missing"]
    heard: list[tuple[str, int]] = []

    def hear(name: str, entry: dict[str, Any]) -> None:
        heard.append((name, entry["epoch"]))

    rows = reproduce.reproduce(report=hear, steps=("training",))
    assert [row["state"] for row in rows] == ["done", "done"]
    assert heard == [(recipe.id, epoch) for recipe in plan for epoch in (1, 2)]
    entry = checkpoints.get(plan[1].id)
    assert entry.teacher == plan[0].id
    assert entry.test is not None and entry.test.n == 11
    assert entry.config == plan[1].config.model_dump(mode="json")
    found = check()
    assert found["ok"], found

    heard.clear()
    before = checkpoints.manifest_path().read_bytes()
    reproduce.reproduce(report=hear, steps=("training",))
    assert heard == []
    assert checkpoints.manifest_path().read_bytes() == before


def test_a_student_waits_for_its_teacher(plan: tuple[Recipe, ...]) -> None:
    with pytest.raises(CheckpointError, match="Make that one first"):
        reproduce.reproduce(only=(plan[1].id,))


def test_a_run_on_other_photographs_is_not_published(
    plan: tuple[Recipe, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_compared_students_differ_in_the_teacher_only() -> None:
    for schedule in get_args(recipes.Schedule):
        plan = {recipe.id: recipe.config for recipe in recipes.recipes(schedule)}
        scratch = plan["dwpw_256k-scratch-s0"].model_dump()
        distilled = plan["dwpw_256k-distilled-s0"].model_dump()
        differing = {name for name in scratch if scratch[name] != distilled[name]}
        assert differing <= {"teacher", "alpha", "temperature"}


def test_unknown_ids_are_named() -> None:
    with pytest.raises(UserError, match="no training called nothing"):
        recipes.choose("quick", ("nothing",))


def test_a_network_made_from_another_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no training of its own: only its files can be asked for, once it is there."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))
    cut = "dwpw_256k-distilled_narrow_bn_gamma22p6_ft1x5"
    with pytest.raises(UserError, match=f"no training called {cut}-s0"):
        reproduce.status(only=(f"{cut}-s0",))
    results_shelf.fill({cut: (740,), "dwpw_256k-distilled": (830,)})
    rows = reproduce.status(only=(f"{cut}-s0",), steps=("training", "pruning", "shipping"))
    assert [(row["step"], row["checkpoint"]) for row in rows] == [("shipping", f"{cut}-s0")]
    both = reproduce.status(only=(f"{cut}-s0", "dwpw_256k-distilled-s0"), steps=("shipping",))
    assert {row["checkpoint"] for row in both} == {f"{cut}-s0", "dwpw_256k-distilled-s0"}


def test_what_the_pruning_page_shows_is_known_to_be_missing(plan: tuple[Recipe, ...]) -> None:
    """Missing before there is a network, missing while its curves are, done when all is there."""
    from core.pruning.measure import make_grid, missing_stages

    only = (plan[0].id,)
    assert [row["state"] for row in reproduce.status(only=only, steps=("pruning",))] == ["missing"]
    reproduce.reproduce(only=only, steps=("training",))
    assert missing_stages(plan[0].id) == ("curves", "times", "scan", "finetune")
    make_grid(plan[0].id, ("scan",), lambda line: None)
    assert missing_stages(plan[0].id) == ("curves", "times", "finetune")
    assert [row["state"] for row in reproduce.status(only=only, steps=("pruning",))] == ["missing"]


def test_what_the_quantisation_page_shows_is_known_to_be_missing(plan: tuple[Recipe, ...]) -> None:
    """Missing before there is a network, then begun, then done."""
    from core.quantization import measure as quantization_curves

    only, steps = (plan[0].id,), ("quantization",)

    def state() -> str:
        (row,) = reproduce.status(only=only, steps=steps)  # type: ignore[arg-type]
        assert (row["step"], row["checkpoint"]) == ("quantization", plan[0].id)
        return str(row["state"])

    assert state() == "missing"
    reproduce.reproduce(only=only, steps=("training",))
    assert state() == "missing"
    quantization_curves.make_grid(plan[0].id, ("weights",), lambda line: None)
    assert quantization_curves.missing_stages(plan[0].id) == ("int8", "aware", "layers")
    assert state() == "started"


def test_only_networks_of_k_x_k_convolutions_are_factored(
    plan: tuple[Recipe, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan's are none; named as such, each is missing until its stages are done."""
    from core.low_rank import measure as lowrank_curves
    from core.low_rank import rows as lowrank_grid

    assert reproduce.status(steps=("lowrank",)) == []
    monkeypatch.setattr(lowrank_grid, "MODELS", ("dwpw_256k",))
    found = reproduce.status(steps=("lowrank",))  # the taught twin only where it is named
    assert [row["checkpoint"] for row in found] == [plan[0].id]
    only = (plan[0].id,)
    asked: list[tuple[str, tuple[str, ...]]] = []
    assert [row["state"] for row in reproduce.status(only=only, steps=("lowrank",))] == ["missing"]
    reproduce.reproduce(only=only, steps=("training",))
    monkeypatch.setattr(
        lowrank_curves, "make_grid", lambda id, stages, *_more, **_named: asked.append((id, stages))
    )
    reproduce.reproduce(only=only, steps=("lowrank",))
    assert asked == [(plan[0].id, ("curves", "times", "finetune", "spectra"))]
