"""`check` finds what is not as stated, and the accuracy comes out again from the photographs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from core import checkpoints, paths
from core.checkpoints import FileInfo
from core.collection.check import check, evaluate
from core.data.find import find_food11
from core.data.pixels import Pixels, load_pixels
from core.errors import CheckpointError, DataError
from core.photos import prepare, read_photo_file
from core.stats import labelled
from tests.food import make_food11
from tests.tiny_network import PX, publish_tiny, torch_logits


def the_row(found: dict[str, Any], id: str) -> dict[str, Any]:
    (row,) = [row for row in found["checkpoints"] if row["checkpoint"] == id]
    return dict(row)


def edit(pretrained: Path, id: str, change: Callable[[dict[str, Any]], Any]) -> None:
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text())
    change(content["checkpoints"][id])
    path.write_text(json.dumps(content))


def replace_file(pretrained: Path, id: str, name: str, data: bytes) -> None:
    """Put other bytes in place of a file, and its hash into the manifest: a careful forger."""
    (pretrained / id / name).write_bytes(data)
    info = FileInfo.of(data).model_dump()
    edit(pretrained, id, lambda entry: entry["files"].update({name: info}))


@pytest.fixture
def food(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pixels:
    """Generated photographs that FOOD11_ROOT names, and their squares."""
    per_class = {"training": 1, "validation": 2, "testing": 3}
    folder = make_food11(tmp_path / "food", per_class=per_class)
    monkeypatch.setenv("FOOD11_ROOT", str(folder))
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    return load_pixels(find_food11(), PX, progress=False)


@pytest.fixture
def on_food(food: Pixels, tiny_checkpoint: str) -> str:
    """A checkpoint that was measured on those photographs."""
    return str(
        publish_tiny(
            "tiny-food-s0",
            data=checkpoints.DataInfo.of(food),
            validation=labelled(food, "validation", PX),
            test=labelled(food, "testing", PX),
        ).id
    )


def test_an_empty_collection_is_in_order(pretrained: Path) -> None:
    found = check()
    assert found["ok"] is True and found["checkpoints"] == []


def test_a_sound_checkpoint_passes(tiny_checkpoint: str) -> None:
    found = check()
    row = the_row(found, tiny_checkpoint)
    assert found["ok"] is True and row["ok"] is True and row["problems"] == []
    assert row["test"]["n"] == 30 and row["recomputed"] == {}
    assert "not measured again" in found["notes"][0]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.onnx", "test_logits.safetensors"])
def test_damage_is_a_problem_and_the_others_are_still_checked(
    pretrained: Path, tiny_checkpoint: str, name: str
) -> None:
    entry, files = checkpoints.read_files(tiny_checkpoint)
    checkpoints.store(entry.model_copy(update={"id": "tiny-sound-s0"}), files)
    path = pretrained / tiny_checkpoint / name
    path.write_bytes(path.read_bytes()[:-4])
    found = check()
    assert found["ok"] is False
    assert the_row(found, tiny_checkpoint)["ok"] is False
    assert name in the_row(found, tiny_checkpoint)["problems"][0]
    assert the_row(found, "tiny-sound-s0")["ok"] is True


def one_more_right(entry: dict[str, Any]) -> None:
    score = entry["test"]
    score["correct"] += 1
    score["accuracy"] = score["correct"] / score["n"]


WRONG = {
    "params": (lambda entry: entry.update(params=entry["params"] + 1), "parameters"),
    "size": (lambda entry: entry.update(size_bytes=5), "bytes of weights"),
    "one more right": (one_more_right, "stored logits give"),
    "accuracy": (lambda entry: entry["test"].update(accuracy=0.99), "testing accuracy"),
    "interval": (
        lambda entry: entry["validation"].update(ci95=[0.0, 0.01]),
        "validation accuracy or its interval",
    ),
    "no logits": (lambda entry: entry["files"].pop("test_logits.safetensors"), "stored logits"),
    "no graph": (lambda entry: entry["files"].pop("model.onnx"), "model.onnx"),
}


@pytest.mark.parametrize("change, words", WRONG.values(), ids=WRONG)
def test_a_false_statement_is_a_problem(
    pretrained: Path, tiny_checkpoint: str, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    edit(pretrained, tiny_checkpoint, change)
    found = check()
    assert found["ok"] is False
    assert any(words in problem for problem in the_row(found, tiny_checkpoint)["problems"])


FORGED = {
    "weights.safetensors": [b"", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"],
    "model.onnx": [b"", b"no graph"],
    "test_logits.safetensors": [
        b"junk",
        safetensors.numpy.save({"logits": np.zeros((3, 11), np.float32)}),
        safetensors.numpy.save(
            {"logits": np.full((3, 2), np.nan, np.float32), "labels": np.zeros(3, np.int64)}
        ),
    ],
}


@pytest.mark.parametrize(
    "name, data", [(name, data) for name, several in FORGED.items() for data in several]
)
def test_a_forged_file_with_a_matching_hash_is_a_problem_not_a_crash(
    pretrained: Path, tiny_checkpoint: str, name: str, data: bytes
) -> None:
    replace_file(pretrained, tiny_checkpoint, name, data)
    found = check()
    assert found["ok"] is False and the_row(found, tiny_checkpoint)["problems"]


def test_a_corrupt_manifest_is_said_at_once(pretrained: Path) -> None:
    (pretrained / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError):
        check()


def test_a_folder_without_an_entry_is_noted(pretrained: Path, tiny_checkpoint: str) -> None:
    stray = pretrained / "stray-x-s0"
    stray.mkdir()
    (stray / "weights.safetensors").write_bytes(b"")
    found = check()
    assert found["ok"] is True
    assert any("stray-x-s0" in note for note in found["notes"])


def test_the_accuracy_comes_out_again_from_the_photographs(food: Pixels, on_food: str) -> None:
    found = check()
    row = the_row(found, on_food)
    assert row["ok"] is True
    assert row["recomputed"]["testing"] == row["test"]
    assert row["recomputed"]["validation"]["n"] == 22
    others = [r for r in found["checkpoints"] if r["checkpoint"] != on_food]
    assert all(r["ok"] and r["recomputed"] == {} for r in others)
    assert all("other photographs" in r["notes"][0] for r in others)
    assert "recomputed" in row and the_row(check(photographs=False), on_food)["recomputed"] == {}


def test_an_accuracy_that_does_not_come_out_again_is_a_problem(
    pretrained: Path, food: Pixels, on_food: str
) -> None:
    """Manifest and stored logits agree with each other, but not with the photographs."""
    logits, labels = checkpoints.test_logits(on_food)
    wrong = np.flatnonzero(logits.argmax(1) != labels)[0]
    logits[wrong] = 0
    logits[wrong, labels[wrong]] = 5
    data = safetensors.numpy.save({"logits": logits, "labels": labels})
    replace_file(pretrained, on_food, "test_logits.safetensors", data)
    stated = checkpoints.get(on_food).test
    assert stated is not None
    better = type(stated).of(stated.correct + 1, stated.n).model_dump(mode="json")
    edit(pretrained, on_food, lambda entry: entry.update(test=better))
    row = the_row(check(), on_food)
    assert row["ok"] is False and "measured again" in row["problems"][0]


def test_evaluate_counts_what_torch_counts_photo_by_photo(food: Pixels, on_food: str) -> None:
    found = evaluate(on_food, "testing")
    net = checkpoints.load_model(on_food)
    index = food.index
    rows = index.of("testing")
    photos = [read_photo_file(index.root / index.files[row]) for row in rows]
    answers = torch_logits(net, np.stack([prepare(photo, PX) for photo in photos])).argmax(1)
    assert (found["checkpoint"], found["split"], found["n"]) == (on_food, "testing", 33)
    assert found["correct"] == int((answers == index.labels[rows]).sum())
    assert found["accuracy"] == found["correct"] / 33
    assert found["ci95"][0] <= found["accuracy"] <= found["ci95"][1]
    json.dumps(found, allow_nan=False)


def test_evaluate_says_what_is_missing(
    tmp_path: Path, tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint called"):
        evaluate("unknown", "testing")
    folder = make_food11(tmp_path / "unlabelled", layout="course")
    monkeypatch.setenv("FOOD11_ROOT", str(folder))
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="no labelled photographs for testing"):
        evaluate(tiny_checkpoint, "testing")
    with pytest.raises(DataError):
        evaluate(tiny_checkpoint, "lunch")


def test_checking_from_photographs_imports_no_torch(food: Pixels, on_food: str) -> None:
    source = (
        "import sys; from core.collection.check import check; found = check(); "
        f"assert [r['recomputed'] for r in found['checkpoints'] if r['checkpoint'] == {on_food!r}]"
        " != [{}]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source], cwd=paths.REPO).returncode == 0
