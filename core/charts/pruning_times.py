"""Ratio against time: what masks cost, what removing them gives back, and what only cutting saves.

All times of one line-up come from one sitting, in which the networks took turns
(`core.training.pruning_times`), and are shown as shares of the whole network's.
"""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.pruning import (
    HEIGHT_PX,
    LABEL_SIZE,
    beside,
    form_title,
    level,
    ratio_axis,
    stacked,
)
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.compression.prune import FORMS, Form
from core.compression.prune_select import Method
from core.measure.pruning_grid import Grid, PruningRow, RowKey
from core.words import _


def timed_row(grid: Grid, form: Form, ratio: float, column: str) -> PruningRow | None:
    """The row whose time stands for a form at a ratio, if it was measured; ratio 0 is whole."""
    method: Method = "channel_l2" if form == "narrow" else "l1"
    if form == "narrow" and ratio == 0:
        form, method = "removed", "l1"
    row = grid.row(RowKey(method, ratio, form))
    return row if row is not None and column in row.latency else None


def time_frame(grid: Grid, column: str) -> pd.DataFrame:
    """Times of the three forms against ratio, as shares of the whole network's in one sitting.

    `column`: as in `PruningRow.latency`. Columns: form, series, ratio, share, low, high
    (quartiles), milliseconds. Empty where nothing was timed.
    """
    whole = timed_row(grid, "removed", 0.0, column)
    columns = ["form", "series", "ratio", "share", "low", "high", "milliseconds"]
    if whole is None:
        return pd.DataFrame(columns=columns)
    base = whole.latency[column].median
    ratios = sorted({row.ratio for row in grid.rows if column in row.latency})
    rows = []
    for form in FORMS:
        for ratio in ratios:
            row = timed_row(grid, form, ratio, column)
            if row is None:
                continue
            time = row.latency[column]
            figures = (time.median / base, time.p25 / base, time.p75 / base, time.median)
            rows.append((form, form_title(form), ratio, *figures))
    return pd.DataFrame(rows, columns=columns)


def time_chart(frame: pd.DataFrame, ratio: float) -> Spec:
    """Time as a share of the whole network's, one line a form; quartiles as bars."""
    ends = frame.loc[frame.groupby("form", sort=False)["ratio"].idxmax()].copy()
    top = max(1.25, float(np.ceil(10 * frame["high"].max()) / 10))
    ends["label_at"] = beside(ends["share"], 0.11 * top)
    ends["name"] = [stacked(name) for name in ends["series"]]
    shown = frame.assign(time=[numbers.milliseconds(ms) for ms in frame["milliseconds"]])
    return filled(_time_shape(top), times=shown, ends=ends, now=pd.DataFrame({"ratio": [ratio]}))


@shape
def _time_shape(top: float) -> Any:
    x = ratio_axis()
    title = _("Time, as a share of the whole network's")
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
            alt.Tooltip("time:N", title=_("Median")),
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
