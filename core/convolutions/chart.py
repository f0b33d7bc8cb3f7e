"""What the four layers of the convolution calculator cost, and the time they took: the formulas,
the bars, and the drawings of which input channel feeds which output channel."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import altair as alt

from core import i18n
from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_rows
from core.charts.numbers import short_count
from core.charts.theme import finish, ink_text, layered, painted, role_color
from core.convolutions.method import BYTES, ConvSetting, Cost, Kind
from core.convolutions.timing import ConvTimings
from core.i18n import _

Quantity = Literal["params", "macs", "activation_bytes", "intensity"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
Rows = Sequence[dict[str, Any]]

ROW_PX, TIMING_ROW_PX, AXIS_PX, WIRING_PX = 52, 25, 66, 270
ROOM = 0.75
"""Space kept right of the longest bar for its figure, as a share of the axis."""
MOST, MOST_GROUPS = 8, 3
"""Most channels of a side, or of groups, that are drawn; of more, the first ones and the last."""
GAP = 0.7
"""Rows between two groups."""


def kind_title(kind: str) -> str:
    """What a reader calls a layer (a `core.convolutions.method.Kind`)."""
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
    return numbers.per_cent(f"{percent:,.{digits}f}")


def time_text(share: float) -> str:
    """A share of the standard layer's measured time: "48 %"."""
    return share_text(share, 0)


# The formulas behind `core.convolutions.method`, in LaTeX: in letters, and with the setting's
# numbers, a sum that one can check by hand; a test evaluates it and compares.

C_IN, C_OUT = r"C_\text{in}", r"C_\text{out}"
RULES: dict[Kind, str] = {
    "standard": "1",
    "group": "1 / g",
    "separable": f"1 / {C_OUT} + 1 / k^2",
    "lowrank": rf"R\,({C_IN} + {C_OUT}) \,/\, (k\,{C_IN}\,{C_OUT})",
}
"""Rule of thumb for the share of the standard layer's weights (`method.rule_of_thumb`)."""


class Formula(NamedTuple):
    """One quantity of one layer: LaTeX without dollar signs."""

    symbols: str
    """In letters: C_in, C_out, k, g, R, H (side of the input map), H' (side of the output map)."""
    numbers: str
    """The same with the numbers of the setting, an equals sign, and the result."""


def formula(quantity: Quantity, cost: Cost, setting: ConvSetting) -> Formula:
    """The formula of params, macs or activation_bytes for one layer and one picture."""
    letters = {"c_in": C_IN, "c_out": C_OUT, "k": "k", "g": "g", "rank": "R", "h": "H",
               "h_out": "H'"}  # fmt: skip
    s = setting
    sizes = {"c_in": s.in_channels, "c_out": s.out_channels, "k": s.kernel_size, "g": s.groups,
             "rank": s.rank, "h": s.map_size, "h_out": s.out_size}  # fmt: skip
    figures = {name: _latex_count(size) for name, size in sizes.items()}
    symbols = _terms(quantity, cost.kind, letters, r"\,", s.bias)
    filled = _terms(quantity, cost.kind, figures, r" \cdot ", s.bias)
    return Formula(symbols, f"{filled} = {_latex_count(getattr(cost, quantity))}")


def _terms(quantity: str, kind: Kind, n: Mapping[str, str], dot: str, bias: bool) -> str:
    """The right side of a formula; `n` says what stands for each size: a letter or its figure."""

    def product(*factors: str) -> str:
        return dot.join(factors)

    square, out = f"{n['k']}^2", f"{n['h_out']}^2"
    biases, between = n["c_out"], ""
    if kind == "separable":
        weights = f"{product(n['c_in'], square)} + {product(n['c_in'], n['c_out'])}"
        biases = f"{n['c_in']} + {n['c_out']}"
        macs = product(f"({weights})", out)
        between = product(n["c_in"], out)
    elif kind == "lowrank":
        tall = product(n["h_out"], n["h"])  # the first step shrinks the height only
        step = product(n["rank"], n["k"])
        weights = product(step, f"({n['c_in']} + {n['c_out']})")
        macs = product(step, f"({product(n['c_in'], tall)} + {product(n['c_out'], out)})")
        between = product(n["rank"], tall)
    else:
        shared = f" / {n['g']}" if kind == "group" else ""
        weights = product(n["c_in"], n["c_out"], square) + shared
        macs = product(n["c_in"], n["c_out"], square, out) + shared
    if quantity == "params":
        return f"{weights} + {biases}" if bias else weights
    if quantity == "macs":
        return macs
    written = product(n["c_out"], out)
    return product(str(BYTES), f"({between} + {written})" if between else f"({written})")


def _latex_count(n: int) -> str:
    return f"{n:,}".replace(",", "{,}")


# Bars: a layer's name over its bar, the figure behind it, all as shares of the standard layer.


def cost_rows(costs: Mapping[Kind, Cost]) -> list[dict[str, Any]]:
    """A row for each layer: kind, params, macs, activation_bytes, intensity, bytes_moved.

    The same with `_share`, fractions of the standard layer's, for the QUANTITIES.
    """

    def values(cost: Cost) -> dict[str, float]:
        return {
            "params": cost.params,
            "macs": cost.macs,
            "activation_bytes": cost.activation_bytes,
            "intensity": cost.intensity(),
        }

    standard = values(costs["standard"])
    return [
        {
            "kind": kind,
            "bytes_moved": cost.bytes_moved(),
            **values(cost),
            **{f"{name}_share": value / standard[name] for name, value in values(cost).items()},
        }
        for kind, cost in costs.items()
    ]


def cost_chart(
    costs: Rows, quantity: Quantity, guess: float | None = None, hidden: Collection[Kind] = ()
) -> Spec:
    """Bars of `cost_rows`, one a layer, as shares of the standard one; each with its figure.

    The axis ends at one standard layer, and grows in doublings only where a bar is longer.
    `guess`: a share that the reader expected of depthwise + pointwise, drawn as a dashed frame.
    `hidden` layers have a question mark and no bar.
    """
    rows = []
    for number, cost in enumerate(costs):
        kind, share = cost["kind"], cost[f"{quantity}_share"]
        guessed = guess if kind == "separable" and guess is not None else 0.0
        text = quantity_text(quantity, cost[quantity])
        if kind != "standard":
            text = f"{text} · {share_text(share)}"
        if guessed:
            text += _(" (guess: {share})").format(share=share_text(guessed, 0))
        if kind in hidden:
            share, text = 0.0, "?"
        rows.append(
            {
                "kind": kind,
                "layer": kind_title(kind),
                "role": _slot(kind),
                "share": share,
                "row": number,
                "text": text,
                "guess": guessed,
                "label_at": max(share, guessed),
            }
        )
    end = _axis_end(row["label_at"] for row in rows)
    return with_rows(_costs(quantity, end, len(rows)), rows=rows)


@compiled
def _costs(quantity: Quantity, end: float, rows: int) -> alt.LayerChart:
    title = _("{quantity} (standard = 100 %)").format(quantity=quantity_title(quantity))
    y = _row_axis(rows - 1)
    base = _on("rows").encode(
        y=y,
        tooltip=[
            alt.Tooltip("layer:N", title=_("Layer")),
            alt.Tooltip("text:N", title=quantity_title(quantity)),
        ],
    )
    frames = base.transform_filter("datum.guess > 0").mark_bar(
        orient="horizontal", height=21, filled=False, strokeDash=[4, 3], strokeWidth=2
    )
    bars = base.mark_bar(orient="horizontal", height=16, cornerRadiusEnd=3)
    figures = base.encode(x=_share_axis(end, "label_at", title))
    layers = [
        bars.encode(x=_share_axis(end, "share", title), color=role_color()),
        painted(frames.encode(x=_share_axis(end, "guess", title)), "text"),
        ink_text(figures, "text:N", align="left", dx=6),
        _names("rows", y),
    ]
    chart: alt.LayerChart = finish(layered(*layers), height=rows * ROW_PX + AXIS_PX)
    return chart


def timing_rows(costs: Mapping[Kind, Cost], measured: ConvTimings) -> list[dict[str, Any]]:
    """A row for each layer and batch size, for the chart, the table and the CSV.

    Keys: kind, batch, params, macs (of the whole batch), bytes_moved (least), median_ms, p25_ms,
    p75_ms, rounds, threads, macs_per_s, time_share and macs_share (fractions of the standard
    layer's).
    """
    return [
        {
            "kind": kind,
            "batch": batch,
            "params": costs[kind].params,
            "macs": batch * costs[kind].macs,
            "bytes_moved": costs[kind].bytes_moved(batch),
            "median_ms": timing.median_ms,
            "p25_ms": timing.p25_ms,
            "p75_ms": timing.p75_ms,
            "rounds": timing.n,
            "threads": timing.threads,
            "macs_per_s": batch * costs[kind].macs / (timing.median_ms / 1000),
            "time_share": timing.median_ms / timings["standard"].median_ms,
            "macs_share": costs[kind].macs / costs["standard"].macs,
        }
        for batch, timings in measured.timings.items()
        for kind, timing in timings.items()
    ]


def timing_chart(times: Rows) -> Spec:
    """Bars of `timing_rows`: each layer's MACs, pale, over its time at each batch size.

    All are shares of the standard layer's; the line on a time is its quartiles.
    """
    per_layer = len({row["batch"] for row in times}) + 1
    bars: list[dict[str, Any]] = []
    for place, kind in enumerate(dict.fromkeys(row["kind"] for row in times)):
        of_kind = [row for row in times if row["kind"] == kind]
        share, top = of_kind[0]["macs_share"], place * (per_layer + 1.3)
        named = {"kind": kind, "layer": kind_title(kind), "role": _slot(kind)}
        text = _("MACs {share}").format(share=share_text(share))
        bars.append({**named, "row": top, "share": share, "low": share, "high": share,
                     "text": text, "strength": 0.4})  # fmt: skip
        for slot, row in enumerate(of_kind, start=1):
            scale = row["time_share"] / row["median_ms"]
            text = _("batch {n}: {share}, {ms}").format(
                n=row["batch"],
                share=time_text(row["time_share"]),
                ms=numbers.milliseconds(row["median_ms"]),
            )
            bars.append({**named, "row": top + slot, "share": row["time_share"],
                         "low": row["p25_ms"] * scale, "high": row["p75_ms"] * scale,
                         "text": text, "strength": 1.0})  # fmt: skip
    # a quartile a hair beyond a whole bar does not double the axis: there is room for it
    end = _axis_end(max(bar["share"], bar["high"] / 1.3) for bar in bars)
    heads = [bar for bar in bars if bar["strength"] < 1]
    return with_rows(_times(end, float(bars[-1]["row"])), rows=bars, heads=heads)


@compiled
def _times(end: float, last_row: float) -> alt.LayerChart:
    y, high = _row_axis(last_row), _share_axis(end, "high")
    base = _on("rows").encode(
        y=y, tooltip=[alt.Tooltip("layer:N", title=_("Layer")), alt.Tooltip("text:N", title=" ")]
    )
    bars = base.mark_bar(orient="horizontal", height=16, cornerRadiusEnd=3).encode(
        x=_share_axis(end),
        color=role_color(),
        opacity=alt.Opacity("strength:Q", scale=None, legend=None),
    )
    quartiles = base.mark_rule(strokeWidth=2).encode(x=_share_axis(end, "low"), x2="high:Q")
    figures = ink_text(base.encode(x=high), "text:N", align="left", dx=6)
    layers = layered(bars, painted(quartiles, "text"), figures, _names("heads", y))
    chart: alt.LayerChart = finish(layers, height=round((last_row + 1.5) * TIMING_ROW_PX) + 44)
    return chart


def _on(table: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(table))


def _slot(kind: str) -> str:
    """The standard layer is the grey measure; what replaces it has the colour of "factored"."""
    return "muted" if kind == "standard" else "factored"


def _axis_end(shares: Iterable[float]) -> float:
    end, longest = 1.0, max(shares)
    while end < longest:
        end *= 2
    return end


def _share_axis(end: float, column: str = "share", title: str | None = None) -> alt.X:
    return alt.X(
        f"{column}:Q",
        title=title,
        scale=alt.Scale(domain=[0, end * (1 + ROOM)], nice=False),
        axis=alt.Axis(format=".0%", values=[0, end / 2, end]),
    )


def _row_axis(last: float) -> alt.Y:
    """Rows are numbers, so that a layer's name can stand above its bar, also on a narrow screen."""
    return alt.Y("row:Q", axis=None, scale=alt.Scale(domain=[last + 0.5, -0.9], nice=False))


def _names(table: str, y: alt.Y) -> alt.Chart:
    base = _on(table).encode(x=alt.value(0), y=y)
    return ink_text(base, "layer:N", align="left", dy=-20, fontWeight="bold")


# Which input channel feeds which output channel: dots for channels, a line where one is read. A
# layer of many channels is drawn with some of them left out, marked by dots and said in words
# (`note`); what is drawn is wired exactly as in the layer.


class Column(NamedTuple):
    """One side of a wiring: a layer's channels. Channels count from 1."""

    title: str
    channels: int


class Wiring(NamedTuple):
    """A layer of one or two steps: columns of channels, and the groups of the step between two."""

    columns: tuple[Column, ...]
    groups: tuple[int, ...]
    """One fewer than the columns; each divides the channels on both its sides."""

    def feeds(self, step: int, source: int, target: int) -> bool:
        """Whether channel `target` of column step + 1 reads channel `source` of column `step`."""
        groups = self.groups[step]
        ins, outs = self.columns[step].channels // groups, self.columns[step + 1].channels // groups
        return (source - 1) // ins == (target - 1) // outs


class Node(NamedTuple):
    """A channel's place in the drawing, or a gap's (channel 0)."""

    column: int
    channel: int
    y: float


def picture(wiring: Wiring) -> tuple[list[Node], float]:
    """Where each drawn channel stands, and how many rows the drawing is high.

    Groups stand under each other; of many groups or channels the first and the last are kept,
    with a gap between them. Where each channel is a group of its own there is nothing to part.
    """
    groups, most = wiring.groups[0], max(column.channels for column in wiring.columns)
    if len(wiring.groups) > 1 or groups == most:
        groups = 1
    kept = _kept(groups, groups if most <= MOST else MOST_GROUPS)
    many = sum(1 for group in kept if group)
    nodes: list[Node] = []
    top = 0.0
    for group in kept:
        if not group:
            nodes += [Node(column, 0, top + 0.5) for column in range(len(wiring.columns))]
            top += 1 + GAP
            continue
        sides = []
        for column in wiring.columns:
            per_group = column.channels // groups
            first = (group - 1) * per_group
            places = _kept(per_group, max(1, MOST // many))
            sides.append([place and first + place for place in places])
        rows = max(len(side) for side in sides)
        nodes += [
            Node(number, channel, top + (place + 0.5) * rows / len(side))
            for number, side in enumerate(sides)
            for place, channel in enumerate(side)
        ]
        top += rows + GAP
    return nodes, top - GAP


def _kept(n: int, most: int) -> list[int]:
    """1..n, or with 0 for a gap: the first ones, the gap, and the last."""
    if n <= most:
        return list(range(1, n + 1))
    return [*range(1, max(most - 1, 1) + 1), 0, n] if most > 1 else [1, 0]


def note(wiring: Wiring) -> str:
    """How many channels the drawing shows of how many; empty where it shows all."""
    channels = [node.column for node in picture(wiring)[0] if node.channel]
    last = len(wiring.columns) - 1
    a, b = channels.count(0), wiring.columns[0].channels
    c, d = channels.count(last), wiring.columns[last].channels
    if (a, c) == (b, d):
        return ""
    return _("Drawn: {a} of {b} input and {c} of {d} output channels.").format(a=a, b=b, c=c, d=d)


def wiring_chart(wiring: Wiring) -> Spec:
    """The drawing: what one output channel reads is drawn in ink, all other lines paler.

    It is output channel 1 to begin with; pointing at (or tapping) another output channel shows
    what that one reads, in the browser.
    """
    return _drawn(i18n.language(), wiring)


@lru_cache(maxsize=64)
def _drawn(_language: str, wiring: Wiring) -> Spec:
    return with_rows(_wiring(len(wiring.columns) - 1), **_wiring_rows(wiring))


def _wiring_rows(wiring: Wiring) -> dict[str, list[dict[str, Any]]]:
    nodes, rows = picture(wiring)
    last = len(wiring.columns) - 1
    channels = [node for node in nodes if node.channel]

    def points(of: Iterable[Node], name: str = "channel") -> list[dict[str, Any]]:
        return [{"column": n.column, name: n.channel, "y": n.y / rows} for n in of]

    lines = [
        {
            "column": a.column,
            "y": a.y / rows,
            "column2": b.column,
            "y2": b.y / rows,
            # lines of a step before the last belong to no one output channel: 0
            "output": b.channel if b.column == last else 0,
        }
        for a in channels
        for b in channels
        if b.column == a.column + 1 and wiring.feeds(a.column, a.channel, b.channel)
    ]
    heads = [
        {
            "column": n,
            "y": -0.045,
            "title": _("{name}: {title}").format(name=column.title, title=column.channels),
        }
        for n, column in enumerate(wiring.columns)
    ]
    return {
        "lines": lines,
        "points": points(channels),
        "inputs": points(n for n in channels if n.column == 0),
        "outputs": points((n for n in channels if n.column == last), "output"),
        "gaps": points(n for n in nodes if not n.channel),
        "heads": heads,
    }


@compiled
def _wiring(last: int) -> alt.LayerChart:
    x = alt.X("column:Q", axis=None, scale=alt.Scale(domain=[-0.3, last + 0.3], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[1, -0.07], nice=False))
    pick = alt.selection_point(
        name="output_channel",
        fields=["output"],
        value=[{"output": 1}],
        on="pointerover",
        clear=False,
        empty=False,
    )
    ends = _on("lines").mark_rule(aria=False).encode(x=x, y=y, x2="column2:Q", y2="y2:Q")
    pale = painted(ends, "muted").encode(opacity=alt.value(0.3), strokeWidth=alt.value(1))
    inked = painted(ends, "text").transform_filter(pick | (alt.datum.output == 0))
    dots = _on("points").mark_circle(size=90, opacity=1, aria=False).encode(x=x, y=y)
    inputs, outputs, gaps, heads = (
        _on(name).encode(x=x, y=y) for name in ("inputs", "outputs", "gaps", "heads")
    )
    catch = outputs.mark_circle(size=700, opacity=0.001, aria=False)
    catch = catch.encode(tooltip=[alt.Tooltip("output:Q", title=_("Output channel"))])
    layers = [
        pale,
        inked.encode(strokeWidth=alt.value(2.2)),
        painted(dots, "text"),
        ink_text(inputs, "channel:Q", align="right", baseline="middle", dx=-9),
        ink_text(outputs, "output:Q", align="left", baseline="middle", dx=9),
        ink_text(gaps.transform_calculate(text="'⋮'"), "text:N", "muted", fontSize=18),
        ink_text(heads, "title:N", fontWeight="bold"),
        catch.add_params(pick),
    ]
    chart: alt.LayerChart = finish(layered(*layers), height=WIRING_PX)
    return chart
