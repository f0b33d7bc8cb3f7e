"""One layer's singular values with a rank slider that the browser answers by itself.

Every rank's figures travel once; the slider is a Vega parameter. In one plot, because a parameter
cannot cross from plot to plot: words at the top, singular values (log) below them, and at the
bottom what is kept and what it costs. Each part has its own stretch of the height.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data
from core.charts.curves import (
    LABEL_SIZE,
    accuracy_axis,
    accuracy_plot,
    curve_data,
    mark_shape,
    spread,
)
from core.charts.names import short_network
from core.charts.theme import (
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

_VALUES = (118, 214)
_SHARES = (262, 390)
"""From where to where, in px from the top, the singular values and the shares stand."""
HEIGHT_PX = 390
_MARGIN = 1.36
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


def form_title(form: Form) -> str:
    """What a way of factoring one layer is called."""
    return {
        "svd": _("SVD: two thin layers"),
        "spatial": _("Spatial: k × 1, then 1 × k"),
        "tucker2": _("Tucker-2: 1 × 1, k × k, 1 × 1"),
    }[form]


def layer_title(layer: LayerShape) -> str:
    """A layer as menus name it: its place in the network, kernel and channels."""
    high, wide = layer.kernel
    kernel = "" if (high, wide) == (1, 1) else f"{high} × {wide}, "
    return f"{layer.name}: {kernel}{layer.inputs} → {layer.outputs}"


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


def floor_of(curve: LayerCurve) -> float:
    """Where the axis of singular values ends: the power of ten below the smallest, or FLOOR."""
    least = min(float(values[-1] / (values[0] or 1)) for values in curve.values)
    return max(FLOOR, float(10 ** np.floor(np.log10(max(least, FLOOR)))))


def layer_chart(curve: LayerCurve, start: int, reveal: bool = True) -> Spec:
    """The singular values and the shares, with a slider that starts at the rank `start`.

    Without `reveal` nothing says how much energy a rank keeps.
    """
    ranks = ranks_frame(curve)
    if not reveal:
        ranks["kept"] = np.nan
    top = max(1.25, float(np.ceil(4 * ranks["params_share"].max()) / 4))
    ends = pd.DataFrame(
        {
            "rank": [curve.full] * 2,
            "share": [1.0, float(ranks["params_share"].iloc[-1])],
            "name": [_("energy kept"), _("parameters")],
        }
    )
    ends["label_at"] = spread((ends["share"] - [0.07 * top, 0]).to_numpy(), 0.15 * top)
    ends = ends if reveal else ends.iloc[1:]
    return with_data(
        _shape(
            curve.full,
            (floor_of(curve), top),
            formula(curve.shape, curve.form),
            len(curve.values) > 1,
        ),
        {"R": start},
        ranks=ranks,
        values=values_frame(curve),
        ends=ends,
        even=pd.DataFrame({"rank": [curve.break_even] if curve.break_even else []}, dtype=float),
    )


@compiled
def _shape(full: int, limits: tuple[float, float], written: str, two_modes: bool) -> Any:
    slider = alt.param(
        name="R",
        value=1,
        bind=alt.binding_range(min=1, max=full, step=1, name=_("Rank r")),
    )
    x = alt.X(
        "rank:Q",
        title=_("Rank r"),
        scale=alt.Scale(domain=[0, _MARGIN * full], nice=False),
        axis=alt.Axis(values=_ticks(full), grid=False, labelFlush=False),
    )
    above = layered(*_singular(x, limits[0], two_modes))
    below = layered(*_shares(x, limits[1], full))
    both = layered(above, below, *_live_words(written, full))
    exact = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = both.resolve_scale(y="independent").add_params(slider).properties(autosize=exact)
    return finish(chart, height=HEIGHT_PX)


def _ticks(full: int) -> list[int]:
    """A few round ranks up to the full one."""
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000) if full <= 5 * s)
    return [1, *range(step, full - step // 2, step), full]


def _now() -> alt.Chart:
    """One row: the slider's rank with its figures."""
    return (
        alt.Chart(alt.NamedData("ranks"))
        .transform_filter("datum.rank == R")
        .transform_calculate(rank="R")
    )


_OR_UNKNOWN = "(isValid(datum.kept) ? format(datum.kept, '.1%') : '?')"
"""The energy kept, as a Vega expression; a question mark before the reveal."""


def _live_words(written: str, full: int) -> list[alt.Chart]:
    """The figures at the slider's rank, in words, at the top; made from the row by Vega."""
    of_whole = _filled(_("{share} of the whole layer's"), "{share}", "format(datum.{}, '.0%')")
    lines = [
        _filled(
            _("r = {r} of {full}").replace("{full}", f"{full:,}"), "{r}", "format(datum.rank, ',')"
        ),
        _filled(_("energy kept: {share}"), "{share}", _OR_UNKNOWN),
        _filled(_("parameters: {formula}"), "{formula}", _ranks_in(written)),
        "'= ' + format(datum.params, ',') + ', ' + " + of_whole.format("params_share"),
        _filled(_("MACs: {n}"), "{n}", "format(datum.macs, ',')")
        + " + ', ' + "
        + of_whole.format("macs_share"),
    ]
    return [
        ink_text(
            _now().transform_calculate(text=line).encode(x=alt.value(0), y=alt.value(8 + 19 * at)),
            "text:N",
            align="left",
            fontWeight="bold" if at == 0 else "normal",
        )
        for at, line in enumerate(lines)
    ]


def _filled(text: str, mark: str, expression: str) -> str:
    """A sentence as a Vega expression, its placeholder `mark` replaced with another expression."""
    before, after = text.split(mark)
    return f"{before!r} + {expression} + {after!r}"


def _ranks_in(written: str) -> str:
    """A formula as a Vega expression in which the row's ranks stand."""
    spelt = repr(written).replace("{0}", "' + datum.first + '").replace("{1}", "' + datum.last + '")
    return f"({spelt})"


def _singular(x: alt.X, floor: float, two_modes: bool) -> list[Any]:
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(
            type="log", domain=[floor, 1], range=[_VALUES[1], _VALUES[0]], nice=False, clamp=True
        ),
        axis=alt.Axis(
            values=[1, 0.1, 0.01, 1e-3, 1e-4, 1e-5], format="~g", grid=True, orient="left"
        ),
    )
    mark = alt.Shape(
        "mode:N",
        scale=alt.Scale(domain=["", "in", "out"], range=["circle", "circle", "triangle-up"]),
        legend=None,
    )
    values = alt.Chart(alt.NamedData("values"))
    tooltip = [
        alt.Tooltip("rank:Q", title=_("Rank r")),
        alt.Tooltip("value:Q", title=_("Singular value, as a share of the first"), format=".2~g"),
    ]
    kept = values.transform_filter("datum.rank <= R").mark_point(size=26, filled=True, opacity=1)
    gone = values.transform_filter("datum.rank > R").mark_point(size=26, filled=False, opacity=0.8)
    title = _("Singular values (the first = 1)")
    if two_modes:
        title = _("Singular values: ● in, ▲ out")
    head = alt.Chart(alt.InlineData(values=[{}])).encode(x=alt.value(0), y=alt.value(105))
    return [
        painted(_rule(x, _VALUES), "text"),
        painted(gone.encode(x=x, y=y, shape=mark, tooltip=tooltip), "muted"),
        painted(kept.encode(x=x, y=y, shape=mark, tooltip=tooltip), "factored"),
        ink_text(head, alt.value(title), align="left", fontWeight="bold"),
    ]


def _rule(x: alt.X, part: tuple[int, int]) -> alt.Chart:
    """The slider's rank in one part of the height; the words between the parts stay clear of it."""
    ends = {"y": alt.value(part[0]), "y2": alt.value(part[1])}
    return _now().mark_rule(strokeWidth=2).encode(x=x, **ends)


def _shares(x: alt.X, top: float, full: int) -> list[Any]:
    def share(field: str) -> alt.Y:
        return alt.Y(
            field,
            title=None,
            scale=alt.Scale(domain=[0, top], range=[_SHARES[1], _SHARES[0]], nice=False),
            axis=alt.Axis(format=".0%", values=[0, 0.5, 1, 1.5, 2], grid=True, orient="left"),
        )

    ranks = alt.Chart(alt.NamedData("ranks")).encode(x=x)
    kept = ranks.mark_line(strokeWidth=3).encode(y=share("kept:Q"))
    params = ranks.mark_line(strokeWidth=3, strokeDash=[7, 4]).encode(y=share("params_share:Q"))
    whole = alt.Chart(alt.InlineData(values=[{"rank": 0, "full": full, "one": 1}])).mark_rule(
        strokeDash=[2, 3], strokeWidth=1.5
    )
    even = (
        alt.Chart(alt.NamedData("even"))
        .transform_calculate(one="1")
        .mark_point(shape="diamond", size=170, filled=True, opacity=1)
        .encode(x=x, y=share("one:Q"))
    )
    dots = _now().mark_point(size=120, filled=True, opacity=1)
    ends = alt.Chart(alt.NamedData("ends")).transform_calculate(at="1.03 * datum.rank")
    head = alt.Chart(alt.InlineData(values=[{}])).encode(x=alt.value(0), y=alt.value(249))
    return [
        painted(_rule(x, _SHARES), "text"),
        painted(whole.encode(x=x, x2="full:Q", y=share("one:Q")), "muted"),
        painted(kept, "factored"),
        painted(params, "text"),
        painted(dots.encode(x=x, y=share("kept:Q")), "factored"),
        painted(dots.encode(x=x, y=share("params_share:Q")), "text"),
        painted(even, "text"),
        ink_text(
            ends.encode(x=alt.X("at:Q", title=_("Rank r")), y=share("label_at:Q")),
            "name:N",
            align="left",
        ),
        ink_text(
            head,
            alt.value(_("Shares of the layer; ◆ break-even")),
            align="left",
            fontWeight="bold",
        ),
    ]


# ------------------------------------------------------------------------------------------------
# What the low-rank page's charts show, as tables to take along.


def layer_data(curve: LayerCurve) -> pd.DataFrame:
    """What the layer's chart shows, to take along: `ranks_frame` with each rank's singular value.

    A column `value` of shares of the largest; `value_in` and `value_out` where each side has its
    own.
    """
    values = values_frame(curve).pivot(index="rank", columns="mode", values="value")
    values.columns = pd.Index([f"value_{mode}" if mode else "value" for mode in values.columns])
    return ranks_frame(curve).merge(values, on="rank", how="outer")


def accuracy_data(frame: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """What the accuracy chart shows, to take along: the curves' rows, then the other designs'."""
    beside = others.drop(columns=["role", "name", "score"])
    return pd.concat([frame, beside.rename(columns={"title": "series"})], ignore_index=True)


# ------------------------------------------------------------------------------------------------
# A whole network at lower rank: parameters against accuracy, and MACs against time.
#
# Colour says "factored"; the method is said by dashes and marks, which the words under the chart
# name. The fewer parameters the further left. Nothing in the plot but what was measured: other
# designs are named by a tooltip and by a table.


NETWORK_HEIGHT_PX = 360
_DASHES: dict[Method, str] = {"spatial": "m0", "tucker2": "m1", "svd": "m2", "auto": "m3"}
_MARKS: dict[Method, str] = {
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
    rows = []
    for method in methods:
        tuned = grid.finetuned(method) if finetuned else []
        rows += [_row(row) for row in (*grid.of(method), *tuned) if row.score is not None]
    columns = ["method", "series", "tuned", "energy", "params", "macs", "size_bytes", "accuracy",
               "low", "high", "n", "correct"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _row(row: LowRankRow) -> dict[str, Any]:
    score = row.score
    assert score is not None
    return {
        "method": row.method,
        "series": method_title(row.method),
        "tuned": row.finetune_epochs > 0,
        "energy": row.energy,
        "params": row.params,
        "macs": row.macs,
        "size_bytes": row.size_bytes,
        "accuracy": score.accuracy,
        "low": score.ci95[0],
        "high": score.ci95[1],
        "n": score.n,
        "correct": score.correct,
    }


def others_frame(found: Iterable[Checkpoint], whole: Checkpoint, fingerprint: str) -> pd.DataFrame:
    """Students of other designs to stand beside `whole`'s curves, trained in the same way.

    A row a recipe, at the mean of its seeds: role, name, params, accuracy, low, high (95 %
    interval), title, score (in words). `fingerprint`: of the photographs that the curves were
    measured on; who was tested on others is left out. Where `whole` learned in another way than
    from labels or from a teacher alone, those that learned from labels stand beside it.
    """
    recipe = whole.recipe if whole.recipe in ("scratch", "distilled") else "scratch"
    groups = collect(
        one
        for one in found
        if one.family == "student"
        and (one.recipe, one.data.fingerprint) == (recipe, fingerprint)
        and one.model != whole.model
    )
    designs = [group.first.model for group in groups]
    rows = []
    for group in groups:
        one, (mean, low, high) = group.first, group.interval()
        role = role_of(one)
        name = short_network(one.model, one.title)
        name = name if designs.count(one.model) == 1 else one.title
        between = numbers.interval(low, high, group.n)
        rows.append(
            {
                "role": role,
                "name": f"{glyph(role)} {name}",
                "params": one.params,
                "accuracy": mean,
                "low": low,
                "high": high,
                "title": _(one.title),
                "score": f"{numbers.percent(mean, group.n)} ({between})",
            }
        )
    columns = ["role", "name", "params", "accuracy", "low", "high", "title", "score"]
    return pd.DataFrame(rows, columns=columns)


def accuracy_chart(
    frame: pd.DataFrame,
    others: pd.DataFrame,
    now: LowRankRow | None = None,
    live: pd.DataFrame | None = None,
    reveal: bool = True,
) -> Spec:
    """Accuracy against parameters with 95 % intervals; without `reveal` only the whole network.

    `others`: `others_frame`; `now`: the row that the controls name; `live`: columns params,
    accuracy, measured here just now.
    """
    least, most = (float(f(pd.concat([frame["params"], others["params"]]))) for f in (min, max))
    data = curve_data(
        frame.assign(
            role=["text" if tuned else "factored" for tuned in frame["tuned"]],
            dash=[_DASHES[method] for method in frame["method"]],
            mark=[_MARKS[method] for method in frame["method"]],
            series=[name.replace(" × ", "×") for name in frame["series"]],
        ),
        "params",
        whole=frame["energy"] == 1,
        reveal=reveal,
        gap=0,
        live=live,
        now=now.params if now and reveal else None,
    )
    data["ends"] = data["ends"].iloc[:0].assign(margin=0.0)
    beside = others.assign(mark=[SLOTS[role].shape for role in others["role"]])
    return with_data(
        _accuracy_shape(least / 1.15, most * 1.15),
        **data,
        others=beside if reveal else beside.iloc[:0],
    )


@compiled
def _accuracy_shape(low: float, high: float) -> Any:
    count = _("Parameters")
    x = alt.X(
        "params:Q",
        title=count,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~s", tickCount=4, grid=False),
    )
    at = alt.Tooltip("params:Q", title=count, format=",")
    score = alt.Tooltip("score:N", title=_("Right (95 % interval)"))
    others = alt.Chart(alt.NamedData("others")).encode(x=x)
    return accuracy_plot(
        x,
        at,
        [
            alt.Tooltip("series:N", title=_("Method")),
            alt.Tooltip("energy:Q", title=_("Energy"), format=".0%"),
        ],
        chance=(low, high),
        height=NETWORK_HEIGHT_PX,
        above=[
            others.mark_rule(strokeWidth=2).encode(
                y=accuracy_axis("low"), y2="high:Q", color=role_color()
            ),
            others.mark_point(size=120, filled=True, opacity=1).encode(
                y=accuracy_axis(),
                color=role_color(),
                shape=mark_shape(),
                tooltip=[alt.Tooltip("title:N", title=_("Network")), at, score],
            ),
        ],
    )


# ------------------------------------------------------------------------------------------------
# MACs against time: what factoring saves on paper, and what the clock says of it.
#
# Both as shares of the whole network's, from one sitting in which all took turns. On the dashed
# diagonal time falls as MACs do; above it, it does not.


TIMES_HEIGHT_PX = 380


def whole_row(grid: LowRankGrid, column: str) -> LowRankRow | None:
    """The row of the network that nothing was taken from, if it was timed in this column."""
    for row in grid.rows:
        if not row.ranks and not row.finetune_epochs and column in row.latency:
            return row
    return None


def time_frame(grid: LowRankGrid, methods: Sequence[Method], column: str) -> pd.DataFrame:
    """A row per method and timed energy: shares of the whole network's MACs, parameters and time.

    Columns: method, series, energy, macs_share, params_share, share, low, high (quartiles),
    milliseconds. Empty where nothing was timed.
    """
    whole = whole_row(grid, column)
    rows = []
    for method in methods if whole else ():
        for energy in TIMED_ENERGIES:
            row = grid.row(RowKey(method, energy))
            if row is None or column not in row.latency or not row.ranks or whole is None:
                continue
            time, base = row.latency[column], whole.latency[column].median
            rows.append(
                {
                    "method": method,
                    "series": method_title(method),
                    "energy": energy,
                    "macs_share": row.macs / whole.macs,
                    "params_share": row.params / whole.params,
                    "share": time.median / base,
                    "low": time.p25 / base,
                    "high": time.p75 / base,
                    "milliseconds": time.median,
                }
            )
    columns = ["method", "series", "energy", "macs_share", "params_share", "share", "low", "high",
               "milliseconds"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def time_chart(frame: pd.DataFrame) -> Spec:
    """Share of the MACs against share of the time, one mark a network; quartiles as bars."""
    top = max(1.25, float(np.ceil(10 * frame["high"].max()) / 10)) if len(frame) else 1.25
    shown = frame.assign(
        mark=[_MARKS[method] for method in frame["method"]],
        time=[numbers.milliseconds(ms) for ms in frame["milliseconds"]],
        label=[f"{energy:.0%}" for energy in frame["energy"]],
    )
    return with_data(_times_shape(top), times=shown)


@compiled
def _times_shape(top: float) -> Any:
    title = _("Time, as a share of the whole network's")
    y_scale, y_axis = alt.Scale(domain=[0, top], nice=False), alt.Axis(format=".0%", tickCount=6)
    x_title = _("MACs, as a share of the whole network's")
    x_scale = alt.Scale(domain=[0, 1.25], nice=False)
    x_axis = alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1], grid=False)
    x = alt.X("macs_share:Q", title=x_title, scale=x_scale, axis=x_axis)
    y = alt.Y("share:Q", title=title, scale=y_scale, axis=y_axis)
    even = alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 1}])).mark_line(
        strokeDash=[5, 4], strokeWidth=1.5
    )
    diagonal = even.encode(
        alt.X("at:Q", title=x_title, scale=x_scale, axis=x_axis),
        alt.Y("at:Q", title=title, scale=y_scale, axis=y_axis),
    )
    whole = alt.Chart(alt.InlineData(values=[{"at": 1}])).encode(
        alt.X("at:Q", title=x_title), alt.Y("at:Q", title=title)
    )
    times = alt.Chart(alt.NamedData("times")).encode(x=x)
    bars = times.mark_rule(strokeWidth=2, opacity=0.8).encode(
        alt.Y("low:Q", title=title, scale=y_scale, axis=y_axis), y2="high:Q"
    )
    marks = times.mark_point(size=130, filled=True, opacity=1).encode(
        y=y,
        shape=mark_shape(),
        tooltip=[
            alt.Tooltip("series:N", title=_("Method")),
            alt.Tooltip("energy:Q", title=_("Energy"), format=".0%"),
            alt.Tooltip("macs_share:Q", title=x_title, format=".0%"),
            alt.Tooltip("share:Q", title=title, format=".0%"),
            alt.Tooltip("time:N", title=_("Median")),
        ],
    )
    lines = times.mark_line(strokeWidth=1.5, opacity=0.7).encode(y=y, detail="series:N")
    whole_mark = whole.mark_point(size=130, shape="cross", filled=True, opacity=1)
    return finish(
        layered(
            painted(diagonal, "muted"),
            painted(lines, "factored"),
            painted(bars, "factored"),
            painted(marks, "factored"),
            painted(whole_mark, "text"),
            ink_text(whole, alt.value(_("whole")), align="left", baseline="middle", dx=10),
            *(
                ink_text(
                    times.transform_filter(
                        f"datum.mark {'==' if above else '!='} '{_MARKS['tucker2']}'"
                    ).encode(y=y),
                    "label:N",
                    align="right" if above else "left",
                    dx=-9 if above else 9,
                    dy=-10 if above else 10,
                    **LABEL_SIZE,
                )
                for above in (True, False)
            ),
        ),
        height=TIMES_HEIGHT_PX,
    )
