"""Accuracy on real photographs of students that learned from dreams, and from photographs."""

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.theme import finish, guide, ink_text, layered, role_color, role_shape
from core.course import CLASSES
from core.data.dreams import DREAMS
from core.words import _, ngettext

ROW_PX, AXIS_PX = 58, 60


def row_name(learned_from: str, pictures: int) -> str:
    """What a row is called: "968 dreams", "3,634 photographs"."""
    n = numbers.count(pictures)
    return (_("{n} dreams") if learned_from == DREAMS else _("{n} photographs")).format(n=n)


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


def dreamed_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Accuracies with 95 % intervals over a line for blind guessing; `frame` is `shown_frame`'s."""
    x = alt.X(
        "accuracy:Q",
        title=_("Right on real test photographs"),
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(grid=False, format="%", tickCount=6),
    )
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    base = alt.Chart(frame).encode(y=y)
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
        ink_text(name, "row:N", align="left", dy=-15),
        ink_text(name, "after:N", "muted", align="left", dy=16, fontSize=12),
        ink_text(figures, "text:N", "muted", align="right", dy=-15, fontSize=12),
    )
    return finish(chart, height=ROW_PX * len(frame) + AXIS_PX)
