"""Which input channel feeds which output channel: dots for channels, a line where one is read.

A layer of many channels is drawn with some of them left out, marked by dots and said in words
(`Wiring.note`); what is drawn is wired exactly as in the layer.
"""

from functools import lru_cache
from typing import NamedTuple

import altair as alt
import pandas as pd

from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.words import _

MOST = 12
"""Channels drawn on one side at most."""
MOST_GROUPS = 4
HEIGHT = 400
GAP = 0.7
"""Space between two groups, in rows."""


class Column(NamedTuple):
    """One side of a wiring: a layer's channels. Channels count from 1."""

    title: str
    channels: int


class Wiring(NamedTuple):
    """A layer of one or two steps: columns of channels, and the groups of the step between two."""

    columns: tuple[Column, ...]
    groups: tuple[int, ...]
    """One fewer than the columns; each divides the channels on both its sides."""

    def feeds(self, step: int, source: int, target: int) -> bool:
        """Whether channel `target` of column step + 1 reads channel `source` of column `step`."""
        groups = self.groups[step]
        ins, outs = self.columns[step].channels // groups, self.columns[step + 1].channels // groups
        return (source - 1) // ins == (target - 1) // outs


class Node(NamedTuple):
    """A channel's place in the drawing, or a gap's (channel 0)."""

    column: int
    channel: int
    y: float


def picture(wiring: Wiring) -> tuple[list[Node], float]:
    """Where each drawn channel stands, and how many rows the drawing is high.

    Groups stand under each other; of many groups or channels the first and the last are kept,
    with a gap between them. Where each channel is a group of its own there is nothing to part.
    """
    groups = wiring.groups[0]
    if len(wiring.groups) > 1 or groups == max(column.channels for column in wiring.columns):
        groups = 1
    kept = _kept(groups, groups if _fits(wiring) else MOST_GROUPS)
    many = sum(1 for group in kept if group)
    nodes: list[Node] = []
    top = 0.0
    for group in kept:
        if not group:
            nodes += [Node(column, 0, top + 0.5) for column in range(len(wiring.columns))]
            top += 1 + GAP
            continue
        sides = []
        for column in wiring.columns:
            per_group = column.channels // groups
            first = (group - 1) * per_group
            places = _kept(per_group, max(1, MOST // many))
            sides.append([place and first + place for place in places])
        rows = max(len(side) for side in sides)
        for column_number, side in enumerate(sides):
            for place, channel in enumerate(side):
                y = top + (place + 0.5) * rows / len(side)
                nodes.append(Node(column_number, channel, y))
        top += rows + GAP
    return nodes, top - GAP


def _fits(wiring: Wiring) -> bool:
    return all(column.channels <= MOST for column in wiring.columns)


def _kept(n: int, most: int) -> list[int]:
    """1..n, or with 0 for a gap: the first ones, the gap, and the last."""
    if n <= most:
        return list(range(1, n + 1))
    return [*range(1, max(most - 1, 1) + 1), 0, n] if most > 1 else [1, 0]


def note(wiring: Wiring) -> str:
    """How many channels the drawing shows of how many; empty where it shows all."""
    nodes, _rows = picture(wiring)
    counts = [
        (sum(1 for node in nodes if node.column == number and node.channel), column.channels)
        for number, column in enumerate(wiring.columns)
    ]
    (drawn_in, all_in), (drawn_out, all_out) = counts[0], counts[-1]
    if (drawn_in, drawn_out) == (all_in, all_out):
        return ""
    return _("Drawn: {a} of {b} input and {c} of {d} output channels.").format(
        a=drawn_in, b=all_in, c=drawn_out, d=all_out
    )


def wiring_chart(wiring: Wiring) -> Spec:
    """The drawing: what one output channel reads is drawn in ink, all other lines paler.

    It is output channel 1 to begin with; pointing at (or tapping) another output channel shows
    what that one reads, in the browser.
    """
    return filled(_wiring_shape(len(wiring.columns) - 1), **_tables(wiring))


@lru_cache(maxsize=64)
def _tables(wiring: Wiring) -> dict[str, pd.DataFrame]:
    nodes, rows = picture(wiring)
    last = len(wiring.columns) - 1
    channels = [node for node in nodes if node.channel]
    points = pd.DataFrame(channels, columns=["column", "channel", "y"])
    # lines of a step before the last belong to no one output channel: 0
    lines = pd.DataFrame(
        [
            (a.column, a.y / rows, b.column, b.y / rows, b.channel if b.column == last else 0)
            for a in channels
            for b in channels
            if b.column == a.column + 1 and wiring.feeds(a.column, a.channel, b.channel)
        ],
        columns=["column", "y", "column2", "y2", "output"],
    )
    gaps = pd.DataFrame([node for node in nodes if not node.channel], columns=Node._fields)
    heads = pd.DataFrame(
        [
            (n, -0.045, f"{column.title}: {column.channels}")
            for n, column in enumerate(wiring.columns)
        ],
        columns=["column", "y", "title"],
    )
    outputs = points[points["column"] == last].rename(columns={"channel": "output"})
    return {
        "lines": lines,
        "points": points.assign(y=points["y"] / rows),
        "inputs": points[points["column"] == 0].assign(y=lambda frame: frame["y"] / rows),
        "outputs": outputs.assign(y=outputs["y"] / rows),
        "gaps": gaps.assign(y=gaps["y"] / rows),
        "heads": heads,
    }


@shape
def _wiring_shape(last: int) -> alt.LayerChart:
    x = alt.X("column:Q", axis=None, scale=alt.Scale(domain=[-0.3, last + 0.3], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[1, -0.07], nice=False))
    pick = alt.selection_point(
        name="output_channel",
        fields=["output"],
        value=[{"output": 1}],
        on="pointerover",
        clear=False,
        empty=False,
    )
    ends = _on("lines").mark_rule(aria=False).encode(x=x, y=y, x2="column2:Q", y2="y2:Q")
    pale = painted(ends, "muted").encode(opacity=alt.value(0.3), strokeWidth=alt.value(1))
    inked = painted(ends, "text").transform_filter(pick | (alt.datum.output == 0))
    inked = inked.encode(strokeWidth=alt.value(2.2))
    dots = painted(
        _on("points").mark_circle(size=90, opacity=1, aria=False).encode(x=x, y=y), "text"
    )
    inputs, outputs, gaps = (_on(name).encode(x=x, y=y) for name in ("inputs", "outputs", "gaps"))
    heads = _on("heads").encode(x=x, y=y)
    catch = outputs.mark_circle(size=700, opacity=0.001, aria=False)
    catch = catch.encode(tooltip=[alt.Tooltip("output:Q", title=_("Output channel"))])
    chart: alt.LayerChart = finish(
        layered(
            pale,
            inked,
            dots,
            ink_text(inputs, "channel:Q", align="right", baseline="middle", dx=-9),
            ink_text(outputs, "output:Q", align="left", baseline="middle", dx=9),
            ink_text(gaps.transform_calculate(text="'⋮'"), "text:N", "muted", fontSize=18),
            ink_text(heads, "title:N", fontWeight="bold"),
            catch.add_params(pick),
        ),
        height=HEIGHT,
    )
    return chart


def _on(table: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(table))
