"""The pictures of temperature and distillation.

The first two are redrawn in the browser: logits travel once, temperature, alpha and a moved logit
are Vega parameters bound to inputs, and softmax, entropy, losses and gradients are Vega's own
transforms, so a drag sends nothing to the server. Each of them is one plot, because a parameter
cannot cross from plot to plot, and because one plot follows the width of the screen; each part of
it has its own stretch of the height, so all axes are fixed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data, with_rows
from core.charts.names import versions
from core.charts.numbers import points, points_interval
from core.charts.theme import (
    FONT_PX,
    RoleKey,
    finish,
    glyph,
    ink_text,
    layered,
    painted,
    role_color,
    role_shape,
    row_guide,
)
from core.checkpoints.by_recipe import Contrast
from core.course import CLASSES
from core.data.dreams import DREAMS
from core.distillation import temperature as softening
from core.distillation.against_scratch import DreamTrial, pictures, steps
from core.distillation.sweep import Sweep, settings
from core.distillation.terms import GRID, MOVE, T_HIGH, T_LOW, T_STEP, largest_gradient
from core.i18n import _, bracketed, food_class, labelled, ngettext

ANSWERS = alt.NamedData("answers")
ROW_OF_NOTHING = alt.InlineData(values=[{}])
"""For a line or a word whose place needs no data."""
LIMIT_NATS = math.log(len(CLASSES))
"""Entropy of eleven equal probabilities."""


class Range(NamedTuple):
    """A slider: from, to, step, and where it starts."""

    low: float
    high: float
    step: float
    start: float


def _rows(**columns: Sequence[float]) -> alt.InlineData:
    """A few fixed rows: places of lines."""
    return alt.InlineData(
        values=[dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )


def _word(text: str, x: Any, y_px: float, slot: str = "text", **mark: Any) -> alt.Chart:
    """A text at a fixed place; `x`: an encoding's value, or px from the left."""
    place = alt.Chart(ROW_OF_NOTHING).encode(
        x=alt.value(x) if isinstance(x, int) else x, y=alt.value(y_px)
    )
    return ink_text(place, alt.value(text), slot, **{"align": "left", **mark})


def _temperature_axis(field: str, low: float, ticks: list[float]) -> alt.X:
    return alt.X(
        field,
        title=_("Temperature T"),
        scale=alt.Scale(type="log", domain=[low, T_HIGH], nice=False),
        axis=alt.Axis(values=ticks, format="~g", grid=False, orient="bottom"),
    )


def _current_temperature(x: alt.X, stretch: tuple[int, int]) -> list[alt.Chart]:
    """A line at the slider's T, and its value above it."""
    at = alt.Chart(ROW_OF_NOTHING).transform_calculate(at="T", text="'T = ' + format(T, '.1f')")
    top, bottom = (alt.value(y) for y in stretch)
    return [
        painted(at.mark_rule(strokeWidth=2).encode(x=x, y=top, y2=bottom), "text"),
        ink_text(at.encode(x=x, y=alt.value(stretch[0] - 10)), "text:N"),
    ]


def expression(sentence: str, **values: str) -> str:
    """A Vega expression for a translated sentence with {names} in it, each an expression."""
    parts, rest = [], sentence
    while rest:
        before, brace, tail = rest.partition("{")
        if before:
            parts.append(repr(before))
        rest = ""
        if brace:
            name, _brace, rest = tail.partition("}")
            parts.append(f"({values[name]})")
    return " + ".join(parts)


# Softmax at a temperature: above, a panel of bars for each network (an offset on one axis); below,
# the entropy against T.

_PANEL = 1.45
"""Width of a panel in units of probability: bars from 0 to 1, then the column of figures."""
_FIGURE_AT = 1.36
_BARS = (42, 284)
"""From where to where, in px from the top, the bars stand; the entropy curves below them."""
_CURVES = (366, 470)
TEMPERATURE_HEIGHT_PX = _CURVES[1]


class Voice(NamedTuple):
    """One network's logits for the example: what is drawn in one panel."""

    short: str
    """The head of the panel: a word or two."""
    title: str
    role: RoleKey
    logits: NDArray[np.float32]
    """(11,) in label order."""


def temperature_chart(
    voices: Sequence[Voice], start: float, true_label: int | None = None, is_open: bool = True
) -> Spec:
    """Bars of each voice at the slider's T, over their entropy against T; the slider at `start`.

    Classes are sorted by the first voice's logits; the true one, if known, is ticked. Unless
    `is_open`, whatever shows what another T would do is left out, and its room kept: the slider and
    the curves.
    """
    order = np.argsort(-voices[0].logits, kind="stable")
    answers = [
        {
            "series": voice.title,
            "head": f"{glyph(voice.role)} {voice.short}",
            "role": voice.role,
            "panel": panel,
            "offset": panel * _PANEL,
            "food": ("✓ " if label == true_label else "") + food_class(CLASSES[label]),
            "place": place,
            "logit": float(voice.logits[label]),
            "gap": float(voice.logits[label] - voice.logits.max()),
        }
        for panel, voice in enumerate(voices)
        for place, label in enumerate(order)
    ]
    # both are compiled at once: who guesses need not wait for the other
    specs = {each: _temperature_spec(len(voices), each) for each in (True, False)}
    return with_data(specs[is_open], {"T": start}, answers=pa.Table.from_pylist(answers))


@compiled
def _temperature_spec(panels: int, is_open: bool) -> alt.LayerChart:
    low, high, step = softening.T_LOW, softening.T_HIGH, softening.T_STEP
    bind = alt.binding_range(min=low, max=high, step=step, name=_("Temperature T"))
    slider = alt.param(name="T", value=1.0, bind=bind if is_open else alt.Undefined)
    both = layered(layered(*_softmax_bars(panels, is_open)), layered(*_entropy(panels, is_open)))
    both = both.resolve_scale(x="independent", y="independent").add_params(slider)
    return _fit_width(both, TEMPERATURE_HEIGHT_PX)


def _fit_width(chart: alt.LayerChart, height_px: int) -> Any:
    """Finish a chart whose parts stand at fixed heights, which a fitted height would squeeze."""
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    return finish(chart.properties(autosize=exact), height=height_px)


def _classes_axis(stretch: tuple[int, int]) -> alt.Y:
    """Classes from top to bottom in the order of the column `place`."""
    return alt.Y(
        "food:N",
        sort=alt.EncodingSortField(field="place", op="min"),
        title=None,
        scale=alt.Scale(type="band", range=list(stretch), padding=0.15),
        axis=alt.Axis(orient="left", labelPadding=6, grid=False, labelOverlap=False),
    )


def _softmax_bars(panels: int, is_open: bool) -> list[alt.Chart]:
    ticks = [panel * _PANEL + value for panel in range(panels) for value in (0, 0.5, 1)]
    top, bottom = (alt.value(y) for y in _BARS)
    x = alt.X(
        "offset:Q",
        title=None,
        scale=alt.Scale(domain=[0, _PANEL * panels], nice=False),
        axis=alt.Axis(
            values=ticks,
            labelExpr=f"format(datum.value % {_PANEL}, '.0%')",
            orient="bottom",
            grid=False,
            offset=_BARS[1] - TEMPERATURE_HEIGHT_PX,
            labelFlush=False,
        ),
    )
    softmax = (
        alt.Chart(ANSWERS)
        .transform_calculate(power="exp(datum.gap / T)")
        .transform_joinaggregate(total="sum(power)", groupby=["series"])
        .transform_calculate(p="datum.power / datum.total")
        .transform_calculate(
            end="datum.offset + datum.p",
            figure=f"datum.offset + {_FIGURE_AT}",
            percent="datum.p < 0.005 ? '<1%' : format(datum.p, '.0%')",
        )
        .encode(y=_classes_axis(_BARS))
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
    grid = alt.Chart(_rows(offset=ticks)).mark_rule(opacity=0.25)
    even = _rows(offset=[panel * _PANEL + 1 / len(CLASSES) for panel in range(panels)])
    limit = alt.Chart(even).mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    text = expression(_("entropy {nats} nats"), nats="format(datum.entropy, '.2f')")
    heads = _entropy_at_t("offset", "head").transform_calculate(text=text).encode(x=x)
    return [
        painted(grid.encode(x=x, y=top, y2=bottom), "muted"),
        bars,
        *([painted(limit.encode(x=x, y=top, y2=bottom), "text")] if is_open else []),
        figures,
        ink_text(heads.encode(y=alt.value(8)), "head:N", align="left", fontWeight="bold"),
        ink_text(heads.encode(y=alt.value(28)), "text:N", slot="muted", align="left"),
    ]


def _entropy_at_t(*keep: str, over: Sequence[float] = ()) -> alt.Chart:
    """One row per network with its `entropy` at the temperature `at`: the slider's, or each `over`.

    With w = exp(gap / T) and S = sum w, H = ln S - sum(w gap / T) / S.
    """
    chart = alt.Chart(ANSWERS).transform_calculate(at="T")
    if over:
        grid = ", ".join(f"{t:.6g}" for t in over)
        chart = chart.transform_calculate(at=f"[{grid}]").transform_flatten(["at"])
    return (
        chart.transform_calculate(w="exp(datum.gap / datum.at)")
        .transform_calculate(wg="datum.w * datum.gap / datum.at")
        .transform_aggregate(S="sum(w)", G="sum(wg)", groupby=["series", "role", "at", *keep])
        .transform_calculate(entropy="log(datum.S) - datum.G / datum.S")
    )


def _entropy(panels: int, is_open: bool) -> list[alt.Chart]:
    x = _temperature_axis("at:Q", softening.T_LOW, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20])
    y = alt.Y(
        "entropy:Q",
        title=None,
        scale=alt.Scale(domain=[0, 2.6], range=[_CURVES[1], _CURVES[0]], nice=False),
        axis=alt.Axis(values=[0, 0.5, 1, 1.5, 2], grid=True, format=".1f", orient="left"),
    )
    ceiling = alt.Chart(_rows(entropy=[LIMIT_NATS])).encode(y=y)
    heads_y = _CURVES[0] - 34
    grid = np.geomspace(softening.T_LOW, softening.T_HIGH, 60)
    curves = _entropy_at_t(over=[float(t) for t in grid]).mark_line(strokeWidth=2.5)
    current = _entropy_at_t("panel", "head").transform_calculate(
        # the curves meet at their right end, so their names stand side by side above the plot
        name_at=f"width - ({panels - 1} - datum.panel) * 84"
    )
    marks = current.mark_point(size=140, filled=True, opacity=1)
    names = current.mark_text(align="right", fontSize=FONT_PX, fontWeight="bold").encode(
        x=alt.X("name_at:Q", scale=None, axis=None),
        y=alt.value(heads_y),
        text="head:N",
        color=role_color(),
    )
    return [
        painted(ceiling.mark_rule(strokeDash=[5, 4], strokeWidth=1.5), "text"),
        _word(_("Entropy, in nats"), -48, heads_y, fontWeight="bold"),
        ink_text(ceiling.encode(x=alt.value(6)), alt.value("ln 11"), "muted", align="left",
                 baseline="bottom", dy=-3),
        *([curves.encode(x=x, y=y, color=role_color(), detail="series:N")] if is_open else []),
        *_current_temperature(x, _CURVES),
        marks.encode(x=x, y=y, color=role_color(), shape=role_shape()),
        names,
    ]  # fmt: skip


# The distillation loss of one example: the losses in words, which are also the key; the gradient
# of each logit; the gradients' lengths against T.
#
# Parameters: `T`, `alpha`, `move` (added to one student logit) and `pick` (its label). Data
# `answers`: a row for each class with label, food, place, z, v (logits of student and teacher),
# truth (1 for the true class) and reach (either end of the gradient's axis).

HARD, SOFT, TOTAL = "correct", "teacher", "distilled"
"""Colour slots of the terms: from the label, from the teacher, what the student gets."""
_GRADIENT = (130, 320)
"""From where to where, in px from the top, the gradient's bars stand."""
_LENGTHS = (380, 468)
"""The same for the curves below them."""
_LENGTHS_AXIS = (3e-4, 20.0)
"""What is shorter stands at the lower end."""
DISTILLATION_HEIGHT_PX = _LENGTHS[1]
INPUTS = {
    "T": Range(T_LOW, T_HIGH, T_STEP, 4.0),
    "alpha": Range(0.0, 1.0, 0.05, 0.5),
    "move": Range(-MOVE, MOVE, 0.25, 0.0),
    "pick": Range(0, len(CLASSES) - 1, 1, 0),
}
"""The inputs by the parameter they move, with where they begin by themselves."""


def distillation_chart(
    student: NDArray[np.float32],
    teacher: NDArray[np.float32],
    label: int,
    starts: Mapping[str, float],
    *,
    moves: bool = True,
    is_open: bool = True,
) -> Spec:
    """The loss of one example taken apart. student, teacher: logits (11,), label: the true class.

    `starts`: where each of `INPUTS` begins; `moves`: whether a logit can be moved. Classes stand in
    the order of the teacher's logits; the gradient's axis is wide enough for every setting of the
    sliders. Unless `is_open`, the lengths of the gradients are left out, and their room kept.
    """
    bound = largest_gradient(student, teacher, moves)
    answers = [
        {
            "label": int(k),
            "food": ("✓ " if k == label else "") + food_class(CLASSES[k]),
            "place": place,
            "z": float(student[k]),
            "v": float(teacher[k]),
            "truth": int(k == label),
            "reach": bound if place % 2 else -bound,
        }
        for place, k in enumerate(np.argsort(-np.asarray(teacher), kind="stable"))
    ]
    spec = _distillation_spec()
    if not moves:
        bound_always = ("T", "alpha")
        spec = spec | {
            "params": [
                {key: part for key, part in param.items()
                 if key != "bind" or param["name"] in bound_always}
                for param in spec["params"]
            ]
        }  # fmt: skip
    if not is_open:
        bars, curves = spec["layer"]
        head, hidden, *_answer = curves["layer"]
        spec = spec | {"layer": [bars, curves | {"layer": [head, hidden]}]}
    else:
        bars, curves = spec["layer"]
        head, _hidden, *answer = curves["layer"]
        spec = spec | {"layer": [bars, curves | {"layer": [head, *answer]}]}
    return with_data(spec, starts, answers=pa.Table.from_pylist(answers))


@compiled
def _distillation_spec() -> alt.LayerChart:
    """With all inputs and both parts; `distillation_chart` takes away what is not wanted."""
    titles = {
        "T": _("Temperature T"),
        "alpha": _("Alpha"),
        "move": _("Add to a logit"),
    }
    binds: dict[str, Any] = {
        name: alt.binding_range(
            min=INPUTS[name].low, max=INPUTS[name].high, step=INPUTS[name].step, name=title
        )
        for name, title in titles.items()
    }
    binds["pick"] = alt.binding_select(
        options=list(range(len(CLASSES))),
        labels=[food_class(name) for name in CLASSES],
        name=_("… of the class"),
    )
    params = [
        alt.param(name=name, value=INPUTS[name].start, bind=bind) for name, bind in binds.items()
    ]
    both = layered(layered(*_losses(), *_gradient_bars()), layered(*_gradient_lengths()))
    both = both.resolve_scale(x="independent", y="independent").add_params(*params)
    return _fit_width(both, DISTILLATION_HEIGHT_PX)


def _softened(chart: alt.Chart, t: str, *per: str) -> alt.Chart:
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


def _losses() -> list[alt.Chart]:
    """Three lines over the bars: the losses at the sliders' setting; they name the colours, too."""
    sums = (
        _softened(alt.Chart(ANSWERS), "T")
        .transform_calculate(ce="-datum.truth * datum.logq1")
        .transform_calculate(kl="datum.p * (datum.logp - datum.logq)")
        .transform_aggregate(hard="sum(ce)", kl="sum(kl)")
        .transform_calculate(soft="T * T * max(0, datum.kl)")
        .transform_calculate(total="alpha * datum.soft + (1 - alpha) * datum.hard")
    )
    sentences = {
        SOFT: (_("soft loss: {loss}"), "soft"),
        HARD: (_("hard loss: {loss}"), "hard"),
        TOTAL: (_("{a} soft + {b} hard = {loss}"), "total"),
    }
    weights = {"a": "format(alpha, '.2f')", "b": "format(1 - alpha, '.2f')"}
    layers = []
    for row, (slot, (sentence, loss)) in enumerate(sentences.items()):
        line = expression(sentence, loss=f"format(datum.{loss}, '.2f')", **weights)
        place = sums.transform_calculate(line=f"'{glyph(slot)} ' + {line}").encode(
            x=alt.value(0), y=alt.value(8 + 22 * row)
        )
        layers.append(ink_text(place, "line:N", slot, align="left", fontWeight="bold"))
    return layers


def _gradient_bars() -> list[alt.Chart]:
    top, bottom = (alt.value(y) for y in _GRADIENT)
    x = alt.X(
        "from:Q",
        title=None,
        scale=alt.Scale(nice=False, zero=False),
        axis=alt.Axis(  # on top: its place does not depend on what stands below
            orient="top", grid=False, offset=-_GRADIENT[0], tickCount=5, format="~g",
            labelFlush=False,
        ),
    )  # fmt: skip
    y = _classes_axis(_GRADIENT)
    rows = _softened(alt.Chart(ANSWERS), "T").transform_calculate(
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
    zero = alt.Chart(_rows(**{"from": [0]})).mark_rule(strokeWidth=1.5)
    # points that nobody sees hold the axis at the widest that any slider can reach
    reach = alt.Chart(ANSWERS).transform_calculate(**{"from": "datum.reach"})
    signs_y = _GRADIENT[0] - 46
    return [
        reach.mark_point(opacity=0, size=1).encode(x=x, y=bottom),
        bars,
        painted(zero.encode(x=x, y=top, y2=bottom), "text"),
        total,
        _word(_("← raises the logit"), 0, signs_y, "muted"),
        _word(_("lowers it →"), alt.XValue(alt.expr("width")), signs_y, "muted", align="right"),
    ]


def _gradient_lengths() -> list[alt.Chart]:
    """The gradients' lengths against T, unweighted: with T², without it, and the hard one."""
    x = _temperature_axis("at:Q", T_LOW, [1, 2, 5, 10, 20])
    y = alt.Y(
        "length:Q",
        title=None,
        scale=alt.Scale(
            type="log", domain=list(_LENGTHS_AXIS), range=[_LENGTHS[1], _LENGTHS[0]], nice=False,
            clamp=True,
        ),
        axis=alt.Axis(values=[0.001, 0.01, 0.1, 1, 10], grid=True, format="~g", orient="left"),
    )  # fmt: skip
    grid = ", ".join(f"{t:.6g}" for t in GRID)
    start = alt.Chart(ANSWERS).transform_calculate(at=f"[{grid}]").transform_flatten(["at"])
    curves, current = (
        # a row per `at`: the Euclidean lengths `soft` (of T² KL), `bare` (of KL) and `hard`
        _softened(chart, "datum.at", "at")
        .transform_calculate(d2="pow(datum.q - datum.p, 2)", h2="pow(datum.q1 - datum.truth, 2)")
        .transform_aggregate(d="sum(d2)", h="sum(h2)", groupby=["at"])
        .transform_calculate(
            soft="sqrt(datum.d) * datum.at", bare="sqrt(datum.d) / datum.at", hard="sqrt(datum.h)"
        )
        for chart in (start, alt.Chart(ANSWERS).transform_calculate(at="T"))
    )
    kinds = {
        "soft": (SOFT, [1, 0], _("soft, with T²")),
        "bare": (SOFT, [6, 5], _("soft, without T²")),
        "hard": (HARD, [1, 0], _("hard")),
    }
    layers = [
        _word(_("Gradient lengths"), 0, _LENGTHS[0] - 34, fontWeight="bold"),
        _word(_("hidden until you guess"), 0, sum(_LENGTHS) / 2, "muted"),
    ]
    for name, (slot, dash, title) in kinds.items():
        line = curves.transform_calculate(length=f"datum.{name}").mark_line(
            strokeWidth=2.5, strokeDash=dash
        )
        mark = current.transform_calculate(length=f"datum.{name}", slot=f"'{slot}'")
        layers += [
            painted(line.encode(x=x, y=y), slot),
            mark.mark_point(size=110, filled=True, opacity=1).encode(
                x=x, y=y, color=role_color("slot"), shape=role_shape("slot")
            ),
        ]
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
    return layers + _current_temperature(x, _LENGTHS)


# A sweep of short trainings: accuracy against temperature, a line for each alpha.

SWEEP_HEIGHT_PX = 340


def sweep_chart(sweep: Sweep) -> Spec:
    """Every training as a small mark, the mean of the seeds as a line; labels alone as a rule."""
    kept = settings(sweep)
    means = [
        {
            "temperature": row.temperature,
            "series": f"α = {row.alpha:g}",
            "accuracy": 100 * row.mean,
            "seed": None,
        }
        for row in kept
        if row.alpha is not None
    ]
    trainings = [
        {
            "temperature": point.temperature,
            "series": f"α = {point.alpha:g}",
            "accuracy": 100 * (point.test or point.validation).accuracy,
            "seed": point.seed,
        }
        for point in sweep.points
        if point.alpha is not None
    ]
    alone = [{"accuracy": 100 * row.mean} for row in kept if row.alpha is None]
    temperatures = sorted({row.temperature for row in kept if row.temperature is not None})
    names = dict.fromkeys(f"α = {row.alpha:g}" for row in kept if row.alpha is not None)
    spec = _sweep_spec(tuple(temperatures), tuple(names))
    return with_rows(spec, means=means, points=trainings, alone=alone)


@compiled
def _sweep_spec(temperatures: tuple[float, ...], names: tuple[str, ...]) -> alt.LayerChart:
    x = alt.X(
        "temperature:Q",
        title=_("Temperature T"),
        scale=alt.Scale(type="log", base=2, nice=False, padding=24),
        axis=alt.Axis(values=list(temperatures), format="~g", grid=False),
    )
    y = alt.Y(
        "accuracy:Q", title=_("Accuracy, %"), scale=alt.Scale(zero=False, padding=12, nice=True)
    )
    shapes = ["circle", "square", "triangle-up", "diamond", "cross"]
    dashes = [[1, 0], [7, 3], [2, 3], [7, 3, 2, 3], [1, 2]]
    tooltip = [
        alt.Tooltip("series:N", title=_("alpha")),
        alt.Tooltip("temperature:Q", title="T"),
        alt.Tooltip("accuracy:Q", title=_("accuracy, %"), format=".1f"),
        alt.Tooltip("seed:N", title=_("seed")),
    ]
    means = alt.Chart(alt.NamedData("means")).encode(x=x, y=y)
    lines = means.mark_line(strokeWidth=2.5).encode(
        strokeDash=alt.StrokeDash(
            "series:N", scale=alt.Scale(domain=list(names), range=dashes), legend=None
        )
    )
    trainings = alt.Chart(alt.NamedData("points")).mark_point(filled=True, size=70, opacity=0.75)
    shape = alt.Shape("series:N", scale=alt.Scale(domain=list(names), range=shapes), legend=None)
    last = means.transform_filter(f"datum.temperature == {max(temperatures)}")
    alone = alt.Chart(alt.NamedData("alone")).encode(y=y)
    chart = layered(
        painted(alone.mark_rule(strokeDash=[5, 4], strokeWidth=2), "scratch"),
        painted(lines, "distilled"),
        painted(trainings.encode(x=x, y=y, shape=shape, tooltip=tooltip), "distilled"),
        ink_text(last, "series:N", align="left", dx=10),
    )
    return finish(chart, height=SWEEP_HEIGHT_PX)


# Rows of intervals, a name over each mark: distilled minus scratch, and accuracies of students
# that learned from generated pictures.

_AXIS_PX = 60
_PLACE = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
"""Without names beside it: they would leave a phone no room for the marks."""


def _interval_rows(x: alt.X, value: float, height_px: int, *more: Any) -> Any:
    """Intervals and marks of the rows `rows` about a line at `value`, layers `more` between them.

    Columns: place, role, hollow, name, figure (texts at the left and right over the mark), under
    (a text below the figure, maybe empty), full (the tooltip), that of `x`, low and high.
    """
    base = alt.Chart(alt.NamedData("rows")).encode(y=_PLACE)
    span = base.mark_rule(strokeWidth=3, yOffset=9).encode(
        alt.X("low:Q", title=x["title"]), x2="high:Q", color=role_color()
    )
    marks = [
        base.transform_filter(f"datum.hollow == {str(hollow).lower()}")
        .mark_point(filled=not hollow, opacity=1, size=200, strokeWidth=2.5, yOffset=9)
        .encode(x=x, color=role_color(), shape=role_shape(), tooltip=[alt.Tooltip("full:N")])
        for hollow in (True, False)
    ]
    left, right = base.encode(x=alt.value(0)), base.encode(x=alt.XValue(alt.expr("width")))
    chart = layered(
        row_guide(base, alt.X("guide:Q", title=x["title"]), value),
        *more,
        span,
        *marks,
        ink_text(left, "name:N", align="left", dy=-12),
        ink_text(right, "under:N", "muted", align="right", dy=9),
        ink_text(right, "figure:N", "muted", align="right", dy=-12),
    )
    return finish(chart, height=height_px)


def gain_rows(contrasts: Sequence[Contrast]) -> list[dict[str, Any]]:
    """A row for each recipe, its mean over seeds; differences in percentage points.

    Keys: `_interval_rows`'s, and seeds, gain, low, high (95 %, over photographs, and over seeds if
    there are two).
    """
    rows = []
    for place, contrast in enumerate(contrasts):
        first, seeds = contrast.a.first, len(contrast.pairs)
        gain, low, high = contrast.interval()
        title = _(first.title)
        form = ngettext("{network}, {n} seed", "{network}, {n} seeds", seeds)
        whole = form.format(network=title, n=seeds)
        rows.append(
            {
                "place": place,
                "role": "distilled",
                "hollow": False,
                "name": versions(first.model, first.recipe, title)[-2],
                "figure": points(gain),
                "under": "",
                "full": labelled(whole, bracketed(points(gain), points_interval(low, high))),
                "seeds": seeds,
                "gain": 100 * gain,
                "low": 100 * low,
                "high": 100 * high,
            }
        )
    return rows


def gain_chart(contrasts: Sequence[Contrast]) -> Spec:
    """Mean differences with 95 % intervals about a line at 0, single seeds as small marks."""
    rows = gain_rows(contrasts)
    reach = max(1, math.ceil(1.1 * max(max(-row["low"], row["high"]) for row in rows)))
    seeds = [
        {"place": place, "seed": pair.a.seed, "gain": 100 * pair.difference, "role": "distilled"}
        for place, contrast in enumerate(contrasts)
        for pair in contrast.pairs
        if contrast.over_seeds
    ]
    return with_rows(_gain_spec(len(rows), reach), rows=rows, seeds=seeds)


@compiled
def _gain_spec(rows: int, reach: int) -> alt.LayerChart:
    x = alt.X(
        "gain:Q",
        title=_("Distilled minus scratch, points"),
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    seeds = alt.Chart(alt.NamedData("seeds")).mark_tick(thickness=2, size=14, yOffset=9).encode(
        x=x,
        y=_PLACE,
        color=role_color(),
        tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("gain:Q", format="+.2f")],
    )  # fmt: skip
    return _interval_rows(x, 0, 36 * rows + _AXIS_PX, seeds)


def row_name(learned_from: str, n_pictures: int) -> str:
    """What a row is called: "968 generated pictures", "3,634 photographs"."""
    form = _("{n} generated pictures") if learned_from == DREAMS else _("{n} photographs")
    return form.format(n=numbers.count(n_pictures))


def dreamed_rows(trials: Sequence[DreamTrial]) -> list[dict[str, Any]]:
    """A row for each recipe that learned from generated pictures, and for each of its twins.

    Keys: `_interval_rows`'s, and accuracy, low, high (fractions), for chart and CSV.
    """
    rows = []
    groups = [
        (group, is_dreamed)
        for trial in trials
        for group, is_dreamed in [(trial.dreamed, True), *((twin.b, False) for twin in trial.twins)]
    ]
    for place, (group, is_dreamed) in enumerate(groups):
        first, n, seeds = group.first, group.n, len(group.seeds)
        mean, low, high = group.interval()
        name = row_name(DREAMS if is_dreamed else "", pictures(first))
        form = ngettext("{steps} steps, {n} seed", "{steps} steps, {n} seeds", seeds)
        figure = bracketed(numbers.percent(mean, n), numbers.interval(low, high, n))
        rows.append(
            {
                "stem": group.stem,
                "pictures": pictures(first),
                "steps": steps(first),
                "seeds": seeds,
                "n": n,
                "accuracy": mean,
                "low": low,
                "high": high,
                "place": place,
                "role": "distilled",
                "hollow": is_dreamed,  # whatever the colours
                "name": name,
                "figure": figure,
                "under": form.format(steps=numbers.count(steps(first)), n=seeds),
                "full": labelled(name, figure),
            }
        )
    return rows


def dreamed_chart(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Accuracies with 95 % intervals over a line for blind guessing; `rows`: `dreamed_rows`."""
    return with_rows(_dreamed_spec(len(rows)), rows=rows)


@compiled
def _dreamed_spec(rows: int) -> alt.LayerChart:
    x = alt.X(
        "accuracy:Q",
        title=_("Right on real test photographs"),
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(grid=False, format="%", tickCount=6),
    )
    return _interval_rows(x, 1 / len(CLASSES), 46 * rows + _AXIS_PX)
