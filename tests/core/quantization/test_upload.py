"""Strangers' 8-bit files: what they hold, whose they are, and what is refused."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from core import checkpoints, limited
from core.checkpoints import GRAPH, load_manifest, read_files
from core.errors import CheckpointError
from core.inference.graph import weight_shapes
from core.inference.predict import predictor
from core.quantization import graph
from core.quantization.graph import load_hw7, quantized_file, read_stranger, source
from core.quantization.hw7 import encode8
from core.quantization.upload import (
    HOSTILE,
    Fit,
    Upload,
    open_upload,
    score_upload,
    some_pictures,
)
from tests import homework
from tests.core.quantization.test_read_file import text_bomb
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


def opened(data: bytes) -> Upload:
    return open_upload(data, load_manifest().values())


def test_a_file_says_what_it_holds_and_whose_it_could_be() -> None:
    data = quantized_file(SCRATCH, "hw7_8bit")
    upload = opened(data)
    net = checkpoints.load_model(SCRATCH)
    state = {name: tuple(t.shape) for name, t in net.state_dict().items()}
    assert upload.held.shapes == {name: shape for name, shape in state.items() if shape}
    assert upload.held.n_bytes == len(data)
    assert upload.held.params == sum(p.numel() for p in net.parameters()) == 87_907
    assert upload.held.counters == sum(not shape for shape in state.values())
    both = {SCRATCH, TEACHER}  # one architecture, twice
    assert {fit.checkpoint.id for fit in upload.fits} == both
    assert all(ours == theirs for ours, theirs in upload.fits[0].names.items())
    renamed = opened(encode8({f"other.{n}": np.ones(s, np.float32) for n, s in state.items() if s}))
    assert {fit.checkpoint.id for fit in renamed.fits} == both
    assert renamed.fits[0].names["features.0.weight"] == "other.features.0.weight"
    assert opened(encode8({"weight": np.zeros((2, 2), np.float32)})).fits == []


def test_it_is_asked_about_pictures(food: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = quantized_file(SCRATCH, "hw7_8bit")
    fit = fit_of(data)
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
        read_stranger(data)
    assert not ran


def in_order(id: str) -> dict[str, np.ndarray]:
    """A checkpoint's tensors as its state dict has them."""
    state = source(id)[2]
    return {name: state[name] for name in weight_shapes(read_files(id, GRAPH)[1][GRAPH])}


def fit_of(data: bytes, id: str = SCRATCH) -> Fit:
    (fit,) = [fit for fit in opened(data).fits
              if fit.checkpoint.id == id]  # fmt: skip
    return fit


def test_other_names_are_asked_too(food: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    exact = in_order(SCRATCH)
    score = score_upload(encode8(exact), fit_of(encode8(exact)))
    renamed = {f"w{i}.{name[-4:]}": tensor for i, (name, tensor) in enumerate(exact.items())}
    data = encode8(renamed)
    assert score is not None and score_upload(data, fit_of(data)) == score
    turned = dict(reversed(renamed.items()))
    assert opened(encode8(turned)).fits == []


def test_the_page_and_the_scorer_agree_on_what_fits(
    food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers beside the arrays decide nothing; an array too many does."""
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    state = in_order(SCRATCH)
    for extra in ({}, {"epoch": np.asarray(3)}, {"best": np.asarray(0.8), "n": np.asarray(1)}):
        data = encode8({**state, **extra})
        score = score_upload(data, fit_of(data))
        assert score is not None and score.n == 33
    many = encode8({**state, "more": np.ones(3, np.float32)})
    assert opened(many).fits == []
    with pytest.raises(CheckpointError, match="more"):
        load_hw7(SCRATCH, many)


@pytest.mark.parametrize("largest", [3e38, 2e19, -3.4e38])
def test_weights_too_large_to_compute_with_are_refused(largest: float) -> None:
    state = in_order(SCRATCH)
    weight = state["features.3.weight"].copy()
    weight.flat[0] = largest
    for data in (encode8({**state, "features.3.weight": weight}),
                 safetensors.numpy.save({**state, "features.3.weight": weight})):  # fmt: skip
        with pytest.raises(CheckpointError, match=r"too large.*features\.3\.weight"):
            read_stranger(data)


def test_answers_that_are_not_numbers_are_refused(
    food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each weight is within bounds; together they leave float32."""
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    state = {name: tensor * 1e18 if tensor.ndim > 1 else tensor
             for name, tensor in in_order(SCRATCH).items()}  # fmt: skip
    data = encode8(state)
    found = opened(data)
    assert found.fits and "not numbers" in found.problem
    with pytest.raises(CheckpointError, match="not numbers"):
        score_upload(data, found.fits[0])


def test_a_bomb_costs_one_sentence() -> None:
    data = text_bomb(250, 4_000_000)
    read_stranger(encode8(in_order(SCRATCH)))  # the worker is there
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    with pytest.raises(CheckpointError):
        read_stranger(data)
    assert time.monotonic() - began < 10  # a busy machine
    if sys.platform == "linux":  # kilobytes there
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_the_limits_are_those_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the reader to have a fault, the system would stop it."""
    data = encode8({"w.weight": np.ones((3000, 3000), np.float32)})
    assert read_stranger(data)["w.weight"].size == 9_000_000
    less = limited.Limits(memory_bytes=20_000_000)
    monkeypatch.setattr(graph, "LIMITS", less)
    with pytest.raises(CheckpointError):
        read_stranger(data)
    monkeypatch.setattr(graph, "LIMITS", limited.Limits(answer_bytes=1_000_000))
    with pytest.raises(CheckpointError):
        read_stranger(data)


HOMEWORK = {
    "dwpw_256k-scratch-s0": 256_779,
    "plain_2m-scratch-s0": 2_168_203,
    "plain_275k-scratch-s0": 275_211,
    "group8_277k-scratch-s0": 277_195,
    "hw13_sample-scratch_10ep-s0": 87_907,
    "hw13_residual-scratch_10ep-s0": 96_587,
    "resnet18-scratch-s0": 11_182_155,
}
"""A shipped checkpoint of each network of the homeworks, and its weights and biases."""


@pytest.fixture(scope="module")
def files_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("homework")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SMALL_PLATES_PRETRAINED", raising=False)
        homework.write(folder, *HOMEWORK, renamed=True, few=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("id", sorted(HOMEWORK))
def test_every_network_of_the_homeworks_is_read_and_answers(
    id: str, files_of_all: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMALL_PLATES_PRETRAINED", raising=False)
    px = checkpoints.get(id).input_px
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3, px, px), np.uint8)
    wanted = predictor(id).logits(pixels)
    for form, near in (("state.pth", 1e-3), ("8bit.pkl", 1.0)):
        data = (files_of_all / f"{id}-{form}").read_bytes()
        found = opened(data)
        assert found.held.params == HOMEWORK[id] and not found.problem
        assert id in {fit.checkpoint.id for fit in found.fits}
        assert {fit.checkpoint.model for fit in found.fits} == {checkpoints.get(id).model}
        answers = load_hw7(id, data).logits(pixels)
        spread = wanted.std()
        assert np.abs(answers - wanted).max() <= near * spread, form
