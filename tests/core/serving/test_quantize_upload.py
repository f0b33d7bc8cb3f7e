"""Strangers' 8-bit files: what they hold, whose they are, and what is refused."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import checkpoints
from core.checkpoints import load_manifest
from core.compression.quantize_hw7 import encode8
from core.errors import CheckpointError
from core.serving.predict import predictor
from core.serving.quantize_upload import HOSTILE, fits, read_upload, score_upload, some_pictures
from core.serving.quantized import quantized_file
from tests.food import make_food11
from tests.pages import pruning_shelf
from tests.pages.pruning_shelf import SCRATCH, TEACHER


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"training": 1, "validation": 1, "testing": 3}
    return make_food11(tmp_path_factory.mktemp("food"), per_class=counts)


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path_factory.mktemp("pretrained")))
        pruning_shelf.publish(food)
        yield


def test_a_file_says_what_it_holds() -> None:
    data = quantized_file(SCRATCH, "hw7_8bit")
    held = read_upload(data)
    net = checkpoints.load_model(SCRATCH)
    state = {name: tuple(t.shape) for name, t in net.state_dict().items()}
    assert {tensor.name: tensor.shape for tensor in held.tensors} == {
        name: shape for name, shape in state.items() if shape
    }
    assert held.n_bytes == len(data)
    assert held.params == sum(p.numel() for p in net.parameters()) == 87_907
    assert held.counters == sum(not shape for shape in state.values())
    weight = net.state_dict()["features.0.weight"]
    (first,) = [tensor for tensor in held.tensors if tensor.name == "features.0.weight"]
    ends = (float(weight.min()), float(weight.max()))
    assert (first.low, first.high) == pytest.approx(ends, abs=1e-6)


def test_its_network_is_found_by_names_and_shapes() -> None:
    held = read_upload(quantized_file(SCRATCH, "hw7_8bit"))
    found = fits(held, load_manifest().values())
    assert {fit.checkpoint.id for fit in found} == {SCRATCH, TEACHER}  # one architecture, twice
    assert all(fit.same_names for fit in found)
    state = {f"other.{t.name}": np.zeros(t.shape, np.float32) for t in held.tensors}
    renamed = fits(read_upload(encode8(state)), load_manifest().values())
    assert renamed and not any(fit.same_names for fit in renamed)
    small = {"weight": np.zeros((2, 2), np.float32)}
    assert fits(read_upload(encode8(small)), load_manifest().values()) == []


def test_it_is_asked_about_pictures(food: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = quantized_file(SCRATCH, "hw7_8bit")
    (fit,) = [f for f in fits(read_upload(data), load_manifest().values())
              if f.checkpoint.id == SCRATCH]  # fmt: skip
    assert score_upload(data, fit) is None  # no photographs here
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    heard: list[tuple[int, int]] = []
    score = score_upload(data, fit, lambda done, of: heard.append((done, of)))
    assert score is not None and score.n == 33 and heard[-1] == (33, 33)
    pictures = some_pictures(fit.checkpoint)
    assert pictures is not None
    right = (predictor(SCRATCH).logits(pictures.pixels).argmax(1) == pictures.labels).sum()
    assert abs(score.correct - right) <= 2  # eight bits are nearly the network itself
    few = some_pictures(fit.checkpoint, per_class=1)
    assert few is not None and sorted(few.labels) == list(range(11))


@pytest.mark.parametrize("data", [HOSTILE, HOSTILE[:-3], b"", b"PK\x03\x04" + bytes(50)])
def test_everything_else_is_refused(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    with pytest.raises(CheckpointError):
        read_upload(data)
    assert not ran
