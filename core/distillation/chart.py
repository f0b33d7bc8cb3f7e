"""Softmax at a temperature, redrawn in the browser: one slider moves every part of one picture.

The logits travel once. The temperature is a Vega parameter bound to a range input, and softmax and
entropy are computed by Vega's own transforms, so a drag sends nothing to the server. Everything
stands in one plot, because a parameter cannot cross from plot to plot, and because one plot follows
the width of the screen: above, a panel of bars per network (an offset on one axis); below, entropy
against T. Each part has its own stretch of the height, so all axes are fixed.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.compiled import Spec, compiled, inlined, with_data
from core.charts.names import versions
from core.charts.numbers import points, points_interval
from core.charts.theme import (
    FONT_PX,
    RoleKey,
    finish,
    glyph,
    guide,
    ink_text,
    layered,
    painted,
    role_color,
    role_shape,
)
from core.checkpoints.by_recipe import Contrast
from core.course import CLASSES
from core.data.dreams import DREAMS
from core.distillation.sweep import Sweep, settings
from core.distillation.terms import GRID, MOVE, T_HIGH, T_LOW, T_STEP, largest_gradient
from core.i18n import _, food_class, ngettext
from core.models.registry import MODELS, short_name

PANEL = 1.45
"""Width of a panel in units of probability: bars from 0 to 1, then the column of figures."""
_FIGURE_AT = 1.36
_BARS = (42, 284)
"""From where to where, in px from the top, the bars stand; the entropy curves below them."""
_CURVES = (366, 470)
HEIGHT_PX = 470
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
    voices: Sequence[Voice],
    curves: pd.DataFrame,
    span: Range,
    true_label: int | None = None,
    is_open: bool = True,
) -> Spec:
    """Bars of each voice at the slider's T, over their entropy against T.

    `curves`: `core.distillation.temperature.entropy_curves`, its `series` the voices' titles.
    Classes are sorted by the first voice's logits; the true one, if known, is ticked. Unless
    `is_open`, whatever shows what another T would do is left out: the slider and the curves.
    """
    answers = _logits_frame(voices, true_label)
    # both are compiled at once: who guesses need not wait for the other
    specs = {each: _shape(len(voices), span._replace(start=1.0), each) for each in (True, False)}
    if not is_open:
        return with_data(specs[False], {"T": span.start}, answers=answers)
    roles = {voice.title: voice.role for voice in voices}
    return with_data(
        specs[True],
        {"T": span.start},
        answers=answers,
        curves=curves.assign(role=curves["series"].map(roles)),
    )


def _logits_frame(voices: Sequence[Voice], true_label: int | None) -> pd.DataFrame:
    """One row per network and class; `place` is the row in which the class stands."""
    order = np.argsort(-voices[0].logits, kind="stable")
    return pd.DataFrame(
        [
            {
                "series": voice.title,
                "head": voice.head,
                "role": voice.role,
                "panel": panel,
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


@compiled
def _shape(panels: int, span: Range, is_open: bool) -> alt.LayerChart:
    bind = alt.binding_range(min=span.low, max=span.high, step=span.step, name=_("Temperature T"))
    slider = alt.param(name="T", value=span.start, bind=bind if is_open else alt.Undefined)
    above = layered(*_bars(panels, is_open))
    below = layered(*_entropy(span, panels, is_open))
    both = layered(above, below).resolve_scale(x="independent", y="independent")
    # fit the width only: the parts stand at fixed heights, which a fitted height would squeeze
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    return finish(both.add_params(slider).properties(autosize=exact), height=HEIGHT_PX)


def _bars(panels: int, is_open: bool) -> list[alt.Chart]:
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
        *([painted(limit.encode(x=x, y=top, y2=bottom), "text")] if is_open else []),
        figures,
        *_heads(x),
    ]


def _points(**column: list[float]) -> alt.InlineData:
    """A few fixed rows with one column: places of lines and words."""
    ((name, values),) = column.items()
    return alt.InlineData(values=[{name: value} for value in values])


def _heads(x: alt.X) -> list[alt.Chart]:
    """Over each panel its name, and the entropy at the slider's T."""
    entropy = expression(_("entropy {nats} nats"), nats="format(datum.entropy, '.2f')")
    now = _entropy_now("offset", "head").transform_calculate(text=entropy).encode(x=x)
    return [
        ink_text(now.encode(y=alt.value(8)), "head:N", align="left", fontWeight="bold"),
        ink_text(now.encode(y=alt.value(28)), "text:N", slot="muted", align="left"),
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


def _entropy(span: Range, panels: int, is_open: bool) -> list[alt.Chart]:
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
    ceiling = alt.Chart(_points(entropy=[LIMIT_NATS])).encode(y=y)
    limit = ceiling.mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    start = alt.Chart(_points(temperature=[span.low])).encode(
        x=alt.value(-48), y=alt.value(_CURVES[0] - 34)
    )
    note = ceiling.encode(x=alt.value(6))
    frame = [
        painted(limit, "text"),
        ink_text(start, alt.value(_("Entropy, in nats")), align="left", fontWeight="bold"),
        ink_text(note, alt.value("ln 11"), "muted", align="left", baseline="bottom", dy=-3),
    ]
    if not is_open:  # a point that nobody sees keeps the axis of T
        corner = alt.Chart(_points(temperature=[span.low])).mark_point(opacity=0)
        return [*frame, corner.encode(x=x)]
    curves = alt.Chart(alt.NamedData("curves")).mark_line(strokeWidth=2.5)
    now = alt.Chart(_points(here=[1])).transform_calculate(
        temperature="T", text="'T = ' + format(T, '.1f')"
    )
    rule = now.mark_rule(strokeWidth=2).encode(x=x, y=top, y2=bottom)
    label = now.encode(x=x, y=alt.value(_CURVES[0] - 9))
    here = _entropy_now("panel", "head").transform_calculate(
        # the curves meet at their right end, so their names stand side by side above the plot
        name_at=f"width - ({panels - 1} - datum.panel) * 84"
    )
    marks = here.mark_point(size=140, filled=True, opacity=1)
    names = here.mark_text(align="right", fontSize=FONT_PX, fontWeight="bold").encode(
        x=alt.X("name_at:Q", scale=None, axis=None),
        y=alt.value(_CURVES[0] - 34),
        text="head:N",
        color=role_color(),
    )
    return [
        *frame,
        curves.encode(x=x, y=y, color=role_color(), detail="series:N"),
        painted(rule, "text"),
        ink_text(label, "text:N"),
        marks.encode(x=x, y=y, color=role_color(), shape=role_shape()),
        names,
    ]


# ------------------------------------------------------------------------------------------------
# The distillation loss as Vega's own transforms: what both halves of its picture compute alike.
#
# Parameters of the picture: `T`, `alpha`, `move` (added to one student logit) and `pick` (its
# label). Data `answers`: one row per class with label, food, place, z, v (logits of student and
# teacher) and truth (1 for the true class).


HARD, SOFT, TOTAL = "correct", "teacher", "distilled"
"""Colour slots of the terms: from the label, from the teacher, what the student gets."""
ANSWERS = alt.NamedData("answers")


def softened(chart: alt.Chart, t: str, *per: str) -> alt.Chart:
    """Teacher's p and student's q at temperature `t`, q1 at T = 1, and their logarithms.

    `per`: columns of which each value has its own eleven rows.
    """
    by: list[Any] = list(per)
    return (
        chart.transform_calculate(zs="datum.z + (datum.label == pick ? move : 0)")
        .transform_joinaggregate(zmax="max(zs)", vmax="max(v)", groupby=by)
        .transform_calculate(zg="datum.zs - datum.zmax", vg="datum.v - datum.vmax")
        .transform_calculate(
            pw=f"exp(datum.vg / {t})", qw=f"exp(datum.zg / {t})", q1w="exp(datum.zg)"
        )
        .transform_joinaggregate(ps="sum(pw)", qs="sum(qw)", q1s="sum(q1w)", groupby=by)
        .transform_calculate(
            p="datum.pw / datum.ps",
            q="datum.qw / datum.qs",
            q1="datum.q1w / datum.q1s",
            logp=f"datum.vg / {t} - log(datum.ps)",
            logq=f"datum.zg / {t} - log(datum.qs)",
            logq1="datum.zg - log(datum.q1s)",
        )
    )


def expression(sentence: str, **values: str) -> str:
    """A Vega expression for a translated sentence with {names} in it, each an expression."""
    made, rest = [], sentence
    while rest:
        before, brace, tail = rest.partition("{")
        if before:
            made.append(repr(before))
        if brace:
            name, _brace, rest = tail.partition("}")
            made.append(f"({values[name]})")
        else:
            rest = ""
    return " + ".join(made)


def point(**values: object) -> alt.InlineData:
    """One row: a place for a line or a word that needs no data."""
    return alt.InlineData(values=[values])


# ------------------------------------------------------------------------------------------------
# Why T²: how long each term's gradient is against T, computed in the browser from the logits.


_LENGTHS = (3e-4, 20.0)
"""The axis: what is shorter stands at its lower end."""


def lengths(stretch: tuple[int, int]) -> list[alt.Chart]:
    """The gradients' lengths against T, unweighted: with T², without it, and the hard one.

    `stretch`: from where to where they stand, in px from the top of the picture.
    """
    low, high = _LENGTHS
    x = alt.X(
        "at:Q",
        title=_("Temperature T"),
        scale=alt.Scale(type="log", domain=[T_LOW, T_HIGH], nice=False),
        axis=alt.Axis(values=[1, 2, 5, 10, 20], format="~g", grid=False, orient="bottom"),
    )
    y = alt.Y(
        "length:Q",
        title=None,
        scale=alt.Scale(
            type="log", domain=[low, high], range=[stretch[1], stretch[0]], nice=False, clamp=True
        ),
        axis=alt.Axis(values=[0.001, 0.01, 0.1, 1, 10], grid=True, format="~g", orient="left"),
    )
    grid = ", ".join(f"{t:.6g}" for t in GRID)
    start = alt.Chart(ANSWERS).transform_calculate(at=f"[{grid}]").transform_flatten(["at"])
    now = alt.Chart(ANSWERS).transform_calculate(at="T")
    curves, here = (_norms(softened(chart, "datum.at", "at")) for chart in (start, now))
    kinds = {
        "soft": (SOFT, [1, 0], _("soft, with T²")),
        "bare": (SOFT, [6, 5], _("soft, without T²")),
        "hard": (HARD, [1, 0], _("hard")),
    }
    layers = [ink_text(_head(stretch), alt.value(_("How long each gradient is")), align="left",
                       fontWeight="bold")]  # fmt: skip
    for name, (slot, dash, title) in kinds.items():
        line = curves.transform_calculate(length=f"datum.{name}").mark_line(
            strokeWidth=2.5, strokeDash=dash
        )
        layers.append(painted(line.encode(x=x, y=y), slot))
        mark = here.transform_calculate(length=f"datum.{name}", slot=f"'{slot}'")
        layers.append(
            mark.mark_point(size=110, filled=True, opacity=1).encode(
                x=x, y=y, color=role_color("slot"), shape=role_shape("slot")
            )
        )
        end = T_LOW if name == "hard" else T_HIGH
        near = curves.transform_calculate(length=f"datum.{name}").transform_filter(
            f"abs(datum.at - {end}) < 1e-6"
        )
        # each name on the side of its curve where the others are not
        over = {"soft": "datum.soft >= datum.hard", "hard": "datum.hard > datum.soft"}.get(name)
        for is_over in (True, False) if over else (False,):
            side = near.transform_filter(over if is_over else f"!({over})") if over else near
            layers.append(
                ink_text(
                    side.encode(x=x, y=y),
                    alt.value(title),
                    slot,
                    align="left" if name == "hard" else "right",
                    baseline="bottom" if is_over else "top",
                    dy=-8 if is_over else 9,
                    fontWeight="bold",
                )
            )
    rule = alt.Chart(point(here=1)).transform_calculate(at="T", text="'T = ' + format(T, '.1f')")
    top, bottom = (alt.value(at) for at in stretch)
    layers.append(painted(rule.mark_rule(strokeWidth=2).encode(x=x, y=top, y2=bottom), "text"))
    layers.append(ink_text(rule.encode(x=x, y=alt.value(stretch[0] - 10)), "text:N"))
    return layers


def _head(stretch: tuple[int, int]) -> alt.Chart:
    return alt.Chart(point(here=1)).encode(x=alt.value(0), y=alt.value(stretch[0] - 34))


def _norms(softened: alt.Chart) -> alt.Chart:
    """One row per `at`: the Euclidean lengths `soft` (of T² KL), `bare` (of KL) and `hard`."""
    return (
        softened.transform_calculate(
            d2="pow(datum.q - datum.p, 2)", h2="pow(datum.q1 - datum.truth, 2)"
        )
        .transform_aggregate(d="sum(d2)", h="sum(h2)", groupby=["at"])
        .transform_calculate(
            soft="sqrt(datum.d) * datum.at",
            bare="sqrt(datum.d) / datum.at",
            hard="sqrt(datum.h)",
        )
    )


# ------------------------------------------------------------------------------------------------
# The distillation loss of one example, redrawn in the browser: T, alpha and one logit move.
#
# The logits travel once; softmax, both losses and their gradients are Vega's own transforms on
# parameters bound to inputs, so a drag sends nothing to the server. As on the temperature page all
# stands in one plot, because a parameter cannot cross from plot to plot: the losses in words, which
# are also the key; the gradient of each logit; the gradients' lengths against T.


_DISTILLATION_BARS = (136, 360)
"""From where to where, in px from the top, the gradient's bars stand."""
CURVES = (462, 568)
"""The same for the curves below them."""
DISTILLATION_HEIGHT_PX = {False: 360, True: 568}
"""By whether the curves are there."""
_FIGURES = (62, 4)
"""How far from the right edge the two columns of probabilities end, in px."""
_RIGHT_PX = 118


def distillation_chart(
    student: NDArray[np.float32],
    teacher: NDArray[np.float32],
    label: int,
    temperature: float,
    alpha: float,
    move: float = 0.0,
    pick: int = 0,
    *,
    moves: bool = True,
    is_open: bool = True,
) -> Spec:
    """The loss of one example taken apart. student, teacher: logits (11,), label: the true class.

    `temperature`, `alpha`, `move`: where the sliders start; `pick`: the class that the last of them
    begins with; `moves`: whether these two have inputs. Classes stand in the order of the teacher's
    logits; the gradient's axis is wide enough for every setting of the sliders. Unless `is_open`,
    the lengths of the gradients are left out.
    """
    bound = largest_gradient(student, teacher, moves)
    order = np.argsort(-np.asarray(teacher), kind="stable")
    answers = pd.DataFrame(
        [
            {
                "label": int(k),
                "food": ("✓ " if k == label else "") + food_class(CLASSES[k]),
                "place": place,
                "z": float(student[k]),
                "v": float(teacher[k]),
                "truth": int(k == label),
            }
            for place, k in enumerate(order)
        ]
    )
    bounds = pd.DataFrame({"reach": [-bound, bound]})
    starts = {"T": temperature, "alpha": alpha, "move": move, "pick": pick}
    # both are compiled at once: who guesses need not wait for the other
    specs = {each: _distillation_shape(moves, each) for each in (True, False)}
    return with_data(specs[is_open], starts, answers=answers, bounds=bounds)


INPUTS = {
    "T": Range(T_LOW, T_HIGH, T_STEP, 4.0),
    "alpha": Range(0.0, 1.0, 0.05, 0.5),
    "move": Range(-MOVE, MOVE, 0.25, 0.0),
}
"""The sliders by the parameter they move, with where they begin by themselves."""


@compiled
def _distillation_shape(moves: bool, is_open: bool) -> alt.LayerChart:
    titles = {
        "T": _("Temperature T"),
        "alpha": _("Alpha, weight of soft"),
        "move": _("Add to a logit"),
    }
    params = [
        alt.param(
            name=name,
            value=span.start,
            bind=alt.binding_range(min=span.low, max=span.high, step=span.step, name=titles[name])
            if moves or name != "move"
            else alt.Undefined,
        )
        for name, span in INPUTS.items()
    ]
    classes = alt.binding_select(
        options=list(range(len(CLASSES))),
        labels=[food_class(name) for name in CLASSES],
        name=_("… of the class"),
    )
    pick = alt.param(name="pick", value=0, bind=classes if moves else alt.Undefined)
    height = DISTILLATION_HEIGHT_PX[is_open]
    halves = [layered(*_losses(), *_distillation_bars(height))]
    if is_open:
        halves.append(layered(*lengths(CURVES)))
    both = layered(*halves).resolve_scale(x="independent", y="independent")
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")  # heights are fixed
    return finish(both.add_params(*params, pick).properties(autosize=exact), height=height)


def _losses() -> list[alt.Chart]:
    """Three lines over the bars: the losses at the sliders' setting; they name the colours, too."""
    sums = (
        softened(alt.Chart(ANSWERS), "T")
        .transform_calculate(ce="-datum.truth * datum.logq1")
        .transform_calculate(kl="datum.p * (datum.logp - datum.logq)")
        .transform_aggregate(hard="sum(ce)", kl="sum(kl)")
        .transform_calculate(soft="T * T * max(0, datum.kl)")
        .transform_calculate(total="alpha * datum.soft + (1 - alpha) * datum.hard")
    )
    weights = {"a": "format(alpha, '.2f')", "b": "format(1 - alpha, '.2f')"}
    lines = [
        (SOFT, expression(_("soft loss: {loss}"), loss="format(datum.soft, '.2f')")),
        (HARD, expression(_("hard loss: {loss}"), loss="format(datum.hard, '.2f')")),
        (
            TOTAL,
            expression(
                _("{a} soft + {b} hard = {loss}"), loss="format(datum.total, '.2f')", **weights
            ),
        ),
    ]
    return [
        ink_text(
            sums.transform_calculate(line=f"'{glyph(slot)} ' + {line}").encode(
                x=alt.value(0), y=alt.value(10 + 25 * row)
            ),
            "line:N",
            slot,
            align="left",
            fontWeight="bold",
        )
        for row, (slot, line) in enumerate(lines)
    ]


def _distillation_bars(height: int) -> list[alt.Chart]:
    top, bottom = (alt.value(y) for y in _DISTILLATION_BARS)
    x = alt.X(
        "from:Q",
        title=None,
        scale=alt.Scale(nice=False, zero=False, range=[0, alt.expr(f"width - {_RIGHT_PX}")]),
        axis=alt.Axis(
            orient="bottom",
            grid=False,
            offset=_DISTILLATION_BARS[1] - height,
            tickCount=5,
            format="~g",
            labelFlush=False,
        ),
    )
    y = alt.Y(
        "food:N",
        sort=alt.EncodingSortField(field="place", op="min"),
        title=None,
        scale=alt.Scale(type="band", range=list(_DISTILLATION_BARS), padding=0.16),
        axis=alt.Axis(orient="left", labelPadding=6, grid=False),
    )
    rows = softened(alt.Chart(ANSWERS), "T").transform_calculate(
        soft="alpha * T * (datum.q - datum.p)", hard="(1 - alpha) * (datum.q1 - datum.truth)"
    )
    both = rows.transform_fold(["soft", "hard"], as_=["term", "to"]).transform_calculate(
        slot=f"datum.term == 'soft' ? '{SOFT}' : '{HARD}'", **{"from": "0"}
    )
    bars = both.mark_bar().encode(
        x=x,
        x2="to:Q",
        y=y,
        yOffset=alt.YOffset("term:N", sort=["soft", "hard"]),
        color=role_color("slot"),
        tooltip=[
            alt.Tooltip("food:N", title=_("Class")),
            alt.Tooltip("soft:Q", title=_("Soft gradient"), format=".4f"),
            alt.Tooltip("hard:Q", title=_("Hard gradient"), format=".4f"),
            alt.Tooltip("p:Q", title=_("Teacher's probability at T"), format=".3%"),
            alt.Tooltip("q:Q", title=_("Student's probability at T"), format=".3%"),
            alt.Tooltip("zs:Q", title=_("Student's logit"), format=".2f"),
        ],
    )
    sums = rows.transform_calculate(slot=f"'{TOTAL}'", **{"from": "datum.soft + datum.hard"})
    total = sums.mark_point(filled=True, size=110, opacity=1).encode(
        x=x, y=y, color=role_color("slot"), shape=role_shape("slot")
    )
    zero = alt.Chart(point(**{"from": 0})).mark_rule(strokeWidth=1.5)
    # points that nobody sees hold the axis at the widest that any slider can reach
    reach = alt.Chart(alt.NamedData("bounds")).transform_calculate(**{"from": "datum.reach"})
    return [
        reach.mark_point(opacity=0, size=1).encode(x=x, y=alt.value(_DISTILLATION_BARS[1])),
        bars,
        painted(zero.encode(x=x, y=top, y2=bottom), "text"),
        total,
        *_figures(rows.encode(y=y)),
        *_signs(),
    ]


def _figures(rows: alt.Chart) -> list[alt.Chart]:
    """Right of the bars both networks' probabilities at T, under their heads."""
    columns = [("p", SOFT, _("Teacher")), ("q", TOTAL, _("Student"))]
    made = []
    for (name, slot, head), inset in zip(columns, _FIGURES, strict=True):
        x = alt.XValue(alt.expr(f"width - {inset}"))
        text = rows.transform_calculate(
            share=f"datum.{name} < 0.005 ? '<1%' : format(datum.{name}, '.0%')"
        ).encode(x=x)
        top = alt.Chart(point(head=head)).encode(x=x, y=alt.value(_DISTILLATION_BARS[0] - 10))
        made.append(ink_text(text, "share:N", align="right"))
        made.append(ink_text(top, alt.value(head), slot, align="right"))
    return made


def _signs() -> list[alt.Chart]:
    """What the sign of a gradient does to a logit."""
    place = alt.Chart(point(here=1))
    left = place.encode(x=alt.value(0), y=alt.value(_DISTILLATION_BARS[0] - 56))
    right = place.encode(
        x=alt.XValue(alt.expr(f"width - {_RIGHT_PX}")), y=alt.value(_DISTILLATION_BARS[0] - 36)
    )
    title = place.encode(x=alt.value(0), y=alt.value(_DISTILLATION_BARS[1] + 46))
    return [
        ink_text(left, alt.value(_("← raises the logit")), "muted", align="left"),
        ink_text(right, alt.value(_("lowers it →")), "muted", align="right"),
        ink_text(title, alt.value(_("Gradient of the loss to each logit")), align="left"),
    ]


# ------------------------------------------------------------------------------------------------
# Accuracy against temperature, a line for each alpha: what a sweep of short trainings found.


SWEEP_HEIGHT_PX = 340
MARKS = ("circle", "square", "triangle-up", "diamond", "cross")


def sweep_frame(sweep: Sweep) -> pd.DataFrame:
    """One row per setting: temperature, alpha, seeds, n, and accuracy with its interval in %."""
    return pd.DataFrame(
        {
            "temperature": row.temperature,
            "alpha": row.alpha,
            "seeds": row.seeds,
            "n": row.n,
            "accuracy": 100 * row.mean,
            "low": 100 * row.low,
            "high": 100 * row.high,
        }
        for row in settings(sweep)
    )


def points_frame(sweep: Sweep) -> pd.DataFrame:
    """One row per training: temperature, alpha, seed, split, n, correct, accuracy in %."""
    rows = []
    for point in sweep.points:
        score = point.test or point.validation
        rows.append(
            {
                "temperature": point.temperature,
                "alpha": point.alpha,
                "seed": point.seed,
                "split": "testing" if point.test else "validation",
                "n": score.n,
                "correct": score.correct,
                "accuracy": 100 * score.accuracy,
            }
        )
    return pd.DataFrame(rows)


def sweep_chart(sweep: Sweep) -> Spec:
    """Every training as a small mark, the mean of the seeds as a line; labels alone as a rule."""
    means, points = sweep_frame(sweep), points_frame(sweep)
    rows = {
        "means": means.dropna(subset=["alpha"]),
        "points": points.dropna(subset=["alpha"]),
    }
    rows = {
        name: frame.assign(series=[f"α = {alpha:g}" for alpha in frame["alpha"]])
        for name, frame in rows.items()
    }
    alone = means[means["alpha"].isna()][["accuracy", "low", "high"]]
    spec = _sweep_shape(
        tuple(sorted(rows["means"]["temperature"].unique())),
        tuple(rows["means"].sort_values("alpha")["series"].unique()),
    )
    return inlined(with_data(spec, alone=alone.assign(label=_("labels alone, no teacher")), **rows))


@compiled
def _sweep_shape(temperatures: tuple[float, ...], names: tuple[str, ...]) -> alt.LayerChart:
    x = alt.X(
        "temperature:Q",
        title=_("Temperature T"),
        scale=alt.Scale(type="log", base=2, nice=False, padding=24),
        axis=alt.Axis(values=list(temperatures), format="~g", grid=False),
    )
    y = alt.Y(
        "accuracy:Q", title=_("Accuracy, %"), scale=alt.Scale(zero=False, padding=12, nice=True)
    )
    marks = alt.Scale(domain=list(names), range=list(MARKS))
    dashes = alt.Scale(domain=list(names), range=[[1, 0], [7, 3], [2, 3], [7, 3, 2, 3], [1, 2]])
    tooltip = [
        alt.Tooltip("series:N", title=_("alpha")),
        alt.Tooltip("temperature:Q", title="T"),
        alt.Tooltip("accuracy:Q", title=_("accuracy, %"), format=".1f"),
        alt.Tooltip("seed:N", title=_("seed")),
    ]
    means = alt.Chart(alt.NamedData("means")).encode(x=x, y=y)
    lines = means.mark_line(strokeWidth=2.5).encode(
        strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=None)
    )
    points = alt.Chart(alt.NamedData("points")).mark_point(filled=True, size=70, opacity=0.75)
    shapes = alt.Shape("series:N", scale=marks, legend=None)
    last = means.transform_filter(f"datum.temperature == {max(temperatures)}")
    alone = alt.Chart(alt.NamedData("alone")).encode(y=y)
    rule = alone.mark_rule(strokeDash=[5, 4], strokeWidth=2)
    label = alone.encode(x=alt.value(4))
    chart = layered(
        painted(rule, "scratch"),
        painted(lines, "distilled"),
        painted(points.encode(x=x, y=y, shape=shapes, tooltip=tooltip), "distilled"),
        ink_text(last, "series:N", align="left", dx=10),
        ink_text(label, "label:N", align="left", dy=-8),
    )
    return finish(chart, height=SWEEP_HEIGHT_PX)


# ------------------------------------------------------------------------------------------------
# Scratch against distilled: the difference of each seed, and over seeds, with its interval.


ROW_PX, GAIN_ROW_PX, AXIS_PX = 58, 46, 60


def network_title(key: str) -> str:
    """A registered network's name; a designed one's key, shortened."""
    return MODELS[key].title if key in MODELS else short_name(key)


def gain_frame(contrasts: Sequence[Contrast]) -> pd.DataFrame:
    """One row per recipe, its mean over seeds; differences in percentage points.

    Columns: row, short (what it is called, and where there is less room), seeds, gain, low, high
    (95 %, over photographs, and over seeds if there are two), text.
    """
    rows = []
    for each in contrasts:
        first, seeds = each.a.first, len(each.pairs)
        whole = _(first.title)
        form = ngettext("{network}, {n} seed", "{network}, {n} seeds", seeds)
        gain, low, high = each.interval()
        rows.append(
            {
                "row": form.format(network=whole, n=seeds),
                "short": versions(first.model, first.recipe, whole)[-2],
                "seeds": seeds,
                "gain": 100 * gain,
                "low": 100 * low,
                "high": 100 * high,
                "text": f"{points(gain)}  ({points_interval(low, high)})",
            }
        )
    return pd.DataFrame(rows)


def gain_chart(contrasts: Sequence[Contrast]) -> Spec:
    """Mean differences with 95 % intervals about a line at 0, single seeds as small marks; a row's
    name stands over its mark."""
    frame = gain_frame(contrasts)
    reach = max(1, math.ceil(1.1 * frame[["low", "high"]].abs().to_numpy().max()))
    seeds = pd.DataFrame(
        [
            (place, pair.a.seed, 100 * pair.difference, "distilled")
            for place, each in enumerate(contrasts)
            for pair in each.pairs
            if each.over_seeds
        ],
        columns=["place", "seed", "gain", "role"],
    )
    means = frame.assign(place=range(len(frame)), role="distilled")
    return inlined(with_data(_gain_shape(len(frame), reach), means=means, seeds=seeds))


@compiled
def _gain_shape(rows: int, reach: int) -> alt.LayerChart:
    x = alt.X(
        "gain:Q",
        title=_("Distilled minus scratch, percentage points"),
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    y = alt.Y(
        "place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1)
    )  # a name beside the axis would leave a phone no room for the marks
    base = alt.Chart(alt.NamedData("means")).encode(y=y)
    span = base.mark_rule(strokeWidth=3).encode(
        alt.X("low:Q", title=x["title"]), x2="high:Q", color=role_color()
    )
    mark = base.mark_point(filled=True, opacity=1, size=200).encode(
        x=x,
        color=role_color(),
        shape=role_shape(),
        tooltip=[alt.Tooltip("row:N"), alt.Tooltip("text:N")],
    )
    seeds = alt.Chart(alt.NamedData("seeds")).mark_tick(thickness=2, size=16).encode(
        x=x,
        y=y,
        color=role_color(),
        tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("gain:Q", format="+.2f")],
    )  # fmt: skip
    name = base.transform_calculate(shown="width < 420 ? datum.short : datum.row")
    zero = alt.Chart(point(gain=0)).mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(x=x)
    chart = layered(
        painted(zero, "muted"),
        span,
        seeds,
        mark,
        ink_text(name.encode(x=alt.value(0)), "shown:N", align="left", dy=-13),
        ink_text(
            base.encode(x=alt.XValue(alt.expr("width"))), "text:N", "muted", align="right", dy=13
        ),
    )
    return finish(chart, height=GAIN_ROW_PX * rows + AXIS_PX)


# ------------------------------------------------------------------------------------------------
# Accuracy on real photographs of students that learned from dreams, and from photographs.


def row_name(learned_from: str, pictures: int) -> str:
    """What a row is called: "968 generated pictures", "3,634 photographs"."""
    n = numbers.count(pictures)
    return (_("{n} generated pictures") if learned_from == DREAMS else _("{n} photographs")).format(
        n=n
    )


def shown_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """`trial_frame` with the chart's words beside its numbers."""
    return frame.assign(
        row=[
            row_name(source, n)
            for source, n in zip(frame["learned_from"], frame["pictures"], strict=True)
        ],
        text=[
            f"{numbers.percent(a, n)}  ({numbers.interval(low, high, n)})"
            for a, low, high, n in zip(
                frame["accuracy"], frame["low"], frame["high"], frame["n"], strict=True
            )
        ],
        after=[
            ngettext("{steps} steps, {n} seed", "{steps} steps, {n} seeds", seeds).format(
                steps=numbers.count(steps), n=seeds
            )
            for steps, seeds in zip(frame["steps"], frame["seeds"], strict=True)
        ],
        # a mark filled with nothing for dreams: they are hollow, whatever the colours
        role="distilled",
        hollow=frame["learned_from"] == DREAMS,
        place=range(len(frame)),
    )


def dreamed_chart(frame: pd.DataFrame) -> Spec:
    """Accuracies with 95 % intervals over a line for blind guessing; `frame` is `shown_frame`'s."""
    return inlined(with_data(_dreamed_shape(len(frame)), rows=frame))


@compiled
def _dreamed_shape(rows: int) -> alt.LayerChart:
    x = alt.X(
        "accuracy:Q",
        title=_("Right on real test photographs"),
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(grid=False, format="%", tickCount=6),
    )
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    base = alt.Chart(alt.NamedData("rows")).encode(y=y)
    span = base.mark_rule(strokeWidth=2.5).encode(
        alt.X("low:Q", title=x["title"]), x2="high:Q", color=role_color()
    )
    marks = [
        base.transform_filter(f"datum.hollow == {str(hollow).lower()}")
        .mark_point(filled=not hollow, opacity=1, size=140, strokeWidth=2.5)
        .encode(x=x, color=role_color(), shape=role_shape())
        for hollow in (True, False)
    ]
    name = base.encode(x=alt.value(0))
    figures = base.encode(x=alt.XValue(alt.expr("width")))
    chart = layered(
        guide("x", 1 / len(CLASSES)),
        span,
        *marks,
        ink_text(name, "row:N", align="left", dy=-16),
        ink_text(name, "after:N", "muted", align="left", dy=17),
        ink_text(figures, "text:N", "muted", align="right", dy=-16),
    )
    return finish(chart, height=ROW_PX * rows + AXIS_PX)
