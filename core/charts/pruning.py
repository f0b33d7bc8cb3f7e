"""The pruning page's charts: ratio against accuracy, ratio against time, and guesses beside them.

Colour says whose network it is (its role); what was done to it is said by dashes and marks. Curves
of pruned networks all end in the same corner, so their names stand in a margin at the right, each
tied to its curve's end.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.lines import CHANCE, DASHES, LABEL_SIZE, beside, level, stacked
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted, role_color
from core.compression.prune import Form
from core.compression.prune_select import METHODS, Method
from core.measure.pruning_grid import PruningGrid, PruningRow
from core.words import _

HEIGHT_PX = 400
_MARGIN = 1.42  # where the ratio axis' plot ends; names stand between 1 and here
_GAP = 0.11
_TICKS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross"]
_GLYPHS = "●■▲◆✚"
"""The same marks as text, for the curves' names."""

GUESSES = ("straight", "early", "late", "never")
"""Ways in which accuracy might fall, to choose from before looking."""


class Measured(NamedTuple):
    """One network's grid as the charts name it."""

    title: str
    role: str
    grid: PruningGrid


def method_title(method: Method) -> str:
    """What a method is called."""
    return {
        "l1": _("L1, per layer"),
        "global_l1": _("L1, whole network"),
        "random": _("Random weights"),
        "channel_l2": _("Channels by L2"),
        "bn_gamma": _("Channels by BN gamma"),
    }[method]


def form_title(form: Form) -> str:
    """What a form is called."""
    return {
        "masked": _("masked"),
        "removed": _("masks removed"),
        "narrow": _("really narrower"),
    }[form]


def guess_title(guess: str) -> str:
    """What a guessed curve is called."""
    return {
        "straight": _("evenly, all the way"),
        "early": _("at once, from the first 10 %"),
        "late": _("hardly, then off a cliff"),
        "never": _("hardly at all"),
    }[guess]


def guess_curve(guess: str, start: float) -> pd.DataFrame:
    """The guessed curve from the accuracy `start` down to chance: columns ratio, accuracy."""
    x = np.linspace(0, 0.95, 39)
    fall = {
        "straight": x / 0.95,
        "early": 1 - np.exp(-x / 0.1),
        "late": 1 / (1 + np.exp(-(x - 0.75) / 0.05)),
        "never": 0.15 * (x / 0.95) ** 4,
    }[guess]
    return pd.DataFrame({"ratio": x, "accuracy": start - (start - CHANCE) * fall})


def accuracy_frame(
    networks: Sequence[Measured], methods: Sequence[Method], finetuned: bool = False
) -> pd.DataFrame:
    """A row per network, method and ratio with an accuracy; `finetuned` adds those after training.

    Columns: checkpoint, network (title), role, method, series (name of its curve), tuned, ratio,
    accuracy, low, high (95 % interval), n, correct.
    """
    rows = []
    for network in networks:
        for method in methods:
            found = {row.ratio: row for row in network.grid.of(method)}
            tuned = network.grid.finetuned(method) if finetuned else []
            for row in (*found.values(), *tuned):
                if row.score is not None:
                    rows.append(_accuracy_row(network, row, len(methods) > 1))
    columns = ["checkpoint", "network", "role", "method", "series", "tuned", "ratio", "accuracy",
               "low", "high", "n", "correct"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _accuracy_row(network: Measured, row: PruningRow, by_method: bool) -> dict[str, Any]:
    score = row.score
    assert score is not None
    name = method_title(row.method) if by_method else network.title
    tuned = row.finetune_epochs > 0
    return {
        "checkpoint": network.grid.checkpoint,
        "network": network.title,
        "role": network.role,
        "method": row.method,
        "series": _("{name}, fine-tuned").format(name=name) if tuned else name,
        "tuned": tuned,
        "ratio": row.ratio,
        "accuracy": score.accuracy,
        "low": score.ci95[0],
        "high": score.ci95[1],
        "n": score.n,
        "correct": score.correct,
    }


def accuracy_chart(
    frame: pd.DataFrame,
    ratio: float,
    guess: pd.DataFrame | None = None,
    live: pd.DataFrame | None = None,
    reveal: bool = True,
) -> Spec:
    """Accuracy against ratio with 95 % bands; without `reveal` only the whole networks' points.

    `live`: rows of `accuracy_frame`'s columns measured here just now, drawn as stars.
    """
    drawn = frame if reveal else frame[frame["ratio"] == 0]
    shown = drawn.assign(
        dash=[f"m{way}" for way in _ways(drawn)],
        score=[
            f"{numbers.percent(p, n)} ({numbers.interval(low, high, n)})"
            for p, low, high, n in zip(
                drawn["accuracy"], drawn["low"], drawn["high"], drawn["n"], strict=True
            )
        ],
    )
    curves = shown[~shown["tuned"]]
    ends = curves.loc[curves.groupby("series", sort=False)["ratio"].idxmax()].copy()
    ends["label_at"] = beside(ends["accuracy"], _GAP)
    ends["name"] = [
        f"{_GLYPHS[int(dash[1:])]} {stacked(name)}"
        for name, dash in zip(ends["series"], ends["dash"], strict=True)
    ]
    few = curves[
        np.isclose((curves["ratio"] * 10) % 1, 0) | np.isclose((curves["ratio"] * 10) % 1, 1)
    ]
    empty = pd.DataFrame({"ratio": [], "accuracy": []}).astype(float)
    return filled(
        _accuracy_shape(),
        curves=curves,
        marks=few,
        tuned=shown[shown["tuned"]],
        ends=ends,
        guess=empty if guess is None else guess,
        live=empty.assign(role="text") if live is None else live,
        now=pd.DataFrame({"ratio": [ratio]}),
    )  # fmt: skip


def _ways(frame: pd.DataFrame) -> list[int]:
    """Which dashes and marks each row has: its method's; its network's where there is one method,
    since two networks may share a role, and hence a colour."""
    if frame["method"].nunique() > 1:
        return [METHODS.index(method) for method in frame["method"]]
    places = pd.factorize(frame["checkpoint"])[0] % len(_SHAPES)
    return [int(place) for place in places]


def ratio_axis() -> alt.X:
    """0 to 100 %, and room for the curves' names at the right."""
    return alt.X(
        "ratio:Q",
        title=_("Pruning ratio"),
        scale=alt.Scale(domain=[0, _MARGIN], nice=False),
        axis=alt.Axis(format=".0%", values=_TICKS, grid=False),
    )


@shape
def _accuracy_shape() -> Any:
    x = ratio_axis()
    title = _("Right on the test photographs")
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("accuracy:Q", title=title, scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("network:N", title=_("Network")),
        alt.Tooltip("series:N", title=_("Curve")),
        alt.Tooltip("ratio:Q", title=_("Pruning ratio"), format=".0%"),
        alt.Tooltip("score:N", title=_("Right (95 % interval)")),
        alt.Tooltip("n:Q", title=_("Test photographs"), format=","),
    ]
    dash = alt.StrokeDash(
        "dash:N",
        scale=alt.Scale(domain=[f"m{i}" for i in range(5)], range=DASHES),
        legend=None,
    )
    mark = alt.Shape(
        "dash:N", scale=alt.Scale(domain=[f"m{i}" for i in range(5)], range=_SHAPES), legend=None
    )
    detail = alt.Detail("series:N")
    curves = alt.Chart(alt.NamedData("curves")).encode(x=x, color=role_color(), detail=detail)
    band = curves.mark_area(opacity=0.14).encode(
        alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
    )
    lines = curves.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash)
    marks = alt.Chart(alt.NamedData("marks")).mark_point(size=55, filled=True, opacity=1)
    tuned = alt.Chart(alt.NamedData("tuned")).encode(x=x, color=role_color())
    tuned_bars = tuned.mark_rule(strokeWidth=2).encode(
        alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
    )
    tuned_marks = tuned.mark_point(size=130, strokeWidth=2.5, filled=False).encode(
        y=y, shape=mark, tooltip=tooltip
    )
    guess = alt.Chart(alt.NamedData("guess")).mark_line(strokeDash=[3, 5], strokeWidth=3)
    live = alt.Chart(alt.NamedData("live")).mark_point(
        size=260, shape="M0,-1L.3,-.3L1,0L.3,.3L0,1L-.3,.3L-1,0L-.3,-.3Z", filled=True, opacity=1
    )
    now = alt.Chart(alt.NamedData("now")).mark_rule(strokeWidth=2).encode(x=x)
    ends = alt.Chart(alt.NamedData("ends")).transform_calculate(margin="1.03", near="1.02")
    leaders = ends.mark_rule(strokeWidth=1, opacity=0.7).encode(
        x=x, x2="near:Q", y=y, y2="label_at:Q", color=role_color()
    )
    names = ends.encode(
        alt.X("margin:Q", title=_("Pruning ratio")), alt.Y("label_at:Q", title=title)
    )
    return finish(
        layered(
            level(CHANCE, "muted"),
            painted(now, "muted"),
            band,
            painted(guess.encode(x=x, y=y), "text"),
            lines,
            marks.encode(x=x, y=y, color=role_color(), shape=mark, tooltip=tooltip),
            tuned_bars,
            tuned_marks,
            painted(live.encode(x=x, y=y, tooltip=["ratio:Q", "accuracy:Q"]), "text"),
            leaders,
            ink_text(
                names, "name:N", align="left", baseline="middle", lineBreak="\n", **LABEL_SIZE
            ),
        ),
        height=HEIGHT_PX,
    )
