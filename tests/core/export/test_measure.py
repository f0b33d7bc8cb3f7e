"""Shipping measured: rows against independent counts, the card, the command line, a real worker."""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from core import checkpoints
from core.cli.main import main
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import CheckpointError
from core.export import measure as shipping
from core.export.card import licence, shipping_card
from core.export.files import RUNS, FilePoint, FileRow, Shipping, shipped
from core.export.measure import is_missing, make_shipping, measure, parity_of
from core.export.stack import FORMATS, Format
from core.live import LiveRuns
from core.paths import REPO
from core.stats import labelled
from tests.core.tiny_shelf import PX, STUDENT, TEACHER, publish_pair
from tests.tiny_network import TinyNetwork, torch_logits


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
    monkeypatch.setattr(shipping, "REPEATS", 3)
    return here


@pytest.fixture
def no_photographs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))


def test_parity_by_hand() -> None:
    original = np.array([[1, 0], [0, 1], [3, 2]], np.float32)
    found = np.array([[1, 0.5], [2, 1], [3, 2]], np.float32)
    parity = parity_of(found, original, np.array([0, 1, 1]))
    assert parity.max_logit_difference == 2 and parity.agreement == pytest.approx(2 / 3)
    assert (parity.n, parity.correct, parity.original_correct) == (3, 1, 2)
    assert parity.score is not None and parity.score.accuracy == pytest.approx(1 / 3)
    assert parity_of(found, original, None).score is None


def test_every_file_is_weighed_run_and_timed(here: Path, food: Path) -> None:
    found = measure(STUDENT)
    assert [row.format for row in found.rows] == list(FORMATS)
    pictures = labelled(load_pixels(find_food11(food), PX, progress=False), "testing", PX)
    net = TinyNetwork().eval()
    weights = (checkpoints.folder(STUDENT) / checkpoints.WEIGHTS).read_bytes()
    state = safetensors.torch.load(weights)
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    by_torch = torch_logits(net, pictures.pixels)
    stored = checkpoints.test_logits(STUDENT)[0]
    for row in found.rows:
        data = shipped(STUDENT, row.format)
        assert (row.size_bytes, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert row.parity is not None and row.parity.pictures == "testing"
        assert row.parity.n == len(pictures.labels)
        assert (row.latency is None) == (row.format == "hw7-8bit")
    rows = {row.format: row.parity for row in found.rows if row.parity}
    assert rows["onnx"].max_logit_difference == rows["onnx-fp16"].max_logit_difference == 0
    gap = float(np.abs(by_torch - stored).max())
    assert rows["safetensors"].max_logit_difference == pytest.approx(gap, abs=1e-5)
    assert rows["hw7-8bit"].max_logit_difference > 10 * gap
    right = int((by_torch.argmax(1) == pictures.labels).sum())
    assert rows["safetensors"].correct == right
    test = checkpoints.get(STUDENT).test
    assert test is not None and rows["onnx"].correct == test.correct
    assert found.calibration and found.fingerprint


def test_without_photographs_parity_is_on_made_pictures_and_accuracy_is_none(
    here: Path, no_photographs: None
) -> None:
    found = measure(STUDENT, timed=False)
    assert [row.format for row in found.rows] == [f for f in FORMATS if f != "onnx-int8"]
    for row in found.rows:
        assert row.parity is not None and row.parity.pictures == "made"
        assert row.report()["accuracy"] is None and row.report()["n"] is None
        assert row.parity.agreement > 0.5
    assert found.fingerprint == found.data == ""


def test_measured_once_and_again_when_something_is_new(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, food: Path
) -> None:
    assert is_missing(STUDENT)
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    made = make_shipping(STUDENT, lambda _line: None)
    assert not is_missing(STUDENT) and made.rows[0].report()["accuracy"] is None
    monkeypatch.setenv("FOOD11_ROOT", str(food))  # photographs have come: accuracy at last
    assert is_missing(STUDENT)
    full = make_shipping(STUDENT, lambda _line: None)
    assert Shipping.load(STUDENT) == full and not is_missing(STUDENT)
    assert full.rows[0].report()["accuracy"] is not None
    before = Shipping.path(STUDENT).read_bytes()
    assert make_shipping(STUDENT, lambda _line: None) == full
    assert Shipping.path(STUDENT).read_bytes() == before
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    assert not is_missing(STUDENT)  # and they are not thrown away where there are none
    shutil.rmtree(tmp_path / "cache")
    assert shipped(STUDENT, "onnx-int8")  # the ranges ship with the rows
    publish_other_weights()
    assert is_missing(STUDENT)


def publish_other_weights() -> None:
    from tests.tiny_network import publish_tiny

    publish_tiny(STUDENT, 7, input_px=PX, validation=None, test=None)


@pytest.mark.parametrize("damage", ["", '{"checkpoint": 1}'])
def test_damaged_rows_are_said(here: Path, damage: str) -> None:
    Shipping.path(STUDENT).parent.mkdir(exist_ok=True)
    Shipping.path(STUDENT).write_text(damage)
    with pytest.raises(CheckpointError, match="--steps shipping"):
        Shipping.load(STUDENT)


def test_the_card_says_what_a_stranger_needs(here: Path) -> None:
    found = measure(STUDENT, ("onnx",))
    data = shipped(STUDENT, "onnx")
    entry = checkpoints.get(STUDENT)
    entry = entry.model_copy(update={"data": entry.data.model_copy(update={"is_food11": False})})
    card = shipping_card(entry, "onnx", "tiny.onnx", data, found)
    assert entry.test is not None
    low, high = entry.test.ci95
    for wanted in (
        f"{len(data):,} bytes",
        hashlib.sha256(data).hexdigest(),
        f"{entry.test.correct:,} of {entry.test.n:,}",
        f"{low:.2%} to {high:.2%}",
        "not Food-11",
        "## Limits",
        "## Licence",
        "MIT",
        "same class on 100.00%",
        f"teacher: `{TEACHER}`",
        "10 Vegetable/Fruit",
    ):
        assert wanted in card, wanted
    stale = shipping_card(entry, "onnx", "tiny.onnx", data + b" ", found)
    assert "same class" not in stale and "not yet measured" in stale
    assert "training photographs." in card and "started from" not in card and "had seen" not in card
    later = entry.model_copy(update={"config": {**entry.config, "start_from": TEACHER}})
    told = shipping_card(later, "onnx", "tiny.onnx", data, found)
    first = checkpoints.get(TEACHER).data.name
    assert f"started from `{TEACHER}`, which learned from: {first}" in told
    assert f"training photographs, after those that `{TEACHER}` had seen." in told


@pytest.mark.parametrize(
    ("model", "recipe", "config", "wanted"),
    [
        ("efficientnet_lite0", "imagenet", {"pretrained": True}, "Apache-2.0"),
        ("efficientnet_lite0", "imagenet", {"start_from": "a-stage-s0"}, "Apache-2.0"),
        ("efficientnet_lite0", "scratch", {"pretrained": False, "start_from": ""}, "MIT"),
        ("efficientnet_lite0", "imagenet_narrow", {"pruned_from": "gone-s0"}, "Apache-2.0"),
        ("efficientnet_lite0", "scratch_narrow", {"pruned_from": TEACHER}, "MIT"),
        ("tiny", "distilled", {"pretrained": False, "teacher": TEACHER}, "MIT"),
    ],
)
def test_licences_follow_the_weights(
    here: Path, model: str, recipe: str, config: dict[str, object], wanted: str
) -> None:
    base = checkpoints.get(STUDENT)
    changed = base.model_copy(update={"model": model, "recipe": recipe, "config": config})
    assert wanted in licence(changed)
    assert ("Apache" in licence(changed)) == (wanted == "Apache-2.0")


def test_export_writes_the_file_and_its_card(
    here: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    formats: tuple[Format, ...] = ("safetensors", "onnx-int8", "hw7-8bit")
    for format in formats:
        out = tmp_path / "out 出" / f"net.{format}"
        out.parent.mkdir(exist_ok=True)
        capfd.readouterr()
        assert main(["export", STUDENT, "--format", format, "--out", str(out), "--json"]) == 0
        told = json.loads(capfd.readouterr().out)
        assert out.read_bytes() == shipped(STUDENT, format)
        card = Path(told["card"])
        assert card.parent == out.parent and told["sha256"] in card.read_text(encoding="utf-8")
        assert told["size_bytes"] == out.stat().st_size
        assert told["parity"]["n"] == told["n"] == 22
        assert set(told["latency_ms"] or {}) in ({"median", "p25", "p75"}, set())
    assert sorted(p.name for p in out.parent.iterdir()) == sorted(
        name for format in formats for name in (f"net.{format}", f"net.{format}.md")
    )


def test_export_does_not_overwrite(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / f"{STUDENT}.onnx"
    theirs.write_text("mine")
    assert main(["export", STUDENT, "--format", "onnx"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "--force" in said.err
    assert theirs.read_text() == "mine" and not Path(f"{theirs}.md").exists()
    theirs.unlink()
    card = tmp_path / f"{STUDENT}.onnx.md"
    card.write_text("mine")  # nor a card
    assert main(["export", STUDENT, "--format", "onnx"]) == 2
    assert not theirs.exists()
    capsys.readouterr()
    assert main(["export", STUDENT, "--format", "onnx", "--force"]) == 0
    assert "logit difference" in capsys.readouterr().out
    assert theirs.read_bytes() == shipped(STUDENT, "onnx")
    assert "## Licence" in card.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing-s0", "--format", "onnx"], "nothing-s0"),
        ([STUDENT, "--format", "tflite"], "tflite"),
        ([STUDENT], "--format"),
        ([STUDENT, "--format", "onnx", "--out", "no/such/folder/x.onnx"], "no folder"),
        ([STUDENT, "--format", "onnx", "--out", "."], "folder"),
        ([STUDENT, "--format", "onnx-int8", "--out", "x.onnx"], "ranges|range"),
    ],
)
def test_export_refuses_in_one_line(
    here: Path,
    no_photographs: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["export", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert any(word in said.err for word in says.split("|"))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_a_real_worker_measures_every_file(here: Path) -> None:
    """In the process that the server would start; `tiny` is known there because it is told to."""
    program = """
import runpy, sys
from core.models import registry
from tests.tiny_network import SPEC
from core.export import measure
measure.REPEATS = 3
registry.MODELS["tiny"] = SPEC
runpy.run_module("core.live", run_name="__main__", alter_sys=False)
"""
    runs: LiveRuns[FilePoint, FileRow] = LiveRuns(RUNS.row, "", time_limit_s=200)
    runs._worker = (sys.executable, "-c", program, RUNS._worker[-1])
    sha256 = checkpoints.get(STUDENT).weights_sha256
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPO))
        job = runs.ask(FilePoint(STUDENT, sha256), "ann")
        end = time.monotonic() + 200
        while not job.is_over and time.monotonic() < end:
            runs.look(job.point, "ann")
            time.sleep(0.1)
    assert job.state == "done", (job.reason, job.message)
    assert [row.format for row in job.rows] == list(FORMATS)
    assert all(isinstance(row, FileRow) and row.parity for row in job.rows)
    assert runs.finished(STUDENT, sha256) == [job] and not runs.finished(STUDENT, "0" * 64)
