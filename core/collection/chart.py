"""What Home and Results draw: all networks against a cost, the reports' figures, their findings.

The seeds of one recipe are one mark at their mean; its seeds stand faintly behind it. Colour says
what a network is (its role); curves of one role differ by their dashes, and each is named at its
end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any, Literal, get_args

from core import i18n
from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.curves import DASHES, mark_shape, spread, stacked
from core.charts.libraries import alt
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
    row_guide,
)
from core.checkpoints.by_recipe import Collected
from core.collection.homework import Curve, Figure, NetworkRow
from core.course import BASELINES
from core.i18n import _

Cost = Literal["params", "macs", "size_bytes", "latency_ms"]
COSTS: tuple[Cost, ...] = get_args(Cost)
HEIGHT_PX = 360
_PLOT_PX = 285  # what axis and its title leave of it
WIDTHS_PX = (270, 560)
"""The narrowest plot of a phone, and of a wider screen: names that fit there fit in any wider."""
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


def cost_text(cost: Cost, value: float) -> str:
    """A cost with its unit: "256,779", "29.6 M", "536 KB", "1.24 ms"."""
    if cost == "params":
        return numbers.count(int(value))
    if cost == "macs":
        return f"{value / 1e6:,.1f}{numbers.THIN}M"
    return numbers.size(value) if cost == "size_bytes" else numbers.milliseconds(value)


def cost_of(row: NetworkRow, cost: Cost) -> float | None:
    """A network's cost; None where it was not timed."""
    value: float | None = getattr(row, cost)
    return value


def accuracy_text(row: NetworkRow) -> str:
    """Accuracy and its interval: "78.7 % (76.5 to 80.7 %)"."""
    interval = numbers.interval(row.low, row.high, row.n)
    return _("{value} ({detail})").format(
        value=numbers.percent(row.accuracy, row.n), detail=interval
    )


def frontier(rows: Iterable[NetworkRow], cost: Cost) -> list[NetworkRow]:
    """The rows no other row beats, smallest first: none is as small *and* at least as accurate.

    Each must have this cost.
    """
    edge: list[NetworkRow] = []
    for row in sorted(rows, key=lambda row: (getattr(row, cost), -row.accuracy)):
        if not edge or row.accuracy > edge[-1].accuracy:
            edge.append(row)
    return edge


def collection_chart(networks: tuple[NetworkRow, ...], cost: Cost, year: str | None = None) -> Spec:
    """Accuracy with its 95 % interval against a cost on a logarithmic axis, a mark a recipe.

    `networks`: the most accurate first; those without this cost are left out. `year`: whose
    baselines to draw, of `core.course.BASELINES`. Not to be changed: all visitors share it.
    """
    return _collection_chart(i18n.language(), networks, cost, year)


@lru_cache(maxsize=64)
def _collection_chart(
    _language: str, networks: tuple[NetworkRow, ...], cost: Cost, year: str | None
) -> Spec:
    rows = [row for row in networks if cost_of(row, cost) is not None]
    values = [float(getattr(row, cost)) for row in rows]
    names = {"simple": _("simple"), "medium": _("medium"), "strong": _("strong"), "boss": _("boss")}
    lines = [
        {
            "accuracy": accuracy,
            "text": _("{name} {value}").format(name=names[key], value=numbers.percent(accuracy)),
        }
        for key, accuracy in (BASELINES[year]._asdict().items() if year else ())
    ]
    stated = [line["accuracy"] for line in lines]
    costs = _around(min(*values, _FLOORS[cost]), max(values) * 1.0001)
    bottom = math.floor((min(*(row.low for row in rows), *stated, 1) - 0.02) * 20) / 20
    top = math.ceil((max(*(row.high for row in rows), *stated, 0) + 0.03) * 20) / 20
    accuracies = max(0.0, bottom), min(1.0, top)
    edge = frontier(rows, cost)
    return with_rows(
        _collection(cost),
        dict(zip(_ENDS, (*costs, *accuracies), strict=True)),
        networks=[
            {
                "checkpoint": row.checkpoint,
                "title": _(row.title),
                "role": row.role,
                "role_title": f"{glyph(row.role)} {role_title(row.role)}",
                "accuracy": row.accuracy,
                "low": row.low,
                "high": row.high,
                "accuracy_text": accuracy_text(row),
                "cost_text": cost_text(cost, value),
                "n": row.n,
                "seeds": len(row.seeds),
                cost: value,
            }
            for row, value in zip(rows, values, strict=True)
        ],
        seeds=[
            {cost: value, "accuracy": accuracy, "role": row.role}
            for row, value in zip(rows, values, strict=True)
            for accuracy in (row.accuracies if len(row.accuracies) > 1 else ())
        ],
        edge=[{cost: getattr(row, cost), "accuracy": row.accuracy} for row in edge],
        names=_names(rows, edge, cost, costs, accuracies),
        lines=lines,
    )


def _names(
    rows: Sequence[NetworkRow],
    edge: Sequence[NetworkRow],
    cost: Cost,
    costs: tuple[float, float],
    accuracies: tuple[float, float],
) -> list[dict[str, Any]]:
    """The frontier's names, for a wide plot and for a phone's, the most accurate first.

    Left of its mark a name rarely covers anything: no network there is as small and as good.
    """
    named: list[dict[str, Any]] = []
    for is_wide, px in enumerate(WIDTHS_PX):
        marks = [
            (
                px * math.log(getattr(row, cost) / costs[0]) / math.log(costs[1] / costs[0]),
                _PLOT_PX * (accuracies[1] - row.accuracy) / (accuracies[1] - accuracies[0]),
            )
            for row in rows
        ]
        texts = [
            versions(row.model, row.recipe, row.title, row.derived)[-2 if is_wide else -1 :]
            if row in edge
            else ()
            for row in rows
        ]
        labels = place_labels(texts, marks, (px, _PLOT_PX), ("left", "above", "right"))
        named += [
            {cost: getattr(row, cost), "accuracy": row.accuracy, "wide": bool(is_wide)}
            | label._asdict()
            for row, label in zip(rows, labels, strict=True)
            if label is not None
        ]
    return named


def _around(least: float, most: float) -> tuple[float, float]:
    """The ends of an axis: 1, 2 or 5 times a power of ten."""

    def steps(value: float) -> list[float]:
        return [step * 10.0 ** math.floor(math.log10(value)) for step in (1, 2, 5, 10)]

    nearly = 1e-9  # 10**5 by way of logarithms may miss 100,000 by a hair
    return (
        max(step for step in steps(least) if step <= least * (1 + nearly)),
        min(step for step in steps(most) if step >= most * (1 - nearly)),
    )


_ENDS = ("x_low", "x_high", "y_low", "y_high")
"""Parameters: the ends of both axes. With them one specification does for all networks."""


@compiled
def _collection(cost: Cost) -> Any:
    x_low, x_high, y_low, y_high = map(alt.expr, _ENDS)
    x = alt.X(
        f"{cost}:Q",
        title=cost_title(cost) + (_(" in ms") if cost == "latency_ms" else ""),
        scale=alt.Scale(type="log", domainMin=x_low, domainMax=x_high, nice=False),
        axis=alt.Axis(
            values=[float(10.0**power) for power in range(-2, 11)],
            format="~g" if cost == "latency_ms" else "~s",
        ),
    )

    def y(field: str) -> alt.Y:
        return alt.Y(
            f"{field}:Q",
            title=_("Right on the test photographs"),
            scale=alt.Scale(domainMin=y_low, domainMax=y_high, nice=False, zero=False),
            axis=alt.Axis(format=".0%", tickCount=6),
        )

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
    bars = base.mark_rule(strokeWidth=2, opacity=0.8).encode(y("low"), y2="high:Q")
    dots = base.mark_point(size=170, filled=True, opacity=1).encode(
        y("accuracy"), shape=role_shape()
    )
    seeds = alt.Chart(alt.NamedData("seeds")).mark_point(filled=True, size=45, opacity=0.3)
    seeds = seeds.encode(x, y("accuracy"), role_color(), role_shape())
    edge = alt.Chart(alt.NamedData("edge")).encode(x, y("accuracy"))
    stairs = edge.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.7)
    rings = edge.mark_point(size=420, filled=False, strokeWidth=1.5, opacity=0.9)
    names = ink_text(
        alt.Chart(alt.NamedData("names"))
        .transform_filter(f"datum.wide == (width >= {WIDTHS_PX[1]})")
        .encode(x, y("accuracy")),
        "text:N", baseline="middle", align=alt.expr("datum.align"),
        dx=alt.expr("datum.dx"), dy=alt.expr("datum.dy"),
    )  # fmt: skip
    lines = alt.Chart(alt.NamedData("lines")).encode(y("accuracy"))
    rules = painted(lines.mark_rule(strokeDash=[2, 5], strokeWidth=1.5), "muted")
    stated = ink_text(
        lines.encode(x=alt.value(4)), "text:N", "muted", align="left", baseline="bottom", dy=-3
    )
    return finish(
        layered(rules, stated, painted(stairs, "text"), painted(rings, "text"), seeds, bars, dots,
                names).add_params(*(alt.param(name=end, value=1) for end in _ENDS)),
        height=HEIGHT_PX,
    )  # fmt: skip


# The reports' figures, drawn from our own runs: curves of every seed, and theirs beside ours.

RESULTS_HEIGHT_PX = 380
LINE = 0.0575
"""A line of a curve's name, as a share of the plot's height."""
ROW_PX, AXIS_PX = 70, 60
_MARGIN = 1.5  # where the epoch axis' plot ends; names stand between 1 and here


def short_title(stem: str) -> str:
    """What a run of the figures is called beside its curve; the stem itself where it is no such."""
    return {
        "dwpw_256k-scratch": _("depthwise, from scratch"),
        "dwpw_256k-distilled_weak": _("depthwise, weak teacher"),
        "dwpw_256k-distilled": _("depthwise, strong teacher"),
        "dwpw_256k-distilled_stronger": _("depthwise, stronger teacher"),
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


@dataclass(frozen=True)
class MeanCurve:
    """The mean over the seeds of one recipe on one split, at the epochs that all of them have."""

    name: str
    role: str
    dash: int
    """Place in `DASHES`: curves of one role differ."""
    epochs: tuple[int, ...]
    accuracies: tuple[float, ...]
    seeds: tuple[Curve, ...]


def mean_curves(curves: Sequence[Curve]) -> list[MeanCurve]:
    """The curves of a figure (`core.collection.homework.curves`) by recipe and split."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.stem, curve.split), []).append(curve)
    several = len({stem for stem, _split in groups}) > 1
    both = len({split for _stem, split in groups}) > 1
    splits = {"training": _("training"), "validation": _("validation")}
    of_role: dict[str, int] = {}
    means = []
    for (stem, split), seeds in groups.items():
        role = seeds[0].role
        of_role[role] = dash = of_role.get(role, -1) + 1
        parts = [short_title(stem)] * (several or not both) + [splits[split]] * both
        means.append(
            MeanCurve(
                ", ".join(parts), role, dash % len(DASHES), min(s.epochs for s in seeds),
                tuple(map(fmean, zip(*(s.accuracies for s in seeds), strict=False))), tuple(seeds),
            )
        )  # fmt: skip
    return means


def curves_chart(means: Sequence[MeanCurve]) -> Spec:
    """Accuracy per epoch, a thick line a mean and a thin one a seed; one curve at least."""
    epochs = max(curve.epochs[-1] for mean in means for curve in mean.seeds)
    most = max(max(curve.accuracies) for mean in means for curve in mean.seeds)
    top = min(1.0, math.ceil((most + 0.02) * 5) / 5)  # few tops: each is compiled once
    names = [stacked(mean.name) for mean in means]
    gap = top * LINE * max(2, 1 + max(name.count("\n") for name in names))
    label_at = spread([mean.accuracies[-1] for mean in means], gap)
    label_at += max(0.0, gap / 2 - label_at.min())  # none below the plot, none above it
    label_at -= max(0.0, min(label_at.max() - (top - gap / 2), label_at.min() - gap / 2))

    def line(mean: MeanCurve, curve: MeanCurve | Curve, key: str) -> list[dict[str, Any]]:
        shared = {"series": mean.name, "role": mean.role, "dash": mean.dash, "checkpoint": key}
        return [
            {**shared, "epoch": epoch, "accuracy": accuracy}
            for epoch, accuracy in zip(curve.epochs, curve.accuracies, strict=True)
        ]

    lines = [line(mean, mean, "") for mean in means]
    return with_rows(
        _curves(epochs, top),
        seeds=[
            row
            for mean in means
            for seed in (mean.seeds if len(mean.seeds) > 1 else ())
            for row in line(mean, seed, seed.checkpoint)
        ],
        means=[row for each in lines for row in each],
        ends=[
            {**each[-1], "name": name, "label_at": float(height), "at": epochs * 1.03}
            for each, name, height in zip(lines, names, label_at, strict=True)
        ],
    )


@compiled
def _curves(epochs: int, top: float) -> Any:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if epochs / step <= 7)
    x = alt.X(
        "epoch:Q",
        title=_("epoch"),
        scale=alt.Scale(domain=[0, epochs * _MARGIN], nice=False),
        axis=alt.Axis(values=list(range(0, epochs + 1, step)), format="d", grid=False),
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
    thick = (
        alt.Chart(alt.NamedData("means"))
        .mark_line(strokeWidth=2.5)
        .encode(x, y, role_color(), strokeDash=dash, detail="series:N", tooltip=tips)
    )
    ends = alt.Chart(alt.NamedData("ends"))
    tip = ends.mark_point(size=90, filled=True, opacity=1).encode(
        x, y, role_color(), shape=role_shape()
    )
    tie = ends.mark_rule(strokeWidth=1, opacity=0.5).encode(
        x, y, x2="at:Q", y2="label_at:Q", color=role_color()
    )
    place = ends.encode(alt.X("at:Q", title=_("epoch")), alt.Y("label_at:Q", title=_("Right")))
    names = ink_text(place, "name:N", align="left", dx=1, lineBreak="\n", baseline="middle")
    return finish(layered(thin, thick, tie, tip, names), height=RESULTS_HEIGHT_PX)


def ladder_rows(groups: Mapping[str, Collected], figure: Figure) -> list[dict[str, Any]]:
    """A figure's networks, ours (test split, 95 % interval) and theirs, a fraction each or None.

    A network that only one side has stands there with that side's figure. Keys: stem, row (its
    name), role, accuracy, low, high, n, accuracies (of the seeds), reported, question, text.
    """
    rows = []
    for stem in figure.stems:
        group, reported = groups.get(stem), figure.reported.get(stem)
        if group is None and reported is None:
            continue
        mean, low, high = group.interval() if group else (None, None, None)
        texts = []
        if group and mean is not None and low is not None and high is not None:
            texts.append(
                _("ours {mean} ({interval})").format(
                    mean=numbers.percent(mean, group.n),
                    interval=numbers.interval(low, high, group.n),
                )
            )
        if reported:
            texts.append(_("theirs {value}").format(value=numbers.percent(reported.accuracy)))
        role = role_of(group.first) if group else "muted"
        rows.append(
            {
                "stem": stem,
                "row": (f"{glyph(role)} " if group else "") + short_title(stem),
                "role": role,
                "accuracy": mean,
                "low": low,
                "high": high,
                "n": group.n if group else None,
                "accuracies": group.accuracies if group else [],
                "reported": reported.accuracy if reported else None,
                "question": reported.where if reported else "",
                "text": " · ".join(texts),
            }
        )
    return rows


def ladder_chart(ladder: Sequence[Mapping[str, Any]]) -> Spec:
    """Ours with its interval and its seeds, theirs as a stroke; a row a network, one at least."""
    known = [
        row[key] for row in ladder for key in ("low", "high", "reported") if row[key] is not None
    ]
    low = max(0.0, math.floor((min(known) - 0.03) * 10) / 10)
    high = min(1.0, math.ceil((max(known) + 0.03) * 10) / 10)
    rows = [{**row, "place": place} for place, row in enumerate(ladder)]
    return with_rows(
        _ladder(len(rows), (low, high)),
        rows=rows,
        ours=[row for row in rows if row["accuracy"] is not None],
        theirs=[row for row in rows if row["reported"] is not None],
        seeds=[
            {"place": row["place"], "role": row["role"], "accuracy": accuracy}
            for row in rows
            for accuracy in (row["accuracies"] if len(row["accuracies"]) > 1 else ())
        ],
    )


@compiled
def _ladder(n: int, domain: tuple[float, float]) -> Any:
    title = _("Right on the test photographs (theirs: other photographs)")
    y, names, x = _rows(title, domain, alt.Axis(format=".0%", tickCount=6, grid=True))
    ours = alt.Chart(alt.NamedData("ours")).encode(y, role_color())
    span = ours.mark_rule(strokeWidth=3).encode(x("low"), x2="high:Q")
    mark = ours.mark_point(filled=True, opacity=1, size=170).encode(
        x("accuracy"), shape=role_shape()
    )
    seeds = alt.Chart(alt.NamedData("seeds")).mark_point(filled=True, opacity=0.4, size=60)
    theirs = alt.Chart(alt.NamedData("theirs")).mark_tick(
        orient="vertical", thickness=3, size=26, opacity=1
    )
    figures = alt.Chart(alt.NamedData("rows")).encode(y, x=alt.XValue(alt.expr("width")))
    return finish(
        layered(
            span, seeds.encode(x("accuracy"), y, role_color(), role_shape()), mark,
            painted(theirs.encode(x("reported"), y), "text"),
            ink_text(names, "row:N", align="left", dy=-17),
            ink_text(figures, "text:N", "muted", align="right", dy=23),
        ),
        height=ROW_PX * n + AXIS_PX,
    )  # fmt: skip


def _rows(title: str, domain: tuple[float, float], axis: alt.Axis) -> tuple[alt.Y, alt.Chart, Any]:
    """What charts of a row a thing share: y, the layer of names on `rows`, x of a field."""
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    scale = alt.Scale(domain=list(domain), nice=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)

    return y, alt.Chart(alt.NamedData("rows")).encode(y, x=alt.value(0)), x


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
    ends = math.floor(min([-4.0, *known]) / 4) * 4.0, math.ceil(max([4.0, *known]) / 4) * 4.0
    hidden = {} if reveal else dict.fromkeys(("mean", "low", "high", "slot", "mark", "text"))
    shown = [
        {**row, **hidden, "place": place, "on": row["key"] == chosen}
        for place, row in enumerate(rows)
    ]
    return with_rows(_claims(len(rows), ends), rows=shown)


@compiled
def _claims(n: int, ends: tuple[float, float]) -> Any:
    title = _("Difference in points (right: the first is better)")
    label = "datum.value ? format(datum.value, '+d') : '0'"
    y, names, x = _rows(title, ends, alt.Axis(labelExpr=label, tickCount=6, grid=True))
    rows = alt.Chart(alt.NamedData("rows")).encode(y)
    ours = rows.transform_filter("isValid(datum.mean)").encode(color=role_color("slot"))
    theirs = rows.transform_filter("isValid(datum.theirs_low)")
    bar = theirs.mark_rule(strokeWidth=8, opacity=0.5, yOffset=9)
    stroke = theirs.transform_calculate(at="(datum.theirs_low + datum.theirs_high) / 2").mark_tick(
        orient="vertical", thickness=3, size=20, yOffset=9
    )
    mark = ours.mark_point(filled=True, opacity=1, size=150, yOffset=9).encode(
        x("mean"),
        shape=mark_shape(),
        tooltip=[alt.Tooltip("name:N", title=_("Finding")), alt.Tooltip("text:N", title=_("Ours"))],
    )
    bold = alt.expr("datum.on ? 'bold' : 'normal'")
    return finish(
        layered(
            row_guide(rows, x("guide"), 0),
            painted(bar.encode(x("theirs_low"), x2="theirs_high:Q"), "muted"),
            painted(stroke.encode(x("at")), "text"),
            ours.mark_rule(strokeWidth=3, yOffset=9).encode(x("low"), x2="high:Q"),
            mark,
            ink_text(names, "name:N", align="left", dy=-9, fontWeight=bold),
        ),
        height=CLAIM_PX * n + AXIS_PX,
    )
