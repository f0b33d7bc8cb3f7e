"""Curves labelled at their end, as several pages draw them; labels spread so none overlap."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from core.charts import numbers
from core.charts.libraries import alt, pd
from core.charts.theme import SLOTS, finish, ink_text, layered, painted, role_color
from core.i18n import _

CHANCE = 1 / 11
DASHES = [[1, 0], [8, 4], [2, 3], [8, 3, 2, 3], [12, 6]]
"""How lines of the same colour differ: the first is solid."""
MARKS = ("circle", "square", "triangle-up", "diamond", "cross")
"""How marks of the same colour differ."""
FURTHER = {
    "M-.5,-1.2L.5,-1.2L.5,1.2L-.5,1.2Z": "▮",
    "M-1.2,-.5L1.2,-.5L1.2,.5L-1.2,.5Z": "▬",
}
"""Marks of no role, for further networks of a role, and the same as letters."""
GLYPHS = {slot.shape: slot.glyph for slot in SLOTS.values()} | FURTHER
"""Every mark as a letter, for the names of curves."""
STAR = "M0,-1L.3,-.3L1,0L.3,.3L0,1L-.3,.3L-1,0L-.3,-.3Z"
"""The mark of what was measured here just now."""
GUESS: dict[str, Any] = {"strokeDash": [3, 5], "strokeWidth": 3}
"""How a visitor's guess is drawn."""


def network_marks(networks: pd.Series, roles: pd.Series) -> list[str]:
    """A mark for each row: that of its role for the first network of a role, one of FURTHER for
    the others."""
    by_role: dict[str, list[str]] = {}
    marks = []
    for network, role in zip(networks, roles, strict=True):
        alike = by_role.setdefault(role, [])
        if network not in alike:
            alike.append(network)
        kinds = (SLOTS[role].shape, *FURTHER)
        marks.append(kinds[alike.index(network) % len(kinds)])
    return marks


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


# Accuracy against what was taken away: one curve a method or network, with its 95 % band.


def curve_data(
    frame: pd.DataFrame,
    x: str,
    *,
    whole: pd.Series,
    reveal: bool,
    gap: float,
    end: Literal["left", "right"] = "right",
    live: pd.DataFrame | None = None,
    now: float | None = None,
) -> dict[str, pd.DataFrame]:
    """The data of `accuracy_plot`, by name; `ends` still lacks where the names stand.

    `frame`: a row a point, with the columns `x`, series (the curve's name), role (a slot of
    `theme.SLOTS`), accuracy, low and high (its 95 % interval), n, dash ("m0" is the first of
    DASHES) and mark (a shape of GLYPHS); tuned (drawn hollow, on no curve), banded and marked
    where not every point has a band or a mark. `whole`: which rows are of networks as they were
    trained; without `reveal` these alone are drawn, and nothing is named. `gap`: the least
    distance between two names, in units of y. `end`: at which end of the curves they stand.
    `live`: columns `x` and accuracy, measured here just now. `now`: where the control stands.
    """
    shown = (frame if reveal else frame[whole]).sort_values(x, kind="stable")
    shown = shown.assign(
        score=[
            _("{value} ({detail})").format(
                value=numbers.percent(p, n), detail=numbers.interval(low, high, n)
            )
            for p, low, high, n in zip(
                shown["accuracy"], shown["low"], shown["high"], shown["n"], strict=True
            )
        ],
        **{name: True for name in ("banded", "marked") if name not in shown},
    )
    hollow = shown["tuned"] if "tuned" in shown else pd.Series(False, shown.index)
    curves = shown[~hollow.astype(bool)]
    ends = curves if reveal else curves.iloc[:0]
    by_series = ends.groupby("series", sort=False)[x]
    ends = ends.loc[by_series.idxmax() if end == "right" else by_series.idxmin()].copy()
    ends["label_at"] = beside(ends["accuracy"], gap)
    ends["name"] = [
        f"{GLYPHS[mark]} {stacked(name)}"
        for mark, name in zip(ends["mark"], ends["series"], strict=True)
    ]
    return {
        "curves": curves,
        "marks": curves[curves["marked"]],
        "tuned": shown[hollow.astype(bool)],
        "ends": ends,
        "live": pd.DataFrame({x: [], "accuracy": []}, dtype=float) if live is None else live,
        "now": pd.DataFrame({x: [] if now is None else [now]}, dtype=float),
    }


def accuracy_plot(
    x: alt.X,
    at: alt.Tooltip,
    tooltip: Sequence[alt.Tooltip],
    *,
    chance: tuple[float, float],
    height: int,
    below: Sequence[alt.Chart] = (),
    above: Sequence[alt.Chart] = (),
) -> Any:
    """Accuracy against `x`: bands, curves, marks, hollow marks with bars, stars, chance, names.

    Draws `curve_data`, and `ends` with the column margin: where the names begin on the x axis,
    outside of the curves. `at`: x in words; `tooltip`: what
    else a point says of itself. `chance`: from where to where on the x axis the line of chance
    goes. `below` and `above`: layers of the caller's, under and over the curves.
    """
    y, low = accuracy_axis(), accuracy_axis("low")
    dash = alt.StrokeDash("dash:N", scale=dash_scale(), legend=None)
    curves = _named("curves").encode(x=x, color=role_color(), detail="series:N")
    tuned = _named("tuned").encode(x=x, color=role_color())
    star = _named("live").mark_point(size=260, shape=STAR, filled=True, opacity=1)
    percent = alt.Tooltip("accuracy:Q", title=_("Right on the test photographs"), format=".1%")
    points = {"y": y, "shape": mark_shape(), "tooltip": [*tooltip, at, *_measured()]}
    field = str(x.shorthand).split(":")[0]
    even = alt.InlineData(values=[{field: chance[0], "to": chance[1], "accuracy": CHANCE}])
    blind = alt.Chart(even).mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    return finish(
        layered(
            painted(blind.encode(x=x, x2="to:Q", y=y), "muted"),
            painted(_named("now").mark_rule(strokeWidth=2).encode(x=x), "muted"),
            curves.transform_filter("datum.banded")
            .mark_area(opacity=0.14)
            .encode(y=low, y2="high:Q"),
            *below,
            curves.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash),
            _named("marks")
            .mark_point(size=60, filled=True, opacity=1)
            .encode(x=x, color=role_color(), **points),
            *above,
            tuned.mark_rule(strokeWidth=2).encode(y=low, y2="high:Q"),
            tuned.mark_point(size=130, strokeWidth=2.5, filled=False).encode(**points),
            painted(star.encode(x=x, y=y, tooltip=[at, percent]), "text"),
            *end_names(x, y),
        ),
        height=height,
    )


def _named(data: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(data))


def _measured() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("score:N", title=_("Right (95 % interval)")),
        alt.Tooltip("n:Q", title=_("Test photographs"), format=","),
    ]


def accuracy_axis(field: str = "accuracy") -> alt.Y:
    """0 to 100 % of the test photographs."""
    return alt.Y(
        f"{field}:Q",
        title=_("Right on the test photographs"),
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(format=".0%", tickCount=6),
    )


def dash_scale() -> alt.Scale:
    """ "m0" is the first of DASHES."""
    return alt.Scale(domain=[f"m{place}" for place in range(len(DASHES))], range=DASHES)


def mark_shape(field: str = "mark") -> alt.Shape:
    """Marks by a column of their names: one scale for all, because layers share theirs."""
    kinds = list(GLYPHS)
    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=kinds, range=kinds), legend=None)


def end_names(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Names in the margin, the mark before each in its curve's colour; no line leads to them.

    Data `ends`: role, name (its first letter the mark), label_at (its height), margin (where it
    begins, on x).
    """
    ends = _named("ends").encode(
        alt.X("margin:Q", title=x["title"]), alt.Y("label_at:Q", title=y["title"])
    )
    place: dict[str, Any] = {"align": "left", "baseline": "middle", "lineBreak": "\n"}
    rest = "replace(substring(datum.name, 1), regexp('[^\\n]', 'g'), '')"  # as many lines
    marks = ends.transform_calculate(mark_alone=f"datum.name[0] + {rest}").mark_text(**place)
    return [
        ink_text(ends, "name:N", **place),
        marks.encode(text="mark_alone:N", color=role_color()),
    ]
