"""The quantisation page's pictures and sentences, against numbers worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts import numbers
from core.quantization.chart import (
    LIMIT_BYTES,
    Curve,
    Measured,
    accuracy_chart,
    at_bits,
    curve_table,
    curves_of,
    error_text,
    int8_chart,
    int8_shares,
    kind_title,
    levels_text,
    line_chart,
    scheme_title,
    started,
    timed_columns,
)
from core.quantization.method import SCHEMES
from core.quantization.number_line import KINDS, LINE_BITS, layer_row
from core.quantization.rows import FORMS, Comparison, QuantizationGrid, QuantRow, RowKey
from core.stats import wilson
from core.timing import Spread
from pages import quantization as page
from tests.charts import rows_of as rows


def values(spec: Any, name: str, key: str) -> list[Any]:
    return [row[key] for row in rows(spec, name)]


def plain(text: str) -> str:
    return text.replace(numbers.THIN, " ")


def spread(median: float, half: float = 0.1) -> Spread:
    return Spread(median=median, p25=median - half, p75=median + half, n=30)


def row(key: RowKey, correct: int | None, size: int = 1000, **latency: Spread) -> QuantRow:
    n = None if correct is None else 1000
    return QuantRow(
        **key._asdict(), params=100, size_bytes=size, n=n, correct=correct, latency=latency
    )


def grid(*measured: QuantRow) -> QuantizationGrid:
    return QuantizationGrid(
        checkpoint="some-s0", weights_sha256="0" * 64, data="d", fingerprint="f", device="x",
        versions={}, commit="c", date="2026-11-22",
    ).with_rows(measured)  # fmt: skip


FALLING = grid(
    row(RowKey("float32", 32), 800, 4000, onnx_1=spread(10)),
    row(RowKey("float16", 16), 800, 2000),
    row(RowKey("kmeans", 8), 790, 1000),
    row(RowKey("kmeans", 5), 770, 700),
    row(RowKey("kmeans", 4), 790, 600),
    row(RowKey("kmeans", 2), 90, 400),
    row(RowKey("ort_int8", 8), 795, 1200, onnx_1=spread(4)),
    row(RowKey("ort_dynamic", 8), 800, 3990, onnx_1=spread(10.05)),
    row(RowKey("kmeans", 4, "aware", 5), 799, 600),
)
TEACHER = Measured("Teacher", "teacher", FALLING)


def teacher_curve() -> Curve:
    (curve,) = curves_of([TEACHER], ["kmeans"])
    return curve


def test_a_curve_runs_from_the_whole_network_to_the_fewest_bits() -> None:
    curve = teacher_curve()
    assert [point.bits for point in curve.points] == [32, 16, 8, 5, 4, 2]  # no fine-tuned rows
    assert [point.size_bytes for point in curve.points] == [4000, 2000, 1000, 700, 600, 400]
    assert curve.points[0].score.ci95 == pytest.approx(wilson(800, 1000))
    table = curve_table([curve])
    assert table["accuracy"].tolist() == [0.8, 0.8, 0.79, 0.77, 0.79, 0.09]
    assert (table["low"][0], table["high"][0]) == pytest.approx(wilson(800, 1000))
    without = grid(row(RowKey("float32", 32), None), row(RowKey("kmeans", 8), None))
    assert not curves_of([TEACHER], ["tensor_minmax"])
    assert not curves_of([Measured("T", "teacher", without)], ["kmeans"])


def test_how_far_a_curve_holds() -> None:
    """Wilson for 800 of 1,000 begins at 0.774: 790 is inside and 770 is not, and what comes below
    it does not count however good it is."""
    curve = teacher_curve()
    assert (curve.holds_to, curve.breaks_at) == (8, 5)
    line = plain(page.holds_line(curve))
    assert all(text in line for text in ("80.0 %", "down to 8 bits (1 KB)", "2 bits", "9.0 %"))
    assert "at 5 bits" in page.break_line(curve)
    firm = curve._replace(points=curve.points[:3])
    assert firm.breaks_at is None and "not clearly fall" in page.break_line(firm)
    assert "not measured" in page.break_line(None)


def test_the_chart_shows_no_curve_before_the_reveal() -> None:
    curves = [teacher_curve()]
    hidden = accuracy_chart(curves, "bits", reveal=False)
    assert values(hidden, "curves", "bits") == [32]
    assert not rows(hidden, "ends")  # a leader across the plot would look like a curve
    shown = accuracy_chart(curves, "bits", guess=4)
    assert len(rows(shown, "curves")) == 6 and values(shown, "guess", "x") == [4]
    live = pd.DataFrame({"bits": [3], "size_bytes": [500], "accuracy": [0.4]})
    moved = at_bits(shown, "bits", 3, live)["datasets"]
    assert moved["now"].to_pylist() == [{"x": 3}] and moved["live"]["x"].tolist() == [3]
    assert at_bits(shown, "bytes", 3, live)["datasets"]["live"]["x"].tolist() == [500]
    for against, bits in (("bytes", 3), ("bits", 1)):  # no place on that axis
        assert not at_bits(shown, against, bits)["datasets"]["now"].num_rows  # type: ignore[arg-type]


def test_bytes_stand_on_an_axis_that_holds_all_of_them() -> None:
    spec = accuracy_chart([teacher_curve()], "bytes", guess=4)
    assert values(spec, "curves", "x") == [400, 600, 700, 1000, 2000, 4000]
    assert not rows(spec, "guess")  # bits have no place on this axis
    domains = [
        layer["encoding"]["x"]["scale"]["domain"]
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("x", {})
    ]
    assert domains and all(low <= 400 and high >= 4 * 4000 for low, high in domains)
    assert f'"x": {LIMIT_BYTES}' in str(spec).replace("'", '"')


def test_a_band_is_drawn_of_the_chosen_curve_alone_and_schemes_differ_in_marks() -> None:
    schemes = [scheme for scheme in SCHEMES if scheme != "kmeans"]
    both = grid(*FALLING.rows, *(row(RowKey(scheme, 8), 780) for scheme in schemes))
    every = curves_of([Measured("T", "teacher", both)], SCHEMES)
    spec = accuracy_chart(every, "bits", chosen=("some-s0", "kmeans"))
    assert len({name[0] for name in values(spec, "ends", "name")}) == len(SCHEMES)
    assert {row["scheme"] for row in rows(spec, "curves") if row["banded"]} == {"kmeans"}
    other = FALLING.model_copy(update={"checkpoint": "other-s0"})
    two = curves_of([TEACHER, Measured("B", "scratch", other)], ["kmeans"])
    curves = rows(accuracy_chart(two, "bits", chosen=("other-s0", "kmeans")), "curves")
    assert {row["checkpoint"] for row in curves if row["banded"]} == {"other-s0"}


def test_int8_is_measured_against_float32() -> None:
    shares = int8_shares(FALLING, "onnx_1")
    assert [row["scheme"] for row in shares] == ["float32", "ort_int8", "ort_dynamic"]
    assert [row["time"] for row in shares] == pytest.approx([1, 0.4, 1.005])
    assert [row["size"] for row in shares] == pytest.approx([1, 0.3, 0.9975])
    assert [row["low"] for row in shares] == pytest.approx([0.99, 0.39, 0.995])
    assert timed_columns(FALLING) == ["onnx_1"] and not int8_shares(FALLING, "onnx_32")
    assert values(int8_chart(shares), "forms", "place") == [0, 1, 2]


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.05, "better"), (-0.05, -0.01, "worse"), (-0.01, 0.05, "not distinguishable")],
)
def test_the_verdict_is_read_off_the_interval(low: float, high: float, says: str) -> None:
    key = RowKey("channel_symmetric", 4)
    pair = Comparison(a=key, b=key, n=1492, difference=0.02, low=low, high=high, p=0.04)
    text = page.comparison_text(pair)
    assert text.startswith(f"{says}: +2.0 (") and "p = 0.040" in text


def test_the_homeworks_limit_is_a_limit() -> None:
    assert plain(page.limit_text(LIMIT_BYTES - 1)).startswith("299,999 bytes, under 300")
    assert "300,000 bytes, not under" in plain(page.limit_text(LIMIT_BYTES))


@pytest.mark.parametrize(
    ("guessed", "truth", "right"),
    [("slower", "slower", True), ("same", "slower", True), ("slower", "same", True),
     ("faster", "slower", False), ("same", "faster", False), ("faster", "faster", True)],
)  # fmt: skip
def test_about_the_same_and_slower_both_count(guessed: str, truth: str, right: bool) -> None:
    """The course's answer is "about the same": how much slower int8 is depends on the processor."""
    assert page.is_right(guessed, truth) == right
    assert ("both count" in page.speed_line(guessed, truth)) == (right and guessed != truth)


WEIGHT = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
ROW = layer_row("conv.weight", WEIGHT)


def test_the_number_line_carries_every_width_at_once() -> None:
    chart = line_chart(ROW, "tensor_minmax")
    spec = started(chart, 3)
    (buttons,) = [param for param in spec["params"] if param["name"] == "line_bits"]
    assert buttons["value"] == 3 and buttons["bind"]["options"] == list(LINE_BITS)
    assert started(chart, 5)["params"] != spec["params"]  # the chart itself is shared
    tables = {name: table.to_pylist() for name, table in spec["datasets"].items()}
    for bits in range(1, 9):
        drawn = [row["value"] for row in tables["levels"] if row["bits"] == bits]
        assert np.allclose(drawn, np.linspace(WEIGHT.min(), WEIGHT.max(), 2**bits), atol=1e-6)
    assert max(row["bits"] for row in tables["levels"]) == 8  # 65,536 lines would be one
    assert sum(row["n"] for row in tables["bins"]) == WEIGHT.size
    edges = [row["low"] for row in tables["bins"]] + [tables["bins"][-1]["high"]]
    counts, _edges = np.histogram(WEIGHT, bins=edges)
    assert counts.tolist() == [row["n"] for row in tables["bins"]]
    texts = {row["bits"]: row["figures"] for row in tables["errors"]}
    assert f"SQNR {ROW.error('tensor_minmax', 4).sqnr_db:.1f} dB" in texts[4]
    assert "concat" not in str(list(spec))  # one plot follows the width of the screen


def test_the_levels_of_a_channel_scheme_are_those_of_its_channels() -> None:
    tables = line_chart(ROW, "channel_symmetric")["datasets"]
    for strip, channel in enumerate(tables["strips"].to_pylist()):
        reach = max(-channel["low"], channel["high"])
        drawn = [
            row["value"]
            for row in tables["levels"].to_pylist()
            if (row["bits"], row["strip"]) == (2, strip)
        ]
        assert drawn == pytest.approx([-reach, 0, reach], rel=1e-6)


def test_another_scheme_or_layer_changes_data_and_ends_alone() -> None:
    """So nothing jumps: axes, and the buttons' place, are those of before."""
    same, other = (line_chart(ROW, scheme) for scheme in ("kmeans", "channel_symmetric"))
    wide = line_chart(layer_row("wide", 9 * WEIGHT), "kmeans")
    ends = {param["name"]: param["value"] for param in wide["params"]}
    assert ends["reach"] == pytest.approx(9 * 1.04 * np.abs(WEIGHT).max())
    assert ends["most"] == max(ROW.counts)
    assert {**same, "datasets": 0} == {**other, "datasets": 0}
    assert {**same, "datasets": 0, "params": 0} == {**wide, "datasets": 0, "params": 0}


def test_errors_are_told_with_the_digits_they_have() -> None:
    assert error_text(0.00081, 21.345) == "MSE 8.1e-04, SQNR 21.3 dB"
    assert error_text(0.5, -1.25) == "MSE 5.0e-01, SQNR −1.2 dB"
    assert "nothing is lost" in error_text(0.0, None)
    assert levels_text(1, 2) == "1 bit: 2 levels" and levels_text(8, 256) == "8 bits: 256 levels"
    assert levels_text(16, 65536) == "16 bits: float16"
    assert len({scheme_title(form) for form in FORMS}) == len(FORMS)
    assert len({kind_title(kind) for kind in KINDS}) == len(KINDS)
