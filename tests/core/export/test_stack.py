"""The whole way: every step's row against the file it left, resumed, and without photographs."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from core import checkpoints
from core.collection import recipes, reproduce
from core.collection.recipes import Recipe
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import CheckpointError
from core.export import make_stack as stack
from core.export.files import open_file, shipped
from core.export.make_stack import first_student, make_stack, state
from core.export.stack import STEPS, Stack
from core.inference.predict import Predictor
from core.photos import prepare, read_photo
from core.pruning.rows import RowKey
from core.stats import labelled
from core.training.config import TrainConfig
from tests.core.tiny_shelf import PX, STUDENT, TEACHER, publish_pair

pytestmark = pytest.mark.slow

KEY = RowKey("channel_l2", 0.5, "narrow", 1)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, food: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        publish_pair(food)
    yield folder


@pytest.fixture
def here(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a cache of its own, and a quick clock."""
    monkeypatch.setenv("SMALL_PLATES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stack, "REPEATS", 3)
    return here


def quiet(_line: str) -> None:
    pass


def test_the_whole_way_is_gone_and_measured_on_its_files(here: Path, food: Path) -> None:
    made = make_stack(STUDENT, quiet, key=KEY)
    assert [row.step for row in made.rows] == list(STEPS)
    rows = {row.step: row for row in made.rows}
    assert Stack.load(STUDENT) == made
    pictures = labelled(load_pixels(find_food11(food), PX, progress=False), "testing", PX)
    for step in STEPS:
        row = rows[step]
        assert row.n == len(pictures.labels) == 22
        assert (row.latency is None) == (row.format == "hw7-8bit")
        if row.checkpoint is None:
            assert step == "cut"
            continue
        data = shipped(row.checkpoint, row.format)
        assert row.size_bytes == len(data)
        session = open_file(row.checkpoint, row.format, data)
        logits = session.run(None, {"pixels": pictures.pixels})[0]
        assert row.correct == int((logits.argmax(1) == pictures.labels).sum()), step
    whole, narrow = checkpoints.get(STUDENT), checkpoints.get(str(rows["tuned"].checkpoint))
    assert (rows["teacher"].checkpoint, rows["student"].checkpoint) == (TEACHER, STUDENT)
    assert rows["cut"].params == rows["tuned"].params == narrow.params < whole.params
    assert rows["cut"].macs == narrow.macs < whole.macs
    assert abs(rows["cut"].size_bytes - rows["tuned"].size_bytes) < 0.1 * rows["cut"].size_bytes
    assert rows["tuned_8bit"].size_bytes < rows["tuned"].size_bytes
    assert rows["tuned_8bit"].size_bytes < rows["student_8bit"].size_bytes
    answers = Predictor(narrow.id).logits(pictures.pixels).argmax(1)
    assert rows["tuned"].correct == int((answers == pictures.labels).sum())
    score = rows["tuned"].score
    assert score is not None and score.ci95[0] < score.accuracy < score.ci95[1]
    for row in made.rows:
        assert (row.blocks is None) == (row.format != "onnx")
        if row.blocks is not None:
            assert 0 <= row.blocks.blocked <= row.blocks.of > 0
            assert row.blocks.cpu.n == row.blocks.cpu_without.n > 0
    index = find_food11(food)
    assert [dish.label for dish in made.dishes] == list(range(11))
    for number, dish in enumerate(made.dishes):
        data = (index.root / dish.place).read_bytes()
        assert dish.source == "photograph" and hashlib.sha256(data).hexdigest() == dish.sha256
        pixels = prepare(read_photo(data), PX)[None]
        for id, step in ((TEACHER, "teacher"), (narrow.id, "tuned")):
            logits = Predictor(id).logits(pixels)[0].astype(float)
            shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            label, probability = rows[step].answers[number]
            assert label == shares.argmax()
            assert probability == pytest.approx(shares.max(), abs=1e-3)
    assert state(STUDENT, KEY) == "done"
    assert state(STUDENT, RowKey("channel_l2", 0.25, "narrow", 1)) == "missing"
    from tests.tiny_network import publish_tiny  # rows of other weights are not gone on with

    publish_tiny(STUDENT, 9, teacher=TEACHER, recipe="distilled", input_px=PX, validation=None,
                 test=None)  # fmt: skip
    assert state(STUDENT, KEY) == "missing"


def test_a_stopped_way_goes_on_where_it_was(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stack, "calibrate", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_stack(STUDENT, quiet, key=KEY)
    half = Stack.load(STUDENT)
    assert half is not None and half.rows[-1].step == "tuned"
    assert state(STUDENT, KEY) == "started"

    def never(*_arguments: object, **_named: object) -> None:
        raise AssertionError("it was done again")

    monkeypatch.setattr(stack, "prune_and_finetune", never)
    monkeypatch.setattr(stack, "publish_pruned", never)
    done = make_stack(STUDENT, quiet, key=KEY)
    assert [row.step for row in done.rows] == list(STEPS)
    assert done.row("tuned").correct == half.row("tuned").correct  # type: ignore[union-attr]
    monkeypatch.setattr(stack, "count_correct", never)
    monkeypatch.setattr(stack, "time_sessions", never)
    monkeypatch.setattr(stack, "time_sessions", never)
    before = Stack.path(STUDENT).read_bytes()
    assert make_stack(STUDENT, quiet, key=KEY) == done
    assert Stack.path(STUDENT).read_bytes() == before


def test_without_photographs_the_way_ends_at_training_until_some_come(
    here: Path, food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    heard: list[str] = []
    made = make_stack(STUDENT, heard.append, key=KEY)
    assert [row.step for row in made.rows] == ["teacher", "student", "student_8bit", "cut"]
    for row in made.rows:
        report = row.report()
        assert report["accuracy"] is None and report["n"] is None and report["ci95"] is None
        assert report["size_bytes"] > 0 and report["params"] > 0 and report["macs"] > 0
    assert any("photographs" in line for line in heard)
    assert state(STUDENT, KEY) == "started"
    monkeypatch.setenv("FOOD11_ROOT", str(food))
    made = make_stack(STUDENT, quiet, key=KEY)
    assert [row.step for row in made.rows] == list(STEPS)
    assert all(row.n == 22 for row in made.rows)


def test_it_begins_at_a_distilled_student(here: Path) -> None:
    assert first_student() == STUDENT
    with pytest.raises(CheckpointError, match="not distilled"):
        make_stack(TEACHER, quiet, key=KEY)
    content = json.loads(checkpoints.manifest_path().read_text())
    del content["checkpoints"][STUDENT]
    checkpoints.manifest_path().write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="no distilled student"):
        first_student()


def test_reproducing_makes_both(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps `stack` and `shipping` of `reproduce`; what no recipe plans is shipped too."""
    config = TrainConfig.model_validate(checkpoints.get(STUDENT).config)
    plan = (Recipe(STUDENT, "Tiny", "distilled", config),)
    monkeypatch.setattr(recipes, "recipes", lambda _schedule: plan)
    monkeypatch.setattr("core.collection.reproduce.STUDENT", STUDENT)
    monkeypatch.setattr("core.export.measure.REPEATS", 3)
    rows = reproduce.status(steps=("stack", "shipping"))
    assert [(row["step"], row["checkpoint"], row["state"]) for row in rows] == [
        ("stack", STUDENT, "missing"),
        ("shipping", STUDENT, "missing"),
        ("shipping", TEACHER, "missing"),
    ]
    rows = reproduce.reproduce(steps=("stack", "shipping"), log=quiet)
    assert {row["state"] for row in rows} == {"done"}
    (tuned,) = set(checkpoints.load_manifest()) - {STUDENT, TEACHER}
    assert [row["checkpoint"] for row in rows[1:]] == [STUDENT, tuned, TEACHER]
    only = reproduce.status(only=(STUDENT,), steps=("shipping",))
    assert [row["checkpoint"] for row in only] == [STUDENT]


@pytest.mark.parametrize("damage", ["", "[]"])
def test_a_damaged_file_is_said(here: Path, damage: str) -> None:
    Stack.path(STUDENT).parent.mkdir(exist_ok=True)
    Stack.path(STUDENT).write_text(damage)
    with pytest.raises(CheckpointError, match="--steps stack"):
        Stack.load(STUDENT)


@pytest.mark.parametrize(("channels", "blocked"), [(16, 1), (32, 1), (11, 0), (55, 0)])
def test_only_layers_whose_channels_fill_blocks_are_computed_in_blocks(
    channels: int, blocked: int
) -> None:
    """A depthwise convolution of so many channels, as ONNX Runtime optimises it."""
    weight = np.ones((channels, 1, 3, 3), np.float32)
    node = helper.make_node("Conv", ["pixels", "weight"], ["logits"], group=channels)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, channels, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    assert stack.blocked_convolutions(model.SerializeToString()) == (blocked, 1)
