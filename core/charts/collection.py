"""All shipped checkpoints in one picture: how often each is right, against what it costs."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.shape import Spec, filled, shape
from core.charts.theme import (
    finish,
    glyph,
    ink_text,
    layered,
    role_color,
    role_of,
    role_shape,
    role_title,
)
from core.checkpoints import Checkpoint
from core.words import _

Cost = Literal["params", "size_bytes"]
COSTS: tuple[Cost, ...] = get_args(Cost)

COLUMNS = (
    "checkpoint", "title", "role", "params", "macs", "size_bytes",
    "accuracy", "low", "high", "n", "data", "seed",
)  # fmt: skip

HEIGHT_PX = 380
PLOT_PX = 460
"""Width in which names must fit; wider screens have room to spare."""
_LABELS_AT_MOST = 8
_SMALL = 100_000  # parameters or bytes that the axis reaches down to, whatever is shipped


def cost_title(cost: Cost) -> str:
    """What a cost is called beside its axis and in a menu."""
    return {"params": _("Parameters"), "size_bytes": _("Size of the file")}[cost]


def collection_frame(checkpoints: Iterable[Checkpoint]) -> pd.DataFrame:
    """One row a checkpoint with a measured test accuracy, best first; columns as COLUMNS.

    `accuracy`, `low`, `high` are fractions (95 % Wilson interval), `size_bytes` the weights.
    """
    rows = [
        (
            one.id,
            one.title,
            role_of(one.family, one.recipe),
            one.params,
            one.macs,
            one.size_bytes,
            one.test.accuracy,
            *one.test.ci95,
            one.test.n,
            one.data.name,
            one.seed,
        )
        for one in checkpoints
        if one.test is not None
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values("accuracy", ascending=False, ignore_index=True)


def frontier(frame: pd.DataFrame, cost: Cost) -> pd.Series:
    """Which rows no other row beats: none is as small *and* at least as accurate. Boolean (n,)."""
    order = frame.sort_values([cost, "accuracy"], ascending=[True, False])
    best_before = order["accuracy"].cummax().shift(fill_value=-1.0)
    return (order["accuracy"] > best_before).reindex(frame.index)


def collection_chart(frame: pd.DataFrame, cost: Cost) -> Spec:
    """Accuracy with its 95 % interval against a cost on a logarithmic axis, a mark a checkpoint."""
    low = float(10 ** np.floor(np.log10(min(frame[cost].min(), _SMALL))))
    high = float(10 ** np.ceil(np.log10(frame[cost].max() * 1.0001)))
    bottom = max(0.0, float(np.floor((frame["low"].min() - 0.02) * 20) / 20))
    top = min(1.0, float(np.ceil((frame["high"].max() + 0.02) * 20) / 20))
    unit = numbers.count if cost == "params" else numbers.size
    shown = frame.assign(
        cost_text=[unit(value) for value in frame[cost]],
        accuracy_text=[
            f"{numbers.percent(p, n)} ({numbers.interval(least, most, n)})"
            for p, least, most, n in zip(
                frame["accuracy"], frame["low"], frame["high"], frame["n"], strict=True
            )
        ],
        role_title=[f"{glyph(role)} {role_title(role)}" for role in frame["role"]],
    )
    x = np.log(shown[cost] / low) / np.log(high / low)
    y = (top - shown["accuracy"]) / (top - bottom)
    names = [name.replace(", ", ",\n") for name in _labels(frame, cost)]
    first = frontier(frame, cost)
    shown["label"], shown["left"] = _beside(names, list(x), list(y), list(first))
    return filled(_shape(cost, (low, high), (bottom, top)), networks=shown)


@shape
def _shape(cost: Cost, costs: tuple[float, float], accuracies: tuple[float, float]) -> Any:
    x = alt.X(
        f"{cost}:Q",
        title=cost_title(cost),
        scale=alt.Scale(type="log", domain=costs, nice=False),
        axis=alt.Axis(values=[float(10**power) for power in range(3, 10)], format="~s"),
    )
    title = _("Right on the test photographs")
    scale = alt.Scale(domain=accuracies, nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("accuracy:Q", title=title, scale=scale, axis=axis)
    networks = alt.Chart(alt.NamedData("networks")).encode(x=x)
    base = networks.encode(
        color=role_color(),
        tooltip=[
            alt.Tooltip("title:N", title=_("Network")),
            alt.Tooltip("role_title:N", title=_("Role")),
            alt.Tooltip("accuracy_text:N", title=_("Right (95 % interval)")),
            alt.Tooltip("cost_text:N", title=cost_title(cost)),
            alt.Tooltip("n:Q", title=_("Test photographs"), format=","),
        ],
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.8).encode(
        alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
    )
    dots = base.mark_point(size=170, filled=True, opacity=1).encode(y=y, shape=role_shape())
    beside = {"baseline": "middle", "lineBreak": "\n"}  # two short lines fit a phone
    # names run towards the middle, so that none leaves the picture
    left = networks.transform_filter("datum.left").encode(y=y)
    right = networks.transform_filter("!datum.left").encode(y=y)
    return finish(
        layered(
            bars,
            dots,
            ink_text(left, "label:N", align="left", dx=12, **beside),
            ink_text(right, "label:N", align="right", dx=-12, **beside),
        ),
        height=HEIGHT_PX,
    )


def _beside(
    names: list[str], x: list[float], y: list[float], first: list[bool]
) -> tuple[list[str], list[bool]]:
    """Names where there is room for them, and whether each stands to the right of its mark.

    `x`, `y`: where the marks are, as shares of the picture from its top left corner. Names run
    towards the middle, or the other way if that way is taken; one with no room is left to the
    tooltip. Those in `first` choose first.
    """
    marks = [(PLOT_PX * a - 9, HEIGHT_PX * b - 9, PLOT_PX * a + 9, HEIGHT_PX * b + 9)
             for a, b in zip(x, y, strict=True)]  # fmt: skip
    taken: list[tuple[float, float, float, float]] = []
    labels, after = [""] * len(names), [a < 0.5 for a in x]
    for i in sorted(range(len(names)), key=lambda i: (not first[i], i)):
        lines = names[i].split("\n") if names[i] else []
        wide = 7.5 * max(map(len, lines), default=0)
        high = 17.0 * len(lines)
        for is_after in (after[i], not after[i]):
            left = PLOT_PX * x[i] + (12 if is_after else -12 - wide)
            box = (left, HEIGHT_PX * y[i] - high / 2, left + wide, HEIGHT_PX * y[i] + high / 2)
            others = [mark for j, mark in enumerate(marks) if j != i]
            is_free = not any(_overlap(box, other) for other in (*taken, *others))
            if lines and is_free and left >= 0 and left + wide <= PLOT_PX:
                labels[i], after[i] = names[i], is_after
                taken.append(box)
                break
    return labels, after


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _labels(shown: pd.DataFrame, cost: Cost) -> list[str]:
    """Names beside the marks: each title once, and only the frontier where they would crowd."""
    few = shown["title"].nunique() <= _LABELS_AT_MOST
    wanted = pd.Series(True, index=shown.index) if few else frontier(shown, cost)
    first = ~shown["title"].duplicated()  # rows are sorted: the best seed carries the name
    return [
        title if show else "" for title, show in zip(shown["title"], wanted & first, strict=True)
    ]
