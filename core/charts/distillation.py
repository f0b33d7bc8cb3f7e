"""The distillation loss of one example, redrawn in the browser: T, alpha and one logit move.

The logits travel once; softmax, both losses and their gradients are Vega's own transforms on
parameters bound to inputs, so a drag sends nothing to the server. As on the temperature page all
stands in one plot, because a parameter cannot cross from plot to plot: the losses in words, which
are also the key; the gradient of each logit; the gradients' lengths against T.
"""

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts.distillation_lengths import lengths
from core.charts.distillation_terms import (
    ANSWERS,
    HARD,
    SOFT,
    TOTAL,
    expression,
    point,
    softened,
)
from core.charts.shape import Spec, filled, shape
from core.charts.temperature import Range
from core.charts.theme import finish, glyph, ink_text, layered, painted, role_color, role_shape
from core.course import CLASSES
from core.serving.kd_parts import MOVE, T_HIGH, T_LOW, T_STEP, largest_gradient
from core.words import _, food_class

_BARS = (148, 566)
"""From where to where, in px from the top, the gradient's bars stand."""
CURVES = (690, 880)
"""The same for the curves below them."""
HEIGHT_PX = 880
INPUTS_PX = 150
"""Room for the four inputs above the plot."""
_FIGURES = (58, 4)
"""How far from the right edge the two columns of probabilities end, in px."""
_RIGHT_PX = 112


def distillation_chart(
    student: NDArray[np.float32],
    teacher: NDArray[np.float32],
    label: int,
    temperature: float,
    alpha: float,
) -> Spec:
    """The loss of one example taken apart. student, teacher: logits (11,), label: the true class.

    `temperature`, `alpha`: where the sliders start. Classes stand in the order of the teacher's
    logits; the gradient's axis is wide enough for every setting of the sliders.
    """
    bound = largest_gradient(student, teacher, label)
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
    return filled(_shape(temperature, alpha), answers=answers, bounds=bounds)


def inputs(temperature: float, alpha: float) -> dict[str, Range]:
    """The sliders by the parameter they move."""
    return {
        "T": Range(T_LOW, T_HIGH, T_STEP, temperature),
        "alpha": Range(0.0, 1.0, 0.05, alpha),
        "move": Range(-MOVE, MOVE, 0.25, 0.0),
    }


@shape
def _shape(temperature: float, alpha: float) -> alt.LayerChart:
    titles = {
        "T": _("Temperature T"),
        "alpha": _("Alpha: weight of the soft term"),
        "move": _("Add to the student's logit"),
    }
    params = [
        alt.param(
            name=name,
            value=span.start,
            bind=alt.binding_range(min=span.low, max=span.high, step=span.step, name=titles[name]),
        )
        for name, span in inputs(temperature, alpha).items()
    ]
    pick = alt.param(
        name="pick",
        value=0,
        bind=alt.binding_select(
            options=list(range(len(CLASSES))),
            labels=[food_class(name) for name in CLASSES],
            name=_("… of the class"),
        ),
    )
    above = layered(*_losses(), *_bars())
    below = layered(*lengths(CURVES))
    both = layered(above, below).resolve_scale(x="independent", y="independent")
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")  # heights are fixed
    return finish(both.add_params(*params, pick).properties(autosize=exact), height=HEIGHT_PX)


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


def _bars() -> list[alt.Chart]:
    top, bottom = (alt.value(y) for y in _BARS)
    x = alt.X(
        "from:Q",
        title=None,
        scale=alt.Scale(nice=False, zero=False, range=[0, alt.expr(f"width - {_RIGHT_PX}")]),
        axis=alt.Axis(
            orient="bottom",
            grid=False,
            offset=_BARS[1] - HEIGHT_PX,
            tickCount=5,
            format="~g",
            labelFlush=False,
        ),
    )
    y = alt.Y(
        "food:N",
        sort=alt.EncodingSortField(field="place", op="min"),
        title=None,
        scale=alt.Scale(type="band", range=list(_BARS), padding=0.16),
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
        reach.mark_point(opacity=0, size=1).encode(x=x, y=alt.value(_BARS[1])),
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
        top = alt.Chart(point(head=head)).encode(x=x, y=alt.value(_BARS[0] - 10))
        made.append(ink_text(text, "share:N", align="right"))
        made.append(ink_text(top, alt.value(head), slot, align="right", fontSize=12))
    return made


def _signs() -> list[alt.Chart]:
    """What the sign of a gradient does to a logit."""
    place = alt.Chart(point(here=1))
    left = place.encode(x=alt.value(0), y=alt.value(_BARS[0] - 56))
    right = place.encode(x=alt.XValue(alt.expr(f"width - {_RIGHT_PX}")), y=alt.value(_BARS[0] - 36))
    title = place.encode(x=alt.value(0), y=alt.value(_BARS[1] + 46))
    return [
        ink_text(left, alt.value(_("← raises the logit")), "muted", align="left"),
        ink_text(right, alt.value(_("lowers it →")), "muted", align="right"),
        ink_text(title, alt.value(_("Gradient of the loss to each logit")), align="left"),
    ]
