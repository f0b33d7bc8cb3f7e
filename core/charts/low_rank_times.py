"""MACs against time: what factoring saves on paper, and what the clock says of it.

Both as shares of the whole network's, from one sitting in which all took turns. On the dashed
diagonal time falls as MACs do; above it, it does not.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.lines import LABEL_SIZE
from core.charts.low_rank import method_title
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.compression.lowrank_shapes import METHODS, Method
from core.measure.lowrank_grid import TIMED_ENERGIES, LowRankGrid, LowRankRow, RowKey
from core.words import _

HEIGHT_PX = 380
_SHAPES = ["diamond", "circle", "triangle-up", "square"]
_NAMES = [f"m{place}" for place in range(len(METHODS))]


def whole_row(grid: LowRankGrid, column: str) -> LowRankRow | None:
    """The row of the network that nothing was taken from, if it was timed in this column."""
    for row in grid.rows:
        if not row.ranks and not row.finetune_epochs and column in row.latency:
            return row
    return None


def time_frame(grid: LowRankGrid, methods: Sequence[Method], column: str) -> pd.DataFrame:
    """A row per method and timed energy: shares of the whole network's MACs, parameters and time.

    Columns: method, series, energy, macs_share, params_share, share, low, high (quartiles),
    milliseconds. Empty where nothing was timed.
    """
    whole = whole_row(grid, column)
    rows = []
    for method in methods if whole else ():
        for energy in TIMED_ENERGIES:
            row = grid.row(RowKey(method, energy))
            if row is None or column not in row.latency or not row.ranks or whole is None:
                continue
            time, base = row.latency[column], whole.latency[column].median
            rows.append(
                {
                    "method": method,
                    "series": method_title(method),
                    "energy": energy,
                    "macs_share": row.macs / whole.macs,
                    "params_share": row.params / whole.params,
                    "share": time.median / base,
                    "low": time.p25 / base,
                    "high": time.p75 / base,
                    "milliseconds": time.median,
                }
            )
    columns = ["method", "series", "energy", "macs_share", "params_share", "share", "low", "high",
               "milliseconds"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def time_chart(frame: pd.DataFrame) -> Spec:
    """Share of the MACs against share of the time, one mark a network; quartiles as bars."""
    top = max(1.25, float(np.ceil(10 * frame["high"].max()) / 10)) if len(frame) else 1.25
    shown = frame.assign(
        mark=[_NAMES[METHODS.index(method)] for method in frame["method"]],
        time=[numbers.milliseconds(ms) for ms in frame["milliseconds"]],
        label=[f"{energy:.0%}" for energy in frame["energy"]],
    )
    return filled(_shape(top), times=shown)


@shape
def _shape(top: float) -> Any:
    title = _("Time, as a share of the whole network's")
    y_scale, y_axis = alt.Scale(domain=[0, top], nice=False), alt.Axis(format=".0%", tickCount=6)
    x_title = _("MACs, as a share of the whole network's")
    x_scale = alt.Scale(domain=[0, 1.25], nice=False)
    x_axis = alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1], grid=False)
    x = alt.X("macs_share:Q", title=x_title, scale=x_scale, axis=x_axis)
    y = alt.Y("share:Q", title=title, scale=y_scale, axis=y_axis)
    mark = alt.Shape("mark:N", scale=alt.Scale(domain=_NAMES, range=_SHAPES), legend=None)
    even = alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 1}])).mark_line(
        strokeDash=[5, 4], strokeWidth=1.5
    )
    diagonal = even.encode(
        alt.X("at:Q", title=x_title, scale=x_scale, axis=x_axis),
        alt.Y("at:Q", title=title, scale=y_scale, axis=y_axis),
    )
    whole = alt.Chart(alt.InlineData(values=[{"at": 1}])).encode(
        alt.X("at:Q", title=x_title), alt.Y("at:Q", title=title)
    )
    times = alt.Chart(alt.NamedData("times")).encode(x=x)
    bars = times.mark_rule(strokeWidth=2, opacity=0.8).encode(
        alt.Y("low:Q", title=title, scale=y_scale, axis=y_axis), y2="high:Q"
    )
    marks = times.mark_point(size=130, filled=True, opacity=1).encode(
        y=y,
        shape=mark,
        tooltip=[
            alt.Tooltip("series:N", title=_("Method")),
            alt.Tooltip("energy:Q", title=_("Energy"), format=".0%"),
            alt.Tooltip("macs_share:Q", title=x_title, format=".0%"),
            alt.Tooltip("share:Q", title=title, format=".0%"),
            alt.Tooltip("time:N", title=_("Median")),
        ],
    )
    lines = times.mark_line(strokeWidth=1.5, opacity=0.7).encode(y=y, detail="series:N")
    whole_mark = whole.mark_point(size=130, shape="cross", filled=True, opacity=1)
    return finish(
        layered(
            painted(diagonal, "muted"),
            painted(lines, "factored"),
            painted(bars, "factored"),
            painted(marks, "factored"),
            painted(whole_mark, "text"),
            ink_text(whole, alt.value(_("whole")), align="left", baseline="middle", dx=10),
            *(
                ink_text(
                    times.transform_filter(f"datum.mark {'==' if above else '!='} 'm2'").encode(
                        y=y
                    ),
                    "label:N",
                    align="right" if above else "left",
                    dx=-9 if above else 9,
                    dy=-10 if above else 10,
                    **LABEL_SIZE,
                )
                for above in (True, False)
            ),
        ),
        height=HEIGHT_PX,
    )
