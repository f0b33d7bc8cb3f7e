"""Pruning a checkpoint: rows against independent counts, fine-tuning, publishing, the grid."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core import checkpoints
from core.cli.main import main
from core.inference.predict import Predictor
from core.pruning import measure as pruning_curves
from core.pruning import measure as pruning_times
from core.pruning.measure import (
    PruningExperiment,
    measure,
    networks,
    prune_and_finetune,
    publish_pruned,
)
from core.pruning.network import arrays
from core.pruning.rows import PruningGrid, RowKey
from tests.core.tiny_shelf import ID, PX
from tests.tiny_network import torch_logits

ROW = {
    "method", "ratio", "form", "params", "nonzero", "macs", "size_bytes", "latency_ms",
    "n", "correct", "accuracy",
}  # fmt: skip


def conv_zeros(net: nn.Module) -> int:
    return sum(int((m.weight == 0).sum()) for m in net.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("method", ["l1", "channel_l2"])
def test_a_row_counts_what_is_there(here: Path, method: str) -> None:
    one = PruningExperiment.open(ID)
    rows = {row.form: row for row in measure(one, method, 0.5)}  # type: ignore[arg-type]
    made = networks(one, method, 0.5)  # type: ignore[arg-type]
    forms = {"masked", "removed"} if method == "l1" else {"masked", "removed", "narrow"}
    assert set(rows) == set(made) == forms
    whole = sum(p.numel() for p in one.net.parameters())
    assert rows["masked"].params == rows["removed"].params == whole
    assert rows["masked"].nonzero == rows["removed"].nonzero
    zeros = sum(int((value == 0).sum()) for value in arrays(made["removed"]).values())
    assert rows["removed"].nonzero == whole - zeros
    if method == "l1":
        sizes = [m.weight.numel() for m in one.net.modules() if isinstance(m, nn.Conv2d)]
        assert zeros == sum(round(0.5 * size) for size in sizes)
    else:
        assert rows["narrow"].params == sum(p.numel() for p in made["narrow"].parameters())
        assert rows["narrow"].params < whole and rows["narrow"].macs < rows["masked"].macs
        assert rows["narrow"].size_bytes < rows["removed"].size_bytes
    assert rows["masked"].size_bytes > rows["removed"].size_bytes
    pictures = one.pictures()
    assert pictures is not None
    logits = torch_logits(made["removed"], pictures.pixels)
    assert rows["masked"].correct == int((logits.argmax(1) == pictures.labels).sum())
    assert rows["masked"].n == len(pictures.labels) == 22


def test_without_photographs_there_is_no_accuracy(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    row = measure(PruningExperiment.open(ID), "l1", 0.5)[0]
    assert (row.n, row.correct, row.score) == (None, None, None)
    assert row.report()["accuracy"] is None


def test_fine_tuning_keeps_zeros_and_changes_the_rest(here: Path) -> None:
    one = PruningExperiment.open(ID)
    before = {name: value.clone() for name, value in one.net.state_dict().items()}
    net = prune_and_finetune(one, RowKey("l1", 0.5, "removed", 1))
    sizes = [m.weight.numel() for m in one.net.modules() if isinstance(m, nn.Conv2d)]
    assert conv_zeros(net) == sum(round(0.5 * size) for size in sizes)
    assert not torch.equal(net.get_parameter("fc.weight"), one.net.get_parameter("fc.weight"))
    assert all(torch.equal(value, before[name]) for name, value in one.net.state_dict().items())
    forms = networks(one, "l1", 0.5, net=net)
    assert conv_zeros(forms["removed"]) == conv_zeros(net)
    pictures = one.pictures()
    assert pictures is not None
    expected = (torch_logits(net, pictures.pixels).argmax(1) == pictures.labels).sum()
    assert one.right_answers(net) == int(expected)


def test_slimming_in_rounds_ends_at_the_product_of_its_widths(here: Path) -> None:
    """Five rounds of 0.95 within each layer, as HW7 has it; the groups have 8 and 12 channels."""
    one, key = PruningExperiment.open(ID), RowKey("bn_gamma", 0.5, "narrow", 1, 2)
    heard: list[object] = []
    net = prune_and_finetune(one, key, scope="layer", report=heard.append)
    assert len(heard) == 2  # an epoch after each of two rounds
    narrow = networks(one, "bn_gamma", 0.5, net=net, scope="layer")["narrow"]
    assert narrow.stem[0].out_channels == 4  # type: ignore[index, union-attr]
    pixels = np.zeros((1, 3, PX, PX), np.uint8)
    np.testing.assert_allclose(
        torch_logits(narrow, pixels), torch_logits(net, pixels), rtol=1e-4, atol=1e-4
    )


def test_a_narrow_network_is_a_checkpoint_like_any_other(here: Path) -> None:
    one = PruningExperiment.open(ID)
    made = networks(one, "channel_l2", 0.5)["narrow"]
    entry = publish_pruned(one, made, RowKey("channel_l2", 0.5, "narrow"))
    assert checkpoints.load_manifest()[entry.id] == entry
    assert entry.id == "tiny-scratch_narrow_channel_l2_50-s0"
    assert entry.derived_from == checkpoints.DerivedFrom(id=ID, kind="narrow")
    assert entry.widths["fc"] == (6, 11) and entry.widths["stem.0"] == (3, 4, 1)
    assert entry.params == sum(p.numel() for p in made.parameters())
    assert entry.config["pruned_from"] == ID
    pixels = one.pictures().pixels  # type: ignore[union-attr]
    loaded = checkpoints.load_model(entry.id)
    expected = torch_logits(loaded, pixels)
    np.testing.assert_allclose(expected, torch_logits(made, pixels), rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(Predictor(entry.id).logits(pixels), expected, rtol=1e-4, atol=1e-4)
    # and it can be pruned again
    assert measure(PruningExperiment.open(entry.id), "channel_l2", 0.5)[-1].params < entry.params


def test_widths_of_a_hostile_manifest_are_refused(here: Path) -> None:
    path = checkpoints.manifest_path()
    content = json.loads(path.read_text())
    assert "widths" not in content["checkpoints"][ID]  # an entry as it was before there were any
    content["checkpoints"][ID]["widths"] = {"fc": [10**12, 11]}
    path.write_text(json.dumps(content))
    with pytest.raises(checkpoints.manifest.CheckpointError, match="widths"):  # type: ignore[attr-defined]
        checkpoints.load_model(ID)


def rows_of(capture: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, object]]:
    capture.readouterr()
    assert main(["prune", ID, *map(str, arguments), "--json"]) == 0
    told = json.loads(capture.readouterr().out)
    assert set(told) == ({"rows", "saved"} if "--save" in arguments else {"rows"})
    assert all(set(row) == ROW for row in told["rows"])
    rows: list[dict[str, object]] = told["rows"]
    return rows


def test_prune_gives_a_row_per_ratio_and_form(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(capfd, "--method", "channel_l2", "--ratios", 0, 0.5)
    assert [(row["ratio"], row["form"]) for row in rows] == [
        (ratio, form) for ratio in (0, 0.5) for form in ("masked", "removed", "narrow")
    ]
    test = checkpoints.get(ID).test
    assert test is not None
    for row in rows:
        time = row["latency_ms"]
        assert isinstance(time, dict) and set(time) == {"median", "p25", "p75"}
        assert 0 < time["p25"] <= time["median"] <= time["p75"]
        assert row["accuracy"] == row["correct"] / row["n"]  # type: ignore[operator]
        if row["ratio"] == 0:  # nothing pruned: the published accuracy
            assert (row["n"], row["correct"]) == (test.n, test.correct)


def test_prune_without_photographs_says_null(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    rows = rows_of(capfd, "--method", "random", "--ratios", 1)
    assert [(row["form"], row["n"], row["accuracy"]) for row in rows] == [
        ("masked", None, None),
        ("removed", None, None),
    ]


def test_prune_fine_tunes_and_saves(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(
        capfd, "--method", "channel_l2", "--ratios", 0.5, "--finetune-epochs", 1, "--save"
    )
    assert len({row["correct"] for row in rows}) == 1
    assert set(checkpoints.load_manifest()) == {ID}
    (narrow,) = checkpoints.load_manifest(checkpoints.own_dir()).values()
    assert narrow.id == "tiny-scratch_narrow_channel_l2_50_ft1x1-s0-own"
    assert narrow.params == rows[2]["params"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing-s0"], "nothing-s0"),
        ([ID, "--ratios", "1.5"], "1.5"),
        ([ID, "--ratios", "-0.1"], "-0.1"),
        ([ID, "--method", "magic"], "magic"),
        ([ID, "--rounds", "3"], "--finetune-epochs"),
        ([ID, "--device", "abacus"], "abacus"),
    ],
)
def test_prune_refuses_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["prune", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and says in said.err


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points and rounds: the same code."""
    monkeypatch.setattr(pruning_curves, "RATIOS", (0.0, 0.5))
    monkeypatch.setattr(pruning_curves, "SCAN_RATIOS", (0.5,))
    keys = (RowKey("l1", 0.5, "masked"), RowKey("l1", 0.5, "removed"),
            RowKey("channel_l2", 0.5, "narrow"))  # fmt: skip
    monkeypatch.setattr(pruning_times, "TIMED", keys)
    monkeypatch.setattr(pruning_curves, "TIMED", keys)
    monkeypatch.setattr("core.timing.REPEATS", {1: 3, 32: 3})
    monkeypatch.setattr(pruning_curves, "FINETUNED", (RowKey("l1", 0.5, "removed", 1),))
    monkeypatch.setattr(pruning_curves, "SLIMMED", RowKey("bn_gamma", 0.2, "narrow", 1, 2))


def test_the_grid_is_made_once_and_goes_on_where_it_stopped(
    here: Path, quick: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["prune-grid", ID, "--stages", "curves"]) == 0
    half = PruningGrid.load(ID)
    assert half is not None and not half.scan
    assert {row.ratio for row in half.of("l1")} == {0.0, 0.5}
    assert half.layers == ("stem.0.weight", "block.0.weight", "block.3.weight")
    capfd.readouterr()
    assert main(["prune-grid", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    (row,) = told["grids"]
    assert (row["checkpoint"], row["timed"], row["scanned"], row["finetuned"]) == (ID, 3, 3, 2)
    grid = PruningGrid.load(ID)
    assert grid is not None
    wearing = grid.row(RowKey("l1", 0.5, "masked"))
    cut = grid.row(RowKey("channel_l2", 0.5, "narrow"))
    assert wearing is not None and cut is not None
    assert set(wearing.latency) == {"torch_1", "torch_32"}  # no masks in an ONNX file
    assert set(cut.latency) == {"torch_1", "torch_32", "onnx_1", "onnx_32"}
    assert wearing.gzip_bytes and cut.gzip_bytes and cut.gzip_bytes < wearing.gzip_bytes
    slim = "tiny-scratch_narrow_bn_gamma20_ft1x2-s0"
    assert slim in checkpoints.load_manifest()

    def never(*_arguments: object, **_named: object) -> None:
        raise AssertionError("it was done again")

    for work in ("measure", "timed_rows", "prune_and_finetune", "PrunedPredictor"):
        monkeypatch.setattr(pruning_curves, work, never)
    before = PruningGrid.path(ID).read_bytes()
    assert pruning_curves.make_grid(ID, log=lambda _line: None) == grid
    assert PruningGrid.path(ID).read_bytes() == before


def test_a_checkpoint_that_is_damaged_keeps_no_other_from_its_grid(
    here: Path, quick: None, capfd: pytest.CaptureFixture[str]
) -> None:
    entry, files = checkpoints.read_files(ID)
    broken = "a-tiny-scratch-s0"  # the first of the list
    checkpoints.store(entry.model_copy(update={"id": broken}), files)
    (here / broken / checkpoints.WEIGHTS).write_bytes(b"cut")
    assert main(["prune-grid", "--stages", "curves", "--json"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert [row["checkpoint"] for row in told["grids"]] == [ID]
    assert [error["checkpoint"] for error in told["errors"]] == [broken]
    assert f"Left out: checkpoint {broken}." in err
    assert main(["prune-grid", broken, "--stages", "curves"]) == 2
    assert "SHA-256" in capfd.readouterr().err


def test_teachers_are_fine_tuned_only_if_asked_for(
    here: Path, quick: None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = checkpoints.manifest_path()
    content = json.loads(path.read_text())
    content["checkpoints"][ID]["family"] = "teacher"
    path.write_text(json.dumps(content))
    asked = ["prune-grid", ID, "--stages", "finetune"]
    assert main(asked) == 0
    assert PruningGrid.load(ID) is None and "finetune" not in pruning_curves.missing_stages(ID)
    assert main([*asked, "--teachers"]) == 0
    grid = PruningGrid.load(ID)
    assert grid is not None
    assert {row.key for row in grid.rows} == {
        RowKey("l1", 0.5, "removed", 1), RowKey("bn_gamma", 0.2, "narrow", 1, 2)
    }  # fmt: skip
    assert all(row.n == 22 for row in grid.rows)
    slim = checkpoints.get("tiny-scratch_narrow_bn_gamma20_ft1x2-s0")
    assert slim.widths and slim.params == grid.finetuned("bn_gamma")[0].params


@pytest.mark.slow
def test_measured_accuracies_outlive_a_visit_without_photographs(
    here: Path, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pruning_curves.make_grid(ID, ("curves",), lambda _line: None)
    assert all(row.n for row in made.rows)
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    again = pruning_curves.make_grid(ID, ("curves", "times", "scan"), lambda _line: None)
    assert again.fingerprint == made.fingerprint
    assert {row.key: row.correct for row in again.rows} == {
        row.key: row.correct for row in made.rows
    }
    assert any(row.latency for row in again.rows)


def test_a_grid_of_other_weights_is_begun_anew(here: Path, quick: None) -> None:
    pruning_curves.make_grid(ID, ("curves",), lambda _line: None)
    grid = PruningGrid.load(ID)
    assert grid is not None
    grid.model_copy(update={"weights_sha256": "0" * 64, "rows": ()}).save()
    again = pruning_curves.make_grid(ID, ("curves",), lambda _line: None)
    assert again.weights_sha256 == checkpoints.get(ID).weights_sha256
    assert again.rows


def test_zipped_bytes_are_filled_in_where_an_older_grid_has_none(here: Path, quick: None) -> None:
    grid = pruning_curves.make_grid(ID, ("curves", "times"), lambda _line: None)
    assert all(row.gzip_bytes for row in grid.rows)
    assert "times" not in pruning_curves.missing_stages(ID)
    grid.model_copy(
        update={"rows": tuple(r.model_copy(update={"gzip_bytes": None}) for r in grid.rows)}
    ).save()
    assert "times" in pruning_curves.missing_stages(ID)
    assert pruning_curves.make_grid(ID, ("times",), lambda _line: None) == grid  # timed once only


@pytest.mark.slow
def test_times_can_be_made_without_curves(here: Path, quick: None) -> None:
    grid = pruning_curves.make_grid(ID, ("times",), lambda _line: None)
    assert len(grid.rows) == 3 and all(row.latency for row in grid.rows)
    assert all(row.n is None for row in grid.rows)
    full = pruning_curves.make_grid(ID, ("curves",), lambda _line: None)
    assert all(row.n for row in full.rows)
    assert [row.key for row in full.rows if row.latency] == [row.key for row in grid.rows]
