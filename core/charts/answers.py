"""One network's answer to one photo: eleven bars, the likeliest on top, the first three marked."""

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, filled, shape
from core.charts.theme import RoleKey, finish, ink_text, layered, painted
from core.i18n import _

HEIGHT_PX = 300


def answer_chart(frame: pd.DataFrame, role: RoleKey) -> Spec:
    """Bars of `core.inference.compare.bars_frame`, on a fixed axis from 0 to 100 %.

    The first three carry their rank and stand in full colour; the others are paler.
    """
    shown = frame.assign(
        text=[numbers.share(p) for p in frame["probability"]],
        name=[
            f"{rank}. {food}" if top else food
            for rank, food, top in zip(frame["rank"], frame["food"], frame["top"], strict=True)
        ],
    )
    return filled(_shape(role), answer=shown)


@shape
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
