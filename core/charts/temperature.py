"""Softmax at a temperature, redrawn in the browser: one slider moves every part of one picture.

The logits travel once. The temperature is a Vega parameter bound to a range input, and softmax and
entropy are computed by Vega's own transforms, so a drag sends nothing to the server. Everything
stands in one plot, because a parameter cannot cross from plot to plot, and because one plot follows
the width of the screen: above, a panel of bars per network (an offset on one axis); below, entropy
against T. Each part has its own stretch of the height, so all axes are fixed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts.shape import Spec, filled, shape
from core.charts.theme import (
    RoleKey,
    finish,
    glyph,
    ink_text,
    layered,
    painted,
    role_color,
    role_shape,
)
from core.course import CLASSES
from core.words import _, food_class

PANEL = 1.45
"""Width of a panel in units of probability: bars from 0 to 1, then the column of figures."""
_FIGURE_AT = 1.36
_BARS = (42, 372)
"""From where to where, in px from the top, the bars stand; the entropy curves below them."""
_CURVES = (478, 650)
HEIGHT_PX = 650
_ANSWERS = alt.NamedData("answers")
LIMIT_NATS = float(np.log(len(CLASSES)))
"""Entropy of eleven equal probabilities."""


class Voice(NamedTuple):
    """One network's logits for the example: what is drawn in one panel."""

    short: str
    """What the panel is headed: a word or two."""
    title: str
    role: RoleKey
    logits: NDArray[np.float32]
    """(11,) in label order."""

    @property
    def head(self) -> str:
        """The short name after the mark of its role."""
        return f"{glyph(self.role)} {self.short}"


class Range(NamedTuple):
    """The slider: from, to, step, and where it starts."""

    low: float
    high: float
    step: float
    start: float


def temperature_chart(
    voices: Sequence[Voice], curves: pd.DataFrame, span: Range, true_label: int | None = None
) -> Spec:
    """Bars of each voice at the slider's T, over their entropy against T.

    `curves`: `core.serving.softening.entropy_curves`, its `series` the voices' titles. Classes are
    sorted by the first voice's logits; the true one, if known, is ticked.
    """
    offsets = [panel * PANEL for panel in range(len(voices))]
    levels = [0.05 + 0.3 * (len(voices) - 1 - k) for k in range(len(voices))]  # nats, top first
    heads = pd.DataFrame(
        {"offset": offsets, "head": [voice.head for voice in voices], "level": levels}
    )
    roles = {voice.title: voice.role for voice in voices}
    return filled(
        _shape(len(voices), span),
        answers=_logits_frame(voices, true_label),
        curves=curves.assign(role=curves["series"].map(roles)),
        heads=heads,
    )


def _logits_frame(voices: Sequence[Voice], true_label: int | None) -> pd.DataFrame:
    """One row per network and class; `place` is the row in which the class stands."""
    order = np.argsort(-voices[0].logits, kind="stable")
    return pd.DataFrame(
        [
            {
                "series": voice.title,
                "role": voice.role,
                "offset": panel * PANEL,
                "food": ("✓ " if label == true_label else "") + food_class(CLASSES[label]),
                "place": place,
                "logit": float(voice.logits[label]),
                "gap": float(voice.logits[label] - voice.logits.max()),
            }
            for panel, voice in enumerate(voices)
            for place, label in enumerate(order)
        ]
    )


@shape
def _shape(panels: int, span: Range) -> alt.LayerChart:
    slider = alt.param(
        name="T",
        value=span.start,
        bind=alt.binding_range(
            min=span.low, max=span.high, step=span.step, name=_("Temperature T")
        ),
    )
    above = layered(*_bars(panels))
    below = layered(*_entropy(span))
    both = layered(above, below).resolve_scale(x="independent", y="independent")
    # fit the width only: the parts stand at fixed heights, which a fitted height would squeeze
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    return finish(both.add_params(slider).properties(autosize=exact), height=HEIGHT_PX)


def _bars(panels: int) -> list[alt.Chart]:
    ticks = [panel * PANEL + value for panel in range(panels) for value in (0, 0.5, 1)]
    top, bottom = (alt.value(y) for y in _BARS)
    x = alt.X(
        "offset:Q",
        title=None,
        scale=alt.Scale(domain=[0, PANEL * panels], nice=False),
        axis=alt.Axis(
            values=ticks,
            labelExpr=f"format(datum.value % {PANEL}, '.0%')",
            orient="bottom",
            grid=False,
            offset=_BARS[1] - HEIGHT_PX,
            labelFlush=False,
        ),
    )
    y = alt.Y(
        "food:N",
        sort=alt.EncodingSortField(field="place", op="min"),
        title=None,
        scale=alt.Scale(type="band", range=list(_BARS), padding=0.14),
        axis=alt.Axis(orient="left", labelPadding=6, grid=False),
    )
    softmax = (
        alt.Chart(_ANSWERS)
        .transform_calculate(power="exp(datum.gap / T)")
        .transform_joinaggregate(total="sum(power)", groupby=["series"])
        .transform_calculate(p="datum.power / datum.total")
        .transform_calculate(
            end="datum.offset + datum.p",
            figure=f"datum.offset + {_FIGURE_AT}",
            percent="datum.p < 0.005 ? '<1%' : format(datum.p, '.0%')",
        )
        .encode(y=y)
    )
    bars = softmax.mark_bar(cornerRadiusEnd=3).encode(
        x=x,
        x2="end:Q",
        color=role_color(),
        tooltip=[
            alt.Tooltip("series:N", title=_("Network")),
            alt.Tooltip("food:N", title=_("Class")),
            alt.Tooltip("p:Q", title=_("Probability"), format=".3%"),
            alt.Tooltip("logit:Q", title=_("Logit"), format=".2f"),
        ],
    )
    figures = ink_text(softmax.encode(alt.X("figure:Q", title=None)), "percent:N", align="right")
    grid = alt.Chart(_points(offset=ticks)).mark_rule(opacity=0.25)
    even = [panel * PANEL + 1 / len(CLASSES) for panel in range(panels)]
    limit = alt.Chart(_points(offset=even)).mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    return [
        painted(grid.encode(x=x, y=top, y2=bottom), "muted"),
        bars,
        painted(limit.encode(x=x, y=top, y2=bottom), "text"),
        figures,
        *_heads(x),
    ]


def _points(**column: list[float]) -> alt.InlineData:
    """A few fixed rows with one column: places of lines and words."""
    ((name, values),) = column.items()
    return alt.InlineData(values=[{name: value} for value in values])


def _heads(x: alt.X) -> list[alt.Chart]:
    """Over each panel its name, and the entropy at the slider's T."""
    names = alt.Chart(alt.NamedData("heads")).encode(x=x, y=alt.value(8))
    before, after = _("entropy {nats} nats").split("{nats}")
    live = _entropy_now("offset").transform_calculate(
        text=f"{before!r} + format(datum.entropy, '.2f') + {after!r}"
    )
    return [
        ink_text(names, "head:N", align="left", fontWeight="bold"),
        ink_text(live.encode(x=x, y=alt.value(28)), "text:N", slot="muted", align="left"),
    ]


def _entropy_now(*keep: str) -> alt.Chart:
    """One row per network with its entropy at the slider's T, computed in the browser.

    With w = exp(gap / T) and S = sum w, H = ln S - sum(w gap / T) / S.
    """
    return (
        alt.Chart(_ANSWERS)
        .transform_calculate(w="exp(datum.gap / T)")
        .transform_calculate(wg="datum.w * datum.gap / T")
        .transform_aggregate(S="sum(w)", G="sum(wg)", groupby=["series", "role", *keep])
        .transform_calculate(temperature="T", entropy="log(datum.S) - datum.G / datum.S")
    )


def _entropy(span: Range) -> list[alt.Chart]:
    top, bottom = (alt.value(y) for y in _CURVES)
    x = alt.X(
        "temperature:Q",
        title=_("Temperature T"),
        scale=alt.Scale(type="log", domain=[span.low, span.high], nice=False),
        axis=alt.Axis(
            values=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20], format="~g", grid=False, orient="bottom"
        ),
    )
    y = alt.Y(
        "entropy:Q",
        title=None,
        scale=alt.Scale(domain=[0, 2.6], range=[_CURVES[1], _CURVES[0]], nice=False),
        axis=alt.Axis(values=[0, 0.5, 1, 1.5, 2], grid=True, format=".1f", orient="left"),
    )
    curves = alt.Chart(alt.NamedData("curves")).mark_line(strokeWidth=2.5)
    ceiling = alt.Chart(_points(entropy=[LIMIT_NATS])).encode(y=y)
    limit = ceiling.mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    start = alt.Chart(_points(temperature=[span.low])).encode(x=x, y=alt.value(_CURVES[0] - 40))
    now = alt.Chart(_points(here=[1])).transform_calculate(
        temperature="T", text="'T = ' + format(T, '.1f')"
    )
    rule = now.mark_rule(strokeWidth=2).encode(x=x, y=top, y2=bottom)
    label = now.encode(x=x, y=alt.value(_CURVES[0] - 10))
    marks = _entropy_now().mark_point(size=140, filled=True, opacity=1)
    note = ceiling.encode(x=alt.value(6))
    # the curves meet at their right end, so their names stand below it, one above the other
    names = alt.Chart(alt.NamedData("heads")).encode(
        x=alt.XDatum(span.high),
        y=alt.Y("level:Q"),
    )
    return [
        painted(limit, "text"),
        ink_text(start, alt.value(_("Entropy, in nats")), align="left", fontWeight="bold"),
        ink_text(note, alt.value("ln 11"), "muted", align="left", baseline="bottom", dy=-3),
        curves.encode(x=x, y=y, color=role_color(), detail="series:N"),
        painted(rule, "text"),
        ink_text(label, "text:N"),
        marks.encode(x=x, y=y, color=role_color(), shape=role_shape()),
        ink_text(names, "head:N", align="right", baseline="bottom"),
    ]
