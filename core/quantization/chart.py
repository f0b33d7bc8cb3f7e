"""The quantisation page's pictures: accuracy against bits or bytes, a number line, real int8.

Rows of `core.quantization.rows` go in, compiled charts with their data come out.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, Literal, NamedTuple

import altair as alt
import pandas as pd
import pyarrow as pa

from core.charts import numbers
from core.charts.compiled import Spec, compiled, inlined, with_data, with_rows
from core.charts.curves import (
    DASHES,
    GUESS,
    MARKS,
    accuracy_plot,
    curve_data,
    network_marks,
)
from core.charts.theme import finish, ink_text, layered, painted
from core.course import SIZE_LIMITS_BYTES
from core.i18n import _, ngettext
from core.quantization.method import Scheme
from core.quantization.number_line import KINDS, LINE_BITS, LayerRow
from core.quantization.rows import Form, QuantizationGrid, QuantRow
from core.stats import Score

HEIGHT_PX = 330
Against = Literal["bits", "bytes"]
LIMIT_BYTES = SIZE_LIMITS_BYTES["HW7 2020, 8 bit"]
_GAP = 0.15
"""Least distance of two names, of two lines each, as a share of the accuracy axis."""


class Measured(NamedTuple):
    """One network's grid as the charts name it."""

    title: str
    role: str
    grid: QuantizationGrid


class Point(NamedTuple):
    """A measured point of a curve."""

    bits: int
    size_bytes: int
    score: Score


class Curve(NamedTuple):
    """A network's accuracies with one scheme, by falling bits: the network as trained first."""

    network: Measured
    scheme: Scheme
    name: str
    points: tuple[Point, ...]

    @property
    def key(self) -> tuple[str, Scheme]:
        """Checkpoint and scheme."""
        return self.network.grid.checkpoint, self.scheme

    @property
    def holds_to(self) -> int:
        """Fewest bits to which the accuracy stays within the first point's 95 % interval, without
        a gap."""
        floor = self.points[0].score.ci95[0]
        held = takewhile(lambda point: point.score.accuracy >= floor, self.points)
        return min(point.bits for point in held)

    @property
    def breaks_at(self) -> int | None:
        """The most bits below `holds_to`; None if it holds to its end."""
        return max((bits for bits, *_rest in self.points if bits < self.holds_to), default=None)


def curve_rows(grid: QuantizationGrid, scheme: Scheme) -> list[QuantRow]:
    """Post-training rows of a scheme by falling bits, the network as it was trained first.

    float16 and float32 belong to every scheme. Empty where the scheme was not measured.
    """
    fewer = grid.of(scheme)
    wide = [grid.float32, *grid.of("float16")] if fewer else []
    return [row for row in wide if row is not None] + fewer


def curves_of(networks: Sequence[Measured], schemes: Sequence[Scheme]) -> list[Curve]:
    """A curve for each network and scheme that has accuracies."""
    curves = []
    for network in networks:
        for scheme in schemes:
            points = tuple(
                Point(row.bits, row.size_bytes, row.score)
                for row in curve_rows(network.grid, scheme)
                if row.score is not None
            )
            name = scheme_title(scheme) if len(schemes) > 1 else network.title
            curves += [Curve(network, scheme, name, points)] if points else []
    return curves


def curve_table(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row a point: what `accuracy_chart` draws, and what can be taken along."""
    return pd.DataFrame(
        [
            {
                "checkpoint": curve.key[0],
                "network": curve.network.title,
                "role": curve.network.role,
                "scheme": curve.scheme,
                "series": curve.name,
                "bits": bits,
                "size_bytes": size_bytes,
                "accuracy": score.accuracy,
                "low": score.ci95[0],
                "high": score.ci95[1],
                "n": score.n,
                "correct": score.correct,
            }
            for curve in curves
            for bits, size_bytes, score in curve.points
        ]
    )


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
    curves: Sequence[Curve],
    against: Against,
    *,
    guess: int | None = None,
    chosen: tuple[str, str] | None = None,
    reveal: bool = True,
) -> Spec:
    """Accuracy against bits or bytes; without `reveal` only the networks as they were trained.

    `curves`: at least one. `guess`: the bits at which the visitor expects it to break. `chosen`:
    the key of the curve that gets its 95 % band; without it, all do. `at_bits` adds what moves.
    """
    frame = curve_table(curves)
    # two networks may share a role, and hence a colour: marks and dashes tell them apart
    by_scheme = frame["scheme"].nunique() > 1
    places = pd.factorize(frame["scheme" if by_scheme else "checkpoint"])[0]
    marks = network_marks(frame["checkpoint"], frame["role"])
    if by_scheme:
        marks = [MARKS[place % len(MARKS)] for place in places]
    x = frame["bits" if against == "bits" else "size_bytes"].astype(float)
    data = curve_data(
        frame.assign(
            x=x,
            mark=marks,
            dash=[f"m{place % len(DASHES)}" for place in places],
            banded=[
                chosen in (None, key)
                for key in zip(frame["checkpoint"], frame["scheme"], strict=True)
            ],
            size=[numbers.size(size) for size in frame["size_bytes"]],
        ),
        "x",
        whole=frame["bits"] == 32,
        reveal=reveal,
        gap=_GAP,
    )
    data["ends"] = data["ends"].assign(
        margin=37.0 if against == "bits" else data["ends"]["x"] * 1.2
    )
    guesses = pd.DataFrame({"x": [guess] if guess and against == "bits" else []}, dtype=float)
    # the room at the right is for names
    domain = (1.8, 130.0) if against == "bits" else (_tenth(x.min()), _tenth(x.max()) * 10)
    spec = with_data(_accuracy(against, *domain), **data, guess=guesses)
    return inlined(spec, but=("now", "live"))


def _tenth(value: float) -> float:
    """The next tenth of a power of ten below: equal axes for nearly equal sizes."""
    return float(10 ** (math.floor(10 * math.log10(value)) / 10))


def at_bits(chart: Spec, against: Against, bits: int, live: pd.DataFrame | None = None) -> Spec:
    """`accuracy_chart` with the place of the control, and stars: only these move in the browser.

    `live`: rows with bits, size_bytes and accuracy that were measured here just now.
    """
    is_on_axis = against == "bits" and bits > 1  # the axis begins at 2
    now = pa.table({"x": pa.array([bits] if is_on_axis else [], pa.float64())})
    moved: dict[str, Any] = {"now": now}
    if live is not None:
        moved["live"] = live.assign(x=live["bits" if against == "bits" else "size_bytes"])
    return {**chart, "datasets": {**chart["datasets"], **moved}}


@compiled
def _accuracy(against: Against, low: float, high: float) -> Any:
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


_WORDS = (8, 28)
"""Where, in px from the top, the two lines of figures stand."""
_BARS = (48, 158)
"""From where to where, in px from the top, the histogram stands; below it the strips."""
_STRIPS = (174, 285)
LINE_HEIGHT_PX = 290
INPUTS_PX = 52
"""Room for the buttons above the plot."""


def line_chart(row: LayerRow, scheme: Scheme) -> Spec:
    """One layer's weights, their levels at every number of bits, and the error, in one plot.

    The bits are a Vega parameter: moving its buttons sends nothing to the server.
    """
    by_channel = scheme.startswith("channel") and len(row.channels) > 1
    levels = [  # strip -1: levels that all channels share
        {"bits": bits, "strip": strip, "value": float(value)}
        for bits in range(1, 9)
        for strip, owner in (enumerate(row.channels) if by_channel else [(-1, row)])
        for value in owner.levels(scheme, bits)
    ]
    width = 2 * row.reach / len(row.counts)
    bins = [
        {"low": place * width - row.reach, "high": (place + 1) * width - row.reach, "n": n}
        for place, n in enumerate(row.counts)
    ]
    strips = [
        {
            "strip": strip,
            "low": channel.low,
            "high": channel.high,
            "name": _("channel {n}, {kind}").format(
                n=numbers.count(channel.channel), kind=kind_title(channel.kind)
            ),
        }
        for strip, channel in enumerate(row.channels)
    ]
    errors = [
        {
            "bits": bits,
            "head": levels_text(bits, len(row.levels(scheme, bits))),
            "figures": error_text(*row.error(scheme, bits)),
        }
        for bits in LINE_BITS
    ]
    tables = {"bins": bins, "levels": levels, "strips": strips, "errors": errors}
    spec = with_data(_line(len(strips)), {"reach": row.reach, "most": max(row.counts)})
    return {**spec, "datasets": {name: pa.Table.from_pylist(rows) for name, rows in tables.items()}}


def started(chart: Spec, bits: int) -> Spec:
    """A `line_chart` whose buttons begin at `bits`, one of LINE_BITS; the chart is unchanged."""
    params = [
        {**param, "value": bits} if param["name"] == "line_bits" else param
        for param in chart["params"]
    ]
    return {**chart, "params": params}


def kind_title(kind: str) -> str:
    """What a chosen channel is, among the layer's channels."""
    return {
        "widest": _("widest range"),
        "middle": _("middle range"),
        "narrowest": _("narrowest range"),
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
def _line(strips: int) -> Any:
    buttons = alt.param(
        name="line_bits",
        value=LINE_BITS[0],
        bind=alt.binding_radio(
            options=list(LINE_BITS), labels=[str(bits) for bits in LINE_BITS], name=_("Bits")
        ),
    )
    ends = [alt.param(name="reach", value=1.0), alt.param(name="most", value=1)]
    # fit the width only: the parts stand at fixed heights, which a fitted height would squeeze
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    return finish(
        layered(*_line_layers(strips)).add_params(buttons, *ends).properties(autosize=exact),
        height=LINE_HEIGHT_PX,
    )


def _of_these_bits(chart: alt.Chart) -> alt.Chart:
    """Only the rows of the chosen number of bits."""
    return chart.transform_filter("datum.bits == line_bits")


def _line_layers(strips: int) -> list[alt.Chart]:
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
    levels = _of_these_bits(alt.Chart(alt.NamedData("levels"))).encode(alt.X("value:Q", title=None))
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
    now = _of_these_bits(alt.Chart(alt.NamedData("errors"))).encode(x=alt.value(0))
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


FORMS: tuple[Form, ...] = ("float32", "ort_int8", "ort_dynamic", "ort_dynamic_conv")
ROW_PX, AXIS_PX = 70, 62
INT8_COLUMNS = ("onnx_1", "onnx_32")


def timed_columns(grid: QuantizationGrid) -> list[str]:
    """The columns (batch sizes) in which float32 and static int8 were both timed."""
    rows = [grid.form("float32"), grid.form("ort_int8")]
    return [name for name in INT8_COLUMNS if all(row and name in row.latency for row in rows)]


def int8_shares(grid: QuantizationGrid, column: str) -> list[dict[str, Any]]:
    """Bytes and time of each measured form as shares of float32's, a row a form in FORMS' order.

    Keys: scheme, name, size_bytes, size, time, low, high (of the time: quartiles), text. All times
    of `column` come from one sitting, in which the forms took turns. Empty if float32 has none.
    """
    whole = grid.form("float32")
    if whole is None or column not in whole.latency:
        return []
    base = whole.latency[column].median
    shares: list[dict[str, Any]] = []
    for scheme in FORMS:
        row = grid.form(scheme)
        if row is None or column not in row.latency:
            continue
        time = row.latency[column]
        text = _("{size} ({kind}) · {time}").format(
            size=numbers.size(row.size_bytes),
            kind=file_kind(scheme),
            time=numbers.milliseconds(time.median),
        )
        shares.append(
            {
                "scheme": scheme,
                "name": scheme_title(scheme),
                "size_bytes": row.size_bytes,
                "size": row.size_bytes / whole.size_bytes,
                "time": time.median / base,
                "low": time.p25 / base,
                "high": time.p75 / base,
                "text": text,
            }
        )
    return shares


def int8_chart(shares: Sequence[dict[str, Any]]) -> Spec:
    """`int8_shares`, about a line at float32's own: a square for the bytes of the file, a triangle
    with its quartiles for the time of a call."""
    top = max(1.25, *(1.08 * max(row["high"], row["size"]) for row in shares))
    forms = [{**row, "place": place} for place, row in enumerate(shares)]
    return with_rows(_int8(len(shares), round(top, 2)), forms=forms)


@compiled
def _int8(rows: int, top: float) -> Any:
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
