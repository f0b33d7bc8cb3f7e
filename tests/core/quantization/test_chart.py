"""The quantisation page's pictures and sentences, against numbers worked out by hand."""

import json
from typing import Any

import numpy as np
import pytest

from core.charts import numbers
from core.quantization.chart import (
    LIMIT_BYTES,
    Measured,
    accuracy_chart,
    accuracy_frame,
    error_chart,
    error_text,
    int8_chart,
    int8_frame,
    kind_title,
    levels_text,
    line_chart,
    line_data,
    scheme_title,
    timed_columns,
)
from core.quantization.method import SCHEMES
from core.quantization.number_line import KINDS, LINE_BITS, layer_row, line
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
ONE = Measured("Teacher", "teacher", FALLING)


def test_a_curve_runs_from_the_whole_network_to_the_fewest_bits() -> None:
    frame = accuracy_frame([ONE], ["kmeans"])
    assert frame["bits"].tolist() == [32, 16, 8, 5, 4, 2]  # after fine-tuning is another story
    assert frame["size_bytes"].tolist() == [4000, 2000, 1000, 700, 600, 400]
    assert (frame["low"][0], frame["high"][0]) == pytest.approx(wilson(800, 1000))
    assert accuracy_frame([ONE], ["tensor_minmax"]).empty
    without = grid(row(RowKey("float32", 32), None), row(RowKey("kmeans", 8), None))
    assert accuracy_frame([Measured("T", "teacher", without)], ["kmeans"]).empty


def test_how_far_a_curve_holds() -> None:
    """Wilson for 800 of 1,000 begins at 0.774: 790 is inside and 770 is not, and what comes below
    it does not count however good it is."""
    frame = accuracy_frame([ONE], ["kmeans"])
    assert page.holds_down_to(frame) == 8
    assert plain(page.holds_line(frame)) == (
        "**Teacher** is right on 80.0 % as trained, stays within that figure's interval down to "
        "8 bits (1 KB), and is right on 9.0 % with 2 bits."
    )
    assert page.breaks_at(frame) == 5 and "interval is 5 bits" in page.break_line(frame)
    firm = frame[frame["bits"] >= 8]
    assert page.breaks_at(firm) is None and "does not break" in page.break_line(firm)
    assert page.breaks_at(frame[:0]) is None and "not measured" in page.break_line(frame[:0])
    (short,) = page.short_lines(frame)
    assert plain(short) == "**Teacher** holds down to 8 bits"


def test_the_chart_shows_no_curve_before_the_reveal() -> None:
    frame = accuracy_frame([ONE], ["kmeans"])
    hidden = accuracy_chart(frame, "bits", reveal=False)
    assert values(hidden, "curves", "bits") == [32]
    assert not rows(hidden, "ends")  # a leader across the plot would look like a curve
    shown = accuracy_chart(frame, "bits", guess=4, now=3)
    assert len(rows(shown, "curves")) == 6 and values(shown, "guess", "x") == [4]
    assert values(shown, "now", "x") == [3]
    assert not rows(accuracy_chart(frame, "bytes", now=3), "now")  # no place on that axis
    assert "until you guess" in page.accuracy_alt(frame, "bits", False)
    assert "bytes" in page.accuracy_alt(frame, "bytes", True)


def test_bytes_stand_on_an_axis_that_holds_all_of_them() -> None:
    frame = accuracy_frame([ONE], ["kmeans"])
    spec = accuracy_chart(frame, "bytes", guess=4)
    assert values(spec, "curves", "x") == sorted(frame["size_bytes"].astype(float))
    assert not rows(spec, "guess")  # bits have no place on this axis
    domains = [
        layer["encoding"]["x"]["scale"]["domain"]
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("x", {})
    ]
    assert domains and all(low <= 400 and high >= 4 * 4000 for low, high in domains)
    assert f'"x": {LIMIT_BYTES}' in str(spec).replace("'", '"')


def test_names_of_many_schemes_carry_their_marks() -> None:
    schemes = [scheme for scheme in SCHEMES if scheme != "kmeans"]
    both = grid(*FALLING.rows, *(row(RowKey(scheme, 8), 780) for scheme in schemes))
    frame = accuracy_frame([Measured("T", "teacher", both)], SCHEMES)
    spec = accuracy_chart(frame, "bits", chosen="kmeans")
    assert len({name[0] for name in values(spec, "ends", "name")}) == len(SCHEMES)
    assert {row["scheme"] for row in rows(spec, "curves") if row["banded"]} == {"kmeans"}


def test_int8_is_measured_against_float32() -> None:
    frame = int8_frame(FALLING, "onnx_1")
    assert frame["scheme"].tolist() == ["float32", "ort_int8", "ort_dynamic"]
    assert frame["time"].tolist() == pytest.approx([1, 0.4, 1.005])
    assert frame["size"].tolist() == pytest.approx([1, 0.3, 0.9975])
    assert frame["low"].tolist() == pytest.approx([0.99, 0.39, 0.995])
    assert timed_columns(FALLING) == ["onnx_1"]
    assert int8_frame(FALLING, "onnx_32").empty
    assert values(int8_chart(frame), "forms", "place") == [0, 1, 2]


def test_faster_is_said_only_where_it_measured_so() -> None:
    base = spread(10)
    assert page.speed_word(spread(4), base) == "faster"
    assert page.speed_word(spread(12), base) == "slower"
    assert "as fast" in page.speed_word(spread(10.15), base)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.05, "better than"), (-0.05, -0.01, "worse than"), (-0.01, 0.05, "not distinguish")],
)
def test_the_verdict_is_read_off_the_interval(low: float, high: float, says: str) -> None:
    key = RowKey("channel_symmetric", 4)
    found = Comparison(a=key, b=key, n=1492, difference=0.02, low=low, high=high, p=0.04)
    said = page.comparison_line(found, "one", "another")
    assert says in said and "1,492" in said and "p = 0.040" in said


def test_the_homeworks_limit_is_a_limit() -> None:
    def text(size: int) -> str:
        (found,) = page.limit_lines(
            [Measured("A", "teacher", grid(row(RowKey("hw7_8bit", 8), 800, size)))]
        )
        return plain(found)

    assert "299,999 bytes, under 300" in text(LIMIT_BYTES - 1)
    assert "over" in text(LIMIT_BYTES)


@pytest.mark.parametrize(
    ("guessed", "truth", "right"),
    [("slower", "slower", True), ("same", "slower", True), ("slower", "same", True),
     ("faster", "slower", False), ("same", "faster", False), ("faster", "faster", True)],
)  # fmt: skip
def test_about_the_same_and_slower_both_count(guessed: str, truth: str, right: bool) -> None:
    """The course's answer is "about the same": how much slower int8 is depends on the processor."""
    assert page.is_right(guessed, truth) == right
    assert ("both count" in page.speed_line(guessed, truth)) == (right and guessed != truth)


def test_a_band_is_drawn_of_the_chosen_network_alone() -> None:
    other = FALLING.model_copy(update={"checkpoint": "other-s0"})
    frame = accuracy_frame([ONE, Measured("B", "scratch", other)], ["kmeans"])
    curves = rows(accuracy_chart(frame, "bits", network="other-s0"), "curves")
    assert {row["checkpoint"] for row in curves if row["banded"]} == {"other-s0"}


def test_a_table_leaves_out_what_was_not_measured() -> None:
    table = page.rows_table([row(RowKey("kmeans", 4), None)])
    assert table["right"].isna().all() and table["sqnr"].isna().all()
    assert table.loc[0, "scheme"] == "k-means codebook"


# -- the number line -------------------------------------------------------------------------------

WEIGHT = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
ROW = layer_row("conv.weight", WEIGHT)


def test_the_number_line_carries_every_width_at_once() -> None:
    spec = line_chart(line(ROW, "tensor_minmax"), 3)
    (buttons,) = [one for one in spec["params"] if one["name"] == "line_bits"]
    assert buttons["value"] == 3 and buttons["bind"]["options"] == list(LINE_BITS)
    levels = spec["datasets"]["levels"]
    for bits in range(1, 9):
        found = levels[(levels["bits"] == bits) & (levels["strip"] == -1)]["value"].to_numpy()
        assert np.allclose(found, np.linspace(WEIGHT.min(), WEIGHT.max(), 2**bits), atol=1e-6)
    assert levels["bits"].max() == 8  # 65,536 lines would be one
    errors = spec["datasets"]["errors"]
    assert errors["bits"].tolist() == list(LINE_BITS)
    wanted = ROW.error("tensor_minmax", 4).sqnr_db
    assert f"SQNR {wanted:.1f} dB" in errors.set_index("bits")["figures"][4]
    assert "concat" not in str(list(spec))  # one plot follows the width of the screen


def test_the_number_lines_data_can_be_taken_along() -> None:
    drawn = line(ROW, "tensor_minmax")
    data = line_data(drawn)
    parts = data["part"].value_counts()
    assert set(parts.index) == {"weights", "levels", "channels", "errors"}
    assert parts["errors"] == len(SCHEMES) * len(LINE_BITS) and parts["channels"] == 3
    weights = data[data["part"] == "weights"]
    assert weights["n"].sum() == WEIGHT.size  # every weight is in the histogram
    one_bit = data[(data["part"] == "levels") & (data["bits"] == 1) & (data["strip"] == -1)]
    assert one_bit["value"].tolist() == pytest.approx([WEIGHT.min(), WEIGHT.max()])


def test_another_scheme_changes_data_only() -> None:
    """So nothing jumps: axes, and the buttons' place, are those of the scheme before."""
    one, other = (line_chart(line(ROW, s), 4) for s in ("kmeans", "channel_symmetric"))
    for spec in (one, other):
        spec.pop("datasets")
    assert one == other


def test_another_layer_is_no_other_chart() -> None:
    """One chart is compiled for all layers: where its axes end is a parameter."""
    wide = line_chart(line(layer_row("wide", 9 * WEIGHT), "kmeans"), 4)
    one = line_chart(line(ROW, "kmeans"), 4)
    ends = {parameter["name"]: parameter["value"] for parameter in wide["params"]}
    assert ends["reach"] == pytest.approx(9 * 1.04 * np.abs(WEIGHT).max())
    assert ends["most"] == max(ROW.counts)
    for spec in (one, wide):
        del spec["datasets"], spec["params"]
    assert one == wide


def test_the_errors_of_all_methods_stand_in_one_picture() -> None:
    spec = error_chart(line(ROW, "kmeans"), 4)
    errors = rows(spec, "errors")
    assert len(errors) == len(SCHEMES) * 8  # at 16 bits all of them are float16
    chosen = [row["shown"] for row in errors if row["chosen"]]
    assert chosen[:7] == [ROW.error("kmeans", bits).sqnr_db for bits in range(1, 8)]
    assert chosen[7] is None  # 216 weights, 256 levels: nothing is lost
    assert values(spec, "now", "bits") == [4] and len(rows(spec, "ends")) == len(SCHEMES) - 1
    assert not rows(error_chart(line(ROW, "kmeans"), 16), "now")
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


def test_the_sentences_are_about_the_chosen_scheme() -> None:
    first, gain, spread_of = page.error_lines(ROW, "tensor_minmax")
    assert first.startswith("**Min–max, per tensor**: MSE")
    eight, four = (ROW.error("tensor_minmax", bits).sqnr_db for bits in (8, 4))
    assert eight is not None and four is not None
    assert f"each bit adds {(eight - four) / 4:.1f} dB" in gain
    at_four = [ROW.error(scheme, 4).sqnr_db or 0 for scheme in SCHEMES]
    assert f"{min(at_four):.1f} dB" in spread_of and f"{max(at_four):.1f} dB" in spread_of
    assert "216 weights" in spread_of
    exact = layer_row("exact", np.array([[0.0, 1.0], [1.0, 0.0]], np.float32))
    assert "no error" in page.error_lines(exact, "kmeans")[0]


def test_errors_are_told_with_the_digits_they_have() -> None:
    assert error_text(0.00081, 21.345) == "MSE 8.1e-04, SQNR 21.3 dB"
    assert error_text(0.5, -1.25) == "MSE 5.0e-01, SQNR −1.2 dB"
    assert "nothing is lost" in error_text(0.0, None) == error_text(0.0, float("nan"))
    assert levels_text(1, 2) == "1 bit: 2 levels" and levels_text(8, 256) == "8 bits: 256 levels"
    assert levels_text(16, 65536) == "16 bits: float16"


def test_every_name_is_there() -> None:
    assert len({scheme_title(form) for form in FORMS}) == len(FORMS)
    assert len({kind_title(kind) for kind in KINDS}) == len(KINDS)
