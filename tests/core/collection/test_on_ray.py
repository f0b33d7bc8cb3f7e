"""Reproducing on a Ray cluster of two nodes, one of which is lost in the middle."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from core import checkpoints
from core.collection import on_ray, recipes, reproduce
from core.collection.recipes import Recipe
from core.errors import ConfigError, UserError
from core.paths import REPO, runs_dir
from core.training.config import TrainConfig
from core.training.runs import RunFolder
from tests.food import make_food11
from tests.ray_nodes import needs_ray, ray_nodes

# Ids of real recipes, so that nothing else in the collection is asked of them.
START, TEACHER, STUDENT = "dwpw_256k-food101-s0", "dwpw_256k-scratch-s0", "dwpw_256k-distilled-s0"
LONG = 120
"""Epochs of the first two: long enough to lose a node in the middle."""


def planned(id: str, **more: Any) -> Recipe:
    settings: dict[str, Any] = {
        "model": "design:px32-relu6-stem8p-sep16", "px": 32, "epochs": 2, "batch_size": 11,
        "warmup_epochs": 0, "precision": "float32",
    }  # fmt: skip
    return Recipe(id, id, "scratch", TrainConfig(**(settings | more)))


PLAN = (
    planned(START, epochs=LONG),
    planned(TEACHER, epochs=LONG, seed=1),
    planned(STUDENT, teacher=TEACHER, start_from=START),
)


@pytest.fixture(autouse=True)
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "recipes", lambda schedule: PLAN)
    make_food11(
        tmp_path / "food", per_class={"training": 8, "validation": 2, "testing": 2}, size=(48, 40)
    )
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "food"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints and runs go there; which number format is fastest here is measured once."""
    for name in ("PRETRAINED", "RUNS"):
        monkeypatch.setenv(f"SMALL_PLATES_{name}", str(folder / name.lower()))
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(folder.parent / "cache"))


def made() -> dict[str, str]:
    """SHA-256 of every checkpoint's tensors and graph, and the epochs' figures but their times."""
    files = {
        f"{id}/{path.name}": hashlib.sha256(content(path)).hexdigest()
        for id in checkpoints.load_manifest()
        for path in sorted((checkpoints.manifest_path().parent / id).iterdir())
        if path.name != "history.json"  # tells the seconds of each epoch
    }
    for recipe in PLAN:
        entries = RunFolder(reproduce.run_folder(recipe, "quick")).metrics()
        files[f"{recipe.id} epochs"] = repr(
            [(entry["epoch"], entry["loss"], entry["val_accuracy"]) for entry in entries]
        )
    return files


def content(path: Path) -> bytes:
    """A file's bytes; of tensors not the notes before them, whose order is drawn by lot."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    return b"".join(
        name.encode() + bytes(str(tensor.shape), "ascii") + tensor.tobytes()
        for name, tensor in sorted(load_file(path).items())
    )


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    with ray_nodes(2) as cluster:
        yield cluster


@needs_ray
@pytest.mark.slow
def test_a_node_is_lost_and_the_collection_is_the_same(
    tmp_path: Path, two_nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    into(tmp_path / "alone", monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        reproduce.reproduce(steps=("training",))
    finally:
        torch.set_num_threads(threads)
    expected = made()
    assert len(checkpoints.load_manifest()) == len(PLAN)

    into(tmp_path / "ray", monkeypatch)
    lost_after: list[int] = []

    def lose_one() -> None:
        """Both nodes are at work when one goes without a word."""
        runs = [RunFolder(runs_dir() / id) for id in (START, TEACHER)]
        until = monotonic() + 400
        while monotonic() < until and not all(len(run.metrics()) >= 3 for run in runs):
            sleep(0.05)
        lost_after.extend(len(run.metrics()) for run in runs)
        two_nodes.remove_node(two_nodes.nodes[0], allow_graceful=False)

    watcher = threading.Thread(target=lose_one)
    watcher.start()
    heard: list[tuple[str, int]] = []
    try:
        rows = on_ray.reproduce_on_ray(
            two_nodes.address,
            steps=("training",),
            report=lambda id, entry: heard.append((id, entry["epoch"])),
        )
    finally:
        watcher.join()
    assert all(3 <= epochs < LONG for epochs in lost_after), lost_after
    assert [row["state"] for row in rows] == ["done"] * 3
    assert made() == expected
    # every epoch was told once, in order, and the student only began when both were there
    for recipe in PLAN:
        told = [epoch for id, epoch in heard if id == recipe.id]
        assert told == list(range(1, recipe.config.epochs + 1))
    assert {id for id, _epoch in heard[-2:]} == {STUDENT}
    assert len({row["on"] for row in rows}) == 1  # all ended on the node that was left
    assert all(row["core_hours"] > 0 for row in rows)

    before = checkpoints.manifest_path().read_bytes()
    again = on_ray.reproduce_on_ray(two_nodes.address, steps=("training",))
    assert [row["state"] for row in again] == ["done"] * 3
    assert checkpoints.manifest_path().read_bytes() == before


@needs_ray
@pytest.mark.slow
def test_what_fails_takes_only_what_needs_it_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster of this machine alone; a start whose settings cannot work."""
    into(tmp_path, monkeypatch)
    short = (
        planned(START, model="design:px32-relu6-stem8p-sep16", start_from="nothing-like-this"),
        planned(TEACHER),
        planned(STUDENT, teacher=TEACHER, start_from=START),
    )
    monkeypatch.setattr(recipes, "recipes", lambda schedule: short)
    said: list[str] = []
    with pytest.raises(UserError, match="nothing-like-this"):
        on_ray.reproduce_on_ray(steps=("training", "not_food"), log=said.append)
    assert list(checkpoints.load_manifest()) == [TEACHER]
    assert any(line.startswith(STUDENT) for line in said), said


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="requirements-cluster.txt"):
        on_ray.reproduce_on_ray()
    assert (REPO / "requirements-cluster.txt").is_file()
