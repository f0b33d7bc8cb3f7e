"""One layer's singular values with a rank slider that the browser answers by itself.

Every rank's figures travel once; the slider is a Vega parameter. In one plot, because a parameter
cannot cross from plot to plot: words at the top, singular values (log) below them, and at the
bottom what is kept and what it costs. Each part has its own stretch of the height.
"""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.charts.lines import spread
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.compression.lowrank_curve import LayerCurve
from core.compression.lowrank_shapes import Form, LayerShape, Method
from core.words import _

_VALUES = (146, 330)
_SHARES = (396, 590)
"""From where to where, in px from the top, the singular values and the shares stand."""
HEIGHT_PX = 590
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


def layer_chart(curve: LayerCurve, start: int) -> Spec:
    """The singular values and the shares, with a slider that starts at the rank `start`."""
    ranks = ranks_frame(curve)
    top = max(1.25, float(np.ceil(4 * ranks["params_share"].max()) / 4))
    ends = pd.DataFrame(
        {
            "rank": [curve.full] * 2,
            "share": [1.0, float(ranks["params_share"].iloc[-1])],
            "name": [_("energy kept"), _("parameters")],
        }
    )
    ends["label_at"] = spread((ends["share"] - [0.07 * top, 0]).to_numpy(), 0.12 * top)
    return filled(
        _shape(
            curve.full,
            start,
            (floor_of(curve), top),
            formula(curve.shape, curve.form),
            len(curve.values) > 1,
        ),
        ranks=ranks,
        values=values_frame(curve),
        ends=ends,
        even=pd.DataFrame({"rank": [curve.break_even] if curve.break_even else []}, dtype=float),
    )


@shape
def _shape(
    full: int, start: int, limits: tuple[float, float], written: str, two_modes: bool
) -> Any:
    slider = alt.param(
        name="R",
        value=start,
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


def _live_words(written: str, full: int) -> list[alt.Chart]:
    """The figures at the slider's rank, in words, at the top; made from the row by Vega."""
    of_whole = _filled(_("{share} of the whole layer's"), "{share}", "format(datum.{}, '.0%')")
    lines = [
        _filled(
            _("r = {r} of {full}").replace("{full}", f"{full:,}"), "{r}", "format(datum.rank, ',')"
        ),
        _filled(_("energy kept: {share}"), "{share}", "format(datum.kept, '.1%')"),
        _filled(_("parameters: {formula}"), "{formula}", _ranks_in(written)),
        "'= ' + format(datum.params, ',') + ', ' + " + of_whole.format("params_share"),
        _filled(_("MACs: {n}"), "{n}", "format(datum.macs, ',')")
        + " + ', ' + "
        + of_whole.format("macs_share"),
    ]
    return [
        ink_text(
            _now().transform_calculate(text=line).encode(x=alt.value(0), y=alt.value(8 + 23 * at)),
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
    head = alt.Chart(alt.InlineData(values=[{}])).encode(x=alt.value(0), y=alt.value(132))
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
    head = alt.Chart(alt.InlineData(values=[{}])).encode(x=alt.value(0), y=alt.value(382))
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
