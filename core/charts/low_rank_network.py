"""A whole network at lower rank: parameters against accuracy, and MACs against time.

Colour says "factored"; the method is said by dashes and marks. The fewer parameters the further
left, so the curves end at the left, where their names stand in a margin, each tied to its end.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.collection_names import short_network
from core.charts.lines import LABEL_SIZE, beside, stacked
from core.charts.low_rank import method_title
from core.charts.shape import Spec, filled, shape
from core.charts.theme import (
    SLOTS,
    finish,
    glyph,
    guide,
    ink_text,
    layered,
    painted,
    role_color,
    role_of,
)
from core.checkpoints import Checkpoint
from core.compression.lowrank_shapes import METHODS, Method
from core.measure.lowrank_grid import LowRankGrid, LowRankRow
from core.serving.collected import collect
from core.words import _

HEIGHT_PX = 400
CHANCE = 1 / 11
_GAP = 0.13
_MARGIN = 0.45
"""Room at the left for the curves' names, as a share of the curves' own width."""
_NEARBY = 0.25
"""Marks closer than so many powers of ten lie below each other's names."""
_NAME_GAP = 0.07
_DASHES = [[2, 3], [1, 0], [8, 4], [8, 3, 2, 3]]
_SHAPES = ["diamond", "circle", "triangle-up", "square"]
_NAMES = [f"m{place}" for place in range(len(METHODS))]


def accuracy_frame(
    grid: LowRankGrid, methods: Sequence[Method], finetuned: bool = False
) -> pd.DataFrame:
    """A row per method and energy with an accuracy; `finetuned` adds those after training.

    Columns: method, series (the name of its curve), tuned, energy, params, macs, size_bytes,
    accuracy, low, high (95 % interval), n, correct.
    """
    rows = []
    for method in methods:
        tuned = grid.finetuned(method) if finetuned else []
        rows += [_row(row) for row in (*grid.of(method), *tuned) if row.score is not None]
    columns = ["method", "series", "tuned", "energy", "params", "macs", "size_bytes", "accuracy",
               "low", "high", "n", "correct"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _row(row: LowRankRow) -> dict[str, Any]:
    score = row.score
    assert score is not None
    return {
        "method": row.method,
        "series": method_title(row.method),
        "tuned": row.finetune_epochs > 0,
        "energy": row.energy,
        "params": row.params,
        "macs": row.macs,
        "size_bytes": row.size_bytes,
        "accuracy": score.accuracy,
        "low": score.ci95[0],
        "high": score.ci95[1],
        "n": score.n,
        "correct": score.correct,
    }


def others_frame(found: Iterable[Checkpoint], whole: Checkpoint, fingerprint: str) -> pd.DataFrame:
    """Students of other designs to stand beside `whole`'s curves, trained in the same way.

    A row a recipe, at the mean of its seeds: role, name, params, accuracy, low, high (95 %
    interval), title, score (in words). `fingerprint`: of the photographs that the curves were
    measured on; who was tested on others is left out. Where `whole` learned in another way than
    from labels or from a teacher alone, those that learned from labels stand beside it.
    """
    recipe = whole.recipe if whole.recipe in ("scratch", "distilled") else "scratch"
    groups = collect(
        one
        for one in found
        if one.family == "student"
        and (one.recipe, one.data.fingerprint) == (recipe, fingerprint)
        and one.model != whole.model
    )
    designs = [group.first.model for group in groups]
    rows = []
    for group in groups:
        one, (mean, low, high) = group.first, group.interval()
        role = role_of(one.family, one.recipe)
        name = short_network(one.model, one.title)
        name = name if designs.count(one.model) == 1 else one.title
        between = numbers.interval(low, high, group.n)
        rows.append(
            {
                "role": role,
                "name": f"{glyph(role)} {name}",
                "params": one.params,
                "accuracy": mean,
                "low": low,
                "high": high,
                "title": _(one.title),
                "score": f"{numbers.percent(mean, group.n)} ({between})",
            }
        )
    columns = ["role", "name", "params", "accuracy", "low", "high", "title", "score"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(label_at=_above(frame))


def _above(frame: pd.DataFrame) -> NDArray[np.float64]:
    """How high the names stand: above their own mark and its neighbours', none beside another."""
    params = frame["params"].to_numpy(dtype=float)
    near = np.abs(np.log10(params[:, None] / params)) < _NEARBY
    top = np.max(np.where(near, frame["high"].to_numpy(dtype=float), 0), axis=1, initial=0)
    placed, below = np.zeros(len(frame)), -np.inf
    for i in np.lexsort((frame["accuracy"], top, near.sum(axis=1))):  # alone: close to its mark
        placed[i] = below = max(top[i] + _NAME_GAP, below + _NAME_GAP)
    return placed


def accuracy_chart(
    frame: pd.DataFrame,
    others: pd.DataFrame,
    now: LowRankRow | None = None,
    live: pd.DataFrame | None = None,
    reveal: bool = True,
) -> Spec:
    """Accuracy against parameters with 95 % intervals; without `reveal` only the whole network.

    `others`: `others_frame`; `now`: the row that the controls name; `live`: columns params,
    accuracy, measured here just now.
    """
    least, most = (float(f(pd.concat([frame["params"], others["params"]]))) for f in (min, max))
    drawn = frame if reveal else frame[frame["energy"] == 1]
    shown = drawn.assign(
        dash=[_NAMES[METHODS.index(method)] for method in drawn["method"]],
        score=[
            f"{numbers.percent(p, n)} ({numbers.interval(low, high, n)})"
            for p, low, high, n in zip(
                drawn["accuracy"], drawn["low"], drawn["high"], drawn["n"], strict=True
            )
        ],
    )
    curves = shown[~shown["tuned"]]
    ends = curves.loc[curves.groupby("series", sort=False)["energy"].idxmin()].copy()
    ends["label_at"] = beside(ends["accuracy"], _GAP)
    ends["name"] = [stacked(name.replace(" × ", "×")) for name in ends["series"]]
    ends["margin"], ends["near"] = _margin(least, most, 0.0), _margin(least, most, _MARGIN * 0.92)
    empty = pd.DataFrame({"params": [], "accuracy": []}, dtype=float)
    return filled(
        _accuracy_shape(_margin(least, most, -0.02), most * 1.15),
        curves=curves,
        tuned=shown[shown["tuned"]],
        ends=ends if reveal else ends.iloc[:0],
        others=others if reveal else others.iloc[:0],
        live=empty if live is None else live,
        now=pd.DataFrame({"params": [now.params] if now and reveal else []}, dtype=float),
    )


def _margin(least: float, most: float, place: float) -> float:
    """A number of parameters on the log axis: 0 where the margin begins, _MARGIN where it ends."""
    decades = max(np.log10(most / least), 0.3)
    return float(least * 10 ** ((place - _MARGIN) * decades))


def _mark(field: str) -> alt.Shape:
    """A mark by method or by role: one scale for both, because layers share theirs."""
    domain, marks = [*_NAMES, *SLOTS], [*_SHAPES, *(slot.shape for slot in SLOTS.values())]
    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=domain, range=marks), legend=None)


@shape
def _accuracy_shape(low: float, high: float) -> Any:
    title, count = _("Right on the test photographs"), _("Parameters")
    y_scale = alt.Scale(domain=[0, 1], nice=False)
    y_axis = alt.Axis(format=".0%", tickCount=6)
    x = alt.X(
        "params:Q",
        title=count,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~s", tickCount=4, grid=False),
    )
    y = alt.Y("accuracy:Q", title=title, scale=y_scale, axis=y_axis)
    low_y = alt.Y("low:Q", title=title, scale=y_scale, axis=y_axis)
    tooltip = [
        alt.Tooltip("series:N", title=_("Method")),
        alt.Tooltip("energy:Q", title=_("Energy"), format=".0%"),
        alt.Tooltip("params:Q", title=count, format=","),
        alt.Tooltip("score:N", title=_("Right (95 % interval)")),
        alt.Tooltip("n:Q", title=_("Test photographs"), format=","),
    ]
    other_tooltip = [alt.Tooltip("title:N", title=_("Network")), tooltip[2], tooltip[3]]
    curves = alt.Chart(alt.NamedData("curves")).encode(x=x, detail="series:N")
    tuned = alt.Chart(alt.NamedData("tuned")).encode(x=x)
    others = alt.Chart(alt.NamedData("others")).encode(x=x)
    live = alt.Chart(alt.NamedData("live")).encode(x=x, y=y)
    now = alt.Chart(alt.NamedData("now")).mark_rule(strokeWidth=2).encode(x=x)
    ends = alt.Chart(alt.NamedData("ends"))
    mark = _mark("dash")
    dash = alt.StrokeDash("dash:N", scale=alt.Scale(domain=_NAMES, range=_DASHES), legend=None)
    star = "M0,-1L.3,-.3L1,0L.3,.3L0,1L-.3,.3L-1,0L-.3,-.3Z"
    band = curves.mark_area(opacity=0.16).encode(y=low_y, y2="high:Q")
    lines = curves.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash, order="energy:Q")
    marks = curves.mark_point(size=60, filled=True, opacity=1).encode(
        y=y, shape=mark, tooltip=tooltip
    )
    tuned_marks = tuned.mark_point(size=140, strokeWidth=2.5, filled=False).encode(
        y=y, shape=mark, tooltip=tooltip
    )
    leaders = ends.mark_rule(strokeWidth=1, opacity=0.7).encode(
        x=x, x2="near:Q", y=y, y2="label_at:Q"
    )
    names = ends.encode(alt.X("margin:Q", title=count), alt.Y("label_at:Q", title=title))
    other_marks = others.mark_point(size=120, filled=True, opacity=1).encode(
        y=y, color=role_color(), shape=_mark("role"), tooltip=other_tooltip
    )
    return finish(
        layered(
            guide("y", CHANCE),
            painted(now, "muted"),
            painted(band, "factored"),
            painted(lines, "factored"),
            painted(marks, "factored"),
            others.mark_rule(strokeWidth=2).encode(y=low_y, y2="high:Q", color=role_color()),
            other_marks,
            ink_text(
                others.encode(y=alt.Y("label_at:Q", title=title)), "name:N", dy=-4, **LABEL_SIZE
            ),
            painted(tuned.mark_rule(strokeWidth=2).encode(y=low_y, y2="high:Q"), "text"),
            painted(tuned_marks, "text"),
            painted(live.mark_point(size=260, shape=star, filled=True, opacity=1), "text"),
            painted(leaders, "factored"),
            ink_text(
                names, "name:N", align="left", baseline="middle", lineBreak="\n", **LABEL_SIZE
            ),
        ),
        height=HEIGHT_PX,
    )
