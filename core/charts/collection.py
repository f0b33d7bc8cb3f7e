"""All shipped checkpoints in one picture: how often each is right, against what it costs.

The seeds of one recipe are one mark at their mean; its seeds stand faintly behind it. What no other
network beats is ringed and joined by a line: the Pareto frontier.
"""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.collection_names import PHONE_PX, WIDTHS_PX, named
from core.charts.shape import Spec, filled, shape
from core.charts.theme import (
    finish,
    glyph,
    layered,
    painted,
    role_color,
    role_of,
    role_shape,
    role_title,
)
from core.checkpoints import WEIGHTS, Checkpoint
from core.course import BASELINES
from core.measure.latency_table import LatencyTable
from core.serving.collected import collect, on_one_set
from core.words import _

Cost = Literal["params", "macs", "size_bytes", "latency_ms"]
COSTS: tuple[Cost, ...] = get_args(Cost)

COLUMNS = (
    "checkpoint", "model", "recipe", "title", "role", "params", "macs", "size_bytes", "latency_ms",
    "accuracy", "low", "high", "n", "data", "is_food11", "seeds", "of_seeds",
)  # fmt: skip

HEIGHT_PX = 460
_PLOT_PX = 385  # what axis and its title leave of it
_FLOORS: dict[Cost, float] = {
    "params": 1e5, "macs": 1e7, "size_bytes": 1e5, "latency_ms": 1.0,
}  # fmt: skip
"""What the axis reaches down to, whatever is shipped."""


def cost_title(cost: Cost) -> str:
    """What a cost is called beside its axis."""
    return {
        "params": _("Parameters"),
        "macs": _("Multiply-accumulates"),
        "size_bytes": _("Size of the file"),
        "latency_ms": _("Time per picture"),
    }[cost]


def cost_name(cost: Cost) -> str:
    """What a cost is called in a menu."""
    return {
        "params": _("Parameters"),
        "macs": _("MACs"),
        "size_bytes": _("Bytes"),
        "latency_ms": _("Time"),
    }[cost]


def cost_text(cost: Cost, value: float) -> str:
    """A cost with its unit: "256,779", "29.6 M", "536 KB", "1.24 ms"."""
    if cost == "params":
        return numbers.count(int(value))
    if cost == "macs":
        return f"{value / 1e6:,.1f}{numbers.THIN}M"
    return numbers.size(value) if cost == "size_bytes" else numbers.milliseconds(value)


def collection_frame(
    checkpoints: Iterable[Checkpoint], times: LatencyTable | None = None
) -> pd.DataFrame:
    """One row a recipe with a measured test accuracy, best first; columns as COLUMNS.

    All on the same photographs, those of most recipes (`core.serving.collected.on_one_set`).

    `accuracy`, `low`, `high` are fractions: the mean over seeds and its 95 % interval
    (`core.measure.seeds.accuracy_interval`). `checkpoint` is the lowest seed's id, whose time per
    picture, parameters and bytes stand for all; `of_seeds` every seed's accuracy.
    """
    rows = []
    for group in on_one_set(collect(checkpoints))[0]:
        one = group.first
        ms = times and WEIGHTS in one.files and times.of(one.id, one.files[WEIGHTS].sha256)
        rows.append(
            (
                one.id, one.model, one.recipe, one.title, role_of(one.family, one.recipe),
                one.params, one.macs, one.size_bytes, ms.median if ms else np.nan,
                *group.interval(), group.n, one.data.name, one.data.is_food11, len(group.seeds),
                tuple(group.accuracies),
            )
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values("accuracy", ascending=False, ignore_index=True)


def frontier(frame: pd.DataFrame, cost: Cost) -> pd.Series:
    """Which rows no other row beats: none is as small *and* at least as accurate. Boolean (n,)."""
    order = frame.sort_values([cost, "accuracy"], ascending=[True, False])
    best_before = order["accuracy"].cummax().shift(fill_value=-1.0)
    return (order["accuracy"] > best_before).reindex(frame.index)


def baselines_frame(year: str) -> pd.DataFrame:
    """A year's baselines (a key of `core.course.BASELINES`): columns accuracy, text, short."""
    names = {"simple": _("simple"), "medium": _("medium"), "strong": _("strong"), "boss": _("boss")}
    rows = []
    for key, value in BASELINES[year]._asdict().items():
        short = _("{name} {value}").format(name=names[key], value=numbers.percent(value))
        rows.append((value, _("{baseline}, on Food-11").format(baseline=short), short))
    return pd.DataFrame(rows, columns=["accuracy", "text", "short"])


def collection_chart(frame: pd.DataFrame, cost: Cost, year: str | None = None) -> Spec:
    """Accuracy with its 95 % interval against a cost on a logarithmic axis, a mark a recipe.

    `year`: whose baselines to draw, of `core.course.BASELINES`. Rows without this cost are left
    out.
    """
    frame = frame[frame[cost].notna()].reset_index(drop=True)
    lines = baselines_frame(year) if year else pd.DataFrame(columns=["accuracy", "text", "short"])
    low, high = _around(min(frame[cost].min(), _FLOORS[cost]), frame[cost].max() * 1.0001)
    least = min(frame["low"].min(), *lines["accuracy"], 1)
    most = max(frame["high"].max(), *lines["accuracy"], 0)
    bottom = max(0.0, float(np.floor((least - 0.02) * 20) / 20))
    top = min(1.0, float(np.ceil((most + 0.03) * 20) / 20))
    shown = frame.drop(columns="of_seeds").assign(
        cost_text=[cost_text(cost, value) for value in frame[cost]],
        accuracy_text=[
            f"{numbers.percent(p, n)} ({numbers.interval(least, most, n)})"
            for p, least, most, n in zip(
                frame["accuracy"], frame["low"], frame["high"], frame["n"], strict=True
            )
        ],
        role_title=[f"{glyph(role)} {role_title(role)}" for role in frame["role"]],
        title=[_(title) for title in frame["title"]],
        first=frontier(frame, cost),
    )
    x = (np.log(shown[cost] / low) / np.log(high / low)).to_numpy()
    y = ((top - shown["accuracy"]) / (top - bottom)).to_numpy()
    names = named(shown, x, y, lines, (bottom, top), _PLOT_PX)
    return filled(
        _shape(cost, (low, high), (bottom, top)),
        networks=shown,
        seeds=_seeds(frame, cost),
        edge=shown[shown["first"]][[cost, "accuracy"]].sort_values(cost),
        names=names,
        ties=names[names["tied"]],
        lines=lines,
    )


def _around(least: float, most: float) -> tuple[float, float]:
    """The ends of an axis: 1, 2 or 5 times a power of ten."""

    def steps(value: float) -> NDArray[np.float64]:
        return np.array([1.0, 2.0, 5.0, 10.0]) * 10 ** np.floor(np.log10(value))

    below, above = steps(least), steps(most)
    nearly = 1e-9  # 10**5 by way of logarithms may miss 100,000 by a hair
    return (
        float(below[below <= least * (1 + nearly)].max()),
        float(above[above >= most * (1 - nearly)].min()),
    )


def _seeds(frame: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    rows = [
        (cost_value, accuracy, role)
        for cost_value, of_seeds, role in zip(
            frame[cost], frame["of_seeds"], frame["role"], strict=True
        )
        for accuracy in (of_seeds if len(of_seeds) > 1 else ())
    ]
    return pd.DataFrame(rows, columns=[cost, "accuracy", "role"])


@shape
def _shape(cost: Cost, costs: tuple[float, float], accuracies: tuple[float, float]) -> Any:
    x = alt.X(
        f"{cost}:Q",
        title=cost_title(cost) + (_(" in ms") if cost == "latency_ms" else ""),
        scale=alt.Scale(type="log", domain=costs, nice=False),
        axis=alt.Axis(
            values=[float(10.0**power) for power in range(-2, 11)],
            format="~g" if cost == "latency_ms" else "~s",
        ),
    )
    title = _("Right on the test photographs")
    scale = alt.Scale(domain=accuracies, nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("accuracy:Q", title=title, scale=scale, axis=axis)
    base = alt.Chart(alt.NamedData("networks")).encode(
        x=x,
        color=role_color(),
        tooltip=[
            alt.Tooltip("title:N", title=_("Network")),
            alt.Tooltip("role_title:N", title=_("Role")),
            alt.Tooltip("accuracy_text:N", title=_("Right (95 % interval)")),
            alt.Tooltip("cost_text:N", title=cost_title(cost)),
            alt.Tooltip("n:Q", title=_("Test photographs"), format=","),
            alt.Tooltip("seeds:Q", title=_("Seeds")),
        ],
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.8).encode(
        alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
    )
    dots = base.mark_point(size=170, filled=True, opacity=1).encode(y=y, shape=role_shape())
    seeds = (
        alt.Chart(alt.NamedData("seeds"))
        .mark_point(size=60, filled=True, opacity=0.35)
        .encode(x, y, role_color(), shape=role_shape())
    )
    edge = alt.Chart(alt.NamedData("edge")).encode(x=x, y=y)
    stairs = painted(edge.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.7), "text")
    rings = painted(edge.mark_point(size=420, filled=False, strokeWidth=1.5, opacity=0.9), "text")
    return finish(
        layered(_baselines(title, scale), stairs, rings, seeds, bars, dots, *_names()),
        height=HEIGHT_PX,
    )


def _baselines(title: str, scale: alt.Scale) -> alt.Chart:
    """Dotted, in the grey of what is not ours; the words on them say that it is not comparable."""
    lines = alt.Chart(alt.NamedData("lines")).encode(alt.Y("accuracy:Q", title=title, scale=scale))
    return painted(lines.mark_rule(strokeDash=[2, 5], strokeWidth=1.5), "muted")


def _names() -> list[alt.Chart]:
    """Names and ties at their places, those for the width of this screen."""
    fits = " : ".join(f"width >= {px} ? {px}" for px in reversed(WIDTHS_PX[1:]))
    here = f"datum.px == ({fits} : {WIDTHS_PX[0]})"
    names = alt.Chart(alt.NamedData("names")).transform_filter(here)
    ties = alt.Chart(alt.NamedData("ties")).transform_filter(here)
    x, y = "datum.x * width", "datum.y * height"
    text = names.mark_text(
        align=alt.expr("datum.align"), baseline="middle", lineBreak="\n",
        x=alt.expr(f"{x} + datum.dx"), y=alt.expr(f"{y} + datum.dy"),
        fontSize=alt.expr(f"width < {PHONE_PX} ? 11 : 14"),
        lineHeight=alt.expr(f"width < {PHONE_PX} ? 13 : 17"),
    ).encode(text="text:N", color=role_color("slot"))  # fmt: skip
    tie = ties.mark_rule(strokeWidth=1, opacity=0.7).encode(
        alt.XValue(alt.expr(x)), alt.YValue(alt.expr(y)),
        alt.X2Value(alt.expr(f"{x} + datum.tie_dx")), alt.Y2Value(alt.expr(f"{y} + datum.tie_dy")),
    )  # fmt: skip
    return [painted(tie, "muted"), text]
