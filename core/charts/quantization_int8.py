"""Real int8: bytes and time of each ONNX form as shares of float32's, a row a form.

All times of one picture come from one sitting, in which the forms took turns. Two marks a row: a
square for the bytes of the file, a triangle with its quartiles for the time of a call.
"""

from typing import Any

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.quantization import file_kind, scheme_title
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.measure.quantization_grid import Form, QuantizationGrid, QuantRow
from core.words import _

FORMS: tuple[Form, ...] = ("float32", "ort_int8", "ort_dynamic", "ort_dynamic_conv")
ROW_PX, AXIS_PX = 70, 62
COLUMNS = ("onnx_1", "onnx_32")
TRAINED = "none"


def form_row(grid: QuantizationGrid, scheme: Form) -> QuantRow | None:
    """The row of an ONNX form, if it was measured."""
    if scheme == "float32":
        return grid.float32
    return next((row for row in grid.of(scheme) if row.training == TRAINED), None)


def timed_columns(grid: QuantizationGrid) -> list[str]:
    """The columns (batch sizes) in which float32 and static int8 were both timed."""
    rows = [form_row(grid, "float32"), form_row(grid, "ort_int8")]
    return [name for name in COLUMNS if all(row and name in row.latency for row in rows)]


def int8_frame(grid: QuantizationGrid, column: str) -> pd.DataFrame:
    """A row per measured form: scheme, name, size and time as shares of float32's, and as text.

    Columns: scheme, name, size_bytes, size, time, low, high (quartiles; shares), text.
    """
    whole = form_row(grid, "float32")
    columns = ["scheme", "name", "size_bytes", "size", "time", "low", "high", "text"]
    if whole is None or column not in whole.latency:
        return pd.DataFrame(columns=columns)
    base = whole.latency[column].median
    rows = []
    for scheme in FORMS:
        row = form_row(grid, scheme)
        if row is None or column not in row.latency:
            continue
        time = row.latency[column]
        told = _("{size} ({kind}) · {time}").format(
            size=numbers.size(row.size_bytes),
            kind=file_kind(scheme),
            time=numbers.milliseconds(time.median),
        )
        shares = (time.median / base, time.p25 / base, time.p75 / base)
        size = row.size_bytes / whole.size_bytes
        rows.append((scheme, scheme_title(scheme), row.size_bytes, size, *shares, told))
    return pd.DataFrame(rows, columns=columns)


def int8_chart(frame: pd.DataFrame) -> Spec:
    """Bytes and time of every form of `int8_frame`, about a line at float32's own."""
    top = max(1.25, 1.08 * float(frame[["high", "size"]].to_numpy().max()))
    shown = frame.assign(place=range(len(frame)))
    return filled(_shape(len(frame), round(top, 2)), forms=shown)


@shape
def _shape(rows: int, top: float) -> Any:
    x = alt.X(
        "time:Q",
        title=_("As a share of float32's"),
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(format=".0%", tickCount=6, grid=False),
    )
    base = alt.Chart(alt.NamedData("forms")).encode(
        y=alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0.1))
    )
    tooltip = [
        alt.Tooltip("name:N", title=_("Form")),
        alt.Tooltip("size:Q", title=_("Bytes, share of float32's"), format=".0%"),
        alt.Tooltip("time:Q", title=_("Time, share of float32's"), format=".0%"),
        alt.Tooltip("text:N", title=_("Measured")),
    ]
    size = base.mark_point(shape="square", size=130, filled=False, strokeWidth=2.5, opacity=1)
    span = base.mark_rule(strokeWidth=3)
    time = base.mark_point(shape="triangle-down", size=150, filled=True, opacity=1)
    whole = alt.Chart(alt.InlineData(values=[{"time": 1}]))
    name = base.encode(x=alt.value(0))
    figures = base.encode(x=alt.XValue(alt.expr("width")))
    return finish(
        layered(
            painted(whole.mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(x=x), "muted"),
            painted(size.encode(alt.X("size:Q", title=x["title"]), tooltip=tooltip), "text"),
            painted(span.encode(alt.X("low:Q", title=x["title"]), x2="high:Q"), "quantised"),
            painted(time.encode(x=x, tooltip=tooltip), "quantised"),
            ink_text(name, "name:N", align="left", dy=-20, fontWeight="bold"),
            ink_text(figures, "text:N", "muted", align="right", dy=20, fontSize=12),
        ),
        height=ROW_PX * rows + AXIS_PX,
    )
