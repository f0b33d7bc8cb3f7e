"""Scratch against distilled: the difference of each seed, and over seeds, with its interval."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core.charts.collection_names import versions
from core.charts.distillation_terms import point
from core.charts.numbers import points, points_interval
from core.charts.theme import SLOTS, finish, ink_text, layered, painted, role_color
from core.models.registry import MODELS, short_name
from core.serving.kd_verdict import Comparison
from core.words import _

ROW_PX, AXIS_PX = 58, 60


def network_title(key: str) -> str:
    """A registered network's name; a designed one's key, shortened."""
    return MODELS[key].title if key in MODELS else short_name(key)


def gain_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per seed, and one per mean over seeds; differences in percentage points."""
    rows = []
    for each in comparisons:
        whole = _(each.title)
        names = whole, versions(each.model, each.recipe, whole)[-2]  # and where there is less room
        kinds = [
            (_named(_("{network}, seed {n}"), names, one.seed),
             one.difference, one.low, one.high, False)
            for one in each.pairs
        ]  # fmt: skip
        if each.over_seeds:
            mean = _named(_("{network}, mean of {n} seeds"), names, len(each.pairs))
            kinds.append((mean, *each.interval(), True))
        rows += [
            {
                "row": row,
                "short": short,
                "gain": 100 * gain,
                "low": 100 * low,
                "high": 100 * high,
                "text": f"{points(gain)}  ({points_interval(low, high)})",
                "role": "text" if is_mean else "distilled",
                "size": 300 if is_mean else 120,
                "width": 5 if is_mean else 2.5,
            }
            for (row, short), gain, low, high, is_mean in kinds
        ]
    return pd.DataFrame(rows).assign(place=range(len(rows)))


def _named(form: str, names: tuple[str, str], n: int) -> tuple[str, ...]:
    return tuple(form.format(network=name, n=n) for name in names)


def gain_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Differences with 95 % intervals about a line at 0; the row's name stands over its mark."""
    reach = max(1.0, frame[["low", "high"]].abs().to_numpy().max()) * 1.1
    x = alt.X(
        "gain:Q",
        title=_("Distilled minus scratch, percentage points"),
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    y = alt.Y(
        "place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1)
    )  # a name beside the axis would leave a phone no room for the marks
    base = alt.Chart(frame).encode(y=y)
    span = base.mark_rule().encode(
        alt.X("low:Q", title=x["title"]),
        x2="high:Q",
        color=role_color(),
        strokeWidth=alt.StrokeWidth("width:Q", scale=None),
    )
    # a mean's slot has a stroke for a mark, which would vanish in its own interval
    mark = base.mark_point(filled=True, opacity=1, shape=SLOTS["distilled"].shape).encode(
        x=x,
        color=role_color(),
        size=alt.Size("size:Q", scale=None),
        tooltip=[alt.Tooltip("row:N"), alt.Tooltip("gain:Q", format="+.2f")],
    )
    fits = "width < 420 ? datum.short : datum.row"
    name = base.transform_calculate(shown=fits).encode(x=alt.value(0))
    figures = base.encode(x=alt.XValue(alt.expr("width")))
    zero = alt.Chart(point(gain=0)).mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(x=x)
    chart = layered(
        painted(zero, "muted"),
        span,
        mark,
        ink_text(name, "shown:N", align="left", dy=-15),
        ink_text(figures, "text:N", "muted", align="right", dy=16, fontSize=12),
    )
    return finish(chart, height=ROW_PX * len(frame) + AXIS_PX)
