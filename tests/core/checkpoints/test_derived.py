"""Versions of a network are known by a field, kept beside the runs, and are no trainings."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from core import checkpoints
from core.checkpoints import DataInfo, DerivedFrom, load_manifest, own_dir
from core.checkpoints.by_recipe import by_stem, collect, contrast, on_one_set
from core.checkpoints.entry import Derivation, method_name
from core.cli.main import main
from core.collection.homework import network_rows
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.distillation.against_scratch import compare, contrast_frame, trials
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


@pytest.fixture(scope="module")
def _trainings(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Path:
    """Two seeds of a tiny network, each from scratch and distilled, and a teacher."""
    folder = tmp_path_factory.mktemp("published")
    pixels = load_pixels(find_food11(food), PX, progress=False)

    def publish(id: str, seed: int, weights: int, recipe: str, **more: Any) -> None:
        publish_tiny(
            id, seed, net=tiny_weights(weights), recipe=recipe, title=f"Tiny, {recipe}",
            validation=labelled(pixels, "validation", PX), test=labelled(pixels, "testing", PX),
            data=DataInfo.of(pixels), config={"lr": 0.001, "seed": seed},
            **more,
        )  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish("tiny-imagenet-s0", 0, 9, "imagenet", spec=replace(SPEC, family="teacher"))
        for seed in (0, 1):
            teacher = {"teacher": "tiny-imagenet-s0"}
            publish(f"tiny-scratch-s{seed}", seed, seed, "scratch")
            publish(f"tiny-distilled-s{seed}", seed, seed + 5, "distilled", **teacher)
    return folder


@pytest.fixture
def shelf(
    pretrained: Path, _trainings: Path, tmp_path: Path, food: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of them for this test."""
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    shutil.copytree(_trainings, pretrained, dirs_exist_ok=True)
    return pretrained


def comparisons_made() -> dict[str, Any]:
    """Everything that compares trainings, as text, over all that this machine has."""
    entries = [*load_manifest().values(), *load_manifest(own_dir()).values()]
    comparisons, left_out = compare(entries)
    same, _others = on_one_set(collect(entries))
    groups = {group.stem: group for group in same if group.is_trained}
    between = contrast(groups["tiny-distilled"], groups["tiny-scratch"])
    assert between is not None
    chosen = independent(load_manifest()["tiny-imagenet-s0"])
    rows = network_rows(same)
    return {
        "verdict": contrast_frame(comparisons).to_csv(),
        "left out": left_out,
        "means": {stem: (group.interval(), group.accuracies) for stem, group in groups.items()},
        "by stem": {stem: [s.id for s in by_stem(same)[stem].seeds] for stem in groups},
        "contrast": (between.interval(), between.also_differs()),
        "aims": [(group.stem, group.interval()) for group in trained()],
        "dreams": trials(entries),
        "student": first_student(),
        "checker": chosen and chosen.id,
        "home": [row._replace(checkpoint="") for row in rows if not row.derived],
        "tables": results_table().partition("Made from")[0].strip(),
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def answer(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capfd.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    return document


@pytest.mark.slow
def test_saved_copies_change_no_verdict_and_no_shipped_file(
    shelf: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = comparisons_made(), tree(shelf)
    commands = (
        ("prune", BASE, "--ratios", 0, 0.9),
        ("prune", BASE, "--method", "random", "--ratios", 0.5),
        ("prune", BASE, "--method", "random", "--seed", 3, "--ratios", 0.5),
        ("prune", BASE, "--method", "bn_gamma", "--ratios", 0.5),
        ("prune", "tiny-scratch-s1", "--ratios", 0.9),
        ("lowrank", BASE, "--energy", 0.5),
    )
    saved = [id for command in commands for id in answer(capfd, *command, "--save")["saved"]]
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
    assert all(entry.test and entry.test.n == 44 for entry in own.values())
    assert sorted(own) == sorted(saved)
    kinds = {entry.derived_from.kind for entry in own.values() if entry.derived_from}
    assert kinds == {"pruned", "narrow", "factored"}
    assert tree(shelf) == files and comparisons_made() == before
    # and a version of a version
    (again,) = answer(capfd, "prune", saved[1], "--ratios", 0.5, "--save")["saved"]
    assert again == "tiny-distilled_pruned_l1_90_pruned_l1_50-s0-own"
    assert checkpoints.get(again).derived_from == DerivedFrom(id=saved[1], kind="pruned")
    assert tree(shelf) == files and comparisons_made() == before


@pytest.mark.slow
def test_copies_that_an_earlier_version_put_among_the_shipped_ones_are_known(
    shelf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever they are called: by their settings, or by shapes that are not their model's."""
    before = comparisons_made()
    answer(capfd, "prune", BASE, "--ratios", 0, 0.9, "--save")
    answer(capfd, "prune", BASE, "--method", "channel_l2", "--ratios", 0.5, "--save")
    answer(capfd, "lowrank", BASE, "--energy", 0.5, "--save")
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
    known = (entry.derived_from for entry in load_manifest().values())
    kinds = sorted(made.kind for made in known if made)
    assert kinds == ["factored", "narrow", "pruned", "pruned"]
    assert comparisons_made() == before


@pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])]
)
def test_the_field_decides_and_not_the_name(shelf: Path, kind: Derivation) -> None:
    before = comparisons_made()
    entry, files = checkpoints.read_files("tiny-distilled-s1")
    made = DerivedFrom(id=BASE, kind=kind)
    changes = {"id": "tiny-distilled-s2", "seed": 2, "derived_from": made}
    checkpoints.store(entry.model_copy(update=changes), files)
    assert load_manifest()["tiny-distilled-s2"].derived_from == made
    assert comparisons_made() == before
    # a training that is called like a version is one all the same
    changes = {"id": "tiny-distilled_narrow_qat4_lowrank-s0", "recipe": "distilled_narrow_qat4"}
    checkpoints.store(entry.model_copy(update=changes), files)
    comparisons, _left_out = compare(load_manifest().values())
    assert "distilled_narrow_qat4" in {each.a.first.recipe for each in comparisons}


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


def test_the_shipped_entries_say_what_they_were_made_from() -> None:
    content = json.loads((REPO / "pretrained" / "manifest.json").read_bytes())["checkpoints"]
    for id, entry in content.items():
        by_rule = DerivedFrom.told_by(
            entry["config"], entry.get("widths", {}), entry.get("ranks", {})
        )
        assert entry.get("derived_from") == (by_rule and by_rule.model_dump()), id
        assert by_rule is None or by_rule.id in content


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


def test_help_names_the_folder(tmp_path: Path) -> None:
    environment = os.environ | {"SMALL_PLATES_RUNS": str(tmp_path), "COLUMNS": "400"}
    for command in ("prune", "lowrank", "train"):  # said when a command is first imported
        words = [sys.executable, "-m", "core", command, "--help"]
        done = subprocess.run(words, cwd=REPO, env=environment, capture_output=True, text=True)
        text = " ".join(done.stdout.replace("│", " ").split())
        assert "SMALL_PLATES_RUNS" in text and "checkpoints" in text
        assert command == "train" or f"{tmp_path}/checkpoints" in text.replace(" ", "")


def test_measured_rows_of_an_own_network_lie_beside_it(
    shelf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (id,) = answer(capfd, "prune", BASE, "--ratios", 0.5, "--save")["saved"]
    assert PruningGrid.path(id) == own_dir() / "results" / f"pruning-{id}.json"
    assert PruningGrid.path(BASE) == shelf / "results" / f"pruning-{BASE}.json"
    assert PruningGrid.path("nobody-knows-s0").parent == shelf / "results"
