"""Where in a network its parameters, MACs and memory sit: names, tables, one picture."""

from collections.abc import Collection, Sequence
from typing import Any

import altair as alt
import pyarrow as pa

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.numbers import short_count
from core.charts.theme import RoleKey, finish, glyph, ink_text, layered, painted, role_color
from core.i18n import _, labelled
from core.models.design.cost import Row, Totals, part_totals, totals
from core.models.design.limits import Budget
from core.models.design.plan import Part, Plan

ROW_PX, HEAD_PX = 23, 44
BUDGET_ROW_PX, RATIO_ROW_PX, AXIS_PX = 60, 42, 72
PANEL = 1.5
"""Width of a panel in shares: bars of 0 to 1 and room for their figures."""
MOST_SHARE = 2.0
"""Where a budget's bar ends, however far over the limit it is."""
MEASURES = ("params", "macs", "activation_bytes")
RATIOS = ("params", "float32_bytes", "macs", "activation_bytes", "receptive_field", "layers")


def measure_title(name: str) -> str:
    """What a reader calls a total of `core.models.design.cost.Totals`."""
    return {
        "params": _("Parameters"),
        "macs": _("MACs"),
        "activation_bytes": _("Memory"),
        "float32_bytes": _("Size, float32"),
        "int8_bytes": _("Size, 8 bits"),
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


def part_rows(rows: Sequence[Row], plan: Plan) -> list[dict[str, Any]]:
    """A row for each part, in order: `part` (as shown), and params, macs, activation_bytes.

    The same with `_share` are fractions of the whole network's.
    """
    whole = totals(rows)
    return [
        {
            "part": part_title(part, [row for row in rows if row.part == number]),
            **{name: getattr(sums, name) for name in MEASURES},
            **{f"{name}_share": getattr(sums, name) / getattr(whole, name) for name in MEASURES},
        }
        for number, (part, sums) in enumerate(part_totals(rows, plan))
    ]


def layer_columns(rows: Sequence[Row], input_px: int, with_params: bool = True) -> pa.Table:
    """The layer table: torchsummary's three columns, then MACs, receptive field, memory.

    Columns: layer, output_shape (as torchsummary prints it), params, macs, receptive_field (px,
    at most `input_px`, the whole picture), output_kb.
    """
    columns: dict[str, list[Any]] = {
        "layer": [row.layer for row in rows],
        "output_shape": [str([-1, *row.output_shape]) for row in rows],
        "params": [row.params for row in rows],
        "macs": [row.macs for row in rows],
        "receptive_field": [min(row.receptive_field, input_px) for row in rows],
        "output_kb": [row.activation_bytes / 1000 for row in rows],
    }
    if not with_params:
        del columns["params"]
    return pa.table(columns)


def parts_chart(
    parts: Sequence[dict[str, Any]], role: RoleKey, hidden: Collection[str] = ()
) -> Spec:
    """Three columns of bars over `part_rows`, stem on top: where each cost sits.

    Of `hidden` measures only the total is drawn.
    """
    bars = [
        {
            "part": part["part"],
            "role": role,
            "measure": measure_title(name),
            "start": panel * PANEL,
            "end": panel * PANEL + (0 if name in hidden else part[f"{name}_share"]),
            "share": "?" if name in hidden else numbers.share(part[f"{name}_share"]),
            "amount": "?" if name in hidden else measure_text(name, part[name]),
        }
        for part in parts
        for panel, name in enumerate(MEASURES)
    ]
    heads = [
        {
            "start": panel * PANEL,
            "title": measure_title(name),
            "total": measure_text(name, sum(part[name] for part in parts)),
        }
        for panel, name in enumerate(MEASURES)
    ]
    chart = with_rows(_parts(), bars=bars, heads=heads)
    return {**chart, "height": len(parts) * ROW_PX + HEAD_PX}


@compiled
def _parts() -> alt.LayerChart:
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
    bars = base.mark_bar(cornerRadiusEnd=2, height={"band": 0.72})
    figures = ink_text(base.encode(x=alt.X("end:Q", title=None)), "share:N", align="left", dx=4)
    head = alt.Chart(alt.NamedData("heads")).encode(x=x)
    return finish(
        layered(
            bars.encode(x2="end:Q", color=role_color()),
            painted(head.mark_rule(strokeWidth=1), "muted"),
            figures,
            ink_text(head.encode(y=alt.value(-26)), "title:N", align="left", fontWeight="bold"),
            ink_text(head.encode(y=alt.value(-9)), "total:N", slot="muted", align="left"),
        ),
        height=HEAD_PX,
    )


def budget_title(budget: Budget) -> str:
    """A budget in a few words: "HW13 2021 and HW13 2022: 100,000 parameters"."""
    if budget.quantity == "int8_bytes":
        return _("HW7 2020, 8 bit: 300 KB")
    if budget.quantity == "float32_bytes":
        return _("HW7 2020, about 1 MB")
    names = _(" and ").join(budget.homeworks)
    return _("{homeworks}: {limit} parameters").format(
        homeworks=names, limit=numbers.count(budget.limit)
    )


def budget_text(budget: Budget) -> str:
    """How much of a budget is used, and what that means, in words."""
    if budget.quantity == "params":
        verdict = _("fits") if budget.answer == "within" else _("over, scores 0")
    elif budget.strict:
        verdict = _("fits") if budget.answer == "within" else _("over")
    else:
        answers = {"within": _("smaller"), "over": _("larger"), "about": _("about that")}
        verdict = answers[budget.answer]
    return _("{used}, {share}: {verdict}").format(
        used=measure_text(budget.quantity, budget.used),
        share=numbers.per_cent(f"{budget.share * 100:,.0f}"),
        verdict=verdict,
    )


def budget_chart(budgets: Sequence[Budget]) -> Spec:
    """A bar for each budget, full at the line; the words above it say the same."""
    rows = []
    for number, budget in enumerate(budgets):
        slot = "wrong" if budget.answer == "over" else "correct"
        mark = f"{glyph(slot)} " if budget.strict else ""
        rows.append(
            {
                "row": number,
                "value": min(budget.share, MOST_SHARE),
                "role": slot if budget.strict else "muted",
                "title": budget_title(budget),
                "text": f"{mark}{budget_text(budget)}",
            }
        )
    return with_rows(_budgets(len(rows)), rows=rows)


@compiled
def _budgets(rows: int) -> alt.LayerChart:
    scale = alt.Scale(domain=[0, MOST_SHARE], nice=False)
    axis = alt.Axis(values=[0, 0.5, 1, 1.5, 2], format=".0%", grid=False, ticks=False)
    x = alt.X("value:Q", title=_("Share of the limit"), scale=scale, axis=axis)
    return _labelled_bars(x, 0, rows, BUDGET_ROW_PX)


def _labelled_bars(x: alt.X, start: float, rows: int, row_px: int) -> alt.LayerChart:
    """A bar a row from `start` on, its words above it; a short stroke at 1 on each row, because a
    line through all of them would cross the words."""
    down = alt.Scale(domain=[rows - 0.7, -0.6], nice=False)
    base = alt.Chart(alt.NamedData("rows")).encode(y=alt.Y("row:Q", axis=None, scale=down))
    bars = base.mark_bar(orient="horizontal", height=14, cornerRadiusEnd=3).encode(
        x=x, x2=alt.datum(start), color=role_color(), tooltip=["title:N", "text:N"]
    )
    ones = base.transform_calculate(low="datum.row - 0.2", high="datum.row + 0.2", value="1")
    ones = ones.mark_rule(strokeWidth=3).encode(
        x=x, y=alt.Y("low:Q", title=None, axis=None, scale=down), y2="high:Q"
    )
    words = base.encode(x=alt.value(0))
    above = -16 if row_px == RATIO_ROW_PX else -32  # the budgets have a second line
    layers = [
        bars,
        painted(ones, "text"),
        ink_text(words, "title:N", align="left", dy=above, fontWeight="bold"),
        ink_text(words, "text:N", align="left", dy=-16),
    ]
    chart: alt.LayerChart = finish(layered(*layers), height=rows * row_px + AXIS_PX)
    return chart


def ratio_rows(first: Totals, second: Totals) -> list[dict[str, Any]]:
    """What two networks cost: measure (one of RATIOS), first, second, ratio."""
    pairs = [(name, getattr(first, name), getattr(second, name)) for name in RATIOS]
    return [{"measure": name, "first": a, "second": b, "ratio": a / b} for name, a, b in pairs]


def ratio_text(ratio: float) -> str:
    """ "8.4× smaller", "1.6× larger", "the same" (within half a per cent)."""
    if abs(ratio - 1) < 0.005:
        return _("the same")
    times = max(ratio, 1 / ratio)
    text = numbers.times(f"{times:.{2 if times < 2 else 1 if times < 20 else 0}f}")
    return (_("{times} smaller") if ratio > 1 else _("{times} larger")).format(times=text)


def ratio_chart(
    ratios: Sequence[dict[str, Any]], role: RoleKey, hidden: Collection[str] = ()
) -> Spec:
    """Bars of `ratio_rows` on a logarithmic axis: how many times smaller the second one is.

    `hidden` measures have a question mark and no bar.
    """
    rows = []
    for number, row in enumerate(ratios):
        name, is_hidden = row["measure"], row["measure"] in hidden
        title = _("{measure}: {first} → {second}, {ratio}").format(
            measure=measure_title(name),
            first=measure_text(name, row["first"]),
            second=measure_text(name, row["second"]),
            ratio=ratio_text(row["ratio"]),
        )
        rows.append(
            {
                "row": number,
                "value": 1.0 if is_hidden else row["ratio"],
                "role": role,
                "title": labelled(measure_title(name), "?") if is_hidden else title,
                "text": "",
            }
        )
    return with_rows(_ratios(), rows=rows)


@compiled
def _ratios() -> alt.LayerChart:
    scale = alt.Scale(type="log", domain=[0.08, 130], nice=False, clamp=True)
    expression = (
        "datum.value == 1 ? '1' : datum.value > 1 ? datum.value + '×' : '1/' + 1/datum.value"
    )
    axis = alt.Axis(values=[0.1, 1, 10, 100], labelExpr=expression, grid=False)
    x = alt.X("value:Q", title=_("Times smaller (left of 1: larger)"), scale=scale, axis=axis)
    return _labelled_bars(x, 1, len(RATIOS), RATIO_ROW_PX)
