"""Ratio against time and size: what masks cost, what removing them gives back, what cutting saves.

All times of one line-up come from one sitting, in which the networks took turns
(`core.training.pruning_times`). Times, bytes and MACs are shown as shares of the whole network's.
"""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.lines import LABEL_SIZE, beside, level, stacked
from core.charts.pruning import HEIGHT_PX, form_title, ratio_axis
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.compression.prune import FORMS, Form
from core.compression.prune_select import Method
from core.measure.latency import Spread
from core.measure.pruning_grid import BATCHES, ENGINES, PruningGrid, PruningRow, RowKey
from core.words import _

TIMES = tuple(f"{engine}_{batch}" for engine in ENGINES for batch in BATCHES)
SIZES = ("size_bytes", "gzip_bytes", "macs")
COSTS = (*TIMES, *SIZES)
"""What a network can cost: milliseconds per call, bytes, multiply-accumulates."""


def cost(row: PruningRow, column: str) -> Spread | None:
    """A row's figure for one of COSTS, if it was measured; a size has no spread."""
    if column in TIMES:
        return row.latency.get(column)
    figure: int | None = getattr(row, column)
    return None if figure is None else Spread(median=figure, p25=figure, p75=figure, n=1)


def cost_text(value: float, column: str) -> str:
    """A figure with its unit."""
    if column == "macs":
        return f"{value / 1e6:.1f}{numbers.THIN}M"
    return numbers.milliseconds(value) if column in TIMES else numbers.size(value)


def timed_row(grid: PruningGrid, form: Form, ratio: float, column: str) -> PruningRow | None:
    """The row whose cost stands for a form at a ratio, if it was measured; ratio 0 is whole."""
    method: Method = "channel_l2" if form == "narrow" else "l1"
    if form == "narrow" and ratio == 0:
        form, method = "removed", "l1"
    row = grid.row(RowKey(method, ratio, form))
    return row if row is not None and cost(row, column) else None


def time_frame(grid: PruningGrid, column: str) -> pd.DataFrame:
    """Costs of the three forms against ratio, as shares of the whole network's.

    `column`: one of COSTS. Columns: form, series, ratio, share, low, high (quartiles of the share),
    value (milliseconds, bytes or MACs), figure (the same with its unit). Empty where nothing was
    measured.
    """
    columns = ["form", "series", "ratio", "share", "low", "high", "value", "figure"]
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    if not base:
        return pd.DataFrame(columns=columns)
    rows = []
    for form in FORMS:
        for ratio in sorted({row.ratio for row in grid.rows}):
            row = timed_row(grid, form, ratio, column)
            found = row and cost(row, column)
            if found:
                figures = [one / base.median for one in (found.median, found.p25, found.p75)]
                text = cost_text(found.median, column)
                rows.append((form, form_title(form), ratio, *figures, found.median, text))
    return pd.DataFrame(rows, columns=columns)


def time_chart(frame: pd.DataFrame, ratio: float, column: str = "torch_1") -> Spec:
    """A cost as a share of the whole network's, one line a form; quartiles as bars."""
    ends = frame.loc[frame.groupby("form", sort=False)["ratio"].idxmax()].copy()
    top = max(1.25, float(np.ceil(10 * frame["high"].max()) / 10))
    ends["label_at"] = beside(ends["share"], 0.11 * top)
    ends["name"] = [stacked(name) for name in ends["series"]]
    kind = column if column in SIZES else "time"
    now = pd.DataFrame({"ratio": [ratio]})
    return filled(_time_shape(top, kind), times=frame, ends=ends, now=now)


@shape
def _time_shape(top: float, kind: str) -> Any:
    x = ratio_axis()
    title = {
        "time": _("Time, as a share of the whole network's"),
        "macs": _("MACs, as a share of the whole network's"),
    }.get(kind, _("Bytes, as a share of the whole network's"))
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("share:Q", title=title, scale=scale, axis=axis)
    domain = list(FORMS)
    dash = alt.StrokeDash(
        "form:N", scale=alt.Scale(domain=domain, range=[[2, 3], [8, 4], [1, 0]]), legend=None
    )
    mark = alt.Shape(
        "form:N",
        scale=alt.Scale(domain=domain, range=["cross", "square", "triangle-up"]),
        legend=None,
    )
    times = alt.Chart(alt.NamedData("times")).encode(x=x)
    lines = times.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash, detail="form:N")
    bars = times.mark_rule(strokeWidth=2, opacity=0.8).encode(
        alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
    )
    marks = times.mark_point(size=110, filled=True, opacity=1).encode(
        y=y,
        shape=mark,
        tooltip=[
            alt.Tooltip("series:N", title=_("Form")),
            alt.Tooltip("ratio:Q", title=_("Pruning ratio"), format=".0%"),
            alt.Tooltip("share:Q", title=title, format=".0%"),
            alt.Tooltip("figure:N", title=_("Median") if kind == "time" else _("Figure")),
        ],
    )
    ends = alt.Chart(alt.NamedData("ends")).transform_calculate(margin="1.03", near="1.02")
    leaders = ends.mark_rule(strokeWidth=1, opacity=0.7).encode(
        x=x, x2="near:Q", y=y, y2="label_at:Q"
    )
    names = ends.encode(
        alt.X("margin:Q", title=_("Pruning ratio")), alt.Y("label_at:Q", title=title)
    )
    now = alt.Chart(alt.NamedData("now")).mark_rule(strokeWidth=2).encode(x=x)
    return finish(
        layered(
            level(1.0, "text"),
            painted(now, "muted"),
            painted(lines, "pruned"),
            painted(bars, "pruned"),
            painted(marks, "pruned"),
            painted(leaders, "pruned"),
            ink_text(
                names, "name:N", align="left", baseline="middle", lineBreak="\n", **LABEL_SIZE
            ),
        ),
        height=HEIGHT_PX,
    )
