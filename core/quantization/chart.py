"""The quantisation page's main chart: bits, or bytes of the file, against accuracy.

Colour and mark say whose network it is; the scheme is said by dashes. Few bits stand at the left,
on a scale of halvings; the network as it was trained stands at the right end, at 32 bits.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data, with_rows
from core.charts.curves import DASHES, GUESS, MARKS, accuracy_plot, curve_data, spread
from core.charts.theme import SLOTS, finish, ink_text, layered, painted
from core.course import SIZE_LIMITS_BYTES
from core.i18n import _, ngettext
from core.quantization.method import Scheme
from core.quantization.number_line import KINDS, LINE_BITS, Line
from core.quantization.rows import Form, QuantizationGrid, QuantRow

HEIGHT_PX = 330
Against = Literal["bits", "bytes"]
LIMIT_BYTES = SIZE_LIMITS_BYTES["HW7 2020, 8 bit"]
_GAP = 0.11
COLUMNS = ["checkpoint", "network", "role", "scheme", "series", "bits", "size_bytes", "accuracy",
           "low", "high", "n", "correct"]  # fmt: skip


class Measured(NamedTuple):
    """One network's grid as the charts name it."""

    title: str
    role: str
    grid: QuantizationGrid


def curve_rows(grid: QuantizationGrid, scheme: Scheme) -> list[QuantRow]:
    """Post-training rows of a scheme by falling bits, the network as it was trained first.

    float16 and float32 belong to every scheme. Empty where the scheme was not measured.
    """
    low = grid.of(scheme)
    if not low:
        return []
    ends = [grid.float32, *grid.of("float16")]
    return [row for row in ends if row is not None] + list(low)


def accuracy_frame(networks: Sequence[Measured], schemes: Sequence[Scheme]) -> pd.DataFrame:
    """A row per network, scheme and number of bits with an accuracy; columns COLUMNS."""
    rows = [
        {
            "checkpoint": network.grid.checkpoint,
            "network": network.title,
            "role": network.role,
            "scheme": scheme,
            "series": scheme_title(scheme) if len(schemes) > 1 else network.title,
            "bits": row.bits,
            "size_bytes": row.size_bytes,
            "accuracy": row.score.accuracy,
            "low": row.score.ci95[0],
            "high": row.score.ci95[1],
            "n": row.score.n,
            "correct": row.score.correct,
        }
        for network in networks
        for scheme in schemes
        for row in curve_rows(network.grid, scheme)
        if row.score is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def scheme_title(scheme: str) -> str:
    """What a scheme, or a format, is called."""
    return {
        "tensor_minmax": _("Min–max, per tensor"),
        "tensor_symmetric": _("Symmetric, per tensor"),
        "channel_minmax": _("Min–max, per channel"),
        "channel_symmetric": _("Symmetric, per channel"),
        "kmeans": _("k-means codebook"),
        "float32": _("float32"),
        "float16": _("float16"),
        "hw7_8bit": _("HW7's 8-bit file"),
        "ort_int8": _("static int8"),
        "ort_dynamic": _("dynamic int8"),
        "ort_dynamic_conv": _("dynamic int8, convolutions too"),
    }[scheme]


def file_kind(scheme: str) -> str:
    """What kind of file a format is weighed as; sizes of two kinds are not quite comparable."""
    if scheme.startswith("ort"):
        return _("ONNX")
    return _("pickle") if scheme == "hw7_8bit" else _("safetensors")


def accuracy_chart(
    frame: pd.DataFrame,
    against: Against,
    guess: int | None = None,
    chosen: str = "",
    live: pd.DataFrame | None = None,
    reveal: bool = True,
    *,
    network: str = "",
    now: int | None = None,
) -> Spec:
    """Accuracy against bits or bytes with a 95 % band; without `reveal` only the whole networks.

    `frame`: columns COLUMNS, a row a point. `guess`: the bits at which the visitor expects it to
    break. `chosen`: the scheme whose band is drawn where there are several; `network`: the
    checkpoint, else (without one, all have bands). `live`: rows with bits, size_bytes and accuracy
    measured here just now, drawn as stars. `now`: the bits that the page's control stands at.
    """
    x = "bits" if against == "bits" else "size_bytes"
    order = list(dict.fromkeys(frame["scheme"]))
    many = len(order) > 1
    places = [order.index(scheme) for scheme in frame["scheme"]]
    stars = live if live is None else live.assign(x=live[x].astype(float))
    data = curve_data(
        frame.assign(
            x=frame[x].astype(float),
            mark=[
                MARKS[place % len(MARKS)] if many else SLOTS[role].shape
                for place, role in zip(places, frame["role"], strict=True)
            ],
            dash=[f"m{place % len(DASHES)}" for place in places],
            # five bands over one another would say nothing
            banded=(frame["scheme"] == (chosen if chosen in order else order[0]))
            if many
            else (frame["checkpoint"] == network) | (not network),
            size=[numbers.size(size) for size in frame["size_bytes"]],
        ),
        "x",
        whole=frame["bits"] == 32,
        reveal=reveal,
        gap=_GAP,
        live=stars,
        now=now if against == "bits" and now != 1 else None,  # the axis begins at 2
    )
    ends = data["ends"]
    margin = 40.0 if against == "bits" else ends["x"] * 1.25
    data["ends"] = ends.assign(margin=margin, near=margin / 1.04)
    guessed = [{"x": guess}] if guess and against == "bits" else []
    return with_rows(
        _shape(against, *_domain(frame[x], against)),
        **{name: _records(part) for name, part in data.items()},
        guess=guessed,
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: what is not measured (NaN) is null."""
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _domain(values: pd.Series, against: Against) -> tuple[float, float]:
    """From the smallest to past the largest: the room at the right is for names."""
    if against == "bits":
        return 1.8, 100.0
    low, high = float(values.min()), float(values.max())
    return 10 ** _floor_tenth(low), 10 ** (_floor_tenth(high) + 0.9)


def _floor_tenth(value: float) -> float:
    return math.floor(10 * math.log10(value)) / 10


@compiled
def _shape(against: Against, low: float, high: float) -> Any:
    is_bits = against == "bits"
    x = alt.X(
        "x:Q",
        title=_("Bits per weight") if is_bits else _("Bytes of the file"),
        scale=alt.Scale(type="log", base=2 if is_bits else 10, domain=[low, high], nice=False),
        axis=alt.Axis(values=[2, 3, 4, 5, 6, 8, 16, 32], format="d", grid=False)
        if is_bits
        else alt.Axis(
            values=[3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7],
            labelExpr="datum.value < 1e6 ? datum.value / 1e3 + ' KB' : datum.value / 1e6 + ' MB'",
            grid=False,
        ),
    )
    guess = alt.Chart(alt.NamedData("guess")).mark_rule(**GUESS).encode(x=x)
    return accuracy_plot(
        x,
        alt.Tooltip("bits:Q", title=_("Bits")),
        [
            alt.Tooltip("network:N", title=_("Network")),
            alt.Tooltip("series:N", title=_("Curve")),
            alt.Tooltip("size:N", title=_("Bytes of the file")),
        ],
        chance=(low, high),
        height=HEIGHT_PX,
        below=[painted(guess, "text"), *([] if is_bits else _limit())],
    )


def _limit() -> list[alt.Chart]:
    """The homework's limit of bytes."""
    line = alt.Chart(alt.InlineData(values=[{"x": LIMIT_BYTES}])).encode(alt.X("x:Q"))
    return [
        painted(line.mark_rule(strokeDash=[8, 3], strokeWidth=1.5), "text"),
        ink_text(
            line.encode(y=alt.value(10)),
            alt.value(_("HW7: {size}").format(size=numbers.size(LIMIT_BYTES))),
            align="left",
            dx=6,
        ),
    ]


# ------------------------------------------------------------------------------------------------
# The number line: a layer's weights, the levels they are rounded to, and the error that makes.
#
# Levels and errors of every bit width travel once; the bits are a Vega parameter bound to a row of
# buttons, so moving them sends nothing to the server. All stands in one plot: the error in words,
# the histogram with the levels over it, and strips for three channels with levels of their own.


_WORDS = (8, 28)
"""Where, in px from the top, the two lines of figures stand."""
_BARS = (48, 158)
"""From where to where, in px from the top, the histogram stands; below it the strips."""
_STRIPS = (174, 285)
LINE_HEIGHT_PX = 290
INPUTS_PX = 52
"""Room for the buttons above the plot."""
_SQNR = (-10, 60)


def line_chart(line: Line, bits: int) -> Spec:
    """One layer's weights and levels; `bits`: where the buttons start, one of LINE_BITS."""
    own = line.errors[line.errors["chosen"]]
    strips = line.strips.assign(
        name=[
            _("channel {n}, {kind}").format(n=numbers.count(channel), kind=kind_title(kind))
            for channel, kind in zip(line.strips["channel"], line.strips["kind"], strict=True)
        ]
    )
    return with_data(
        _line_shape(len(line.strips)),
        {
            "line_bits": bits if bits in LINE_BITS else LINE_BITS[0],
            "reach": line.reach,
            "most": int(line.bins["n"].max()),
        },
        bins=line.bins,
        levels=line.levels,
        strips=strips,
        errors=_told(own)[["bits", "head", "figures"]],
    )


def _told(errors: pd.DataFrame) -> pd.DataFrame:
    """Errors of `Line.errors` with their words."""
    return errors.assign(
        figures=[
            error_text(mse, sqnr)
            for mse, sqnr in zip(errors["mse"], errors["sqnr_db"], strict=True)
        ],
        head=[
            levels_text(bits, levels)
            for bits, levels in zip(errors["bits"], errors["levels"], strict=True)
        ],
    )


def line_data(line: Line) -> pd.DataFrame:
    """What the number line shows, to take along: its tables under each other, `part` says which."""
    parts = {"weights": line.bins, "levels": line.levels, "channels": line.strips,
             "errors": line.errors}  # fmt: skip
    return pd.concat([frame.assign(part=name) for name, frame in parts.items()], ignore_index=True)


def kind_title(kind: str) -> str:
    """What a chosen channel is, among the layer's channels."""
    return {
        "widest": _("the widest"),
        "middle": _("in the middle"),
        "narrowest": _("the narrowest"),
    }[kind]


def decibels(value: float) -> str:
    """With one decimal and a real minus: "−0.4"."""
    return f"{value:.1f}".replace("-", "−")


def levels_text(bits: int, levels: int) -> str:
    """ "4 bits: 16 levels"."""
    if bits > 8:
        return _("{bits} bits: float16").format(bits=bits)
    return ngettext("{bits} bit: {n} levels", "{bits} bits: {n} levels", bits).format(
        bits=bits, n=numbers.count(levels)
    )


def error_text(mse: float, sqnr_db: float | None) -> str:
    """Both errors of a layer, short: "MSE 8.1e-05, SQNR 21.3 dB"."""
    if sqnr_db is None or pd.isna(sqnr_db):
        return _("no error: nothing is lost")
    return _("MSE {mse}, SQNR {sqnr} dB").format(mse=f"{mse:.1e}", sqnr=decibels(sqnr_db))


@compiled
def _line_shape(strips: int) -> Any:
    buttons = alt.param(
        name="line_bits",
        value=LINE_BITS[0],
        bind=alt.binding_radio(
            options=list(LINE_BITS), labels=[str(one) for one in LINE_BITS], name=_("Bits")
        ),
    )
    ends = [alt.param(name="reach", value=1.0), alt.param(name="most", value=1)]
    # fit the width only: the parts stand at fixed heights, which a fitted height would squeeze
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    return finish(
        layered(*_weights(strips)).add_params(buttons, *ends).properties(autosize=exact),
        height=LINE_HEIGHT_PX,
    )


def _here(chart: alt.Chart) -> alt.Chart:
    """Only the rows of the chosen number of bits."""
    return chart.transform_filter("datum.bits == line_bits")


def _weights(strips: int) -> list[alt.Chart]:
    x = alt.X(
        "low:Q",
        title=None,
        scale=alt.Scale(domain=alt.expr("[-reach, reach]"), nice=False),
        axis=alt.Axis(orient="bottom", grid=False, tickCount=5, format="~g"),
    )
    y = alt.Y(
        "n:Q",
        title=None,
        scale=alt.Scale(domain=alt.expr("[0, most]"), range=[_BARS[1], _BARS[0]], nice=False),
        axis=alt.Axis(orient="left", grid=False, tickCount=3, format="~s"),
    )
    bins = alt.Chart(alt.NamedData("bins")).encode(
        x=x,
        x2="high:Q",
        y=y,
        y2=alt.datum(0),
        tooltip=[
            alt.Tooltip("low:Q", title=_("Weights from"), format=".3f"),
            alt.Tooltip("high:Q", title=_("to"), format=".3f"),
            alt.Tooltip("n:Q", title=_("How many"), format=","),
        ],
    )
    levels = _here(alt.Chart(alt.NamedData("levels"))).encode(alt.X("value:Q", title=None))
    width = alt.expr("line_bits > 6 ? 0.8 : line_bits > 4 ? 1.2 : 2")
    shared = levels.transform_filter("datum.strip < 0").mark_rule(strokeWidth=width)
    band = (_STRIPS[1] - _STRIPS[0]) / len(KINDS)
    ticks = levels.transform_filter("datum.strip < 0").mark_tick(thickness=1.3, size=14)
    solid = alt.Chart(alt.NamedData("strips")).transform_filter("line_bits > 8")
    strip = alt.Y(
        "strip:O",
        axis=None,
        scale=alt.Scale(type="band", range=list(_STRIPS), padding=0, domain=[0, 1, 2]),
    )
    spans = alt.Chart(alt.NamedData("strips")).mark_bar(opacity=0.35, size=14, yOffset=10)
    own = levels.transform_filter("datum.strip >= 0").mark_tick(thickness=1.3, size=14, yOffset=10)
    names = alt.Chart(alt.NamedData("strips")).encode(x=alt.value(0), y=strip)
    now = _here(alt.Chart(alt.NamedData("errors"))).encode(x=alt.value(0))
    head, figures = (now.encode(y=alt.value(px)) for px in _WORDS)
    return [
        painted(bins.mark_rect(opacity=0.6), "muted"),
        painted(spans.encode(alt.X("low:Q", title=None), x2="high:Q"), "muted").encode(y=strip),
        painted(shared.encode(y=alt.value(_BARS[0]), y2=alt.value(_BARS[1])), "quantised"),
        *(
            painted(ticks.encode(y=alt.value(_STRIPS[0] + (row + 0.5) * band + 10)), "quantised")
            for row in range(strips)
        ),
        painted(own.encode(y=strip), "quantised"),
        painted(
            solid.mark_bar(opacity=0.8, size=14, yOffset=10).encode(
                alt.X("low:Q", title=None), x2="high:Q", y=strip
            ),
            "quantised",
        ),
        ink_text(names, "name:N", align="left", dy=-9),
        ink_text(head, "head:N", align="left", fontWeight="bold"),
        ink_text(figures, "figures:N", align="left"),
    ]


def error_chart(line: Line, bits: int) -> Spec:
    """Signal to noise of every scheme in one layer against the bits, with a rule at `bits`."""
    codes = line.errors[line.errors["bits"] <= 8]  # at 16 bits all schemes are float16
    errors = _told(codes).assign(
        shown=codes["sqnr_db"].astype(float).clip(*_SQNR),  # nothing where nothing is lost
        title=[scheme_title(scheme) for scheme in codes["scheme"]],
    )
    ends = errors[(errors["bits"] == 8) & errors["shown"].notna()]
    return with_rows(
        _error_shape(),
        errors=_records(errors),
        ends=_records(ends.assign(label_at=spread(ends["shown"].to_numpy(dtype=float), 5.5))),
        now=[{"bits": bits}] if bits <= 8 else [],
    )


@compiled
def _error_shape() -> Any:
    x = alt.X(
        "bits:Q",
        title=_("Bits per weight"),
        scale=alt.Scale(domain=[0.7, 10.8], nice=False),
        axis=alt.Axis(grid=False, values=list(range(1, 9)), format="d"),
    )
    title = _("Signal to noise (SQNR), in dB")
    scale = alt.Scale(domain=list(_SQNR), nice=False)
    y = alt.Y("shown:Q", title=title, scale=scale, axis=alt.Axis(values=[0, 20, 40, 60]))
    base = alt.Chart(alt.NamedData("errors"))
    tooltip = [
        alt.Tooltip("title:N", title=_("Method")),
        alt.Tooltip("bits:Q", title=_("Bits")),
        alt.Tooltip("figures:N", title=_("Error")),
    ]
    others = base.transform_filter("!datum.chosen").mark_line(strokeWidth=1.2)
    chosen = base.transform_filter("datum.chosen")
    marks = chosen.mark_point(filled=True, opacity=1, size=80, shape="triangle-down")
    now = alt.Chart(alt.NamedData("now")).mark_rule(strokeWidth=2)
    names = (
        alt.Chart(alt.NamedData("ends"))
        .transform_calculate(at="datum.bits + 0.15")
        .encode(alt.X("at:Q", title=x["title"]), alt.Y("label_at:Q", title=title))
    )
    return finish(
        layered(
            painted(now.encode(x=x), "muted"),
            painted(others.encode(x=x, y=y, detail="scheme:N"), "muted"),
            painted(chosen.mark_line(strokeWidth=2.5).encode(x=x, y=y), "quantised"),
            painted(marks.encode(x=x, y=y, tooltip=tooltip), "quantised"),
            ink_text(names, "title:N", align="left", baseline="middle"),
        ),
        height=HEIGHT_PX,
    )


# ------------------------------------------------------------------------------------------------
# Real int8: bytes and time of each ONNX form as shares of float32's, a row a form.
#
# All times of one picture come from one sitting, in which the forms took turns. Two marks a row: a
# square for the bytes of the file, a triangle with its quartiles for the time of a call.


FORMS: tuple[Form, ...] = ("float32", "ort_int8", "ort_dynamic", "ort_dynamic_conv")
ROW_PX, AXIS_PX = 70, 62
INT8_COLUMNS = ("onnx_1", "onnx_32")
TRAINED = "none"


def form_row(grid: QuantizationGrid, scheme: Form) -> QuantRow | None:
    """The row of an ONNX form, if it was measured."""
    if scheme == "float32":
        return grid.float32
    return next((row for row in grid.of(scheme) if row.training == TRAINED), None)


def timed_columns(grid: QuantizationGrid) -> list[str]:
    """The columns (batch sizes) in which float32 and static int8 were both timed."""
    rows = [form_row(grid, "float32"), form_row(grid, "ort_int8")]
    return [name for name in INT8_COLUMNS if all(row and name in row.latency for row in rows)]


def int8_frame(grid: QuantizationGrid, column: str) -> pd.DataFrame:
    """A row per measured form: scheme, name, size and time as shares of float32's, and as text.

    Columns: scheme, name, size_bytes, size, time, low, high (quartiles; shares), text.
    """
    whole = form_row(grid, "float32")
    columns = ["scheme", "name", "size_bytes", "size", "time", "low", "high", "text"]
    if whole is None or column not in whole.latency:
        return pd.DataFrame(columns=columns)
    base = whole.latency[column].median
    rows = []
    for scheme in FORMS:
        row = form_row(grid, scheme)
        if row is None or column not in row.latency:
            continue
        time = row.latency[column]
        told = _("{size} ({kind}) · {time}").format(
            size=numbers.size(row.size_bytes),
            kind=file_kind(scheme),
            time=numbers.milliseconds(time.median),
        )
        shares = (time.median / base, time.p25 / base, time.p75 / base)
        size = row.size_bytes / whole.size_bytes
        rows.append((scheme, scheme_title(scheme), row.size_bytes, size, *shares, told))
    return pd.DataFrame(rows, columns=columns)


def int8_chart(frame: pd.DataFrame) -> Spec:
    """Bytes and time of every form of `int8_frame`, about a line at float32's own."""
    top = max(1.25, 1.08 * float(frame[["high", "size"]].to_numpy().max()))
    shown = frame.assign(place=range(len(frame)))
    return with_rows(_int8_shape(len(frame), round(top, 2)), forms=_records(shown))


@compiled
def _int8_shape(rows: int, top: float) -> Any:
    x = alt.X(
        "time:Q",
        title=_("As a share of float32's"),
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(format=".0%", tickCount=6, grid=False),
    )
    base = alt.Chart(alt.NamedData("forms")).encode(
        y=alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    )
    tooltip = [
        alt.Tooltip("name:N", title=_("Form")),
        alt.Tooltip("size:Q", title=_("Bytes, share of float32's"), format=".0%"),
        alt.Tooltip("time:Q", title=_("Time, share of float32's"), format=".0%"),
        alt.Tooltip("text:N", title=_("Measured")),
    ]
    size = base.mark_point(shape="square", size=130, filled=False, strokeWidth=2.5, opacity=1)
    span = base.mark_rule(strokeWidth=3)
    time = base.mark_point(shape="triangle-down", size=150, filled=True, opacity=1)
    whole = alt.Chart(alt.InlineData(values=[{"time": 1}]))
    name = base.encode(x=alt.value(0))
    figures = base.encode(x=alt.XValue(alt.expr("width")))
    return finish(
        layered(
            painted(whole.mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(x=x), "muted"),
            painted(size.encode(alt.X("size:Q", title=x["title"]), tooltip=tooltip), "text"),
            painted(span.encode(alt.X("low:Q", title=x["title"]), x2="high:Q"), "quantised"),
            painted(time.encode(x=x, tooltip=tooltip), "quantised"),
            ink_text(name, "name:N", align="left", dy=-20, fontWeight="bold"),
            ink_text(figures, "text:N", "muted", align="right", dy=20),
        ),
        height=ROW_PX * rows + AXIS_PX,
    )
