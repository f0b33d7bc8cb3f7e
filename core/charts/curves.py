"""Curves labelled at their end, as several pages draw them; labels spread so none overlap."""

import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts.theme import ink_text, layered, painted, role_color, role_shape

LABEL_SIZE: dict[str, Any] = {"fontSize": alt.expr("width < 420 ? 11 : 14")}
"""Names in the margin: smaller on a phone."""
CHANCE = 1 / 11
DASHES = [[1, 0], [8, 4], [2, 3], [8, 3, 2, 3], [12, 6]]
"""How lines of the same colour differ: the first is solid."""


def spread(values: Sequence[float] | np.ndarray, gap: float) -> np.ndarray:
    """Move numbers apart until neighbours are at least `gap` apart; order kept, shifts small.

    For labels that would lie on each other. Returns float64 (n,), in the order given.
    """
    wanted = np.asarray(values, dtype=float)
    order = np.argsort(wanted, kind="stable")
    groups: list[list[float]] = []  # [sum of wanted-minus-offset, members]: blocks that touch
    for rank, index in enumerate(order):
        groups.append([wanted[index] - rank * gap, 1.0])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    anchors = np.concatenate([np.full(int(m), total / m) for total, m in groups] or [np.empty(0)])
    placed = np.empty_like(wanted)
    placed[order] = anchors + np.arange(len(wanted)) * gap
    return placed


def end_labelled_lines(
    frame: pd.DataFrame,
    x: alt.X,
    y: alt.Y,
    *,
    series: str = "series",
    role: str = "role",
    low: str | None = None,
    high: str | None = None,
    label_gap: float = 0.0,
    tooltip: Sequence[str] = (),
) -> alt.LayerChart:
    """Curves, one a `series`, each named at its right end instead of in a legend.

    `frame` is tidy: the columns of `x` and `y`, `series` (its name as shown), `role` (a slot of
    `theme.SLOTS`), and `low`/`high` where a band is to be drawn. `label_gap` is the least distance
    between two labels, in units of y. Give `x` and `y` fixed scales where a control moves.
    """
    x_field, y_field = (str(channel.shorthand).split(":")[0] for channel in (x, y))
    ends = frame.loc[frame.groupby(series, sort=False)[x_field].idxmax()].copy()
    ends["label_at"] = spread(ends[y_field].to_numpy(dtype=float), label_gap)
    base = alt.Chart(frame).encode(x=x, color=role_color(role), detail=alt.Detail(f"{series}:N"))
    layers: list[alt.Chart] = []
    if low and high:
        band = base.mark_area(opacity=0.18).encode(
            alt.Y(f"{low}:Q", title=y["title"]), y2=f"{high}:Q"
        )
        layers.append(band)
    layers.append(base.mark_line(strokeWidth=2.5).encode(y=y, tooltip=list(tooltip)))
    tip = alt.Chart(ends).encode(x=x)
    layers.append(
        tip.mark_point(size=90, filled=True, opacity=1).encode(
            y=y, color=role_color(role), shape=role_shape(role)
        )
    )
    label = tip.encode(y=alt.Y("label_at:Q", title=y["title"]))
    layers.append(ink_text(label, f"{series}:N", align="right", baseline="bottom", dy=-7))
    return layered(*layers)


def beside(ends: pd.Series, gap: float) -> np.ndarray:
    """Heights for the names of curves that end at `ends`: at least `gap` apart, none below 0."""
    placed = spread(ends.to_numpy(dtype=float), gap)
    return placed + max(0.0, 0.5 * gap - float(placed.min())) if len(placed) else placed


def level(value: float, slot: str) -> alt.Chart:
    """A dashed line across the plot at a height, ending before the margin of names."""
    data = alt.InlineData(values=[{"from": 0, "to": 1, "at": value}])
    rule = alt.Chart(data).mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    return painted(rule.encode(alt.X("from:Q"), alt.Y("at:Q"), x2="to:Q"), slot)


def stacked(name: str) -> str:
    """A curve's name in short lines, for the margin."""
    return "\n".join(textwrap.wrap(name, 15))
