"""The manifest and its folders: corruption is noticed, crashes leave whole checkpoints."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core import checkpoints, paths
from core.checkpoints import Checkpoint, FileInfo
from core.errors import CheckpointError

FILES = ("weights.safetensors", "model.onnx", "test_logits.safetensors")


def entry(id: str, files: dict[str, bytes]) -> Checkpoint:
    return Checkpoint(
        id=id,
        model="tiny",
        family="student",
        recipe="scratch",
        title="Made for a test",
        seed=0,
        epochs=1,
        input_px=24,
        params=1,
        macs=1,
        size_bytes=1,
        weights_dtype="float32",
        files={name: FileInfo.of(data) for name, data in files.items()},
        data=checkpoints.DataInfo(
            name="none", fingerprint="", is_food11=False, training=0, validation=0, testing=0
        ),
        date="2026-01-01",
        device="cpu",
        wall_s=0.0,
    )


def store(id: str, content: bytes) -> None:
    files = {name: content + name.encode() for name in FILES}
    checkpoints.store(entry(id, files), files)


def test_the_hash_of_the_weights_is_the_entrys() -> None:
    weights = entry("a-b-s0", {name: name.encode() for name in FILES})
    assert weights.weights_sha256 == hashlib.sha256(b"weights.safetensors").hexdigest()
    assert entry("a-b-s0", {"model.onnx": b"graph"}).weights_sha256 == ""


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix in (".new", ".old")]


def test_no_manifest_is_no_checkpoints(pretrained: Path) -> None:
    assert checkpoints.load_manifest() == {}
    with pytest.raises(CheckpointError, match="no checkpoints yet.*reproduce"):
        checkpoints.get("tiny-scratch-s0")


def test_an_unknown_id_is_answered_with_the_known_ones(pretrained: Path) -> None:
    store("b-x-s0", b"1")
    store("a-x-s0", b"2")
    assert list(checkpoints.load_manifest()) == ["a-x-s0", "b-x-s0"]
    for wrong in ("c", "../a-x-s0", ""):
        with pytest.raises(CheckpointError, match="a-x-s0, b-x-s0"):
            checkpoints.folder(wrong)


def changed(path: str, value: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        *way, last = path.split("/")
        place = content["checkpoints"]
        for key in way:
            place = place[key]
        place[last] = value

    return change


def renamed(id: str) -> Any:
    def change(content: dict[str, Any]) -> None:
        content["checkpoints"][id] = content["checkpoints"].pop("a-x-s0")

    return change


SPOILED = {
    "unknown field": changed("a-x-s0/colour", "red"),
    "number as text": changed("a-x-s0/params", "12"),
    "negative seed count": changed("a-x-s0/epochs", -1),
    "missing field": lambda content: content["checkpoints"]["a-x-s0"].pop("data"),
    "way out of the folder": renamed("../../etc"),
    "two spellings of one folder": renamed("A-x-s0"),
    "file outside the folder": changed(
        "a-x-s0/files", {"../x.onnx": {"sha256": "0" * 64, "bytes": 1}}
    ),
    "hash that is none": changed("a-x-s0/files/model.onnx/sha256", "abc"),
    "more right than there are": changed(
        "a-x-s0/test", {"n": 2, "correct": 3, "accuracy": 1.0, "ci95": [0.0, 1.0]}
    ),
    "entry is a list": changed("a-x-s0", [1]),
    "no table": lambda content: content.update(checkpoints=[]),
    "something beside the table": lambda content: content.update(version=2),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_manifest_that_makes_no_sense_is_refused_in_words(pretrained: Path, spoil: Any) -> None:
    store("a-x-s0", b"1")
    assert "a-x-s0" in checkpoints.load_manifest()
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="manifest.json, cannot be read"):
        checkpoints.load_manifest()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_a_manifest_that_is_no_json_is_refused(pretrained: Path, content: bytes) -> None:
    (pretrained / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.load_manifest()


@pytest.mark.parametrize("name", FILES)
def test_one_changed_bit_is_noticed(pretrained: Path, tiny_checkpoint: str, name: str) -> None:
    checkpoints.read_files(tiny_checkpoint)
    path = pretrained / tiny_checkpoint / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name}.*SHA-256"):
        checkpoints.read_files(tiny_checkpoint)


def test_a_truncated_and_a_missing_file_are_noticed(pretrained: Path, tiny_checkpoint: str) -> None:
    path = pretrained / tiny_checkpoint / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="model.onnx.*SHA-256"):
        checkpoints.read_files(tiny_checkpoint)
    path.unlink()
    with pytest.raises(CheckpointError, match="model.onnx.*missing"):
        checkpoints.read_files(tiny_checkpoint)


def test_files_that_are_not_the_entrys_are_not_stored(pretrained: Path) -> None:
    made = entry("a-x-s0", {"model.onnx": b"one"})
    with pytest.raises(CheckpointError):
        checkpoints.store(made, {"model.onnx": b"two"})
    assert list(pretrained.iterdir()) == []


def test_a_new_version_replaces_all_files_of_the_old(pretrained: Path) -> None:
    store("a-x-s0", b"1")
    (pretrained / "a-x-s0" / "stray.txt").write_text("from an older version")
    store("a-x-s0", b"2")
    assert {path.name for path in (pretrained / "a-x-s0").iterdir()} == set(FILES)
    assert checkpoints.read_files("a-x-s0")[1]["model.onnx"] == b"2model.onnx"
    assert leftovers(pretrained) == []


KILLED = """
import os, signal, sys
from core import paths
from tests.core.checkpoints.test_manifest import store
left = int(sys.argv[1])
def counted(function):
    def call(*args):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return call
os.rename = counted(os.rename)
os.replace = counted(os.replace)
os.fsync = counted(os.fsync)
store("a-x-s0", b"new")
"""
# three files (fsync, replace), two renames, the manifest (fsync, replace)
STEPS = 10


def run_python(source: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", source, *arguments], cwd=paths.REPO)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=() if step in (0, 4, STEPS - 1) else pytest.mark.slow)
        for step in range(STEPS)
    ],
)
def test_killed_at_any_step_a_whole_checkpoint_is_left(pretrained: Path, step: int) -> None:
    store("a-x-s0", b"old")
    assert run_python(KILLED, str(step)).wait() == -signal.SIGKILL
    found = checkpoints.read_files("a-x-s0")[1]
    assert {data.removesuffix(name.encode()) for name, data in found.items()} == {b"old"}
    store("b-x-s0", b"1")  # the next writer clears up
    assert leftovers(pretrained) == []
    checkpoints.read_files("a-x-s0")
    assert {path.name for path in (pretrained / "a-x-s0").iterdir()} == set(FILES)


def test_a_killed_writers_last_step_was_the_last(pretrained: Path) -> None:
    """So that the test above cannot pass by never reaching the end."""
    assert run_python(KILLED, str(STEPS)).wait() == 0
    assert checkpoints.read_files("a-x-s0")[1]["model.onnx"] == b"newmodel.onnx"


SEVERAL = """
import sys
from tests.core.checkpoints.test_manifest import store
for number in range(5):
    store(f"{sys.argv[1]}-x-s{number}", b"content")
"""


def test_two_processes_at_once_lose_nothing(pretrained: Path) -> None:
    both = [run_python(SEVERAL, name) for name in ("a", "b")]
    assert [process.wait() for process in both] == [0, 0]
    expected = [f"{name}-x-s{number}" for name in ("a", "b") for number in range(5)]
    assert list(checkpoints.load_manifest()) == expected
    for id in expected:
        checkpoints.read_files(id)


def test_a_reader_never_sees_half_a_replacement(pretrained: Path) -> None:
    store("a-x-s0", b"0")
    stop = threading.Event()
    errors: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                found = checkpoints.read_files("a-x-s0")[1]
                assert len({data.removesuffix(name.encode()) for name, data in found.items()}) == 1
            except Exception as error:
                errors.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20):
        store("a-x-s0", str(number).encode())
    stop.set()
    reader.join()
    assert errors == []


def spoil(root: Path, id: str, **fields: object) -> dict[str, Any]:
    """Make an entry one that cannot be read; returns it."""
    path = root / "manifest.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content["checkpoints"][id] |= fields
    path.write_text(json.dumps(content), encoding="utf-8")
    entry: dict[str, Any] = content["checkpoints"][id]
    return entry


def test_one_entry_that_cannot_be_read_hides_no_other(pretrained: Path) -> None:
    for id in ("a-x-s0", "b-x-s0", "c-x-s0"):
        store(id, b"1")
    bad = spoil(pretrained, "b-x-s0", params="many", colour="red")
    listed = checkpoints.listing()
    assert list(listed.checkpoints) == ["a-x-s0", "c-x-s0"]
    assert list(listed.unreadable) == ["b-x-s0"] and "params" in listed.unreadable["b-x-s0"]
    assert checkpoints.get("a-x-s0").id == "a-x-s0"
    checkpoints.read_files("c-x-s0")
    with pytest.raises(CheckpointError, match="b-x-s0: params"):
        checkpoints.get("b-x-s0")
    store("d-x-s0", b"2")  # and it is not lost by writing another, nor by removing one
    checkpoints.remove("a-x-s0", pretrained)
    assert list(checkpoints.listing().checkpoints) == ["c-x-s0", "d-x-s0"]
    content = json.loads((pretrained / "manifest.json").read_text(encoding="utf-8"))
    assert content["checkpoints"]["b-x-s0"] == bad
    store("b-x-s0", b"3")
    assert checkpoints.listing().unreadable == {} and checkpoints.get("b-x-s0").params == 1
    spoil(pretrained, "b-x-s0", seed=None)
    checkpoints.remove("b-x-s0", pretrained)
    assert "b-x-s0" not in (pretrained / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["[1,2,3]", "{", "null", '"x"', '{"checkpoints": [1]}'])
def test_a_list_of_own_networks_that_is_none_hides_no_shipped_one(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    store("a-x-s0", b"1")
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(tmp_path / "runs"))
    own = checkpoints.own_dir()
    own.mkdir(parents=True)
    (own / "manifest.json").write_text(content, encoding="utf-8")
    checkpoints.read_files("a-x-s0")
    with pytest.raises(CheckpointError, match="your own networks") as caught:
        checkpoints.get("mine-s0")
    assert str(own / "manifest.json") in str(caught.value)
    assert "indices" not in str(caught.value) and "git" not in str(caught.value)
