"""Where in a network its parameters, MACs and memory sit: names, tables, one picture."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.numbers import short_count
from core.charts.shape import Spec, filled, shape
from core.charts.theme import RoleKey, finish, ink_text, layered, painted
from core.models.design_cost import Row, part_totals
from core.models.design_plan import Part, Plan
from core.words import _

ROW_PX, HEAD_PX = 23, 44
PANEL = 1.5
"""Width of a panel in shares: bars of 0 to 1 and room for their figures."""
MEASURES = ("params", "macs", "activation_bytes")


def measure_title(name: str) -> str:
    """What a reader calls a total of `core.models.design_cost.Totals`."""
    return {
        "params": _("Parameters"),
        "macs": _("MACs"),
        "activation_bytes": _("Memory"),
        "float32_bytes": _("Size, float32"),
        "int8_bytes": _("Size at 8 bit"),
        "layers": _("Layers with weights"),
        "receptive_field": _("Receptive field"),
    }[name]


def measure_text(name: str, value: float) -> str:
    """Such a total with its unit: "256,779", "29.6 M", "6.9 MB", "174 px"."""
    if name == "macs":
        return short_count(value)
    if name.endswith("bytes"):
        return numbers.size(value)
    text = numbers.count(round(value))
    return f"{text}{numbers.THIN}px" if name == "receptive_field" else text


def part_title(part: Part, rows: Sequence[Row]) -> str:
    """A part's place and what leaves it: "4.2  256 × 8²" is 256 maps of 8 x 8."""
    if part.kind == "head":
        return _("classifier")
    channels, side, _width = rows[-1].output_shape
    places = {"enlargement": _("enlarged"), "stem": _("stem")}
    place = places.get(part.kind) or f"{part.stage}.{part.block}"
    return f"{place}  {channels} × {side}²"


def parts_frame(rows: Sequence[Row], plan: Plan) -> pd.DataFrame:
    """One row a part, in order: part (as shown), and params, macs, activation_bytes.

    The same with `_share` are fractions of the whole network's.
    """
    by_part: list[list[Row]] = [[] for _part in plan]
    for row in rows:
        by_part[row.part].append(row)
    frame = pd.DataFrame(
        [
            {
                "part": part_title(part, own),
                "params": sums.params,
                "macs": sums.macs,
                "activation_bytes": sums.activation_bytes,
            }
            for own, (part, sums) in zip(by_part, part_totals(rows, plan), strict=True)
        ]
    )
    for name in MEASURES:
        frame[f"{name}_share"] = frame[name] / frame[name].sum()
    return frame


def layers_frame(rows: Sequence[Row], input_px: int) -> pd.DataFrame:
    """The layer table: torchsummary's three columns, then MACs, receptive field, memory.

    Columns: layer, output_shape (as torchsummary prints it), params, macs, receptive_field (px,
    at most `input_px`, the whole picture), activation_bytes.
    """
    return pd.DataFrame(
        [
            {
                "layer": row.layer,
                "output_shape": str([-1, *row.output_shape]),
                "params": row.params,
                "macs": row.macs,
                "receptive_field": min(row.receptive_field, input_px),
                "activation_bytes": row.activation_bytes,
            }
            for row in rows
        ]
    )


def parts_chart(frame: pd.DataFrame, role: RoleKey) -> Spec:
    """Three columns of bars over the parts of `parts_frame`, stem on top: where each cost sits."""
    bars = pd.DataFrame(
        [
            {
                "part": row["part"],
                "measure": measure_title(name),
                "start": panel * PANEL,
                "end": panel * PANEL + row[f"{name}_share"],
                "share": numbers.share(row[f"{name}_share"]),
                "amount": measure_text(name, row[name]),
            }
            for row in frame.to_dict("records")
            for panel, name in enumerate(MEASURES)
        ]
    )
    heads = pd.DataFrame(
        {
            "start": [panel * PANEL for panel in range(len(MEASURES))],
            "title": [measure_title(name) for name in MEASURES],
            "total": [measure_text(name, frame[name].sum()) for name in MEASURES],
        }
    )
    return filled(_parts_shape(len(frame), role), bars=bars, heads=heads)


@shape
def _parts_shape(parts: int, role: RoleKey) -> alt.LayerChart:
    edge = PANEL * len(MEASURES)
    x = alt.X("start:Q", title=None, scale=alt.Scale(domain=[0, edge], nice=False), axis=None)
    y = alt.Y("part:N", sort=None, title=None, axis=alt.Axis(ticks=False, labelPadding=8))
    base = alt.Chart(alt.NamedData("bars")).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("part:N", title=_("Part")),
            alt.Tooltip("measure:N", title=_("Cost")),
            alt.Tooltip("amount:N", title=_("Here")),
            alt.Tooltip("share:N", title=_("Share")),
        ],
    )
    drawn = painted(
        base.mark_bar(cornerRadiusEnd=2, height={"band": 0.72}).encode(x2="end:Q"), role
    )
    figures = ink_text(base.encode(x=alt.X("end:Q", title=None)), "share:N", align="left", dx=4)
    head = alt.Chart(alt.NamedData("heads")).encode(x=x)
    zero = painted(head.mark_rule(strokeWidth=1), "muted")
    titles = ink_text(head.encode(y=alt.value(-26)), "title:N", align="left", fontWeight="bold")
    totals = ink_text(head.encode(y=alt.value(-9)), "total:N", slot="muted", align="left")
    return finish(
        layered(drawn, zero, figures, titles, totals).properties(height=parts * ROW_PX + HEAD_PX)
    )
