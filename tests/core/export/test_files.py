"""A checkpoint's files: what is in each, made once for forty who ask, and what int8 waits for."""

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from PIL.Image import fromarray

from core import checkpoints
from core.charts.theme import role_of
from core.checkpoints import WEIGHTS
from core.errors import CheckpointError
from core.export import files
from core.export.files import (
    calibrate,
    int8_predictor,
    known_ranges,
    make,
    obstacle,
    open_file,
    shipped,
)
from core.export.stack import FORMATS, Format
from core.inference.predict import Predictor, predict_photo, run_batches
from core.paths import cache_dir
from core.photos import prepare
from core.quantization.hw7 import decode8
from tests.conftest import run_python
from tests.food import make_food11
from tests.tiny_network import pictures

WITHOUT_PHOTOGRAPHS = tuple(format for format in FORMATS if format != "onnx-int8")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def food(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_food11(tmp_path / "food", per_class={"training": 3, "validation": 1})
    monkeypatch.setenv("FOOD11_ROOT", str(folder))
    return folder


@pytest.mark.parametrize("format", WITHOUT_PHOTOGRAPHS)
def test_a_file_answers_as_its_checkpoint(tiny_checkpoint: str, format: Format) -> None:
    data = make(tiny_checkpoint, format)
    assert data == make(tiny_checkpoint, format)  # the same bytes each time
    pixels = pictures(20).pixels
    expected = Predictor(tiny_checkpoint).logits(pixels)
    answers = run_batches(open_file(tiny_checkpoint, format, data), pixels)
    if format == "hw7-8bit":
        assert 0 < np.abs(answers - expected).max() < 0.2 * np.abs(expected).max()
    else:
        np.testing.assert_array_equal(answers, expected)


def test_hw7s_file_holds_every_tensor_within_half_a_step(tiny_checkpoint: str) -> None:
    published = (checkpoints.folder(tiny_checkpoint) / WEIGHTS).read_bytes()
    assert make(tiny_checkpoint, "safetensors") == published
    stored = safetensors.numpy.load(published)
    decoded = decode8(make(tiny_checkpoint, "hw7-8bit"))
    assert set(decoded) == set(stored)
    for name, value in stored.items():
        if value.dtype.kind != "f":
            assert np.array_equal(decoded[name], value)
            continue
        step = (float(value.max()) - float(value.min())) / 255
        gap = np.abs(np.asarray(decoded[name], np.float64) - value.astype(np.float64)).max()
        assert gap <= step / 2 + 1e-6


def test_what_runs_is_what_is_in_the_file(tiny_checkpoint: str) -> None:
    """Another network's 8-bit file answers as that other network: nothing comes from the side."""
    from core.quantization.hw7 import encode8

    state = safetensors.numpy.load(make(tiny_checkpoint, "safetensors"))
    other = {name: np.zeros_like(value) for name, value in state.items()}
    session = open_file(tiny_checkpoint, "hw7-8bit", encode8(other))
    assert np.abs(run_batches(session, pictures(4).pixels)).max() == 0


def test_int8_waits_for_ranges_and_then_needs_no_photographs(
    tiny_checkpoint: str, food: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FOOD11_ROOT")
    assert "export" in obstacle(tiny_checkpoint, "onnx-int8")
    assert not calibrate(tiny_checkpoint)
    with pytest.raises(CheckpointError, match="nobody has"):
        shipped(tiny_checkpoint, "onnx-int8")
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    assert calibrate(tiny_checkpoint)
    monkeypatch.delenv("FOOD11_ROOT")
    assert obstacle(tiny_checkpoint, "onnx-int8") == ""
    data = shipped(tiny_checkpoint, "onnx-int8")
    kinds = {node.op_type for node in onnx.load_model_from_string(data).graph.node}
    assert "DequantizeLinear" in kinds
    integers = [
        t for t in onnx.load_model_from_string(data).graph.initializer
        if t.data_type == onnx.TensorProto.INT8
    ]  # fmt: skip
    assert integers
    ranges = known_ranges(tiny_checkpoint)
    assert ranges and all(low <= high for low, high in ranges.values())


def test_ranges_of_other_weights_do_not_count(
    tiny_checkpoint: str, food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tiny_network import publish_tiny

    assert calibrate(tiny_checkpoint)
    publish_tiny(tiny_checkpoint, 5)
    assert known_ranges(tiny_checkpoint) is None


def test_forty_who_ask_cost_one_conversion(
    tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    really = files.make

    def slowly(id: str, format: Format) -> bytes:
        made.append(format)
        threading.Event().wait(0.2)
        return really(id, format)

    monkeypatch.setattr(files, "make", slowly)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(shipped(tiny_checkpoint, "onnx")))
        for _visitor in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["onnx"]
    assert len(found) == 40 and set(found) == {really(tiny_checkpoint, "onnx")}
    shipped(tiny_checkpoint, "onnx-fp16")
    assert made == ["onnx", "onnx-fp16"]


def test_a_file_that_fails_leaves_nothing(
    tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_id: str, _format: Format) -> bytes:
        raise CheckpointError("no")

    with monkeypatch.context() as patch:
        patch.setattr(files, "make", breaks)
        with pytest.raises(CheckpointError):
            shipped(tiny_checkpoint, "onnx")
    assert not list((cache_dir() / "shipping").rglob("*.onnx"))
    assert shipped(tiny_checkpoint, "onnx")


@pytest.mark.slow
def test_the_oldest_files_go(tiny_checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tiny_network import publish_tiny

    monkeypatch.setattr(files, "KEPT_FOLDERS", 2)
    made = set()
    for seed in range(4):
        publish_tiny(tiny_checkpoint, seed, validation=None)
        made.add(shipped(tiny_checkpoint, "onnx"))
    assert len(made) == 4  # new weights are new files
    assert len(list((cache_dir() / "shipping").rglob("*.onnx"))) == 2


def test_the_int8_file_answers_beside_its_checkpoint(tiny_checkpoint: str, food: Path) -> None:
    one = checkpoints.get(tiny_checkpoint)
    assert int8_predictor(one) is None  # nobody has measured its ranges
    calibrate(tiny_checkpoint)
    int8 = int8_predictor(one)
    assert int8 is not None and int8 is int8_predictor(one)  # opened once for all
    entry, data = int8.checkpoint, shipped(tiny_checkpoint, "onnx-int8")
    assert (entry.id, entry.size_bytes) == (f"{tiny_checkpoint}.onnx-int8", len(data))
    assert entry.test is None and role_of(entry) == "quantised"
    pixels = pictures(8).pixels
    expected = run_batches(open_file(tiny_checkpoint, "onnx-int8", data), pixels)
    np.testing.assert_array_equal(int8.logits(pixels), expected)
    assert np.abs(expected - Predictor(tiny_checkpoint).logits(pixels)).max() > 0
    photo = fromarray(pixels[0].transpose(1, 2, 0))
    seen = prepare(photo, one.input_px, one.crop)[None]
    both = predict_photo(photo, [tiny_checkpoint, entry.id], {entry.id: int8})
    assert [each.checkpoint for each in both] == [tiny_checkpoint, entry.id]
    np.testing.assert_array_equal(both[1].logits, int8.logits(seen)[0])


@pytest.mark.slow
def test_files_are_made_without_torch(tiny_checkpoint: str, food: Path) -> None:
    """In a process of its own: what a visitor's click costs must not be 700 MB of torch."""
    calibrate(tiny_checkpoint)
    program = f"""
import sys
from core.models import registry
from core.export.stack import FORMATS
from core.export.files import open_file, shipped
for format in FORMATS:
    open_file({tiny_checkpoint!r}, format, shipped({tiny_checkpoint!r}, format))
assert "torch" not in sys.modules, "torch"
"""
    run_python(program)
