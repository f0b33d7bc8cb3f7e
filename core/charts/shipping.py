"""A checkpoint's files side by side: how many bytes each takes on the phone, how long a photo."""

from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.theme import (
    RoleKey,
    finish,
    ink_text,
    layered,
    painted,
    role_color,
    role_of,
    role_shape,
)
from core.checkpoints import Checkpoint
from core.course import SIZE_LIMITS_BYTES
from core.measure.shipping_table import FORMATS, FileRow, Format
from core.words import _

EIGHT_BITS: tuple[Format, ...] = ("onnx-int8", "hw7-8bit")
ROW_PX, AXIS_PX = 58, 64


def format_title(format: Format) -> str:
    """What a format is called."""
    return {
        "safetensors": _("safetensors"),
        "onnx": _("ONNX, float32"),
        "onnx-fp16": _("ONNX, float16 weights"),
        "onnx-int8": _("ONNX, int8"),
        "hw7-8bit": _("HW7's 8-bit file"),
    }[format]


def format_about(format: Format) -> str:
    """What is in it and who can open it, in a line."""
    return {
        "safetensors": _("The weights alone, as they were published; torch loads them."),
        "onnx": _("Graph and weights in one file; any ONNX runtime runs it."),
        "onnx-fp16": _("The same, weights stored in half; computed in float32 all the same."),
        "onnx-int8": _("Weights and arithmetic in 8 bits, by ONNX Runtime."),
        "hw7-8bit": _("The weights alone, a byte each, as HW7 hands them in: a pickle."),
    }[format]


def role_of_file(one: Checkpoint, format: Format) -> RoleKey:
    """8-bit files are quantised; the others are what their checkpoint is."""
    return "quantised" if format in EIGHT_BITS else role_of(one.family, one.recipe)


def files_frame(one: Checkpoint, rows: Iterable[FileRow]) -> pd.DataFrame:
    """One row a file, in the order of FORMATS: bytes, milliseconds (quartiles), parity, accuracy.

    What was not measured, or has no time of its own, is missing.
    """
    by_format = {row.format: row for row in rows}
    found = []
    for format in FORMATS:
        row = by_format.get(format)
        if row is None:
            continue
        time, parity = row.latency, row.parity
        score = parity.score if parity else None
        found.append(
            {
                "format": format,
                "title": format_title(format),
                "role": role_of_file(one, format),
                "size_bytes": row.size_bytes,
                "median": time and time.median,
                "p25": time and time.p25,
                "p75": time and time.p75,
                "runtime": row.runtime,
                "max_logit_difference": parity and parity.max_logit_difference,
                "agreement": parity and parity.agreement,
                "n": parity and parity.n,
                "accuracy": score and score.accuracy,
                "low": score and score.ci95[0],
                "high": score and score.ci95[1],
            }
        )
    return pd.DataFrame(found)


def size_chart(frame: pd.DataFrame) -> Any:
    """Bytes as bars, the format's name over its bar; HW7's two limits as lines where they fit."""
    most = float(frame["size_bytes"].max())
    limits = [limit for limit in sorted(SIZE_LIMITS_BYTES.values()) if limit <= 1.15 * most]
    shown = frame.assign(
        place=range(len(frame)), text=[numbers.size(size) for size in frame["size_bytes"]]
    )
    x = alt.X(
        "size_bytes:Q",
        title=_("Size of the file"),
        scale=alt.Scale(domain=[0, 1.25 * most], nice=False),
        axis=alt.Axis(labelExpr=_SIZES, tickCount=4, grid=False),
    )
    base, names = _rows(shown, x)
    bars = base.mark_bar(cornerRadiusEnd=3, height=18).encode(color=role_color())
    figures = ink_text(base, "text:N", align="left", dx=6)
    edge = pd.DataFrame({"size_bytes": limits, "text": [numbers.size(limit) for limit in limits]})
    lines = alt.Chart(edge).mark_rule(strokeDash=[5, 4], strokeWidth=1.5, opacity=0.7).encode(x=x)
    labels = ink_text(
        alt.Chart(edge).encode(x=x, y=alt.value(0)), "text:N", "muted", dy=-8, fontSize=12
    )
    parts = [painted(lines, "muted"), bars, labels, figures, names]
    return finish(layered(*parts), height=ROW_PX * len(frame) + AXIS_PX)


_SIZES = (
    "datum.value >= 1e6 ? format(datum.value / 1e6, '.3~g') + ' MB' : "
    "format(datum.value / 1e3, '.3~g') + ' KB'"
)


def time_chart(frame: pd.DataFrame) -> Any:
    """Median milliseconds for one photo, quartiles as bars; files with no runtime are left out."""
    timed = frame.dropna(subset=["median"])
    shown = timed.assign(
        place=range(len(timed)), text=[numbers.milliseconds(ms) for ms in timed["median"]]
    )
    x = alt.X(
        "median:Q",
        title=_("Milliseconds for one photo"),
        scale=alt.Scale(domain=[0, 1.3 * float(timed["p75"].max())], nice=False),
        axis=alt.Axis(tickCount=5, grid=False),
    )
    base, names = _rows(shown, x)
    y = base.encoding.y
    spans = (
        alt.Chart(shown)
        .mark_rule(strokeWidth=3)
        .encode(alt.X("p25:Q", title=x["title"]), x2="p75:Q", y=y, color=role_color())
    )
    marks = base.mark_point(size=150, filled=True, opacity=1).encode(
        color=role_color(), shape=role_shape()
    )
    figures = ink_text(
        alt.Chart(shown).encode(alt.X("p75:Q", title=x["title"]), y), "text:N", align="left", dx=12
    )
    return finish(layered(spans, marks, figures, names), height=ROW_PX * len(timed) + AXIS_PX)


def _rows(shown: pd.DataFrame, x: alt.X) -> tuple[alt.Chart, alt.Chart]:
    """Rows from top to bottom with their names over them: beside them a phone has no room."""
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    base = alt.Chart(shown).encode(
        x=x,
        y=y,
        tooltip=[alt.Tooltip("title:N", title=_("File")), alt.Tooltip("text:N", title=x["title"])],
    )
    named = alt.Chart(shown).encode(x=alt.value(0), y=y)
    return base, ink_text(named, "title:N", align="left", dy=-19)
