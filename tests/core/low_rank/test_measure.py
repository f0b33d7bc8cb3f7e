"""Factoring a checkpoint: rows against independent counts, fine-tuning, publishing, the grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import checkpoints
from core.checkpoints.factored import METHODS
from core.checkpoints.ranks import Factored, found_ranks
from core.cli.main import main
from core.collection.check import check, evaluate
from core.errors import CheckpointError, ConfigError
from core.inference.predict import Predictor
from core.low_rank import measure as lowrank_curves
from core.low_rank import measure as lowrank_times
from core.low_rank.measure import (
    LowRankExperiment,
    Plan,
    factor_and_finetune,
    file_bytes,
    measure,
    measure_finetuned,
    publish_factored,
)
from core.low_rank.network import factor
from core.low_rank.rows import LowRankGrid, RowKey
from core.pruning.measure import PruningExperiment
from core.pruning.network import prune
from core.training.runs import starting_point
from tests.core.tiny_shelf import ID, PX
from tests.tiny_network import torch_logits

ROW = {
    "method", "energy", "budget", "kept", "factored_layers", "params", "macs", "size_bytes",
    "finetune_epochs", "latency_ms", "n", "correct", "accuracy",
}  # fmt: skip


def pixels_of(low: LowRankExperiment) -> np.ndarray:
    pictures = low.pictures()
    assert pictures is not None
    return pictures.pixels


@pytest.mark.parametrize("method", METHODS)
def test_a_row_counts_what_is_there(here: Path, method: Any) -> None:
    low = LowRankExperiment.open(ID)
    plan = low.plan(method, 0.4)
    row, net = measure(low, plan), low.network(plan)
    assert row.key == RowKey(method, 0.4) and row.ranks == found_ranks(net) != {}
    assert row.params == sum(p.numel() for p in net.parameters()) < low.checkpoint.params
    assert row.macs < low.checkpoint.macs and 0.4 <= row.kept < 1
    pictures = low.pictures()
    assert pictures is not None and row.n == len(pictures.labels) == 22
    right = int((torch_logits(net, pictures.pixels).argmax(1) == pictures.labels).sum())
    assert row.correct is not None and abs(row.correct - right) <= 1  # float16 may tip one over
    whole = low.checkpoint
    assert file_bytes(low, low.net) == pytest.approx(whole.size_bytes, abs=64)
    assert row.size_bytes < whole.size_bytes


def test_the_whole_network_keeps_its_published_score(here: Path) -> None:
    low = LowRankExperiment.open(ID)
    row, entry = measure(low, low.plan("auto", 1.0)), low.checkpoint
    assert row.ranks == {} and row.kept == 1
    assert entry.test and (row.n, row.correct) == (entry.test.n, entry.test.correct)
    assert (row.params, row.macs) == (entry.params, entry.macs)


def test_without_photographs_there_is_no_accuracy(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    low = LowRankExperiment.open(ID)
    row = measure(low, low.plan("auto", 0.5))
    assert (row.n, row.correct, row.report()["accuracy"]) == (None, None, None)


def test_fine_tuning_trains_the_factors_and_keeps_the_ranks(here: Path) -> None:
    low = LowRankExperiment.open(ID)
    before = {name: value.clone() for name, value in low.net.state_dict().items()}
    plan = low.plan("auto", 0.4)
    net = factor_and_finetune(low, plan, 1)
    assert found_ranks(net) == plan.ranks
    start = low.network(plan)
    for name, module in net.named_modules():
        if isinstance(module, Factored):
            pairs = zip(module, start.get_submodule(name).children(), strict=True)
            assert all(
                not torch.equal(a.get_parameter("weight"), b.get_parameter("weight"))
                for a, b in pairs
            )
    assert all(torch.equal(v, before[n]) for n, v in low.net.state_dict().items())
    row = measure_finetuned(low, net, plan, 1)
    assert row.key == RowKey("auto", 0.4, 1) and row.n == 22

    def never(_entry: object) -> None:
        raise AssertionError("it trained again")

    again = factor_and_finetune(low, plan, 1, report=never)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    with pytest.raises(ConfigError):
        factor_and_finetune(low, plan, 0)


def test_a_taught_checkpoint_is_taught_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher of the checkpoint's own recipe is the fine-tuning's."""
    entry = checkpoints.get(ID)
    taught = {**entry.config, "teacher": ID, "alpha": 0.5, "temperature": 4.0}
    path = checkpoints.manifest_path()
    content = json.loads(path.read_text())
    content["checkpoints"][ID]["config"] = taught
    path.write_text(json.dumps(content))
    low = LowRankExperiment.open(ID)
    heard: list[dict[str, Any]] = []
    factor_and_finetune(low, low.plan("auto", 0.4), 1, report=heard.append)
    assert heard[0]["loss_soft"] is not None


def test_a_factored_network_is_a_checkpoint_like_any_other(here: Path) -> None:
    low = LowRankExperiment.open(ID)
    plan = low.plan("auto", 0.5)
    net = low.network(plan)
    entry = publish_factored(low, net, plan)
    assert checkpoints.load_manifest()[entry.id] == entry
    assert entry.id == "tiny-scratch_lowrank_auto50-s0"
    assert entry.ranks == plan.ranks and entry.widths == {}
    assert entry.config["factored_from"] == ID
    assert entry.derived_from == checkpoints.DerivedFrom(id=ID, kind="factored")
    assert entry.params == sum(p.numel() for p in net.parameters())
    pixels = pixels_of(low)
    loaded = checkpoints.load_model(entry.id)
    assert found_ranks(loaded) == plan.ranks
    expected = torch_logits(loaded, pixels)
    np.testing.assert_allclose(expected, torch_logits(net, pixels), rtol=3e-2, atol=3e-2)
    np.testing.assert_allclose(Predictor(entry.id).logits(pixels), expected, rtol=1e-4, atol=1e-4)
    assert evaluate(entry.id, "testing")["correct"] == entry.test.correct  # type: ignore[union-attr]
    found = check()
    assert found["ok"], found


def test_no_training_starts_from_a_factored_network(here: Path) -> None:
    low = LowRankExperiment.open(ID)
    plan = low.plan("auto", 0.5)
    entry = publish_factored(low, low.network(plan), plan)
    with pytest.raises(ConfigError, match="is factored"):
        starting_point(entry.id)


def test_narrow_first_and_factored_then(here: Path) -> None:
    """Both are in the manifest, and together they build the network again."""
    one = PruningExperiment.open(ID)
    narrow = prune(one.net, "channel_l2", 0.25, "narrow", groups=one.groups, px=PX)
    net = factor(narrow, {"fc": (4,), "block.3": (3,)}).eval()
    low = LowRankExperiment(one.checkpoint, one.net, one.pixels)
    entry = publish_factored(low, net, Plan("auto", 0.5, {}))
    assert entry.ranks == {"fc": (4,), "block.3": (3,)}
    assert entry.widths["fc"] == (9, 11) and entry.widths["block.3"] == (6, 9, 1)
    expected = torch_logits(checkpoints.load_model(entry.id), pixels_of(low))
    np.testing.assert_allclose(expected, torch_logits(net, pixels_of(low)), rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("ranks", [{"fc": [10**12]}, {"bn": [1]}, {"block.0": [1]}, {"fc": [0]}])
def test_ranks_of_a_hostile_manifest_are_refused(here: Path, ranks: dict[str, list[int]]) -> None:
    path = checkpoints.manifest_path()
    content = json.loads(path.read_text())
    content["checkpoints"][ID]["ranks"] = ranks
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="ranks"):
        checkpoints.load_model(ID)


def rows_of(capture: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    capture.readouterr()
    assert main(["lowrank", ID, *map(str, arguments), "--json"]) == 0
    told = json.loads(capture.readouterr().out)
    assert set(told) == ({"rows", "saved"} if "--save" in arguments else {"rows"})
    assert all(set(row) == ROW for row in told["rows"])
    rows: list[dict[str, Any]] = told["rows"]
    return rows


def test_lowrank_gives_a_row_per_energy_and_budget(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = checkpoints.get(ID)
    rows = rows_of(capfd, "--energy", 1, 0.5, "--params", 400)
    assert [row["budget"] for row in rows] == [None, None, 400]
    assert rows[0]["params"] == whole.params and rows[2]["params"] <= 400
    assert rows[0]["energy"] == 1 and rows[1]["energy"] == 0.5
    assert whole.test and (rows[0]["n"], rows[0]["correct"]) == (whole.test.n, whole.test.correct)
    for row in rows:
        time = row["latency_ms"]
        assert 0 < time["p25"] <= time["median"] <= time["p75"]
        assert row["accuracy"] == row["correct"] / row["n"]


def test_lowrank_fine_tunes_and_saves(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (row,) = rows_of(
        capfd, "--energy", 0.5, "--method", "tucker2", "--finetune-epochs", 1, "--save"
    )
    assert set(checkpoints.load_manifest()) == {ID}
    (saved,) = checkpoints.load_manifest(checkpoints.own_dir())
    assert saved == "tiny-scratch_lowrank_tucker2_50_ft1-s0-own"
    entry = checkpoints.get(saved)
    assert entry.params == row["params"] and entry.epochs == 1
    assert entry.size_bytes == pytest.approx(row["size_bytes"], abs=64)  # its name is in the file
    assert main(["lowrank", saved]) == 2
    assert "factored already" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing-s0"], "nothing-s0"),
        ([ID, "--energy", "1.5"], "1.5"),
        ([ID, "--energy", "nan"], "nan"),
        ([ID, "--params", "3"], "3"),
        ([ID, "--params", "0"], "from 1"),
        ([ID, "--method", "magic"], "magic"),
        ([ID, "--finetune-epochs", "-1"], "from 1"),
        ([ID, "--device", "abacus"], "abacus"),
    ],
)
def test_lowrank_refuses_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["lowrank", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and says in said.err


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points and rounds: the same code."""
    monkeypatch.setattr(lowrank_curves, "ENERGIES", (1.0, 0.5))
    for module in (lowrank_curves, lowrank_times):
        monkeypatch.setattr(module, "TIMED_ENERGIES", (1.0, 0.5))
        monkeypatch.setattr(module, "TIMED_METHODS", ("auto", "svd"))
    monkeypatch.setattr("core.timing.REPEATS", {1: 3, 32: 3})
    monkeypatch.setattr(lowrank_curves, "FINETUNED_ENERGIES", (0.5,))
    monkeypatch.setattr(lowrank_curves, "PUBLISHED_ENERGY", 0.5)
    monkeypatch.setattr(lowrank_curves, "FINETUNE_EPOCHS", 1)


@pytest.mark.slow
def test_the_grid_is_made_once_and_goes_on_where_it_stopped(
    here: Path, quick: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lowrank_curves.missing_stages(ID) == lowrank_curves.STAGES
    assert main(["lowrank-grid", ID, "--stages", "curves"]) == 0
    half = LowRankGrid.load(ID)
    assert half is not None and lowrank_curves.missing_stages(ID) == (
        "times",
        "finetune",
        "spectra",
    )
    assert {row.key for row in half.rows} == {RowKey(m, e) for m in METHODS for e in (1.0, 0.5)}
    assert [shape.name for shape in half.shapes] == ["stem.0", "block.0", "block.3", "fc"]
    capfd.readouterr()
    assert main(["lowrank-grid", ID, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told == {"grids": [{"checkpoint": ID, "rows": 9, "timed": 4, "finetuned": 1}]}
    grid = LowRankGrid.load(ID)
    assert grid is not None and lowrank_curves.missing_stages(ID) == ()
    weights = checkpoints.checkpoint_tensors(ID)
    values = np.linalg.svd(weights["fc.weight"].astype(float), compute_uv=False)
    spectrum = grid.spectrum("fc", "svd")
    assert spectrum is not None and spectrum.values[0] == pytest.approx(values, rel=1e-4)
    timed = grid.row(RowKey("svd", 0.5))
    assert timed and set(timed.latency) == {"torch_1", "torch_32", "onnx_1", "onnx_32"}
    assert timed.n == 22  # a time does not wipe the accuracy out
    (tuned,) = grid.finetuned("auto")
    entry = checkpoints.get("tiny-scratch_lowrank_auto50_ft1-s0")
    assert entry.ranks == tuned.ranks and entry.params == tuned.params

    def never(*_arguments: object, **_named: object) -> None:
        raise AssertionError("it was done again")

    for work in ("measure", "timed_rows", "factor_and_finetune", "describe"):
        monkeypatch.setattr(lowrank_curves, work, never)
    before = LowRankGrid.path(ID).read_bytes()
    assert lowrank_curves.make_grid(ID, log=lambda _line: None) == grid
    assert LowRankGrid.path(ID).read_bytes() == before


@pytest.mark.slow
def test_measured_accuracies_outlive_a_visit_without_photographs(
    here: Path, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lowrank_curves.make_grid(ID, ("curves",), lambda _line: None)
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    again = lowrank_curves.make_grid(ID, log=lambda _line: None)
    assert again.fingerprint == made.fingerprint
    assert {row.key: row.correct for row in again.rows} == {r.key: r.correct for r in made.rows}
    assert any(row.latency for row in again.rows)


def test_a_grid_of_other_weights_is_started_anew(here: Path, quick: None) -> None:
    made = lowrank_curves.make_grid(ID, ("curves",), lambda _line: None)
    made.model_copy(update={"weights_sha256": "0" * 64}).save()
    assert lowrank_curves.missing_stages(ID) == lowrank_curves.STAGES
    again = lowrank_curves.make_grid(ID, ("curves",), lambda _line: None)
    assert again.weights_sha256 == made.weights_sha256 and again.rows == made.rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["nothing-s0"], "nothing-s0"), ([ID, "--stages", "dessert"], "dessert"), ([], "plain_2m")],
)
def test_the_grid_refuses_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["lowrank-grid", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and says in said.err


def test_the_worker_tells_its_steps_and_a_row_with_both_times(here: Path) -> None:
    from core.low_rank.measure import measure_live
    from core.low_rank.rows import LowRankPoint, LowRankRow

    sha256 = checkpoints.get(ID).weights_sha256
    told: list[dict[str, Any]] = []
    measure_live(LowRankPoint(ID, sha256, "auto", 0.5)._asdict(), told.append)
    assert [said.get("step") for said in told] == ["factor", "accuracy", "time", None]
    row = LowRankRow.model_validate(told[-1]["rows"][0])
    assert set(row.latency) == {"torch_1", "whole_torch_1"} and row.n == 22
    low = LowRankExperiment.open(ID)
    assert row.correct == measure(low, low.plan("auto", 0.5)).correct


def test_lowrank_measures_what_can_be_and_names_what_cannot(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["lowrank", ID, "--params", "3", "400", "--json"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert [row["budget"] for row in told["rows"]] == [400]
    assert [error["params"] for error in told["errors"]] == [3]
    assert "Left out: params 3." in err
