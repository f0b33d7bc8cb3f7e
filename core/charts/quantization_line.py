"""The number line: a layer's weights, the levels they are rounded to, and the error that makes.

Levels and errors of every bit width travel once; the bits are a Vega parameter bound to a row of
buttons, so moving them sends nothing to the server. As on the temperature page all stands in one
plot: the error in words, the histogram with the levels over it, a strip of levels for three
channels, and the signal-to-noise ratio against the bits. All axes stand still.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.quantization import scheme_title
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.compression.quantize import Scheme
from core.serving.quantize_view import LINE_BITS, LayerError, Line
from core.words import _, ngettext

_WORDS = (8, 30)
"""Where, in px from the top, the two lines of figures stand."""
_BARS = (52, 250)
"""From where to where, in px from the top, the histogram stands; the strips and the curve below."""
_STRIPS = (268, 400)
_CURVE = (516, 680)
HEIGHT_PX = 680
INPUTS_PX = 60
"""Room for the buttons above the plot."""
_SQNR = (-10, 80)


def line_chart(line: Line, bits: int) -> Spec:
    """One layer's weights and levels; `bits`: where the buttons start, one of LINE_BITS."""
    errors = line.errors.assign(
        place=[LINE_BITS.index(one) for one in line.errors["bits"]],
        shown=line.errors["sqnr_db"].astype(float).clip(*_SQNR),  # nothing where nothing is lost
        figures=[
            error_text(mse, sqnr)
            for mse, sqnr in zip(line.errors["mse"], line.errors["sqnr_db"], strict=True)
        ],
        head=[
            levels_text(bits, levels)
            for bits, levels in zip(line.errors["bits"], line.errors["levels"], strict=True)
        ],
        title=[scheme_title(scheme) for scheme in line.errors["scheme"]],
    )
    strips = line.strips.assign(
        name=[
            _("channel {n}, {kind}").format(n=numbers.count(channel), kind=kind_title(kind))
            for channel, kind in zip(line.strips["channel"], line.strips["kind"], strict=True)
        ]
    )
    return filled(
        _shape(bits if bits in LINE_BITS else 4, line.reach, int(line.bins["n"].max())),
        bins=line.bins,
        levels=line.levels,
        strips=strips,
        errors=errors,
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


def line_lines(errors: Sequence[LayerError], scheme: Scheme, size: int) -> list[str]:
    """Sentences on a layer of `size` weights: its errors, dB per bit, the other schemes."""
    own = {one.bits: one.error for one in errors if one.scheme == scheme}
    eight, four, two = (error_text(own[bits].mse, own[bits].sqnr_db) for bits in (8, 4, 2))
    lines = [
        _("**{scheme}**: {eight} at 8 bits, {four} at 4 bits, {two} at 2 bits.").format(
            scheme=scheme_title(scheme), eight=eight, four=four, two=two
        )
    ]
    high, low = own[8].sqnr_db, own[4].sqnr_db
    if high is not None and low is not None:
        lines.append(
            _(
                "From 4 to 8 bits each bit adds {gain} dB. The rule of thumb is 6 dB: twice as "
                "many levels, half the distance, a quarter of the squared error."
            ).format(gain=decibels((high - low) / 4))
        )
    at_four = sorted(
        (one.error.sqnr_db, scheme_title(one.scheme))
        for one in errors
        if one.bits == 4 and one.error.sqnr_db is not None
    )
    if len(at_four) > 1:
        (least, worst), (most, best) = at_four[0], at_four[-1]
        lines.append(
            _(
                "At 4 bits the schemes reach {low} dB ({worst}) to {high} dB ({best}) in this "
                "layer of {n} weights."
            ).format(
                low=decibels(least),
                high=decibels(most),
                worst=worst,
                best=best,
                n=numbers.count(size),
            )
        )
    return lines


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


@shape
def _shape(bits: int, reach: float, most: int) -> Any:
    buttons = alt.param(
        name="bits",
        value=bits,
        bind=alt.binding_radio(
            options=list(LINE_BITS), labels=[str(one) for one in LINE_BITS], name=_("Bits")
        ),
    )
    above = layered(*_weights(reach, most))
    below = layered(*_errors())
    both = layered(above, below).resolve_scale(x="independent", y="independent")
    # fit the width only: the parts stand at fixed heights, which a fitted height would squeeze
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    return finish(both.add_params(buttons).properties(autosize=exact), height=HEIGHT_PX)


def _here(chart: alt.Chart) -> alt.Chart:
    """Only the rows of the chosen number of bits."""
    return chart.transform_filter("datum.bits == bits")


def _weights(reach: float, most: int) -> list[alt.Chart]:
    x = alt.X(
        "low:Q",
        title=None,
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(
            orient="bottom", offset=_STRIPS[1] + 6 - HEIGHT_PX, grid=False, tickCount=5, format="~g"
        ),
    )
    y = alt.Y(
        "n:Q",
        title=None,
        scale=alt.Scale(domain=[0, most], range=[_BARS[1], _BARS[0]], nice=False),
        axis=alt.Axis(orient="left", grid=False, tickCount=3, format="~s"),
    )
    top, bottom = (alt.value(px) for px in _BARS)
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
    width = alt.expr("bits > 6 ? 0.8 : bits > 4 ? 1.2 : 2")
    shared = levels.transform_filter("datum.strip < 0").mark_rule(strokeWidth=width)
    solid = alt.Chart(alt.NamedData("strips")).transform_filter("bits > 8")
    strip = alt.Y(
        "strip:O",
        axis=None,
        scale=alt.Scale(type="band", range=list(_STRIPS), padding=0, domain=[0, 1, 2]),
    )
    spans = alt.Chart(alt.NamedData("strips")).mark_bar(opacity=0.35, size=14, yOffset=8)
    own = levels.transform_filter("datum.strip >= 0").mark_tick(thickness=1.3, size=14, yOffset=8)
    names = alt.Chart(alt.NamedData("strips")).encode(x=alt.value(0), y=strip)
    return [
        painted(bins.mark_rect(opacity=0.6), "muted"),
        painted(shared.encode(y=top, y2=bottom), "quantised"),
        painted(spans.encode(alt.X("low:Q", title=None), x2="high:Q"), "muted").encode(y=strip),
        painted(own.encode(y=strip), "quantised"),
        painted(
            solid.mark_bar(opacity=0.8, size=14, yOffset=8).encode(
                alt.X("low:Q", title=None), x2="high:Q", y=strip
            ),
            "quantised",
        ),
        ink_text(names, "name:N", "muted", align="left", dy=-9, fontSize=12),
        *_said(),
    ]


def _said() -> list[alt.Chart]:
    """The figures over the histogram."""
    now = _here(alt.Chart(alt.NamedData("errors"))).transform_filter("datum.chosen")
    left = alt.value(0)
    top = ink_text(
        now.encode(x=left, y=alt.value(_WORDS[0])), "head:N", align="left", fontWeight="bold"
    )
    second = ink_text(now.encode(x=left, y=alt.value(_WORDS[1])), "figures:N", align="left")
    return [top, second]


def _errors() -> list[alt.Chart]:
    x = alt.X(
        "place:Q",
        title=_("Bits"),
        scale=alt.Scale(domain=[-0.3, len(LINE_BITS) - 0.7], nice=False),
        axis=alt.Axis(
            orient="bottom",
            grid=False,
            values=list(range(len(LINE_BITS))),
            labelExpr=f"{list(LINE_BITS)}[datum.value]",
        ),
    )
    y = alt.Y(
        "shown:Q",
        title=None,
        scale=alt.Scale(domain=list(_SQNR), range=[_CURVE[1], _CURVE[0]], nice=False),
        axis=alt.Axis(orient="left", values=[0, 20, 40, 60, 80], grid=True),
    )
    base = alt.Chart(alt.NamedData("errors"))
    tooltip = [
        alt.Tooltip("title:N", title=_("Scheme")),
        alt.Tooltip("bits:Q", title=_("Bits")),
        alt.Tooltip("figures:N", title=_("Error")),
    ]
    others = base.transform_filter("!datum.chosen").mark_line(strokeWidth=1.2, opacity=0.7)
    chosen = base.transform_filter("datum.chosen")
    marks = chosen.mark_point(filled=True, opacity=1, size=60, shape="triangle-down")
    now = _here(base).transform_filter("datum.chosen")
    rule = now.mark_rule(strokeWidth=2).encode(
        x=x, y=alt.value(_CURVE[0] - 12), y2=alt.value(_CURVE[1])
    )
    big = now.mark_point(filled=True, opacity=1, size=240, shape="triangle-down")
    head = alt.Chart(alt.InlineData(values=[{}])).encode(
        x=alt.value(0), y=alt.value(_CURVE[0] - 44)
    )
    key = head.encode(y=alt.value(_CURVE[0] - 24))
    return [
        painted(others.encode(x=x, y=y, detail="scheme:N"), "muted"),
        painted(chosen.mark_line(strokeWidth=2.5).encode(x=x, y=y), "quantised"),
        painted(rule, "text"),
        painted(marks.encode(x=x, y=y, tooltip=tooltip), "quantised"),
        painted(big.encode(x=x, y=y, tooltip=tooltip), "quantised"),
        ink_text(
            head, alt.value(_("Signal to noise (SQNR), in dB")), align="left", fontWeight="bold"
        ),
        ink_text(
            key, alt.value(_("thin lines: the other schemes")), "muted", align="left", fontSize=12
        ),
    ]
