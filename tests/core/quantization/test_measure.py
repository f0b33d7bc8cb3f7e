"""The command, the grid of quantised versions, and training with quantised weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import checkpoints
from core.cli.main import main
from core.errors import UserError
from core.inference.predict import Predictor
from core.quantization import aware as quantization_aware
from core.quantization import measure as quantization_curves
from core.quantization.graph import QuantizedPredictor, quantized_file
from core.quantization.measure import (
    WHOLE,
    QuantizationExperiment,
    compare,
    hw7_parts,
    measure,
    measure_live,
)
from core.quantization.method import dequantise, quantisable, quantise
from core.quantization.rows import (
    PARTS,
    RUNS,
    QuantizationGrid,
    QuantPoint,
    QuantRow,
    RowKey,
)
from core.stats import mcnemar, paired_difference
from tests.core.tiny_shelf import ID

ROW = {
    "scheme", "bits", "params", "size_bytes", "sqnr_db", "latency_ms", "n", "correct", "accuracy",
}  # fmt: skip


@pytest.fixture
def here(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny network's own `pretrained`, with a quick clock."""
    monkeypatch.setattr(quantization_curves, "REPEATS", {1: 3, 32: 3})
    return here


def rows_of(capture: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, object]]:
    capture.readouterr()
    assert main(["quantize", ID, *map(str, arguments), "--json"]) == 0
    told = json.loads(capture.readouterr().out)
    assert set(told) == {"rows"}
    assert all(set(row) == ROW for row in told["rows"])
    rows: list[dict[str, object]] = told["rows"]
    return rows


@pytest.mark.parametrize("scheme", ["tensor_minmax", "kmeans"])
def test_quantize_gives_a_row_per_width(
    here: Path, capfd: pytest.CaptureFixture[str], scheme: str, tmp_path: Path
) -> None:
    rows = rows_of(capfd, "--scheme", scheme, "--bits", 16, 8, 4, "--out", tmp_path / "files")
    assert [(row["scheme"], row["bits"]) for row in rows] == [
        (scheme, 16),
        (scheme, 8),
        (scheme, 4),
    ]
    files = {path.name: path.stat().st_size for path in (tmp_path / "files").iterdir()}
    assert files == {
        f"{ID}-float16-16bit.safetensors": rows[0]["size_bytes"],
        f"{ID}-{scheme}-8bit.safetensors": rows[1]["size_bytes"],
        f"{ID}-{scheme}-4bit.safetensors": rows[2]["size_bytes"],
    }
    pictures = QuantizationExperiment.open(ID).pictures
    assert pictures is not None
    for row in rows:
        one = QuantizedPredictor(ID, "float16" if row["bits"] == 16 else scheme, row["bits"])  # type: ignore[arg-type]
        assert row["correct"] == int(
            (one.logits(pictures.pixels).argmax(1) == pictures.labels).sum()
        )
        assert row["n"] == len(pictures.labels) == 22
        assert row["accuracy"] == row["correct"] / row["n"]
        assert row["params"] == checkpoints.get(ID).params and row["latency_ms"] is None
    noise = [row["sqnr_db"] for row in rows[1:]]
    if scheme == "kmeans":  # 8 bits hold every value that these small tensors have
        assert noise[0] is None and noise[1]
    else:
        assert noise[0] > noise[1] > 0  # type: ignore[operator]


def test_quantize_runs_int8_and_times_it(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(capfd, "--scheme", "ort_int8", "ort_dynamic", "float32", "--bits", 8)
    assert [(row["scheme"], row["bits"]) for row in rows] == [
        ("ort_int8", 8), ("ort_dynamic", 8), ("float32", 32),
    ]  # fmt: skip
    for row in rows:
        time = row["latency_ms"]
        assert isinstance(time, dict) and set(time) == {"median", "p25", "p75"}
        assert 0 < time["p25"] <= time["median"] <= time["p75"]
    test = checkpoints.get(ID).test
    assert test is not None and rows[2]["correct"] == test.correct
    assert rows[2]["sqnr_db"] is None


def test_quantize_without_photographs_says_null(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    (row,) = rows_of(capfd, "--scheme", "hw7_8bit")
    assert (row["n"], row["correct"], row["accuracy"]) == (None, None, None)
    assert row["sqnr_db"] and row["size_bytes"]
    assert main(["quantize", ID, "--scheme", "ort_int8"]) == 2  # nothing to calibrate on
    assert "quantize-grid" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing-s0"], "nothing-s0"),
        ([ID, "--bits", "9"], "9"),
        ([ID, "--bits", "0"], "0"),
        ([ID, "--scheme", "magic"], "magic"),
        ([ID, "--scheme", "ort_int8", "--bits", "4"], "8 bits, not 4"),
    ],
)
def test_quantize_refuses_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["quantize", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and says in said.err


def test_quantize_measures_what_fits_and_names_what_does_not(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A width that a scheme does not have, and a scheme without what it needs, of several."""
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    words = ["--scheme", "tensor_minmax", "ort_int8", "hw7_8bit", "float16", "--bits", "8", "4"]
    assert main(["quantize", ID, *words, "--json"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert [(row["scheme"], row["bits"]) for row in told["rows"]] == [
        ("tensor_minmax", 8), ("tensor_minmax", 4), ("hw7_8bit", 8),
    ]  # fmt: skip
    left_out = {(error["scheme"], error["bits"]): error["message"] for error in told["errors"]}
    assert left_out.keys() == {("float16", 8), ("float16", 4), ("ort_int8", 8)}
    assert "16 bits, not 4" in left_out["float16", 4]
    assert "quantize-grid" in left_out["ort_int8", 8]  # nothing to calibrate on
    assert err.count("Left out") == 3 and "Traceback" not in err

    assert main(["quantize", ID, "--bits", "9", "8"]) == 0
    out, err = capfd.readouterr()
    assert "tensor_minmax" in out and "Left out: scheme tensor_minmax, bits 9." in err
    assert main(["quantize", ID, "--bits", "9", "0", "--scheme", "kmeans"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_a_row_is_compared_with_the_network_itself(here: Path) -> None:
    one, key = QuantizationExperiment.open(ID), RowKey("tensor_minmax", 2)
    row = measure(one, key)
    pictures = one.pictures
    assert pictures is not None
    whole = Predictor(ID).logits(pictures.pixels).argmax(1)
    rough = QuantizedPredictor(ID, "tensor_minmax", 2).logits(pictures.pixels).argmax(1)
    right = rough == pictures.labels, whole == pictures.labels
    assert row.difference == paired_difference(*right)
    assert row.agreement == float((rough == whole).mean())
    made = compare(one, key, WHOLE)
    assert made is not None and made.p == mcnemar(*right)
    assert (made.difference, made.low, made.high) == row.difference
    assert compare(one, key, RowKey("kmeans", 4)) is None  # not measured


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer points and epochs: the same code."""
    monkeypatch.setattr(quantization_curves, "ROW_BITS", (8, 4))
    for name in ("PLAIN", "AWARE", "PLAIN_FLOAT"):
        key: RowKey = getattr(quantization_curves, name)
        monkeypatch.setattr(quantization_curves, name, key._replace(epochs=1))
    plain, aware = (getattr(quantization_curves, name) for name in ("PLAIN", "AWARE"))
    pairs = ((aware, quantization_curves.NONE), (aware, plain), (aware, WHOLE))
    monkeypatch.setattr(quantization_curves, "COMPARED", pairs)


def test_the_grid_is_made_once_and_goes_on_where_it_stopped(
    here: Path, quick: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quantization_curves.missing_stages(ID) == ("weights", "int8", "aware", "layers")
    assert main(["quantize-grid", ID, "--stages", "layers", "weights"]) == 0
    half = QuantizationGrid.load(ID)
    assert half is not None and not half.calibration and not half.tuned
    assert [row.bits for row in half.of("kmeans")] == [8, 4]
    assert half.float32 is not None and half.float32.score == checkpoints.get(ID).test
    assert quantization_curves.missing_stages(ID) == ("int8", "aware")
    capfd.readouterr()
    assert main(["quantize-grid", "--json"]) == 0
    (told,) = json.loads(capfd.readouterr().out)["grids"]
    assert told == {"checkpoint": ID, "rows": 19, "timed": 4, "finetuned": 3}
    assert quantization_curves.missing_stages(ID) == ()
    grid = QuantizationGrid.load(ID)
    assert grid is not None and grid.calibrated_on == 44
    for form in ("ort_int8", "ort_dynamic", "ort_dynamic_conv"):
        row = grid.row(RowKey(form, 8))
        assert row is not None and set(row.latency) == {"onnx_1", "onnx_32"} and row.operators
    aware, none = RowKey("channel_symmetric", 4, "aware", 1), RowKey("channel_symmetric", 4)
    after, before = grid.row(aware), grid.row(none)
    assert after is not None and before is not None and after.n and before.n
    made = grid.comparison(aware, none)
    assert made is not None and after.correct is not None and before.correct is not None
    assert made.difference == pytest.approx((after.correct - before.correct) / made.n)
    assert QuantizedPredictor(ID, "ort_int8").size_bytes == grid.of("ort_int8")[0].size_bytes

    def never(*_arguments: object, **_named: object) -> None:
        raise AssertionError("it was done again")

    for work in ("measure", "time_versions", "calibrated", "compare", "hw7_parts", "layer_row"):
        monkeypatch.setattr(quantization_curves, work, never)
    was = QuantizationGrid.path(ID).read_bytes()
    assert quantization_curves.make_grid(ID, log=lambda _line: None) == grid
    assert QuantizationGrid.path(ID).read_bytes() == was


def test_the_parts_of_hw7s_file_are_measured_one_by_one(here: Path) -> None:
    """Variances that lie within half a step of a layer's smallest, 0, become 0."""
    one = QuantizationExperiment.open(ID)
    names = [name for name in one.state if name.endswith("running_var")]
    for name in names:
        one.state[name] = np.ones_like(one.state[name])
        one.state[name][:3] = 0, 1e-6, 0.0019  # half a step is 1 / 510
    variances = np.concatenate([one.state[name] for name in names])
    found = {row.part: row for row in hw7_parts(one)}
    assert list(found) == list(PARTS)
    assert {part: row.zeroed for part, row in found.items()}["variances"] == 2 * len(names)
    assert found["variances"].values == variances.size
    total = sum(tensor.size for tensor in one.state.values() if tensor.ndim)
    assert found["all_but_variances"].values == total - variances.size
    assert found["weights"].values == sum(one.state[name].size for name in quantisable(one.state))
    pictures = one.pictures
    assert pictures is not None and {row.n for row in found.values()} == {len(pictures.labels)}
    with pytest.raises(ValueError, match="photographs"):
        hw7_parts(QuantizationExperiment(one.checkpoint, one.graph, one.state, None))


def test_a_grid_of_other_weights_is_begun_anew_and_none_is_lost(
    here: Path, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = [].append  # type: ignore[var-annotated]
    grid = quantization_curves.make_grid(ID, ("weights",), say)
    grid.model_copy(update={"weights_sha256": "0" * 64, "rows": grid.rows[:1]}).save()
    again = quantization_curves.make_grid(ID, ("weights",), say)
    assert again.rows == grid.rows and again.weights_sha256 == grid.weights_sha256
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    assert quantization_curves.make_grid(ID, ("weights",), say) == grid


def test_large_networks_are_fine_tuned_only_if_asked(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization_curves, "LARGE_MACS", 10)
    assert quantization_curves.missing_stages(ID) == ("weights", "int8", "layers")
    grid = quantization_curves.make_grid(ID, ("aware",), lambda _line: None)
    assert not grid.tuned and not grid.comparisons


def test_training_with_quantised_weights_becomes_a_checkpoint(here: Path) -> None:
    from core.training.experiment import Experiment

    one, key = Experiment.open(ID), RowKey("channel_symmetric", 4, "aware", 1)
    before = {name: value.clone() for name, value in one.net.state_dict().items()}
    net = quantization_aware.tuned(one, key)
    assert all(torch.equal(value, before[name]) for name, value in one.net.state_dict().items())
    weight = net.get_parameter("fc.weight").detach().numpy()
    plain = quantization_aware.tuned(one, key._replace(training="plain"))
    assert not torch.equal(plain.get_parameter("fc.weight"), net.get_parameter("fc.weight"))
    entry = quantization_aware.publish_aware(one, net, key)
    assert entry.id == "tiny-scratch_qat4_ft1-s0" and entry.config["quantised_from"] == ID
    assert entry.derived_from == checkpoints.DerivedFrom(id=ID, kind="quantised")
    stored = checkpoints.load_model(entry.id).get_parameter("fc.weight").detach().numpy()
    rounded = dequantise(quantise(weight, "channel_symmetric", 4))
    assert not np.allclose(weight, rounded, rtol=1e-2)  # training leaves floats behind
    np.testing.assert_allclose(stored, rounded, rtol=1e-3)

    def never(_entry: object) -> None:
        raise AssertionError("it trained again")

    again = quantization_aware.tuned(one, key, never)
    assert torch.equal(again.get_parameter("fc.weight"), net.get_parameter("fc.weight"))


@pytest.mark.slow
def test_a_narrow_network_can_be_quantised(here: Path) -> None:
    from core.pruning.measure import PruningExperiment, networks, publish_pruned
    from core.pruning.rows import RowKey as PruningKey

    experiment = PruningExperiment.open(ID)
    cut = networks(experiment, "channel_l2", 0.5)["narrow"]
    narrow = publish_pruned(experiment, cut, PruningKey("channel_l2", 0.5, "narrow")).id
    row, whole = (
        measure(QuantizationExperiment.open(id), RowKey("kmeans", 4)) for id in (narrow, ID)
    )
    assert row.params < whole.params and row.size_bytes < whole.size_bytes
    assert measure(QuantizationExperiment.open(narrow), RowKey("ort_int8", 8)).n == 22


def test_a_live_run_tells_its_steps_and_both_rows(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RUNS._worker[1:] == ("-m", "core.live", f"{measure_live.__module__}:measure_live")
    point = QuantPoint(ID, "0" * 64, "kmeans", 3)._asdict()
    reports: list[dict[str, Any]] = []
    measure_live(point, reports.append)
    steps = [report["step"] for report in reports[:-1]]
    assert list(dict.fromkeys(steps)) == ["whole", "accuracy"]
    assert reports[-2] == {"step": "accuracy", "done": 22, "of": 22}
    row, whole = (QuantRow.model_validate(row) for row in reports[-1]["rows"])
    assert (row.scheme, row.bits, row.n) == ("kmeans", 3, 22)
    assert row.size_bytes == len(quantized_file(ID, "kmeans", 3))
    assert (whole.scheme, whole.bits, whole.n) == ("float32", 32, 22)
    for change in ({"checkpoint": "none-s0"}, {"bits": 9}, {"scheme": "magic"}):
        with pytest.raises(UserError):
            measure_live(point | change, reports.append)
    monkeypatch.setenv("FOOD11_ROOT", str(tmp_path / "nowhere"))
    measure_live(point | {"bits": 16}, reports.append)
    row = QuantRow.model_validate(reports[-1]["rows"][0])
    assert row.n is None and row.scheme == "float16" and row.size_bytes > 0
