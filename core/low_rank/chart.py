"""The low-rank page's charts: a layer with a rank slider, accuracy against parameters, time.

The layer's chart is written in Vega-Lite itself: it is another one for every layer, and Altair
takes half a second for it. Every rank's figures travel once; the slider is a Vega parameter, which
the browser answers alone. One plot, because a parameter cannot cross from plot to plot: words at
the top, singular values (log) below them, and at the bottom what is kept and what it costs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data
from core.charts.curves import (
    accuracy_axis,
    accuracy_plot,
    curve_data,
    mark_shape,
    spread,
)
from core.charts.names import short_network
from core.charts.theme import (
    CONFIG,
    FONT_PX,
    SLOTS,
    finish,
    glyph,
    ink_text,
    layered,
    painted,
    role_color,
    role_of,
)
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import collect
from core.checkpoints.factored import Form, LayerShape, Method
from core.i18n import _
from core.low_rank.method import LayerCurve
from core.low_rank.rows import TIMED_ENERGIES, LowRankGrid, LowRankRow, RowKey

HEIGHT_PX = 390
VALUES_PX, SHARES_PX = (118, 214), (262, 390)
"""From where to where, from the top, the singular values and the shares stand."""
MARGIN = 1.36
"""Where the rank axis ends, in full ranks: names stand between 1 and here."""
FLOOR = 1e-5
"""The axis of singular values never goes lower, as a share of the largest."""


def method_title(method: Method) -> str:
    """What a method is called."""
    return {
        "svd": _("SVD only"),
        "spatial": _("k × 1, then 1 × k"),
        "tucker2": _("Tucker-2"),
        "auto": _("smaller of the two"),
    }[method]


def formula(layer: LayerShape, form: Form) -> str:
    """Parameters of the factors with the layer's numbers filled in, to be formatted with its ranks.

    "{0}" stands for the rank, or the rank of the inputs; "{1}" for that of the outputs.
    """
    a, b, (high, wide) = layer.inputs, layer.outputs, layer.kernel
    bias = f" + {b}" if layer.bias else ""
    if form == "svd":
        return f"{{0}}·({a} + {b}){bias}"
    if form == "spatial":
        return f"{{0}}·({a}·{high} + {b}·{wide}){bias}"
    return f"{{0}}·{a} + {high}·{wide}·{{0}}·{{1}} + {{1}}·{b}{bias}"


def ranks_frame(curve: LayerCurve) -> pd.DataFrame:
    """A row a rank: rank, first, last (each factor's), kept, params, macs, and the last two as
    shares of the whole layer's (params_share, macs_share).
    """
    ranks = np.arange(1, curve.full + 1)
    most = curve.ranks(curve.full)
    return pd.DataFrame(
        {
            "rank": ranks,
            "first": np.minimum(ranks, most[0]),
            "last": np.minimum(ranks, most[-1]),
            "kept": curve.kept,
            "params": curve.params,
            "macs": curve.macs,
            "params_share": curve.params / curve.shape.params,
            "macs_share": curve.macs / max(curve.shape.macs, 1),
        }
    )


def values_frame(curve: LayerCurve) -> pd.DataFrame:
    """A row a singular value: rank, mode ("", "in", "out"), value as a share of the largest."""
    modes = ("",) if len(curve.values) == 1 else ("in", "out")
    return pd.concat(
        pd.DataFrame(
            {
                "rank": np.arange(1, len(values) + 1),
                "mode": mode,
                "value": np.maximum(values / (values[0] or 1), floor_of(curve)),
            }
        )
        for mode, values in zip(modes, curve.values, strict=True)
    )


def layer_data(curve: LayerCurve) -> pd.DataFrame:
    """`ranks_frame` with each rank's singular value, as a share of the largest: a column `value`,
    or `value_in` and `value_out` where each side has its own."""
    values = values_frame(curve).pivot(index="rank", columns="mode", values="value")
    values.columns = pd.Index([f"value_{mode}" if mode else "value" for mode in values.columns])
    return ranks_frame(curve).merge(values, on="rank", how="outer")


def floor_of(curve: LayerCurve) -> float:
    """Where the axis of singular values ends: the power of ten below the smallest, or FLOOR."""
    least = min(float(values[-1] / (values[0] or 1)) for values in curve.values)
    return max(FLOOR, float(10 ** np.floor(np.log10(max(least, FLOOR)))))


def layer_chart(curve: LayerCurve, start: int, reveal: bool = True) -> Spec:
    """The singular values and the shares, with a slider that starts at the rank `start`.

    Without `reveal` nothing says how much energy a rank keeps.
    """
    ranks, full = ranks_frame(curve), curve.full
    if not reveal:
        ranks["kept"] = np.nan
    top = max(1.25, float(np.ceil(4 * ranks["params_share"].max()) / 4))
    ends = pd.DataFrame(
        {
            "rank": [full] * 2,
            "share": [1.0, float(ranks["params_share"].iloc[-1])],
            "name": [_("energy kept"), _("parameters")],
        }
    )
    ends["label_at"] = spread((ends["share"] - [0.07 * top, 0]).to_numpy(), 0.15 * top)
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000) if full <= 5 * s)
    x = _axis(
        "rank",
        _("Rank r"),
        {"domain": [0, MARGIN * full]},
        {
            "values": [1, *range(step, full - step // 2, step), full],
            "grid": False,
            "labelFlush": False,
        },
    )
    slider = {"input": "range", "min": 1, "max": full, "step": 1, "name": _("Rank r")}
    return {
        "$schema": alt.SCHEMA_URL,
        "config": CONFIG,
        "height": HEIGHT_PX,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [{"name": "R", "value": start, "bind": slider}],
        "resolve": {"scale": {"y": "independent"}},
        "layer": [
            {"layer": _singular_values(x, floor_of(curve), len(curve.values) > 1)},
            {"layer": _shares(x, top, full)},
            *_figures(formula(curve.shape, curve.form), full),
        ],
        "datasets": {
            "ranks": ranks,
            "values": values_frame(curve),
            "ends": ends if reveal else ends.iloc[1:],
            "even": pd.DataFrame(
                {"rank": [curve.break_even] if curve.break_even else []}, dtype=float
            ),
        },
    }


NOW = ({"filter": "datum.rank == R"}, {"calculate": "R", "as": "rank"})
"""One row: the slider's rank with its figures."""


def _axis(
    field: str, title: str | None, scale: dict[str, Any], axis: dict[str, Any]
) -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"nice": False, **scale},
        "axis": axis,
    }


def _layer(
    data: str | None, mark: dict[str, Any], slot: str, *transforms: dict[str, str], **encoding: Any
) -> Spec:
    """A layer in one slot's colour; without `data`, a single mark."""
    color = {"field": "slot", "type": "nominal", "scale": {"domain": list(SLOTS)}, "legend": None}
    return {
        "data": {"name": data} if data else {"values": [{}]},
        "mark": mark,
        "transform": [*transforms, {"calculate": f"'{slot}'", "as": "slot"}],
        "encoding": {"color": color, **encoding},
    }


def _words(data: str | None, y_px: int, text: Any, *transforms: dict[str, str], bold: bool) -> Spec:
    mark = {"type": "text", "align": "left", "fontSize": FONT_PX}
    mark["fontWeight"] = "bold" if bold else "normal"
    return _layer(data, mark, "text", *transforms, x={"value": 0}, y={"value": y_px}, text=text)


def _figures(written: str, full: int) -> list[Spec]:
    """The figures at the slider's rank, in words, at the top; made from its row by Vega."""
    of_whole = _filled(_("{share} of the layer's"), "{share}", "format(datum.{}, '.0%')")
    kept = "(isValid(datum.kept) ? format(datum.kept, '.1%') : '?')"  # hidden before the reveal
    sum_of = repr(written).replace("{0}", "' + datum.first + '")
    sum_of = sum_of.replace("{1}", "' + datum.last + '")
    comma = repr(_("{text}, {basis}").format(text="", basis=""))
    rank = _("r = {r} of {full}").replace("{full}", f"{full:,}")
    lines = [
        _filled(rank, "{r}", "format(datum.rank, ',')"),
        _filled(_("energy kept: {share}"), "{share}", kept),
        _filled(_("parameters: {formula}"), "{formula}", f"({sum_of})"),
        f"'= ' + format(datum.params, ',') + {comma} + {of_whole.format('params_share')}",
        _filled(_("MACs: {n}"), "{n}", "format(datum.macs, ',')")
        + f" + {comma} + {of_whole.format('macs_share')}",
    ]
    return [
        _words(
            "ranks",
            8 + 19 * place,
            {"field": "text", "type": "nominal"},
            *NOW,
            {"calculate": line, "as": "text"},
            bold=place == 0,
        )
        for place, line in enumerate(lines)
    ]


def _filled(text: str, mark: str, expression: str) -> str:
    """A sentence as a Vega expression, its placeholder `mark` replaced with another expression."""
    before, after = text.split(mark)
    return f"{before!r} + {expression} + {after!r}"


def _singular_values(x: Any, floor: float, two_modes: bool) -> list[Spec]:
    top_px, bottom_px = VALUES_PX
    y = _axis(
        "value",
        None,
        {"type": "log", "domain": [floor, 1], "range": [bottom_px, top_px], "clamp": True},
        {
            "values": [1, 0.1, 0.01, 1e-3, 1e-4, 1e-5],
            "format": "~g",
            "grid": True,
            "orient": "left",
        },
    )
    shapes = {"domain": ["", "in", "out"], "range": ["circle", "circle", "triangle-up"]}
    named = _("Singular value, as a share of the first")
    at = {
        "x": x,
        "y": y,
        "shape": {"field": "mode", "type": "nominal", "scale": shapes, "legend": None},
        "tooltip": [
            {"field": "rank", "type": "quantitative", "title": _("Rank r")},
            {"field": "value", "type": "quantitative", "title": named, "format": ".2~g"},
        ],
    }
    gone = {"type": "point", "size": 26, "filled": False, "opacity": 0.8}
    kept = {"type": "point", "size": 26, "filled": True, "opacity": 1}
    title = _("Singular values: ● in, ▲ out") if two_modes else _("Singular values (the first = 1)")
    return [
        _rule(x, VALUES_PX),
        _layer("values", gone, "muted", {"filter": "datum.rank > R"}, **at),
        _layer("values", kept, "factored", {"filter": "datum.rank <= R"}, **at),
        _words(None, top_px - 13, {"value": title}, bold=True),
    ]


def _rule(x: Any, part: tuple[int, int]) -> Spec:
    """The slider's rank in one part of the height; the words between the parts stay clear of it."""
    mark = {"type": "rule", "strokeWidth": 2}
    return _layer("ranks", mark, "text", *NOW, x=x, y={"value": part[0]}, y2={"value": part[1]})


def _shares(x: Any, top: float, full: int) -> list[Spec]:
    top_px, bottom_px = SHARES_PX
    ticks = {"values": [0, 0.5, 1, 1.5, 2], "format": ".0%", "grid": True, "orient": "left"}

    def share(field: str) -> Any:
        return _axis(field, None, {"domain": [0, top], "range": [bottom_px, top_px]}, ticks)

    line: dict[str, Any] = {"type": "line", "strokeWidth": 3}
    dot = {"type": "point", "size": 120, "filled": True, "opacity": 1}
    level = {"type": "rule", "strokeDash": [2, 3], "strokeWidth": 1.5}
    at_one = {"calculate": "1", "as": "one"}
    whole = ({"calculate": "0", "as": "rank"}, {"calculate": str(full), "as": "full"}, at_one)
    margin = {"field": "margin", "type": "quantitative", "title": _("Rank r")}
    name = {"type": "text", "align": "left", "fontSize": FONT_PX}
    return [
        _rule(x, SHARES_PX),
        _layer(None, level, "muted", *whole, x=x, x2={"field": "full"}, y=share("one")),
        _layer("ranks", line, "factored", x=x, y=share("kept")),
        _layer("ranks", line | {"strokeDash": [7, 4]}, "text", x=x, y=share("params_share")),
        _layer("ranks", dot, "factored", *NOW, x=x, y=share("kept")),
        _layer("ranks", dot, "text", *NOW, x=x, y=share("params_share")),
        _layer(
            "even", dot | {"shape": "diamond", "size": 170}, "text", at_one, x=x, y=share("one")
        ),
        _layer(
            "ends",
            name,
            "text",
            {"calculate": "1.03 * datum.rank", "as": "margin"},
            x=margin,
            y=share("label_at"),
            text={"field": "name", "type": "nominal"},
        ),
        _words(None, top_px - 13, {"value": _("Shares of the layer; ◆ break-even")}, bold=True),
    ]


# A whole network at lower rank. Colour says "factored"; the method is said by dashes and marks,
# which the words under the chart name. Nothing stands in the plot but what was measured: other
# designs are named by a tooltip and by a table.

NETWORK_HEIGHT_PX = 360
TIMES_HEIGHT_PX = 380
DASHES: dict[Method, str] = {"spatial": "m0", "tucker2": "m1", "svd": "m2", "auto": "m3"}
MARKS: dict[Method, str] = {
    "spatial": "circle",
    "tucker2": "triangle-up",
    "svd": "diamond",
    "auto": "square",
}


def accuracy_frame(
    grid: LowRankGrid, methods: Sequence[Method], finetuned: bool = False
) -> pd.DataFrame:
    """A row per method and energy with an accuracy; `finetuned` adds those after training.

    Columns: method, series (the name of its curve), tuned, energy, params, macs, size_bytes,
    accuracy, low, high (95 % interval), n, correct.
    """
    columns = ["method", "series", "tuned", "energy", "params", "macs", "size_bytes", "accuracy",
               "low", "high", "n", "correct"]  # fmt: skip
    rows = [
        (
            method, method_title(method), row.finetune_epochs > 0, row.energy, row.params,
            row.macs, row.size_bytes, score.accuracy, *score.ci95, score.n, score.correct,
        )
        for method in methods
        for row in (*grid.of(method), *(grid.finetuned(method) if finetuned else ()))
        if (score := row.score) is not None
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def accuracy_data(frame: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """What the accuracy chart shows, to take along: the curves' rows, then the other designs'."""
    beside = others.drop(columns=["role", "name", "score"])
    return pd.concat([frame, beside.rename(columns={"title": "series"})], ignore_index=True)


def others_frame(
    shipped: Iterable[Checkpoint], whole: Checkpoint, fingerprint: str
) -> pd.DataFrame:
    """Students of other designs to stand beside `whole`'s curves, trained in the same way.

    A row a recipe, at the mean of its seeds: role, name, params, accuracy, low, high (95 %
    interval), title, score (in words). `fingerprint`: of the photographs that the curves were
    measured on; who was tested on others is left out. Where `whole` learned in another way than
    from labels or from a teacher alone, those that learned from labels stand beside it.
    """
    recipe = whole.recipe if whole.recipe in ("scratch", "distilled") else "scratch"
    groups = collect(
        entry
        for entry in shipped
        if entry.family == "student"
        and (entry.recipe, entry.data.fingerprint) == (recipe, fingerprint)
        and entry.model != whole.model
    )
    designs = [group.first.model for group in groups]
    rows = []
    for group in groups:
        entry, (mean, low, high) = group.first, group.interval()
        role = role_of(entry)
        name = short_network(entry.model, entry.title)
        name = name if designs.count(entry.model) == 1 else _(entry.title)
        between = numbers.interval(low, high, group.n)
        rows.append(
            {
                "role": role,
                "name": f"{glyph(role)} {name}",
                "params": entry.params,
                "accuracy": mean,
                "low": low,
                "high": high,
                "title": _(entry.title),
                "score": _("{value} ({detail})").format(
                    value=numbers.percent(mean, group.n), detail=between
                ),
            }
        )
    columns = ["role", "name", "params", "accuracy", "low", "high", "title", "score"]
    return pd.DataFrame(rows, columns=columns)


def accuracy_chart(
    frame: pd.DataFrame,
    others: pd.DataFrame,
    now: LowRankRow | None = None,
    live: pd.DataFrame | None = None,
) -> Spec:
    """Accuracy against parameters with 95 % intervals.

    `others`: `others_frame`; `now`: the row that the controls name; `live`: columns params,
    accuracy, measured here just now.
    """
    params = pd.concat([frame["params"], others["params"]])
    low, high = float(params.min()) / 1.15, float(params.max()) * 1.15
    data = curve_data(
        frame.assign(
            role=["text" if tuned else "factored" for tuned in frame["tuned"]],
            dash=[DASHES[method] for method in frame["method"]],
            mark=[MARKS[method] for method in frame["method"]],
            series=[name.replace(" × ", "×") for name in frame["series"]],
        ),
        "params",
        whole=frame["energy"] == 1,
        reveal=True,
        gap=0,
        live=live,
        now=now.params if now else None,
    )
    data["ends"] = data["ends"].iloc[:0].assign(margin=0.0)  # a name would look like a network
    beside = others.assign(mark=[SLOTS[role].shape for role in others["role"]])
    return with_data(_accuracy_chart(low, high), **data, others=beside)


@compiled
def _accuracy_chart(low: float, high: float) -> Any:
    count = _("Parameters")
    x = alt.X(
        "params:Q",
        title=count,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~s", tickCount=4, grid=False),
    )
    at = alt.Tooltip("params:Q", title=count, format=",")
    others = alt.Chart(alt.NamedData("others")).encode(x=x, color=role_color())
    rules = others.mark_rule(strokeWidth=2).encode(y=accuracy_axis("low"), y2="high:Q")
    tooltip = [
        alt.Tooltip("title:N", title=_("Network")),
        at,
        alt.Tooltip("score:N", title=_("Right (95 % interval)")),
    ]
    marks = others.mark_point(size=120, filled=True, opacity=1)
    return accuracy_plot(
        x,
        at,
        [
            alt.Tooltip("series:N", title=_("Method")),
            alt.Tooltip("energy:Q", title=_("Energy"), format=".0%"),
        ],
        chance=(low, high),
        height=NETWORK_HEIGHT_PX,
        above=[rules, marks.encode(y=accuracy_axis(), shape=mark_shape(), tooltip=tooltip)],
    )


def whole_row(grid: LowRankGrid, column: str) -> LowRankRow | None:
    """The row of the network that nothing was taken from, if it was timed in this column."""
    for row in grid.rows:
        if not row.ranks and not row.finetune_epochs and column in row.latency:
            return row
    return None


def time_frame(grid: LowRankGrid, methods: Sequence[Method], column: str) -> pd.DataFrame:
    """A row per method and timed energy: shares of the whole network's MACs, parameters and time.

    All of one column come from one sitting, in which they took turns. Columns: method, series,
    energy, macs_share, params_share, share, low, high (quartiles), milliseconds, verdict ("faster",
    "slower" or "same", as it measured). Empty where nothing was timed.
    """
    columns = ["method", "series", "energy", "macs_share", "params_share", "share", "low", "high",
               "milliseconds", "verdict"]  # fmt: skip
    rows = []
    whole = whole_row(grid, column)
    for method in methods if whole else ():
        for energy in TIMED_ENERGIES:
            row = grid.row(RowKey(method, energy))
            if row is None or column not in row.latency or not row.ranks or whole is None:
                continue
            time, base = row.latency[column], whole.latency[column]
            shares = (ms / base.median for ms in (time.median, time.p25, time.p75))
            sizes = (row.macs / whole.macs, row.params / whole.params)
            rows.append((method, method_title(method), energy, *sizes, *shares, time.median,
                         time.against(base)))  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def time_chart(frame: pd.DataFrame) -> Spec:
    """Share of the MACs against share of the time, one mark a network; quartiles as bars.

    On the dashed diagonal time falls as MACs do; above it, it does not.
    """
    top = max(1.25, float(np.ceil(10 * frame["high"].max()) / 10)) if len(frame) else 1.25
    shown = frame.assign(
        mark=[MARKS[method] for method in frame["method"]],
        time=[numbers.milliseconds(ms) for ms in frame["milliseconds"]],
        label=[f"{energy:.0%}" for energy in frame["energy"]],
    )
    return with_data(_time_chart(top), times=shown)


@compiled
def _time_chart(top: float) -> Any:
    title, x_title = (
        _("Time, as a share of the original's"),
        _("MACs, as a share of the original's"),
    )

    def y(field: str) -> alt.Y:
        scale, axis = alt.Scale(domain=[0, top], nice=False), alt.Axis(format=".0%", tickCount=6)
        return alt.Y(f"{field}:Q", title=title, scale=scale, axis=axis)

    def x(field: str) -> alt.X:
        axis = alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1], grid=False)
        scale = alt.Scale(domain=[0, 1.25], nice=False)
        return alt.X(f"{field}:Q", title=x_title, scale=scale, axis=axis)

    even = alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 1}])).encode(x("at"), y("at"))
    whole = alt.Chart(alt.InlineData(values=[{"at": 1}])).encode(x("at"), y("at"))
    times = alt.Chart(alt.NamedData("times")).encode(x=x("macs_share"))
    at_median = times.encode(y=y("share"))
    tooltip = [
        alt.Tooltip("series:N", title=_("Method")),
        alt.Tooltip("energy:Q", title=_("Energy"), format=".0%"),
        alt.Tooltip("macs_share:Q", title=x_title, format=".0%"),
        alt.Tooltip("share:Q", title=title, format=".0%"),
        alt.Tooltip("time:N", title=_("Median")),
    ]
    marks = at_median.mark_point(size=130, filled=True, opacity=1)
    layers = [
        painted(even.mark_line(strokeDash=[5, 4], strokeWidth=1.5), "muted"),
        painted(
            at_median.mark_line(strokeWidth=1.5, opacity=0.7).encode(detail="series:N"), "factored"
        ),
        painted(
            times.mark_rule(strokeWidth=2, opacity=0.8).encode(y("low"), y2="high:Q"), "factored"
        ),
        painted(marks.encode(shape=mark_shape(), tooltip=tooltip), "factored"),
        painted(whole.mark_point(size=130, shape="cross", filled=True, opacity=1), "text"),
        ink_text(whole, alt.value(_("original")), align="left", baseline="middle", dx=10),
    ]
    for equals, dy in (("==", 17), ("!=", -15)):  # Tucker-2 below its marks, the others above
        labelled = at_median.transform_filter(f"datum.mark {equals} '{MARKS['tucker2']}'")
        layers.append(ink_text(labelled, "label:N", dy=dy))
    return finish(layered(*layers), height=TIMES_HEIGHT_PX)
