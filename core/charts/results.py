"""The reports' figures, drawn from our own runs: curves of every seed, and theirs beside ours.

Colour says what a network is (its role); networks of one role differ by their dashes, and each is
named at its end. A seed is a thin line, the mean over seeds a thick one.
"""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.lines import DASHES, LABEL_SIZE, beside, stacked
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, glyph, ink_text, layered, role_color, role_of, role_shape
from core.serving.collected import Collected
from core.serving.results import Figure
from core.words import _

HEIGHT_PX = 380
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
    """`core.serving.results.curves_frame` as it is drawn: with each curve's name, role and dash."""
    several = curves["stem"].nunique() > 1
    splits = curves["split"].nunique() > 1
    frame = curves.copy()
    frame["series"] = [
        _name(stem, split, several, splits)
        for stem, split in zip(curves["stem"], curves["split"], strict=True)
    ]
    firsts = {stem: group.first for stem, group in groups.items()}
    roles = {stem: role_of(one.family, one.recipe) for stem, one in firsts.items()}
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
    return filled(_curves(epochs, top), seeds=thin, means=mean, ends=ends)


def _under(most: float, heights: np.ndarray, least: float) -> np.ndarray:
    """All moved down until none is above `most`, as far as none comes below `least`."""
    down = max(0.0, min(float(heights.max()) - most, float(heights.min()) - least))
    return heights - down


@shape
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
    return finish(layered(thin, thick, tie, tip, names), height=HEIGHT_PX)


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
        role = role_of(group.first.family, group.first.recipe) if group else "muted"
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
    return filled(
        _ladder(len(frame), (low, high)),
        rows=rows,
        ours=ours,
        theirs=rows[rows["reported"].notna()],
        seeds=pd.DataFrame(seeds, columns=["place", "role", "accuracy"]),
    )


@shape
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
