"""From the teacher to a file for a phone: every step's accuracy against its bytes."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.placing import place_names
from core.charts.shipping import format_title
from core.charts.shipping_words import accuracy_text
from core.charts.theme import (
    FONT_PX,
    RoleKey,
    finish,
    ink_text,
    layered,
    painted,
    role_color,
    role_shape,
)
from core.course import SIZE_LIMITS_BYTES
from core.measure.stack_rows import STEPS, Stack, StackRow, Step
from core.words import _

HEIGHT_PX = 380
NARROW_PX = 290
"""Width of the plot on a phone: names must fit there."""
_ASIDE: tuple[Step, ...] = ("student_8bit",)
ROLES: dict[Step, RoleKey] = {
    "teacher": "teacher",
    "student": "distilled",
    "student_8bit": "quantised",
    "cut": "pruned",
    "tuned": "pruned",
    "tuned_int8": "quantised",
    "tuned_8bit": "quantised",
}


def step_title(step: Step) -> str:
    """What a step is called beside its mark."""
    return {
        "teacher": _("teacher"),
        "student": _("distilled"),
        "student_8bit": _("8-bit, uncut"),
        "cut": _("cut"),
        "tuned": _("fine-tuned"),
        "tuned_int8": _("int8"),
        "tuned_8bit": _("8-bit file"),
    }[step]


def stack_frame(rows: Sequence[StackRow]) -> pd.DataFrame:
    """One row a step: its number on the way, bytes, accuracy with interval (95 %), role."""
    found = []
    for row in rows:
        score = row.score
        number = STEPS.index(row.step) + 1
        found.append(
            {
                "step": row.step,
                "number": number,
                "name": f"{number} {step_title(row.step)}",
                "file": format_title(row.format),
                "role": ROLES[row.step],
                "aside": row.step in _ASIDE,
                "params": row.params,
                "macs": row.macs,
                "size_bytes": row.size_bytes,
                "median_ms": row.latency and row.latency.median,
                "accuracy": score and score.accuracy,
                "low": score and score.ci95[0],
                "high": score and score.ci95[1],
                "n": row.n,
            }
        )
    return pd.DataFrame(found)


def stack_chart(frame: pd.DataFrame) -> Any:
    """Accuracy against bytes on a logarithmic axis, the way drawn through the steps.

    `frame`: of `stack_frame`, rows without accuracy left out; at least one row.
    """
    measured = frame.dropna(subset=["accuracy"])
    low = float(10 ** np.floor(np.log10(measured["size_bytes"].min())))
    high = float(10 ** np.ceil(np.log10(measured["size_bytes"].max() * 1.0001)))
    bottom = max(0.0, float(np.floor(10 * measured["low"].min()) / 10))
    top = min(1.0, float(np.ceil(10 * measured["high"].max()) / 10))
    shown = _with_names(measured, (low, high), (bottom, top))
    shown["text"] = [numbers.size(size) for size in shown["size_bytes"]]
    x = alt.X(
        "size_bytes:Q",
        title=_("Size of the file"),
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=[float(10**power) for power in range(3, 10)], format="~s"),
    )
    title = _("Right on the test photographs")
    scale = alt.Scale(domain=[bottom, top], nice=False)
    y = alt.Y("accuracy:Q", title=title, scale=scale, axis=alt.Axis(format=".0%", tickCount=6))
    base = alt.Chart(shown).encode(x=x)
    way = (
        alt.Chart(shown[~shown["aside"]])
        .mark_line(strokeWidth=1.5, strokeDash=[6, 3])
        .encode(x=x, y=y, order="number:Q")
    )
    bars = base.mark_rule(strokeWidth=2.5).encode(
        alt.Y("low:Q", title=title), y2="high:Q", color=role_color()
    )
    marks = base.mark_point(size=150, filled=True, opacity=1).encode(
        y=y,
        color=role_color(),
        shape=role_shape(),
        tooltip=[
            alt.Tooltip("name:N", title=_("Step")),
            alt.Tooltip("text:N", title=_("Size of the file")),
            alt.Tooltip("accuracy:Q", title=title, format=".1%"),
        ],
    )
    # offsets in px: on a wide screen a name stays as near to its mark as on a phone
    ties = base.transform_filter("datum.tied").mark_rule(strokeWidth=1, opacity=0.7)
    ties = ties.encode(
        y=y,
        x2=alt.X2Value(alt.expr("scale('x', datum.size_bytes) + datum.dx")),
        y2=alt.Y2Value(alt.expr("scale('y', datum.accuracy) + datum.dy")),
    )
    names = ink_text(
        base.encode(y=y), "name:N", align="left", baseline="middle", fontSize=13,
        dx=alt.expr("datum.dx"), dy=alt.expr("datum.dy"),
    )  # fmt: skip
    limit = float(min(SIZE_LIMITS_BYTES.values()))
    edge = alt.Chart(pd.DataFrame({"size_bytes": [limit], "text": [numbers.size(limit)]}))
    line = edge.mark_rule(strokeDash=[2, 3], strokeWidth=1.5).encode(x=x)
    label = ink_text(edge.encode(x=x, y=alt.value(0)), "text:N", "muted", dy=-8, fontSize=12)
    layers = [painted(way, "muted"), painted(line, "muted"), label, painted(ties, "muted"), bars]
    layers += [marks, names]
    return finish(layered(*layers), height=HEIGHT_PX)


def _with_names(
    frame: pd.DataFrame, sizes: tuple[float, float], accuracies: tuple[float, float]
) -> pd.DataFrame:
    """Where each name stands, in px from its mark, so that it covers no mark on a phone."""
    (low, high), (bottom, top) = sizes, accuracies
    decades = np.log(high / low)
    px = NARROW_PX * np.log(frame["size_bytes"] / low) / decades
    py = HEIGHT_PX * (top - frame["accuracy"]) / (top - bottom)
    bars = [
        (x - 3, HEIGHT_PX * (top - most) / (top - bottom),
         x + 3, HEIGHT_PX * (top - least) / (top - bottom))
        for x, least, most in zip(px, frame["low"], frame["high"], strict=True)
    ]  # fmt: skip
    placed = place_names(
        [[name, name.split(" ")[0]] for name in frame["name"]],
        list(zip(px, py, strict=True)),
        (NARROW_PX, HEIGHT_PX),
        char_px=0.55 * FONT_PX,
        line_px=17,
        others=bars,
    )
    return frame.assign(
        name=[place.text if place else "" for place in placed],
        dx=[place.x - x if place else 0.0 for place, x in zip(placed, px, strict=True)],
        dy=[place.y - y if place else 0.0 for place, y in zip(placed, py, strict=True)],
        tied=[bool(place and place.tied) for place in placed],
    )


def stack_table(rows: Sequence[StackRow]) -> pd.DataFrame:
    """Every step as a reader wants it; empty where nothing was measured."""
    return pd.DataFrame(
        [
            {
                "step": f"{STEPS.index(row.step) + 1} {step_title(row.step)}",
                "file": format_title(row.format),
                "right": accuracy_text(row.score),
                "bytes": numbers.count(row.size_bytes),
                "time": numbers.milliseconds(row.latency.median) if row.latency else _("n/a"),
                "params": numbers.count(row.params),
                "macs": numbers.count(row.macs),
            }
            for row in rows
        ]
    )


def stack_lines(stack: Stack) -> list[str]:
    """What each part of the way brought and cost, from the rows."""
    rows = {step: stack.row(step) for step in STEPS}
    lines = []
    first, last = rows["teacher"], rows["tuned_8bit"]
    if first and last:
        lines.append(
            _("**All the way**: {a} to {b}, {ratio} smaller; {before} to {after}.").format(
                a=numbers.size(first.size_bytes),
                b=numbers.size(last.size_bytes),
                ratio=numbers.ratio(first.size_bytes / last.size_bytes),
                before=accuracy_text(first.score) or _("accuracy not measured"),
                after=accuracy_text(last.score) or _("accuracy not measured"),
            )
        )
    cut, tuned, student = rows["cut"], rows["tuned"], rows["student"]
    if cut and tuned and student and cut.score and tuned.score and student.score:
        lines.append(
            _(
                "**Cutting** leaves {params} of {whole} parameters: {before} right becomes {cut}; "
                "fine-tuning brings it to {after}."
            ).format(
                params=numbers.count(cut.params),
                whole=numbers.count(student.params),
                before=numbers.percent(student.score.accuracy, student.n),
                cut=numbers.percent(cut.score.accuracy, cut.n),
                after=numbers.percent(tuned.score.accuracy, tuned.n),
            )
        )
    uncut = rows["student_8bit"]
    limit = min(SIZE_LIMITS_BYTES.values())
    if uncut and uncut.score and last and last.score and uncut.size_bytes <= limit:
        lines.append(
            _(
                "**Was cutting needed?** The whole student in 8 bits takes {size}, under HW7's "
                "{limit}, and is right on {right}; cut first, {cut_size} and {cut_right}."
            ).format(
                size=numbers.size(uncut.size_bytes),
                limit=numbers.size(limit),
                right=accuracy_text(uncut.score),
                cut_size=numbers.size(last.size_bytes),
                cut_right=accuracy_text(last.score),
            )
        )
    return lines


def stack_alt(frame: pd.DataFrame) -> str:
    """The chart for who cannot see it."""
    listed = [
        f"{row['name']}: {numbers.size(row['size_bytes'])}, {numbers.percent(row['accuracy'])}"
        for _at, row in frame.dropna(subset=["accuracy"]).iterrows()
    ]
    return _("Accuracy against bytes, step by step from the teacher. {list}.").format(
        list="; ".join(listed)
    )
