"""What the scores of networks say of photographs of food and of pictures that are none, drawn."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.theme import RoleKey, finish, layered, painted, role_color, role_shape
from core.i18n import _
from core.not_food.method import DECIDES, ScoreName
from core.not_food.pictures import KINDS, kind_title
from core.not_food.rows import OTHERS, VersionRow
from core.stats import paired_difference, wilson

SPREAD_PX = 240
ROW_PX = 44
FOOD = "food"
"""The photographs of food, as a kind beside those of pictures that are none."""


class Network(NamedTuple):
    """One network with what was measured of it."""

    name: str
    role: RoleKey
    row: VersionRow


def group_title(kind: str) -> str:
    """What a reader calls a kind of picture, photographs of food and of scikit-image among them."""
    names = {FOOD: _("Photographs of food"), OTHERS: _("Pictures of scikit-image")}
    return names.get(kind) or kind_title(next(each for each in KINDS if each == kind))


def rates(networks: Iterable[Network], score: ScoreName = DECIDES) -> pd.DataFrame:
    """How often each network is unsure about each kind by a score, photographs of food first.

    Columns: kind, title, network, role, place (of the network), unsure, n, rate, low, high (95 %
    Wilson interval).
    """
    rows = []
    for place, network in enumerate(networks):
        counts = {FOOD: (network.row.alarms[score], network.row.n)} | {
            kind: (pictures.unsure[score], pictures.n)
            for kind, pictures in network.row.pictures.items()
        }
        for kind, (unsure, n) in counts.items():
            low, high = wilson(unsure, n)
            rows.append(
                {
                    "kind": kind,
                    "title": group_title(kind),
                    "network": network.name,
                    "role": network.role,
                    "place": place,
                    "unsure": unsure,
                    "n": n,
                    "rate": unsure / n,
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows)


def rates_chart(frame: pd.DataFrame) -> Spec:
    """A row a kind, a mark a network: the share it is unsure about, with its interval."""
    n_networks = int(frame["place"].max()) + 1
    rows: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()}
        | {
            "text": _("{rate} ({interval}) of {n}").format(
                rate=numbers.percent(row["rate"], row["n"]),
                interval=numbers.interval(row["low"], row["high"], row["n"]),
                n=numbers.count(row["n"]),
            )
        }
        for row in frame.to_dict("records")
    ]
    titles = tuple(dict.fromkeys(frame["title"]))
    return with_rows(_rates(titles, n_networks), rates=rows)


@compiled
def _rates(titles: tuple[str, ...], n_networks: int) -> alt.LayerChart:
    base = alt.Chart(alt.NamedData("rates")).encode(
        y=alt.Y("title:N", sort=list(titles), title=None),
        yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(range(n_networks)))),
        color=role_color(),
    )

    def x(field: str) -> alt.X:
        axis = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
        title = _("Answers that count as unsure")
        return alt.X(f"{field}:Q", title=title, axis=axis, scale=alt.Scale(domain=[0, 1]))

    tips = [
        alt.Tooltip("network:N", title=_("Network")),
        alt.Tooltip("title:N", title=_("Pictures")),
        alt.Tooltip("text:N", title=_("Unsure")),
    ]
    spans = base.mark_rule(strokeWidth=2).encode(x("low"), x2="high:Q")
    marks = base.mark_point(filled=True, opacity=1, size=70)
    marks = marks.encode(x("rate"), shape=role_shape(), tooltip=tips)
    return finish(layered(spans, marks), height=ROW_PX * len(titles))


def spread_chart(network: Network, score: ScoreName) -> Spec:
    """How a score spreads over photographs of food and over made pictures; the limit as a line."""
    spread, limit = network.row.spreads[score], network.row.limits[score]
    edges = np.linspace(spread.low, spread.high, len(spread.food) + 1)
    rows = [
        {"from": float(start), "to": float(end), "share": count / sum(counts), "role": role}
        for role, counts in ((network.role, spread.food), ("muted", spread.other))
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return with_rows(_spread(score), spread=rows, limit=[{"limit": limit}])


@compiled
def _spread(score: ScoreName) -> alt.LayerChart:
    bars = alt.Chart(alt.NamedData("spread")).mark_bar(opacity=0.55, binSpacing=0)
    titles = {
        "confidence": _("1 − probability of the first choice"),
        "max_logit": _("− largest logit"),
        "energy": _("Energy, −log Σ exp z"),
        "distance": _("Distance of the features"),
    }
    axis = alt.Axis(tickCount=6, format=".2~f")
    x = alt.X("from:Q", bin="binned", title=titles[score], axis=axis, scale=alt.Scale(zero=False))
    y = alt.Y("share:Q", stack=None, title=_("Share"), axis=alt.Axis(format=".0%", tickCount=4))
    drawn = bars.encode(x, y, x2="to:Q", color=role_color())
    limit = alt.Chart(alt.NamedData("limit")).mark_rule(strokeDash=[5, 4], strokeWidth=2)
    return finish(layered(drawn, painted(limit.encode(x="limit:Q"), "text")), height=SPREAD_PX)


def made_flags(row: VersionRow) -> NDArray[np.bool_]:
    """Which of the made pictures a network is unsure about, kind after kind: (N,)."""
    text = "".join(row.pictures[kind].flags for kind in KINDS)
    return np.frombuffer(text.encode(), np.uint8) == ord("1")


def photo_flags(row: VersionRow) -> NDArray[np.bool_]:
    """Which of the test photographs a network is unsure about: (n,)."""
    flags = np.zeros(row.n, np.bool_)
    flags[list(row.unsure)] = True
    return flags


def changes(whole: VersionRow, version: VersionRow) -> Mapping[str, tuple[float, float, float]]:
    """How much oftener a version is unsure than the whole network: (difference, low, high).

    `made`: about the made pictures; FOOD: about the test photographs. Both see the same pictures,
    so the 95 % intervals are those of paired answers (`core.stats.paired_difference`).
    """
    return {
        "made": paired_difference(made_flags(version), made_flags(whole)),
        FOOD: paired_difference(photo_flags(version), photo_flags(whole)),
    }
