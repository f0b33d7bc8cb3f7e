"""All shipped checkpoints in one picture: how often each is right, against what it costs.

The seeds of one recipe are one mark at their mean; its seeds stand faintly behind it. What no other
network beats is ringed, joined by a line and named: the Pareto frontier.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data, with_rows
from core.charts.curves import DASHES, LABEL_SIZE, beside, mark_shape, stacked
from core.charts.names import place_labels, versions
from core.charts.theme import (
    finish,
    glyph,
    ink_text,
    layered,
    painted,
    role_color,
    role_of,
    role_shape,
    role_title,
)
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import Collected, collect, on_one_set
from core.collection.homework import Figure
from core.collection.latency import LatencyTable
from core.course import BASELINES
from core.i18n import _

Cost = Literal["params", "macs", "size_bytes", "latency_ms"]
COSTS: tuple[Cost, ...] = get_args(Cost)

COLUMNS = (
    "checkpoint", "model", "recipe", "title", "role", "params", "macs", "size_bytes", "latency_ms",
    "accuracy", "low", "high", "n", "data", "is_food11", "seeds", "of_seeds", "derived",
)  # fmt: skip

HEIGHT_PX = 360
_PLOT_PX = 285  # what axis and its title leave of it
_DRAWN = (
    "checkpoint", "title", "role", "role_title", "accuracy", "low", "high", "accuracy_text",
    "cost_text", "n", "seeds",
)  # fmt: skip
WIDTHS_PX = (270, 560)
"""The narrowest plot of a phone, and of a wider screen: names that fit there fit in any wider."""
WIDE_PX = WIDTHS_PX[1]
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

    All on the same photographs, those of most recipes (`core.checkpoints.by_recipe.on_one_set`).

    `accuracy`, `low`, `high` are fractions: the mean over seeds and its 95 % interval
    (`core.stats.accuracy_interval`). `checkpoint` is the lowest seed's id, whose time per
    picture, parameters and bytes stand for all; `of_seeds` every seed's accuracy; `derived` what
    was done to the network after its training, or empty.
    """
    rows = []
    for group in on_one_set(collect(checkpoints))[0]:
        one = group.first
        ms = times and times.of(one.id, one.weights_sha256)
        rows.append(
            (
                one.id, one.model, one.recipe, one.title, role_of(one),
                one.params, one.macs, group.size_bytes, ms.median if ms else np.nan,
                *group.interval(), group.n, one.data.name, one.data.is_food11, len(group.seeds),
                tuple(group.accuracies), one.derived_from.kind if one.derived_from else "",
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
    """A year's baselines (a key of `core.course.BASELINES`): columns accuracy, text."""
    names = {"simple": _("simple"), "medium": _("medium"), "strong": _("strong"), "boss": _("boss")}
    rows = [
        (value, _("{name} {value}").format(name=names[key], value=numbers.percent(value)))
        for key, value in BASELINES[year]._asdict().items()
    ]
    return pd.DataFrame(rows, columns=["accuracy", "text"])


def collection_chart(frame: pd.DataFrame, cost: Cost, year: str | None = None) -> Spec:
    """Accuracy with its 95 % interval against a cost on a logarithmic axis, a mark a recipe.

    `year`: whose baselines to draw, of `core.course.BASELINES`. Rows without this cost are left
    out.
    """
    frame = frame[frame[cost].notna()].sort_values("accuracy", ascending=False, ignore_index=True)
    lines = baselines_frame(year) if year else pd.DataFrame(columns=["accuracy", "text"])
    low, high = _around(min(frame[cost].min(), _FLOORS[cost]), frame[cost].max() * 1.0001)
    least = min(frame["low"].min(), *lines["accuracy"], 1)
    most = max(frame["high"].max(), *lines["accuracy"], 0)
    bottom = max(0.0, float(np.floor((least - 0.02) * 20) / 20))
    top = min(1.0, float(np.ceil((most + 0.03) * 20) / 20))
    shown = frame.assign(
        cost_text=[cost_text(cost, value) for value in frame[cost]],
        accuracy_text=[
            f"{numbers.percent(p, n)} ({numbers.interval(least, most, n)})"
            for p, least, most, n in zip(
                frame["accuracy"], frame["low"], frame["high"], frame["n"], strict=True
            )
        ],
        role_title=[f"{glyph(role)} {role_title(role)}" for role in frame["role"]],
        title=[_(title) for title in frame["title"]],
    )
    edge = frame[frontier(frame, cost)].sort_values(cost)
    return with_rows(
        _shape(cost, (low, high), (bottom, top)),
        networks=_records(shown[[*_DRAWN, cost]]),
        seeds=_seeds(frame, cost),
        edge=_records(edge[[cost, "accuracy"]]),
        names=_names_of(frame, cost, (low, high), (bottom, top)),
        lines=_records(lines),
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
    return rows


def _names_of(
    frame: pd.DataFrame, cost: Cost, costs: tuple[float, float], accuracies: tuple[float, float]
) -> list[dict[str, Any]]:
    """The frontier's names, for a wide plot and for a phone's, the most accurate first.

    Left of its mark a name rarely covers anything: no network there is as small and as good.
    """
    low, high = costs
    bottom, top = accuracies
    across = np.log(frame[cost] / low) / np.log(high / low)
    down = _PLOT_PX * (top - frame["accuracy"]) / (top - bottom)
    named = frontier(frame, cost)
    rows = []
    for px in WIDTHS_PX:
        longest = -2 if px >= WIDE_PX else -1
        names = [
            versions(*words)[longest:] if is_first else ()
            for is_first, *words in zip(
                named, frame["model"], frame["recipe"], frame["title"], frame["derived"],
                strict=True,
            )
        ]  # fmt: skip
        marks = list(zip(px * across, down, strict=True))
        placed = place_labels(names, marks, (px, _PLOT_PX), ("left", "above", "right"))
        for label, value, accuracy in zip(placed, frame[cost], frame["accuracy"], strict=True):
            if label is not None:
                place = {cost: value, "accuracy": accuracy, "wide": px >= WIDE_PX}
                rows.append(place | label._asdict())
    return rows


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


def _seeds(frame: pd.DataFrame, cost: Cost) -> list[dict[str, Any]]:
    return [
        {cost: cost_value, "accuracy": accuracy, "role": role}
        for cost_value, of_seeds, role in zip(
            frame[cost], frame["of_seeds"], frame["role"], strict=True
        )
        for accuracy in (of_seeds if len(of_seeds) > 1 else ())
    ]


@compiled
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
        layered(*_baselines(title, scale), stairs, rings, seeds, bars, dots, _names(x, y)),
        height=HEIGHT_PX,
    )


def _baselines(title: str, scale: alt.Scale) -> list[alt.Chart]:
    """Dotted, in the grey of what is not ours; the words on them say that it is not comparable."""
    lines = alt.Chart(alt.NamedData("lines")).encode(alt.Y("accuracy:Q", title=title, scale=scale))
    rules = painted(lines.mark_rule(strokeDash=[2, 5], strokeWidth=1.5), "muted")
    words = lines.encode(x=alt.value(4))
    return [rules, ink_text(words, "text:N", "muted", align="left", baseline="bottom", dy=-3)]


def _names(x: alt.X, y: alt.Y) -> alt.Chart:
    """The names for the width of this screen, each at its side of its mark."""
    names = alt.Chart(alt.NamedData("names")).transform_filter(
        f"datum.wide == (width >= {WIDE_PX})"
    )
    return ink_text(
        names.encode(x=x, y=y), "text:N", baseline="middle", align=alt.expr("datum.align"),
        dx=alt.expr("datum.dx"), dy=alt.expr("datum.dy"),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------
# The reports' figures, drawn from our own runs: curves of every seed, and theirs beside ours.
#
# Colour says what a network is (its role); networks of one role differ by their dashes, and each is
# named at its end. A seed is a thin line, the mean over seeds a thick one.


RESULTS_HEIGHT_PX = 380
LINE = 0.0575
"""A line of a curve's name, as a share of the plot's height."""
ROW_PX, AXIS_PX = 62, 60
_MARGIN = 1.5  # where the epoch axis' plot ends; names stand between 1 and here


def short_title(stem: str) -> str:
    """What a run of the figures is called beside its curve; the stem itself where it is no such."""
    return {
        "dwpw_256k-scratch": _("depthwise, from scratch"),
        "dwpw_256k-distilled_weak": _("depthwise, weak teacher"),
        "dwpw_256k-distilled": _("depthwise, strong teacher"),
        "dwpw_256k-food101_scratch": _("depthwise, Food-101 first"),
        "dwpw_256k-food101_distilled": _("depthwise, Food-101 first, distilled"),
        "plain_2m-scratch": _("plain, 2.2 M"),
        "plain_275k-scratch": _("plain, 275 k"),
        "group8_277k-scratch": _("group of 8, 277 k"),
        "best_100k-scratch": _("best 100 k, from scratch"),
        "best_100k-distilled": _("best 100 k, distilled"),
        "best_100k-food101_distilled": _("best 100 k, Food-101 first, distilled"),
        "hw13_residual-scratch": _("HW13 residual, from scratch"),
        "hw13_residual-distilled": _("HW13 residual, distilled"),
        "hw13_sample-scratch": _("HW13 sample, from scratch"),
        "hw13_sample-distilled": _("HW13 sample, distilled"),
    }.get(stem.removesuffix("_10ep"), stem)


def split_title(split: str) -> str:
    """What a split is called."""
    return {"training": _("training"), "validation": _("validation")}[split]


def drawn_frame(curves: pd.DataFrame, groups: Mapping[str, Collected]) -> pd.DataFrame:
    """`core.collection.homework.curves_frame` as it is drawn: with each curve's name, role and
    dash."""
    several = curves["stem"].nunique() > 1
    splits = curves["split"].nunique() > 1
    frame = curves.copy()
    frame["series"] = [
        _name(stem, split, several, splits)
        for stem, split in zip(curves["stem"], curves["split"], strict=True)
    ]
    firsts = {stem: group.first for stem, group in groups.items()}
    roles = {stem: role_of(one) for stem, one in firsts.items()}
    frame["role"] = [roles[stem] for stem in curves["stem"]]
    dashes: dict[str, int] = {}
    for _role, names in frame.groupby("role", sort=False)["series"]:
        dashes |= {name: i % len(DASHES) for i, name in enumerate(dict.fromkeys(names))}
    frame["dash"] = [dashes[name] for name in frame["series"]]
    return frame


def _name(stem: str, split: str, several: bool, splits: bool) -> str:
    if not splits:
        return short_title(stem)
    if not several:
        return split_title(split)
    return f"{short_title(stem)}, {split_title(split)}"


def mean_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds of each curve, at the epochs that all its seeds have."""
    seeds = frame.groupby("series")["checkpoint"].nunique()
    by = ["series", "role", "dash", "split", "epoch"]
    grouped = frame.groupby(by, sort=False)["accuracy"].agg(["mean", "size"]).reset_index()
    whole = grouped[grouped["size"] == grouped["series"].map(seeds)]
    return whole.rename(columns={"mean": "accuracy", "size": "seeds"}).reset_index(drop=True)


def curves_chart(frame: pd.DataFrame) -> Spec:
    """Accuracy per epoch; `frame` as `drawn_frame` gives it, with a row at least."""
    mean = mean_frame(frame)
    ends = mean.loc[mean.groupby("series", sort=False)["epoch"].idxmax()].copy()
    epochs = int(frame["epoch"].max())
    top = min(1.0, float(np.ceil((frame["accuracy"].max() + 0.02) * 10) / 10))
    ends["name"] = [stacked(name) for name in ends["series"]]
    gap = top * LINE * max(2, 1 + ends["name"].str.count("\n").max())
    ends["label_at"] = _under(top - gap / 2, beside(ends["accuracy"], gap), gap / 2)
    ends["at"] = epochs * 1.03
    thin = frame if len(frame) > len(mean) else frame.iloc[:0]
    return with_data(_curves(epochs, top), seeds=thin, means=mean, ends=ends)


def _under(most: float, heights: np.ndarray, least: float) -> np.ndarray:
    """All moved down until none is above `most`, as far as none comes below `least`."""
    down = max(0.0, min(float(heights.max()) - most, float(heights.min()) - least))
    return heights - down


@compiled
def _curves(epochs: int, top: float) -> Any:
    x = alt.X(
        "epoch:Q",
        title=_("epoch"),
        scale=alt.Scale(domain=[0, epochs * _MARGIN], nice=False),
        axis=alt.Axis(values=_ticks(epochs), format="d", grid=False),
    )
    y = alt.Y(
        "accuracy:Q",
        title=_("Right"),
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(format=".0%", tickCount=6),
    )
    dash = alt.StrokeDash(
        "dash:O",
        legend=None,
        scale=alt.Scale(domain=list(range(len(DASHES))), range=list(DASHES)),
    )
    tips = [
        alt.Tooltip("series:N", title=_("Curve")),
        alt.Tooltip("epoch:Q", title=_("epoch")),
        alt.Tooltip("accuracy:Q", title=_("Right"), format=".1%"),
    ]
    thin = (
        alt.Chart(alt.NamedData("seeds"))
        .mark_line(strokeWidth=1, opacity=0.45)
        .encode(x, y, role_color(), detail=["series:N", "checkpoint:N"], tooltip=tips)
    )
    means = alt.Chart(alt.NamedData("means"))
    thick = means.mark_line(strokeWidth=2.5).encode(
        x, y, role_color(), strokeDash=dash, detail="series:N", tooltip=tips
    )
    ends = alt.Chart(alt.NamedData("ends"))
    tip = ends.mark_point(size=90, filled=True, opacity=1).encode(
        x, y, role_color(), shape=role_shape()
    )
    tie = ends.mark_rule(strokeWidth=1, opacity=0.5).encode(
        x, y, x2="at:Q", y2="label_at:Q", color=role_color()
    )
    place = ends.encode(alt.X("at:Q", title=_("epoch")), alt.Y("label_at:Q", title=_("Right")))
    names = ink_text(place, "name:N", align="left", dx=3, lineBreak="\n", baseline="middle",
                     **LABEL_SIZE)  # fmt: skip
    return finish(layered(thin, thick, tie, tip, names), height=RESULTS_HEIGHT_PX)


def _ticks(epochs: int) -> list[int]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if epochs / step <= 7)
    return list(range(0, epochs + 1, step))


LADDER_COLUMNS = (
    "stem", "row", "role", "accuracy", "low", "high", "n", "seeds", "reported", "question", "text",
)  # fmt: skip


def ladder_frame(groups: Mapping[str, Collected], figure: Figure) -> pd.DataFrame:
    """A figure's networks, ours (test split, 95 % interval) and theirs; LADDER_COLUMNS.

    A network that only one side has stands there with that side's figure.
    """
    rows = []
    for stem in figure.stems:
        group, theirs = groups.get(stem), figure.reported.get(stem)
        if group is None and theirs is None:
            continue
        mean, low, high = group.interval() if group else (np.nan,) * 3
        said = []
        if group:
            said.append(
                _("ours {mean} ({interval})").format(
                    mean=numbers.percent(mean, group.n),
                    interval=numbers.interval(low, high, group.n),
                )
            )
        if theirs:
            said.append(_("theirs {value}").format(value=numbers.percent(theirs.accuracy)))
        role = role_of(group.first) if group else "muted"
        mark = f"{glyph(role)} " if group else ""
        rows.append(
            (stem, mark + short_title(stem), role, mean, low, high, group.n if group else None,
             len(group.seeds) if group else 0, theirs.accuracy if theirs else np.nan,
             theirs.where if theirs else "", " · ".join(said))
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(LADDER_COLUMNS))


def ladder_chart(frame: pd.DataFrame, groups: Mapping[str, Collected]) -> Spec:
    """Ours with its interval and its seeds, theirs as a hollow mark; a row a network."""
    figures = frame[["low", "high", "reported"]].to_numpy(dtype=float)
    low = max(0.0, float(np.floor((np.nanmin(figures) - 0.03) * 10) / 10))
    high = min(1.0, float(np.ceil((np.nanmax(figures) + 0.03) * 10) / 10))
    rows = frame.assign(place=range(len(frame)))
    seeds = [
        {"place": place, "role": role, "accuracy": accuracy}
        for place, stem, role in zip(rows["place"], rows["stem"], rows["role"], strict=True)
        if stem in groups and len(groups[stem].seeds) > 1
        for accuracy in groups[stem].accuracies
    ]
    ours = rows[rows["accuracy"].notna()]
    return with_data(
        _ladder(len(frame), (low, high)),
        rows=rows,
        ours=ours,
        theirs=rows[rows["reported"].notna()],
        seeds=pd.DataFrame(seeds, columns=["place", "role", "accuracy"]),
    )


@compiled
def _ladder(n: int, domain: tuple[float, float]) -> Any:
    title = _("Right on the test photographs (theirs: other photographs)")
    scale = alt.Scale(domain=list(domain), nice=False)
    axis = alt.Axis(format=".0%", tickCount=6, grid=True)
    x = alt.X("accuracy:Q", title=title, scale=scale, axis=axis)
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    ours = alt.Chart(alt.NamedData("ours")).encode(y=y)
    span = ours.mark_rule(strokeWidth=3).encode(
        alt.X("low:Q", title=title, scale=scale), x2="high:Q", color=role_color()
    )
    mark = ours.mark_point(filled=True, opacity=1, size=170).encode(
        x, color=role_color(), shape=role_shape()
    )
    seeds = (
        alt.Chart(alt.NamedData("seeds"))
        .mark_point(filled=True, opacity=0.4, size=60)
        .encode(x, y, role_color(), shape=role_shape())
    )
    theirs = (
        alt.Chart(alt.NamedData("theirs"))
        .transform_calculate(slot="'text'")
        .mark_tick(orient="vertical", thickness=3, size=26, opacity=1)
        .encode(alt.X("reported:Q", title=title, scale=scale), y, role_color("slot"))
    )
    rows = alt.Chart(alt.NamedData("rows")).encode(y=y)
    name = ink_text(rows.encode(x=alt.value(0)), "row:N", align="left", dy=-17)
    figures = ink_text(
        rows.encode(x=alt.XValue(alt.expr("width"))),
        "text:N", "muted", align="right", dy=18, fontSize=12,
    )  # fmt: skip
    return finish(layered(span, seeds, mark, theirs, name, figures), height=ROW_PX * n + AXIS_PX)


# ------------------------------------------------------------------------------------------------
# What the reports found, as differences in points: theirs, and ours with its interval.


CLAIM_PX = 46


def claims_chart(rows: Sequence[Mapping[str, Any]], chosen: str, reveal: bool = True) -> Spec:
    """A row a finding: the difference that the report states, and ours unless it is to be guessed.

    `rows`: key, name, theirs_low and theirs_high, mean, low, high (points; None where there is
    none), slot and mark (colour and shape of our verdict) and text. `chosen`: the key that is drawn
    bold. The axis is the same before and after the reveal.
    """
    known = [
        value
        for row in rows
        for name in ("theirs_low", "theirs_high", "low", "high")
        if (value := row[name]) is not None
    ]
    ends = float(np.floor(min([-4.0, *known]) / 4) * 4), float(np.ceil(max([4.0, *known]) / 4) * 4)
    hidden = {} if reveal else dict.fromkeys(("mean", "low", "high", "slot", "mark", "text"))
    shown = [
        {**row, **hidden, "place": place, "on": row["key"] == chosen}
        for place, row in enumerate(rows)
    ]
    return with_rows(_claims(len(rows), ends), rows=shown)


@compiled
def _claims(n: int, ends: tuple[float, float]) -> Any:
    title = _("Difference in points (right of 0: as the line says)")
    scale = alt.Scale(domain=list(ends), nice=False)
    axis = alt.Axis(format="+d", tickCount=6, grid=True)
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    rows = alt.Chart(alt.NamedData("rows")).encode(y=y)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)

    ours = rows.transform_filter("isValid(datum.mean)").encode(color=role_color("slot"))
    theirs = rows.transform_filter("isValid(datum.theirs_low)")
    tips = [
        alt.Tooltip("name:N", title=_("Finding")),
        alt.Tooltip("text:N", title=_("Ours")),
    ]
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(strokeWidth=1, strokeDash=[3, 3])
    name = rows.encode(x=alt.value(0))
    return finish(
        layered(
            painted(zero.encode(x("at")), "muted"),
            painted(
                theirs.mark_rule(strokeWidth=8, opacity=0.5, yOffset=9).encode(
                    x("theirs_low"), x2="theirs_high"
                ),
                "muted",
            ),
            painted(
                theirs.transform_calculate(at="(datum.theirs_low + datum.theirs_high) / 2")
                .mark_tick(orient="vertical", thickness=3, size=20, yOffset=9)
                .encode(x("at")),
                "text",
            ),
            ours.mark_rule(strokeWidth=3, yOffset=9).encode(x("low"), x2="high"),
            ours.mark_point(filled=True, opacity=1, size=150, yOffset=9).encode(
                x("mean"), shape=mark_shape(), tooltip=tips
            ),
            ink_text(name.transform_filter("!datum.on"), "name:N", align="left", dy=-9),
            ink_text(
                name.transform_filter("datum.on"), "name:N", align="left", dy=-9, fontWeight="bold"
            ),
        ),
        height=CLAIM_PX * n + AXIS_PX,
    )
