"""Several runs over each other, epoch by epoch, and the confusion matrix."""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import altair as alt
import pandas as pd

from core.charts.compiled import Spec, compiled, with_data, with_rows
from core.charts.curves import CHANCE, DASHES, spread
from core.charts.theme import (
    FONT_PX,
    RoleKey,
    finish,
    guide,
    ink_text,
    layered,
    painted,
    role_color,
    role_shape,
)
from core.course import CLASSES
from core.i18n import _, food_class, labelled

HEIGHT_PX: Final = 260
LOSS_PX: Final = 200


class Curve(NamedTuple):
    """One run as the charts name it."""

    title: str
    role: RoleKey
    entries: Sequence[dict[str, Any]]
    """Its metrics, one an epoch, as `core.training.runs` writes them."""
    alpha: float
    distilled: bool


class Panel(NamedTuple):
    """One picture of the live page: which columns of the metrics, and how they are read."""

    key: str
    title: str
    columns: dict[str, str]
    """Column of the metrics -> what its line is called."""
    percent: bool = False


def panels() -> list[Panel]:
    """The pictures of a running training, the most asked for first."""
    return [
        Panel(
            "accuracy",
            _("Accuracy"),
            {"val_accuracy": _("validation"), "train_accuracy": _("training")},
            percent=True,
        ),
        Panel(
            "losses",
            _("Losses"),
            {
                "loss": _("total"),
                "loss_hard": _("hard"),
                "loss_soft": _("soft"),
            },
        ),
        Panel(
            "agreement",
            _("Agreement"),
            {"agreement": _("agreement")},
            percent=True,
        ),
        Panel("lr", _("Learning rate"), {"lr": _("learning rate")}),
        Panel("speed", _("Speed"), {"images_per_s": _("images/s")}),
    ]


def metrics_frame(curves: Sequence[Curve]) -> pd.DataFrame:
    """All runs' metrics in one table, a row an epoch: the CSV of the page."""
    rows = [{"run": curve.title, **entry} for curve in curves for entry in curve.entries]
    return pd.DataFrame(rows)


def curve_rows(curves: Sequence[Curve], panel: Panel) -> list[dict[str, Any]]:
    """Rows of epoch, value, series (its name), role, line (a column), for `curves_chart`."""
    return [
        {
            "epoch": entry["epoch"],
            "value": entry[column],
            "series": labelled(curve.title, name) if len(curves) > 1 else name,
            "role": curve.role,
            "line": column,
        }
        for curve in curves
        for column, name in panel.columns.items()
        if column != "loss" or curve.distilled  # without a teacher the total is the hard loss
        for entry in curve.entries
        if entry.get(column) is not None
    ]


def curve_ends(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of each series."""
    return list({row["series"]: row for row in rows}.values())


def curves_chart(rows: Sequence[dict[str, Any]], panel: Panel, epochs: int) -> Spec:
    """One panel. The x axis holds all `epochs` from the start, so that nothing jumps."""
    top = 1.0 if panel.percent else _round_up(max((row["value"] for row in rows), default=1.0))
    ends = curve_ends(rows)
    places = spread([row["value"] for row in ends], top / 9)
    named = [{**row, "label_at": float(at)} for row, at in zip(ends, places, strict=True)]
    return with_rows(_curves(panel.key, max(1, epochs), top), lines=rows, ends=named)


@compiled
def _curves(key: str, epochs: int, top: float) -> Any:
    panel = next(panel for panel in panels() if panel.key == key)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, top]))
    y = y.axis(format=".0%", tickCount=5) if panel.percent else y.axis(tickCount=5)
    x = alt.X("epoch:Q", title=_("epoch"), scale=alt.Scale(domain=[0, epochs]))
    x = x.axis(tickMinStep=1, format="d")
    dashes = alt.Scale(domain=list(panel.columns), range=DASHES[: len(panel.columns)])
    lines, ends = (alt.Chart(alt.NamedData(name)).encode(x) for name in ("lines", "ends"))
    labels = ends.encode(alt.Y("label_at:Q", title=None))
    return finish(
        layered(
            lines.mark_line(strokeWidth=2.5).encode(
                y,
                color=role_color(),
                detail="series:N",
                strokeDash=alt.StrokeDash("line:N", legend=None, scale=dashes),
                tooltip=["series:N", "epoch:Q", "value:Q"],
            ),
            ends.mark_point(size=90, filled=True, opacity=1).encode(
                y, color=role_color(), shape=role_shape()
            ),
            ink_text(labels, "series:N", align="right", baseline="bottom", dy=-7),
            # where a coin with eleven sides would be
            *([guide("y", CHANCE)] if key == "accuracy" else []),
        ),
        HEIGHT_PX,
    )


def loss_chart(points: Sequence[tuple[float, float]], epochs: int, role: RoleKey) -> Spec:
    """The loss of a run that goes on: `points` of (epochs done, loss), in order.

    The x axis holds all `epochs` from the start; the y axis goes up to the largest loss, which is
    one of the first, so nothing jumps. Without points the axes alone.
    """
    rows = [{"epoch": epoch, "loss": loss} for epoch, loss in points]
    latest = [{**row, "text": f"{row['loss']:.3g}"} for row in rows[-1:]]
    top = float(math.ceil(max((loss for _epoch, loss in points), default=3.0)))
    return with_rows(_loss_shape(epochs, max(1.0, top), role), points=rows, latest=latest)


@compiled
def _loss_shape(epochs: int, top: float, role: RoleKey) -> Any:
    x = alt.X("epoch:Q", title=_("epoch"), scale=alt.Scale(domain=[0, epochs], nice=False))
    y = alt.Y("loss:Q", title=_("loss"), scale=alt.Scale(domain=[0, top]))
    x, y = x.axis(tickMinStep=1, format="d"), y.axis(tickCount=4)
    tooltip = [
        alt.Tooltip("epoch:Q", title=_("epoch"), format=".2f"),
        alt.Tooltip("loss:Q", title=_("loss"), format=".3f"),
    ]
    line, end = (
        alt.Chart(alt.NamedData(name)).encode(x, y, tooltip=tooltip)
        for name in ("points", "latest")
    )
    return finish(
        layered(
            painted(line.mark_line(strokeWidth=2), role),
            painted(end.mark_circle(size=60, opacity=1), role),
            *(
                ink_text(end.transform_filter(half), "text:N", align=align, dx=dx, dy=-12)
                for half, align, dx in (
                    (f"datum.epoch < {epochs / 2}", "left", 4),
                    (f"datum.epoch >= {epochs / 2}", "right", 0),
                )
            ),
        ),
        LOSS_PX,
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 3, 5 times a power of ten: an axis that seldom changes."""
    if not value > 0:
        return 1.0
    power = 10.0 ** (len(f"{value:.0f}") - 1) if value >= 1 else 10.0 ** _exponent(value)
    return next(step * power for step in (1, 2, 3, 5, 10, 20) if step * power >= value)


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def confusion_frame(counts: Sequence[Sequence[int]]) -> pd.DataFrame:
    """(11, 11) counts, row the true class -> true, answer, n, share of the true class, is_right."""
    rows = []
    for label, line in enumerate(counts):
        total = sum(line)
        for answer, n in enumerate(line):
            rows.append(
                {
                    "true": food_class(CLASSES[label]),
                    "answer": food_class(CLASSES[answer]),
                    "n": n,
                    "share": n / total if total else 0.0,
                    "is_right": label == answer,
                }
            )
    return pd.DataFrame(rows)


def confusion_chart(counts: Sequence[Sequence[int]]) -> Spec:
    """The confusion matrix: a cell a pair, as full as its share of the true class."""
    return with_data(_confusion(), cells=confusion_frame(counts))


@compiled
def _confusion() -> Any:
    names = [food_class(name) for name in CLASSES]
    place = alt.Chart(alt.NamedData("cells")).encode(
        alt.X("answer:N", sort=names, title=_("the network's answer")).axis(
            orient="top", labelAngle=-50, labelOverlap=False, grid=False
        ),
        alt.Y("true:N", sort=names, title=_("the label")).axis(grid=False),
        tooltip=[
            alt.Tooltip("true:N", title=_("the label")),
            alt.Tooltip("answer:N", title=_("the network's answer")),
            alt.Tooltip("n:Q", title=_("photographs")),
            alt.Tooltip("share:Q", title=_("share of the label's"), format=".0%"),
        ],
    )
    fullness = alt.Opacity(  # at most half, so that the count on it stays readable
        "share:Q", legend=None, scale=alt.Scale(domain=[0, 0.7], range=[0.04, 0.5], clamp=True)
    )

    def cells(rule: str, slot: str) -> alt.Chart:
        chart = place.transform_filter(rule).mark_rect(cornerRadius=4)
        return painted(chart.encode(opacity=fullness), slot)

    numbers = place.transform_filter("datum.n > 0")
    return finish(
        layered(
            cells("datum.is_right", "correct"),
            cells("!datum.is_right", "wrong"),
            ink_text(numbers, "n:Q", fontSize=FONT_PX - 1),
        ),
        520,
    )
