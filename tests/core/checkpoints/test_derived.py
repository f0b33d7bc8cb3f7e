"""Versions of a network are known by a field, kept beside the runs, and are no trainings."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from core import checkpoints
from core.checkpoints import DataInfo, DerivedFrom, load_manifest, own_dir
from core.checkpoints.by_recipe import by_stem, collect, contrast, on_one_set
from core.checkpoints.entry import Derivation, method_name
from core.cli.main import main
from core.collection.homework import network_rows
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.distillation.verdict import compare, trials, verdict_frame
from core.errors import CheckpointError
from core.export.make_stack import first_student
from core.paths import REPO
from core.pruning.rows import PruningGrid
from core.stats import labelled
from tests.food import make_food11
from tests.tiny_network import PX, SPEC, publish_tiny
from tests.tiny_network import trained as tiny_weights
from tools.dreams import independent
from tools.tables import results_table, trained

KINDS: tuple[Derivation, ...] = get_args(Derivation)
BASE = "tiny-distilled-s0"


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("food11")
    return make_food11(folder, per_class={"training": 1, "validation": 2, "testing": 4})


@pytest.fixture
def shelf(pretrained: Path, tmp_path: Path, food: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two seeds of a tiny network, each from scratch and distilled, and a teacher."""
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    pixels = load_pixels(find_food11(food), PX, progress=False)

    def publish(id: str, seed: int, weights: int, recipe: str, **more: Any) -> None:
        publish_tiny(
            id, seed, net=tiny_weights(weights), recipe=recipe, title=f"Tiny, {recipe}",
            validation=labelled(pixels, "validation", PX), test=labelled(pixels, "testing", PX),
            data=DataInfo.of(pixels), config={"lr": 0.001, "seed": seed},
            **more,
        )  # fmt: skip

    publish("tiny-imagenet-s0", 0, 9, "imagenet", spec=replace(SPEC, family="teacher"))
    for seed in (0, 1):
        publish(f"tiny-scratch-s{seed}", seed, seed, "scratch")
        publish(f"tiny-distilled-s{seed}", seed, seed + 5, "distilled", teacher="tiny-imagenet-s0")
    return pretrained


def said() -> dict[str, Any]:
    """Everything that compares trainings, as text, over all that this machine has."""
    found = [*load_manifest().values(), *load_manifest(own_dir()).values()]
    comparisons, left_out = compare(found)
    same, _others = on_one_set(collect(found))
    groups = {group.stem: group for group in same if group.is_trained}
    between = contrast(groups["tiny-distilled"], groups["tiny-scratch"])
    assert between is not None
    chosen = independent(load_manifest()["tiny-imagenet-s0"])
    rows = network_rows(same)
    return {
        "verdict": verdict_frame(comparisons).to_csv(),
        "left out": left_out,
        "means": {stem: (group.interval(), group.accuracies) for stem, group in groups.items()},
        "by stem": {stem: [s.id for s in by_stem(same)[stem].seeds] for stem in groups},
        "contrast": (between.interval(), between.also_differs()),
        "aims": [(group.stem, group.interval()) for group in trained()],
        "dreams": trials(found),
        "student": first_student(),
        "checker": chosen and chosen.id,
        "home": [row._replace(checkpoint="") for row in rows if not row.derived],
        "tables": results_table().partition("Made from")[0].strip(),
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def told(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capfd.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    return document


def test_saved_copies_change_no_verdict_and_no_shipped_file(
    shelf: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = said(), tree(shelf)
    saved = [
        *told(capfd, "prune", BASE, "--ratios", 0, 0.9, "--save")["saved"],
        *told(capfd, "prune", BASE, "--method", "random", "--ratios", 0.5, "--save")["saved"],
        *told(capfd, "prune", BASE, "--method", "random", "--seed", 3, "--ratios", 0.5, "--save")[
            "saved"
        ],
        *told(capfd, "prune", BASE, "--method", "bn_gamma", "--ratios", 0.5, "--save")["saved"],
        *told(capfd, "prune", "tiny-scratch-s1", "--ratios", 0.9, "--save")["saved"],
    ]
    found = told(capfd, "lowrank", BASE, "--energy", 0.5, "--save")
    saved += found["saved"]
    assert saved == [
        "tiny-distilled_pruned_l1_0-s0-own",
        "tiny-distilled_pruned_l1_90-s0-own",
        "tiny-distilled_pruned_random50-s0-own",
        "tiny-distilled_pruned_random50_draw3-s0-own",
        "tiny-distilled_narrow_bn_gamma50-s0-own",
        "tiny-scratch_pruned_l1_90-s1-own",
        "tiny-distilled_lowrank_auto50-s0-own",
    ]
    own = load_manifest(own_dir())
    assert all(one.test and one.test.n == 44 for one in own.values())
    assert sorted(own) == sorted(saved)
    kinds = {one.derived_from.kind for one in own.values() if one.derived_from}
    assert kinds == {"pruned", "narrow", "factored"}
    assert tree(shelf) == files and said() == before
    # and a version of a version
    (again,) = told(capfd, "prune", saved[1], "--ratios", 0.5, "--save")["saved"]
    assert again == "tiny-distilled_pruned_l1_90_pruned_l1_50-s0-own"
    assert checkpoints.get(again).derived_from == DerivedFrom(id=saved[1], kind="pruned")
    assert tree(shelf) == files and said() == before


def test_copies_that_an_earlier_version_put_among_the_shipped_ones_are_known(
    shelf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever they are called: by their settings, or by shapes that are not their model's."""
    before = said()
    told(capfd, "prune", BASE, "--ratios", 0, 0.9, "--save")
    told(capfd, "prune", BASE, "--method", "channel_l2", "--ratios", 0.5, "--save")
    told(capfd, "lowrank", BASE, "--energy", 0.5, "--save")
    for number, id in enumerate(load_manifest(own_dir())):
        entry, files = checkpoints.read_files(id)
        new = f"tiny-distilled-s{number + 2}"  # a name as a training has it
        changes = {"id": new, "recipe": "distilled", "seed": number + 2}
        config = entry.config if number % 2 else {**entry.config, "pruned_from": ""}
        if not (entry.widths or entry.ranks):
            config = entry.config
        checkpoints.store(entry.model_copy(update={**changes, "config": config}), files)
        checkpoints.remove(id, own_dir())
    path = shelf / "manifest.json"
    content = json.loads(path.read_text())
    for entry in content["checkpoints"].values():
        del entry["derived_from"]
    path.write_text(json.dumps(content))
    made = [one for one in load_manifest().values() if one.derived_from]
    assert sorted(one.derived_from.kind for one in made if one.derived_from) == [
        "factored", "narrow", "pruned", "pruned",
    ]  # fmt: skip
    assert said() == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_decides_and_not_the_name(shelf: Path, kind: Derivation) -> None:
    before = said()
    entry, files = checkpoints.read_files("tiny-distilled-s1")
    made = DerivedFrom(id=BASE, kind=kind)
    changes = {"id": "tiny-distilled-s2", "seed": 2, "derived_from": made}
    checkpoints.store(entry.model_copy(update=changes), files)
    assert load_manifest()["tiny-distilled-s2"].derived_from == made
    assert said() == before
    # a training that is called like a version is one all the same
    changes = {"id": "tiny-distilled_narrow_qat4_lowrank-s0", "recipe": "distilled_narrow_qat4"}
    checkpoints.store(entry.model_copy(update=changes), files)
    found, _left_out = compare(load_manifest().values())
    assert "distilled_narrow_qat4" in {one.a.first.recipe for one in found}


@pytest.mark.parametrize(
    ("config", "shapes", "expected"),
    [
        ({}, {}, None),
        ({"start_from": "a-start-s0"}, {}, None),
        ({"pruned_from": "a-b-s0", "form": "narrow"}, {}, ("a-b-s0", "narrow")),
        ({"pruned_from": "a-b-s0", "form": "removed"}, {}, ("a-b-s0", "pruned")),
        ({"factored_from": "a-b-s0"}, {"ranks": {"fc": [2]}}, ("a-b-s0", "factored")),
        ({"quantised_from": "a-b-s0"}, {"widths": {"fc": [2, 11]}}, ("a-b-s0", "quantised")),
        ({}, {"widths": {"fc": [2, 11]}}, (None, "narrow")),
        ({"start_from": "/runs/a-narrow-one"}, {"widths": {"fc": [2, 11]}},
         ("a-narrow-one", "narrow")),
        ({}, {"ranks": {"fc": [2]}, "widths": {"fc": [2, 11]}}, (None, "factored")),
    ],
)  # fmt: skip
def test_an_entry_without_the_field_is_known_by_what_it_says(
    tiny_checkpoint: str,
    pretrained: Path,
    config: dict[str, Any],
    shapes: dict[str, Any],
    expected: tuple[str | None, Derivation] | None,
) -> None:
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text())
    entry = content["checkpoints"][tiny_checkpoint]
    del entry["derived_from"]
    path.write_text(json.dumps({"checkpoints": {tiny_checkpoint: {**entry, **shapes,
                                                                  "config": config}}}))  # fmt: skip
    made = checkpoints.get(tiny_checkpoint).derived_from
    assert (made and (made.id, made.kind)) == expected


@pytest.mark.parametrize(
    "wrong", ["narrow", {"kind": "narrow"}, {"id": "a", "kind": "cut"}, [1], 3]
)
def test_a_field_that_makes_no_sense_is_refused(
    tiny_checkpoint: str, pretrained: Path, wrong: object
) -> None:
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text())
    content["checkpoints"][tiny_checkpoint]["derived_from"] = wrong
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="derived_from"):
        load_manifest()


def test_an_entry_may_not_be_changed(tiny_checkpoint: str) -> None:
    one = DerivedFrom(id=tiny_checkpoint, kind="pruned")
    with pytest.raises(ValidationError):
        one.kind = "narrow"  # type: ignore[misc]


def test_the_shipped_entries_say_what_they_were_made_from() -> None:
    content = json.loads((REPO / "pretrained" / "manifest.json").read_bytes())["checkpoints"]
    for id, entry in content.items():
        told_by = DerivedFrom.told_by(
            entry["config"], entry.get("widths", {}), entry.get("ranks", {})
        )
        assert entry.get("derived_from") == (told_by and told_by.model_dump()), id
        assert told_by is None or told_by.id in content


@pytest.mark.parametrize(
    ("method", "share", "name"),
    [
        ("l1", 0, "l1_0"), ("l1", 0.9, "l1_90"), ("l1", 1, "l1_100"),
        ("global_l1", 0.5, "global_l1_50"), ("channel_l2", 0.05, "channel_l2_5"),
        ("bn_gamma", 0.2262, "bn_gamma22p6"), ("tucker2", 0.705, "tucker2_70p5"),
        ("random", 0.25, "random25"), ("auto", 0.7, "auto70"),
    ],
)  # fmt: skip
def test_a_methods_number_is_not_read_as_its_share(method: str, share: float, name: str) -> None:
    assert method_name(method, share) == name


@pytest.mark.parametrize("command", ["prune", "lowrank", "train"])
def test_help_names_the_folder(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core", command, "--help"], cwd=REPO, text=True, check=True,
        capture_output=True, env={"SMALL_PLATES_RUNS": str(tmp_path), "COLUMNS": "400"},
    )  # fmt: skip
    text = " ".join(done.stdout.replace("│", " ").split())
    assert "SMALL_PLATES_RUNS" in text and "checkpoints" in text
    assert command == "train" or f"{tmp_path}/checkpoints" in text.replace(" ", "")


def test_measured_rows_of_an_own_network_lie_beside_it(
    shelf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (id,) = told(capfd, "prune", BASE, "--ratios", 0.5, "--save")["saved"]
    assert PruningGrid.path(id) == own_dir() / "results" / f"pruning-{id}.json"
    assert PruningGrid.path(BASE) == shelf / "results" / f"pruning-{BASE}.json"
    assert PruningGrid.path("nobody-knows-s0").parent == shelf / "results"
