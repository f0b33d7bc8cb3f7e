"""Answers to one photo: of several networks the likeliest class, of one network all eleven."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.tables import records
from core.charts.theme import RoleKey, finish, ink_text, layered, painted, role_color
from core.i18n import _

HEIGHT_PX = 300
ROW_PX = 62


class FirstChoice(NamedTuple):
    """One network's first choice, in a row of `first_choice_chart`."""

    role: RoleKey
    head: str
    """The network and what it sees; above the bar."""
    aside: str
    """What it costs; at the other end of the same line."""
    probability: float
    text: str
    """Beside the bar."""


def first_choice_chart(choices: Sequence[FirstChoice]) -> Spec:
    """A bar a network, from 0 to 100 % sure, with its words above: a phone has no room beside."""
    rows = [{"place": place, **choice._asdict()} for place, choice in enumerate(choices)]
    return with_rows(_first_choices(len(rows)), choices=rows)


@compiled
def _first_choices(n: int) -> alt.LayerChart:
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    base = alt.Chart(alt.NamedData("choices")).encode(y=y)
    x = alt.X("probability:Q", axis=None, scale=alt.Scale(domain=[0, 1.5], nice=False))
    tips = [alt.Tooltip("head:N", title=_("Network")), alt.Tooltip("text:N", title=_("How sure"))]
    bars = base.mark_bar(height=16, cornerRadiusEnd=3, yOffset=10)
    figures = ink_text(base.encode(x=x), "text:N", align="left", dx=7, dy=10)
    head = base.encode(x=alt.value(0))
    aside = base.encode(x=alt.XValue(alt.expr("width")))
    return finish(
        layered(
            bars.encode(x=x, color=role_color(), tooltip=tips),
            figures,
            ink_text(head, "head:N", align="left", dy=-13),
            ink_text(aside, "aside:N", "muted", align="right", dy=-13),
        ),
        height=ROW_PX * n,
    )


def answer_chart(frame: pd.DataFrame, role: RoleKey) -> Spec:
    """Bars of `core.inference.compare.bars_frame`, on a fixed axis from 0 to 100 %.

    The first three carry their rank and stand in full colour; the others are paler.
    """
    rows: list[dict[str, Any]] = [
        {
            **bar,
            "text": numbers.share(bar["probability"]),
            "name": f"{bar['rank']}. {bar['food']}" if bar["top"] else bar["food"],
        }
        for bar in records(frame)
    ]
    return with_rows(_shape(role), answer=rows)


@compiled
def _shape(role: RoleKey) -> alt.LayerChart:
    x = alt.X(
        "probability:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1.22], nice=False),  # room for the figure beside a full bar
        axis=alt.Axis(format=".0%", values=[0, 0.5, 1]),
    )
    by_rank = alt.EncodingSortField(field="rank", op="min")
    base = alt.Chart(alt.NamedData("answer")).encode(
        x=x,
        y=alt.Y("name:N", sort=by_rank, title=None, axis=alt.Axis(labelPadding=6)),
        tooltip=[
            alt.Tooltip("food:N", title=_("Class")),
            alt.Tooltip("probability:Q", title=_("Probability"), format=".2%"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=3).encode(
        opacity=alt.condition("datum.top", alt.value(1), alt.value(0.45))
    )
    figures = ink_text(base, "text:N", align="left", dx=5)
    return finish(layered(painted(bars, role), figures), height=HEIGHT_PX)
