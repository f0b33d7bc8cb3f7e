"""Where in a network its parameters, MACs and memory sit: names, tables, one picture."""

from collections.abc import Collection, Sequence

import altair as alt
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.numbers import short_count
from core.charts.theme import RoleKey, finish, glyph, ink_text, layered, painted, role_color
from core.i18n import _
from core.models.design.cost import Row, Totals, part_totals
from core.models.design.limits import Budget
from core.models.design.plan import Part, Plan

ROW_PX, HEAD_PX = 23, 44
PANEL = 1.5
"""Width of a panel in shares: bars of 0 to 1 and room for their figures."""
MEASURES = ("params", "macs", "activation_bytes")


def measure_title(name: str) -> str:
    """What a reader calls a total of `core.models.design.cost.Totals`."""
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


def parts_chart(frame: pd.DataFrame, role: RoleKey, hidden: Collection[str] = ()) -> Spec:
    """Three columns of bars over the parts of `parts_frame`, stem on top: where each cost sits.

    Of `hidden` measures only the total is drawn.
    """
    lines = frame.to_dict("records")
    bars = [
        {
            "part": line["part"],
            "measure": measure_title(name),
            "start": panel * PANEL,
            "end": panel * PANEL + (0 if name in hidden else line[f"{name}_share"]),
            "share": "?" if name in hidden else numbers.share(line[f"{name}_share"]),
            "amount": "?" if name in hidden else measure_text(name, line[name]),
        }
        for line in lines
        for panel, name in enumerate(MEASURES)
    ]
    heads = [
        {
            "start": panel * PANEL,
            "title": measure_title(name),
            "total": measure_text(name, sum(line[name] for line in lines)),
        }
        for panel, name in enumerate(MEASURES)
    ]
    return with_rows(_parts_shape(len(lines), role), bars=bars, heads=heads)


@compiled
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


# ------------------------------------------------------------------------------------------------
# A network against the course's budgets, and two networks against each other.


BUDGET_ROW_PX, RATIO_ROW_PX, AXIS_PX = 60, 42, 72
MOST_SHARE = 2.0
"""Where a budget's bar ends, however far over the limit it is."""


def budget_title(budget: Budget) -> str:
    """A budget in a few words: "HW13 2021, HW13 2022: 100,000 parameters"."""
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
    used = measure_text(budget.quantity, budget.used)
    share = f"{budget.share * 100:,.0f}{numbers.THIN}%"
    said = {
        "within": _("fits") if budget.strict else _("smaller"),
        "over": _("over") if budget.strict else _("larger"),
        "about": _("about that"),
    }[budget.answer]
    return _("{used}, {share}: {said}").format(used=used, share=share, said=said)


def budget_chart(budgets: Sequence[Budget]) -> Spec:
    """A bar for each budget, full at the line; the words above it say the same."""
    rows = [
        {
            "row": number,
            "share": min(budget.share, MOST_SHARE),
            "role": _budget_slot(budget),
            "title": budget_title(budget),
            "text": f"{_GLYPHS[_budget_slot(budget)]}{budget_text(budget)}",
        }
        for number, budget in enumerate(budgets)
    ]
    return with_rows(_budget_shape(len(budgets)), rows=rows)


def _budget_slot(budget: Budget) -> str:
    if not budget.strict:
        return "muted"
    return "wrong" if budget.answer == "over" else "correct"


_GLYPHS = {"muted": "", "wrong": f"{glyph('wrong')} ", "correct": f"{glyph('correct')} "}


@compiled
def _budget_shape(rows: int) -> alt.LayerChart:
    scale = alt.Scale(domain=[0, MOST_SHARE], nice=False)
    axis = alt.Axis(values=[0, 0.5, 1, 1.5, 2], format=".0%", grid=False, ticks=False)
    x = alt.X("share:Q", title=_("of the limit"), scale=scale, axis=axis)
    down = alt.Scale(domain=[rows - 0.7, -0.6], nice=False)
    y = alt.Y("row:Q", title=None, axis=None, scale=down)
    base = alt.Chart(alt.NamedData("rows")).encode(y=y)
    bars = base.mark_bar(orient="horizontal", height=14, cornerRadiusEnd=3)
    start = base.encode(x=alt.datum(0))
    # one mark a row: a line through all of them would cross the words
    limit = base.transform_calculate(low="datum.row - 0.22", high="datum.row + 0.22", share="1")
    limit = limit.mark_rule(strokeWidth=3).encode(
        x=x, y=alt.Y("low:Q", title=None, axis=None, scale=down), y2="high:Q"
    )
    return finish(
        layered(
            bars.encode(x=x, color=role_color(), tooltip=["title:N", "text:N"]),
            painted(limit, "text"),
            ink_text(start, "title:N", align="left", dy=-32, fontWeight="bold"),
            ink_text(start, "text:N", align="left", dy=-16),
        ),
        height=rows * BUDGET_ROW_PX + AXIS_PX,
    )


def ratios_frame(first: Totals, second: Totals) -> pd.DataFrame:
    """What two networks cost: measure (a key of `measure_title`), first, second, ratio."""
    names = ("params", "float32_bytes", "macs", "activation_bytes", "receptive_field", "layers")
    rows = [(name, getattr(first, name), getattr(second, name)) for name in names]
    frame = pd.DataFrame(rows, columns=["measure", "first", "second"])
    return frame.assign(ratio=frame["first"] / frame["second"])


def ratio_text(ratio: float) -> str:
    """ "8.4× smaller", "1.6× larger", "the same" (within half a per cent)."""
    if abs(ratio - 1) < 0.005:
        return _("the same")
    if ratio > 1:
        return _("{times} smaller").format(times=_times(ratio))
    return _("{times} larger").format(times=_times(1 / ratio))


def _times(value: float) -> str:
    digits = 2 if value < 2 else 1 if value < 20 else 0
    return f"{value:.{digits}f}×"


def ratio_chart(frame: pd.DataFrame, role: RoleKey, hidden: Collection[str] = ()) -> Spec:
    """Bars of `ratios_frame` on a logarithmic axis: how many times smaller the second one is.

    `hidden` measures have a question mark and no bar.
    """
    rows = []
    for number, line in enumerate(frame.to_dict("records")):
        name = line["measure"]
        if name in hidden:
            title = f"{measure_title(name)}: ?"
        else:
            title = _("{measure}: {first} → {second}, {ratio}").format(
                measure=measure_title(name),
                first=measure_text(name, line["first"]),
                second=measure_text(name, line["second"]),
                ratio=ratio_text(line["ratio"]),
            )
        ratio = 1.0 if name in hidden else line["ratio"]
        rows.append({"row": number, "ratio": ratio, "title": title})
    return with_rows(_ratio_shape(len(rows), role), rows=rows)


@compiled
def _ratio_shape(rows: int, role: RoleKey) -> alt.LayerChart:
    scale = alt.Scale(type="log", domain=[0.08, 130], nice=False, clamp=True)
    expression = (
        "datum.value == 1 ? '1' : datum.value > 1 ? datum.value + '×' : '1/' + 1/datum.value"
    )
    axis = alt.Axis(values=[0.1, 1, 10, 100], labelExpr=expression, grid=False)
    x = alt.X("ratio:Q", title=_("times smaller"), scale=scale, axis=axis)
    down = alt.Scale(domain=[rows - 0.7, -0.6], nice=False)
    y = alt.Y("row:Q", title=None, axis=None, scale=down)
    base = alt.Chart(alt.NamedData("rows")).encode(y=y)
    bars = base.mark_bar(orient="horizontal", height=14, cornerRadiusEnd=3)
    one = base.transform_calculate(low="datum.row - 0.18", high="datum.row + 0.18", ratio="1")
    one = one.mark_rule(strokeWidth=2).encode(
        x=x, y=alt.Y("low:Q", title=None, axis=None, scale=down), y2="high:Q"
    )
    words = base.encode(x=alt.value(0))
    return finish(
        layered(
            painted(bars.encode(x=x, x2=alt.datum(1), tooltip=["title:N"]), role),
            painted(one, "text"),
            ink_text(words, "title:N", align="left", dy=-17),
        ),
        height=rows * RATIO_ROW_PX + AXIS_PX,
    )
