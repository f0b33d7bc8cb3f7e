"""What the four layers of the convolution calculator cost, and the time they took, as bars."""

from collections.abc import Iterable, Mapping

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.conv_formulas import Quantity
from core.charts.numbers import short_count
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted, role_color
from core.measure.conv_cost import Cost, Kind, rule_of_thumb
from core.measure.conv_setting import ConvSetting
from core.measure.conv_timing import ConvTimings
from core.words import _

ROW_PX, TIMING_ROW_PX, AXIS_PX = 54, 25, 44
ROOM = 0.75
"""Space kept right of the longest bar for its figure, as a share of the axis."""


def kind_title(kind: str) -> str:
    """What a reader calls a layer (a `core.measure.conv_cost.Kind`)."""
    return {
        "standard": _("Standard"),
        "group": _("Group"),
        "separable": _("Depthwise + pointwise"),
        "lowrank": _("Low-rank"),
    }[kind]


def quantity_title(quantity: Quantity) -> str:
    """What a reader calls a cost."""
    return {
        "params": _("Parameters"),
        "macs": _("MACs per picture"),
        "activation_bytes": _("Activation memory"),
        "intensity": _("Arithmetic intensity"),
    }[quantity]


def quantity_text(quantity: Quantity, value: float) -> str:
    """A cost as a reader wants it: "73,856", "18.9 M", "131 KB", "38.4 MACs/byte"."""
    if quantity == "params":
        return numbers.count(int(value))
    if quantity == "macs":
        return short_count(value)
    if quantity == "activation_bytes":
        return numbers.size(value)
    return _("{value} MACs/byte").format(value=f"{value:.{1 if value >= 10 else 2}f}")


def share_text(share: float, digits: int = 1) -> str:
    """A share of the standard layer's cost: "12.1 %", "0.43 %", "1,250 %".

    `digits`: decimals from 1 % to 100 %; below there is one more. Counts are exact and bear one,
    measured times none.
    """
    percent = share * 100
    if percent >= 99.95:
        digits = 0
    elif percent < 1:
        digits += 1
    return f"{percent:,.{digits}f}{numbers.THIN}%"


def time_text(share: float) -> str:
    """A share of the standard layer's measured time: "48 %"."""
    return share_text(share, 0)


def cost_frame(costs: Mapping[Kind, Cost], setting: ConvSetting) -> pd.DataFrame:
    """One row a layer: kind, its four costs, bytes moved, each share of the standard layer's.

    Columns: kind, params, macs, activation_bytes, bytes_moved, intensity, the same with `_share`
    (fraction of the standard layer's) for the four that are drawn, and rule_of_thumb (fraction).
    """
    standard = costs["standard"]
    rows = [
        {
            "kind": kind,
            "params": cost.params,
            "macs": cost.macs,
            "activation_bytes": cost.activation_bytes,
            "bytes_moved": cost.bytes_moved(),
            "intensity": cost.intensity(),
            "params_share": cost.params / standard.params,
            "macs_share": cost.macs / standard.macs,
            "activation_bytes_share": cost.activation_bytes / standard.activation_bytes,
            "intensity_share": cost.intensity() / standard.intensity(),
            "rule_of_thumb": rule_of_thumb(kind, setting),
        }
        for kind, cost in costs.items()
    ]
    return pd.DataFrame(rows)


def cost_chart(frame: pd.DataFrame, quantity: Quantity, guess: float | None = None) -> Spec:
    """Bars of `cost_frame`, one a layer, as shares of the standard one; each with its figure.

    The axis ends at one standard layer, and grows in doublings only where a bar is longer.
    `guess`: a share that the reader expected of depthwise + pointwise, drawn as a dashed frame.
    """
    texts = [quantity_text(quantity, value) for value in frame[quantity]]
    shares = frame[f"{quantity}_share"].tolist()
    rows = pd.DataFrame(
        {
            "kind": frame["kind"],
            "layer": [kind_title(kind) for kind in frame["kind"]],
            "role": [_slot(kind) for kind in frame["kind"]],
            "share": shares,
            "row": range(len(frame)),
            "text": [
                text if kind == "standard" else f"{text} · {share_text(share)}"
                for kind, text, share in zip(frame["kind"], texts, shares, strict=True)
            ],
        }
    )
    guessed = (rows["kind"] == "separable") & (guess is not None)
    rows["guess"] = np.where(guessed, guess or 0, 0)
    rows["label_at"] = rows[["share", "guess"]].max(axis=1)
    rows.loc[guessed, "text"] += _(" (guess: {share})").format(share=share_text(guess or 0, 0))
    return filled(_cost_shape(quantity, _end(rows["label_at"]), len(rows)), rows=rows)


@shape
def _cost_shape(quantity: Quantity, end: float, rows: int) -> alt.LayerChart:
    x, y = _share_axis(end), _row_axis(rows - 1)
    base = _on("rows").encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("layer:N", title=_("Layer")),
            alt.Tooltip("text:N", title=quantity_title(quantity)),
        ],
    )
    frame = base.transform_filter("datum.guess > 0").mark_bar(
        orient="horizontal", height=21, filled=False, strokeDash=[4, 3], strokeWidth=2
    )
    layers = [
        base.mark_bar(orient="horizontal", height=16, cornerRadiusEnd=3).encode(color=role_color()),
        painted(frame.encode(x=_share_axis(end, "guess")), "text"),
        ink_text(base.encode(x=_share_axis(end, "label_at")), "text:N", align="left", dx=6),
        _names("rows", y),
    ]
    chart: alt.LayerChart = finish(layered(*layers), height=rows * ROW_PX + AXIS_PX)
    return chart


def timing_frame(costs: Mapping[Kind, Cost], measured: ConvTimings) -> pd.DataFrame:
    """One row a layer and batch size, for the table and the CSV.

    Columns: kind, batch, params, macs (of the whole batch), bytes_moved (least), median_ms,
    p25_ms, p75_ms, rounds, threads, macs_per_s, time_share and macs_share (fractions of the
    standard layer's).
    """
    rows = []
    for batch, timings in measured.timings.items():
        for kind, timing in timings.items():
            cost, standard = costs[kind], costs["standard"]
            rows.append(
                {
                    "kind": kind,
                    "batch": batch,
                    "params": cost.params,
                    "macs": batch * cost.macs,
                    "bytes_moved": cost.bytes_moved(batch),
                    "median_ms": timing.median_ms,
                    "p25_ms": timing.p25_ms,
                    "p75_ms": timing.p75_ms,
                    "rounds": timing.n,
                    "threads": timing.threads,
                    "macs_per_s": batch * cost.macs / (timing.median_ms / 1000),
                    "time_share": timing.median_ms / timings["standard"].median_ms,
                    "macs_share": cost.macs / standard.macs,
                }
            )
    return pd.DataFrame(rows)


def timing_chart(frame: pd.DataFrame) -> Spec:
    """Bars of `timing_frame`: each layer's MACs, pale, over its time at each batch size.

    All are shares of the standard layer's; the line on a time is its quartiles.
    """
    batches = list(dict.fromkeys(frame["batch"]))
    per_layer = len(batches) + 1
    bars = []
    for place, (kind, rows) in enumerate(frame.groupby("kind", sort=False)):
        top = place * (per_layer + 1.3)
        share = rows["macs_share"].iloc[0]
        text = _("MACs {share}").format(share=share_text(share))
        bars.append((kind, top, share, share, share, text, 0.4))
        for slot, row in enumerate(rows.to_dict("records"), start=1):
            scale = row["time_share"] / row["median_ms"]
            text = _("batch {n}: {share}, {ms}").format(
                n=row["batch"],
                share=time_text(row["time_share"]),
                ms=numbers.milliseconds(row["median_ms"]),
            )
            low, high = row["p25_ms"] * scale, row["p75_ms"] * scale
            bars.append((kind, top + slot, row["time_share"], low, high, text, 1.0))
    columns = ["kind", "row", "share", "low", "high", "text", "strength"]
    table = pd.DataFrame(bars, columns=columns)
    table["layer"] = [kind_title(kind) for kind in table["kind"]]
    table["role"] = [_slot(kind) for kind in table["kind"]]
    # a quartile a hair beyond a whole bar does not double the axis: there is room for it
    spec = _timing_shape(_end([*table["share"], *(table["high"] / 1.3)]), float(table["row"].max()))
    return filled(spec, rows=table, heads=table[table["strength"] < 1])


@shape
def _timing_shape(end: float, last_row: float) -> alt.LayerChart:
    x, y = _share_axis(end), _row_axis(last_row)
    low, high = _share_axis(end, "low"), _share_axis(end, "high")
    base = _on("rows").encode(
        y=y, tooltip=[alt.Tooltip("layer:N", title=_("Layer")), alt.Tooltip("text:N", title=" ")]
    )
    bars = base.mark_bar(orient="horizontal", height=16, cornerRadiusEnd=3).encode(
        x=x, color=role_color(), opacity=alt.Opacity("strength:Q", scale=None, legend=None)
    )
    spread = painted(base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q"), "text")
    figures = ink_text(base.encode(x=high), "text:N", align="left", dx=6)
    layers = layered(bars, spread, figures, _names("heads", y))
    height = round((last_row + 1.5) * TIMING_ROW_PX) + AXIS_PX
    chart: alt.LayerChart = finish(layers, height=height)
    return chart


def _on(table: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(table))


def _slot(kind: str) -> str:
    """The standard layer is the grey measure; what replaces it has the colour of "factored"."""
    return "muted" if kind == "standard" else "factored"


def _end(shares: Iterable[float]) -> float:
    end, longest = 1.0, max(shares)
    while end < longest:
        end *= 2
    return end


def _share_axis(end: float, column: str = "share") -> alt.X:
    return alt.X(
        f"{column}:Q",
        title=None,
        scale=alt.Scale(domain=[0, end * (1 + ROOM)], nice=False),
        axis=alt.Axis(format=".0%", values=[0, end / 2, end]),
    )


def _row_axis(last: float, column: str = "row") -> alt.Y:
    """Rows are numbers, so that a layer's name can stand above its bar, also on a narrow screen."""
    return alt.Y(f"{column}:Q", axis=None, scale=alt.Scale(domain=[last + 0.5, -0.9], nice=False))


def _names(table: str, y: alt.Y) -> alt.Chart:
    base = _on(table).encode(x=alt.value(0), y=y)
    return ink_text(base, "layer:N", align="left", dy=-20, fontWeight="bold")
