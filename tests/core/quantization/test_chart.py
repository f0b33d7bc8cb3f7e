"""The quantisation page's pictures and sentences, against numbers worked out by hand."""

import numpy as np
import pytest

from core.charts import numbers
from core.quantization.chart import (
    LIMIT_BYTES,
    Measured,
    accuracy_chart,
    accuracy_frame,
    error_text,
    int8_chart,
    int8_frame,
    kind_title,
    levels_text,
    line_chart,
    line_data,
    line_lines,
    scheme_title,
    timed_columns,
)
from core.quantization.method import SCHEMES
from core.quantization.number_line import KINDS, LINE_BITS, layer_errors, line
from core.quantization.rows import FORMS, Comparison, QuantizationGrid, QuantRow, RowKey
from core.stats import wilson
from core.timing import Spread
from pages import quantization as quantization_words


def plain(text: str) -> str:
    return text.replace(numbers.THIN, " ")


def spread(median: float, half: float = 0.1) -> Spread:
    return Spread(median=median, p25=median - half, p75=median + half, n=30)


def row(key: RowKey, correct: int | None, size: int = 1000, **latency: Spread) -> QuantRow:
    n = None if correct is None else 1000
    return QuantRow(
        **key._asdict(), params=100, size_bytes=size, n=n, correct=correct, latency=latency
    )


def grid(*rows: QuantRow) -> QuantizationGrid:
    return QuantizationGrid(
        checkpoint="some-s0", weights_sha256="0" * 64, data="d", fingerprint="f", device="x",
        versions={}, commit="c", date="2026-11-22",
    ).with_rows(rows)  # fmt: skip


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
    assert quantization_words.holds_down_to(frame) == 8
    (said,) = quantization_words.accuracy_lines(frame)
    assert plain(said) == (
        "**Teacher** is right on 80.0 % as trained (4 KB), stays within that figure's interval "
        "down to 8 bits (1 KB), and is right on 9.0 % with 2 bits."
    )
    assert quantization_words.guess_line(frame, 5).startswith("Well seen.")
    assert quantization_words.guess_line(frame, 4).startswith("Not quite. You guessed 4 bits")
    firm = frame[frame["bits"] >= 8]
    assert "does not break" in quantization_words.guess_line(firm, 4)
    (short,) = quantization_words.short_lines(frame)
    assert plain(short) == "**Teacher** holds down to 8 bits (1 KB)"


def test_the_chart_shows_no_curve_before_the_reveal() -> None:
    frame = accuracy_frame([ONE], ["kmeans"])
    hidden = accuracy_chart(frame, "bits", reveal=False)["datasets"]
    assert hidden["curves"]["bits"].tolist() == [32]
    assert hidden["ends"].empty  # a leader across the plot would look like a curve
    shown = accuracy_chart(frame, "bits", guess=4)["datasets"]
    assert len(shown["curves"]) == 6 and shown["guess"]["x"].tolist() == [4]
    assert "until you ask" in quantization_words.accuracy_alt(frame, "bits", False)
    assert "bytes" in quantization_words.accuracy_alt(frame, "bytes", True)


def test_bytes_stand_on_an_axis_that_holds_all_of_them() -> None:
    frame = accuracy_frame([ONE], ["kmeans"])
    spec = accuracy_chart(frame, "bytes", guess=4)
    assert spec["datasets"]["curves"]["x"].tolist() == sorted(frame["size_bytes"].astype(float))
    assert spec["datasets"]["guess"].empty  # bits have no place on this axis
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
    ends = accuracy_chart(frame, "bits", chosen="kmeans")["datasets"]["ends"]
    assert len({name[0] for name in ends["name"]}) == len(SCHEMES)
    curves = accuracy_chart(frame, "bits", chosen="kmeans")["datasets"]["curves"]
    assert set(curves.loc[curves["banded"], "scheme"]) == {"kmeans"}


def test_int8_is_measured_against_float32() -> None:
    frame = int8_frame(FALLING, "onnx_1")
    assert frame["scheme"].tolist() == ["float32", "ort_int8", "ort_dynamic"]
    assert frame["time"].tolist() == pytest.approx([1, 0.4, 1.005])
    assert frame["size"].tolist() == pytest.approx([1, 0.3, 0.9975])
    assert frame["low"].tolist() == pytest.approx([0.99, 0.39, 0.995])
    assert timed_columns(FALLING) == ["onnx_1"]
    assert int8_frame(FALLING, "onnx_32").empty
    assert int8_chart(frame)["datasets"]["forms"]["place"].tolist() == [0, 1, 2]


def test_faster_is_said_only_where_it_measured_so() -> None:
    base = spread(10)
    assert quantization_words.speed_word(spread(4), base) == "faster"
    assert quantization_words.speed_word(spread(12), base) == "slower"
    assert "as fast" in quantization_words.speed_word(spread(10.15), base)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.05, "better than"), (-0.05, -0.01, "worse than"), (-0.01, 0.05, "not distinguish")],
)
def test_the_verdict_is_read_off_the_interval(low: float, high: float, says: str) -> None:
    key = RowKey("channel_symmetric", 4)
    found = Comparison(a=key, b=key, n=1492, difference=0.02, low=low, high=high, p=0.04)
    (said,) = quantization_words.comparison_lines(found, ("one", "another"))
    assert says in said and "1,492" in said and "p = 0.040" in said


def test_the_homeworks_limit_is_a_limit() -> None:
    files = grid(row(RowKey("hw7_8bit", 8), 800, LIMIT_BYTES - 1))
    (under,) = quantization_words.limit_lines([("A", files)])
    assert "299,999 bytes, under 300" in plain(under)
    (over,) = quantization_words.limit_lines(
        [("A", grid(row(RowKey("hw7_8bit", 8), 800, LIMIT_BYTES)))]
    )
    assert "over" in over


def test_a_table_leaves_out_what_was_not_measured() -> None:
    table = quantization_words.rows_table([row(RowKey("kmeans", 4), None)])
    assert table["right"].isna().all() and table["sqnr"].isna().all()
    assert table.loc[0, "scheme"] == "k-means codebook"


# -- the number line -------------------------------------------------------------------------------

WEIGHT = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)


def test_the_number_line_carries_every_width_at_once() -> None:
    spec = line_chart(line(WEIGHT, "tensor_minmax", layer_errors(WEIGHT)), 3)
    (buttons,) = [one for one in spec["params"] if one["name"] == "line_bits"]
    assert buttons["value"] == 3 and buttons["bind"]["options"] == list(LINE_BITS)
    levels = spec["datasets"]["levels"]
    for bits in range(1, 9):
        found = levels[(levels["bits"] == bits) & (levels["strip"] == -1)]["value"].to_numpy()
        wanted = np.linspace(WEIGHT.min(), WEIGHT.max(), 2**bits)
        assert np.allclose(found, wanted, atol=1e-6)
    assert levels["bits"].max() == 8  # 65,536 lines would be one
    errors = spec["datasets"]["errors"]
    assert len(errors) == len(SCHEMES) * len(LINE_BITS)
    assert errors.loc[errors["chosen"], "scheme"].unique().tolist() == ["tensor_minmax"]
    assert "concat" not in str(list(spec))  # one plot follows the width of the screen


def test_the_number_lines_data_can_be_taken_along() -> None:
    drawn = line(WEIGHT, "tensor_minmax", layer_errors(WEIGHT))
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
    errors = layer_errors(WEIGHT)
    one, other = (line_chart(line(WEIGHT, s, errors), 4) for s in ("kmeans", "channel_symmetric"))
    for spec in (one, other):
        spec.pop("datasets")
    assert one == other


def test_the_sentences_are_about_the_chosen_scheme() -> None:
    errors = layer_errors(WEIGHT)
    first, gain, spread_of = line_lines(errors, "tensor_minmax", WEIGHT.size)
    assert first.startswith("**Min–max, per tensor**: MSE")
    sqnr = {one.bits: one.error.sqnr_db for one in errors if one.scheme == "tensor_minmax"}
    assert sqnr[8] is not None and sqnr[4] is not None
    assert f"each bit adds {(sqnr[8] - sqnr[4]) / 4:.1f} dB" in gain
    at_four = [one.error.sqnr_db for one in errors if one.bits == 4 and one.error.sqnr_db]
    assert f"{min(at_four):.1f} dB" in spread_of and f"{max(at_four):.1f} dB" in spread_of
    assert "216 weights" in spread_of
    exact = layer_errors(np.array([[0.0, 1.0], [1.0, 0.0]], np.float32))
    assert "no error" in line_lines(exact, "kmeans", 4)[0]


def test_errors_are_told_with_the_digits_they_have() -> None:
    assert error_text(0.00081, 21.345) == "MSE 8.1e-04, SQNR 21.3 dB"
    assert error_text(0.5, -1.25) == "MSE 5.0e-01, SQNR −1.2 dB"
    assert "nothing is lost" in error_text(0.0, None) == error_text(0.0, float("nan"))
    assert levels_text(1, 2) == "1 bit: 2 levels" and levels_text(8, 256) == "8 bits: 256 levels"
    assert levels_text(16, 65536) == "16 bits: float16"


def test_every_name_is_there() -> None:
    assert len({scheme_title(form) for form in FORMS}) == len(FORMS)
    assert len({kind_title(kind) for kind in KINDS}) == len(KINDS)
