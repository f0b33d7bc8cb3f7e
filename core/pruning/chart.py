"""The pruning page's charts: ratio against accuracy, ratio against time, and guesses beside them.

Colour says whose network it is (its role); what was done to it is said by dashes and marks. Curves
of pruned networks all end in the same corner, so their names stand in a margin at the right, in the
order of their ends.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.compiled import Spec, compiled, with_data
from core.charts.curves import (
    CHANCE,
    DASHES,
    GLYPHS,
    GUESS,
    MARKS,
    accuracy_axis,
    accuracy_plot,
    beside,
    curve_data,
    end_names,
    level,
    network_marks,
    spread,
    stacked,
)
from core.charts.theme import finish, ink_text, layered, painted
from core.i18n import _
from core.pruning.method import (
    FORMS,
    METHODS,
    ChannelGroup,
    Form,
    Method,
    Tensors,
    channel_scores,
)
from core.pruning.rows import PruningGrid, PruningRow, RowKey, ScanPoint
from core.stats import wilson
from core.timing import COLUMNS, Spread

HEIGHT_PX = 360
_MARGIN = 1.5  # where the ratio axis' plot ends; names stand between 1 and here
_NAMES_AT = {"margin": 1.005}
_GAP = 0.12
_TICKS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]

GUESSES = ("straight", "early", "late", "never")
"""Ways in which accuracy might fall, to choose from before looking."""


class Measured(NamedTuple):
    """One network's grid as the charts name it."""

    title: str
    role: str
    grid: PruningGrid


def method_title(method: Method) -> str:
    """What a method is called."""
    return {
        "l1": _("L1, per layer"),
        "global_l1": _("L1, whole network"),
        "random": _("Random weights"),
        "channel_l2": _("Channels by L2"),
        "bn_gamma": _("Channels by BN gamma"),
    }[method]


def form_title(form: Form) -> str:
    """What a form is called."""
    return {
        "masked": _("masks on"),
        "removed": _("masks removed"),
        "narrow": _("channels cut"),
    }[form]


def guess_title(guess: str) -> str:
    """What a guessed curve is called."""
    return {
        "straight": _("evenly, all the way"),
        "early": _("at once, in the first 10 %"),
        "late": _("hardly, then suddenly"),
        "never": _("hardly at all"),
    }[guess]


def guess_curve(guess: str, start: float) -> pd.DataFrame:
    """The guessed curve from the accuracy `start` down to chance: columns ratio, accuracy."""
    x = np.linspace(0, 0.95, 39)
    fall = {
        "straight": x / 0.95,
        "early": 1 - np.exp(-x / 0.1),
        "late": 1 / (1 + np.exp(-(x - 0.75) / 0.05)),
        "never": 0.15 * (x / 0.95) ** 4,
    }[guess]
    return pd.DataFrame({"ratio": x, "accuracy": start - (start - CHANCE) * fall})


def nearest_guess(curve: pd.DataFrame) -> tuple[str, dict[str, float]]:
    """Which guess a measured curve is most like, and by how much each guess is off on average.

    `curve`: columns ratio and accuracy of one curve, the whole network (ratio 0) among them. A
    guess is off by the root of the mean squared difference, a fraction of the photographs.
    """
    curve = curve.sort_values("ratio")
    start = float(curve["accuracy"].iloc[0])
    off = {}
    for name in GUESSES:
        guessed = guess_curve(name, start)
        at = np.interp(curve["ratio"], guessed["ratio"], guessed["accuracy"])
        off[name] = float(np.sqrt(np.mean((curve["accuracy"] - at) ** 2)))
    return min(off, key=lambda name: off[name]), off


def accuracy_frame(
    networks: Sequence[Measured], methods: Sequence[Method], finetuned: bool = False
) -> pd.DataFrame:
    """A row per network, method and ratio with an accuracy; `finetuned` adds those after training.

    Columns: checkpoint, network (title), role, method, series (name of its curve), tuned, ratio,
    accuracy, low, high (95 % interval), n, correct.
    """
    rows = []
    for network in networks:
        for method in methods:
            by_ratio = {row.ratio: row for row in network.grid.of(method)}
            tuned = network.grid.finetuned(method) if finetuned else []
            for row in (*by_ratio.values(), *tuned):
                if row.score is not None:
                    rows.append(_accuracy_row(network, row, len(methods) > 1))
    columns = ["checkpoint", "network", "role", "method", "series", "tuned", "ratio", "accuracy",
               "low", "high", "n", "correct"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _accuracy_row(network: Measured, row: PruningRow, by_method: bool) -> dict[str, Any]:
    score = row.score
    assert score is not None
    name = method_title(row.method) if by_method else network.title
    tuned = row.finetune_epochs > 0
    return {
        "checkpoint": network.grid.checkpoint,
        "network": network.title,
        "role": network.role,
        "method": row.method,
        "series": _("{name}, fine-tuned").format(name=name) if tuned else name,
        "tuned": tuned,
        "ratio": row.ratio,
        "accuracy": score.accuracy,
        "low": score.ci95[0],
        "high": score.ci95[1],
        "n": score.n,
        "correct": score.correct,
    }


def accuracy_chart(
    frame: pd.DataFrame,
    ratio: float,
    guess: pd.DataFrame | None = None,
    live: pd.DataFrame | None = None,
    reveal: bool = True,
    chosen: tuple[str, str] | None = None,
) -> Spec:
    """Accuracy against ratio with 95 % bands; without `reveal` only the whole networks' points.

    `live`: columns ratio and accuracy, measured here just now, drawn as stars. `chosen`: checkpoint
    and method of the only curve that has a band; without it all have.
    """
    # all methods on one network, or networks of which two may share a role, and hence a colour
    if frame["method"].nunique() > 1:
        ways = [METHODS.index(method) for method in frame["method"]]
        marks = [MARKS[way] for way in ways]
    else:
        ways = [int(way) % len(DASHES) for way in pd.factorize(frame["checkpoint"])[0]]
        marks = network_marks(frame["checkpoint"], frame["role"])
    if chosen is not None:
        own = (frame["checkpoint"] == chosen[0]) & (frame["method"] == chosen[1])
        frame = frame.assign(banded=own)
    tenths = frame["ratio"] * 10
    data = curve_data(
        frame.assign(
            dash=[f"m{way}" for way in ways],
            mark=marks,
            marked=np.isclose(tenths, tenths.round()),
        ),
        "ratio",
        whole=frame["ratio"] == 0,
        reveal=reveal,
        gap=_GAP,
        live=live,
        now=ratio,
    )
    data["ends"] = data["ends"].assign(**_NAMES_AT)
    if guess is None:
        guess = pd.DataFrame({"ratio": [], "accuracy": []}, dtype=float)
    return with_data(_accuracy_shape(), **data, guess=guess)


def ratio_axis() -> alt.X:
    """0 to 100 %, and room for the curves' names at the right."""
    return alt.X(
        "ratio:Q",
        title=_("Pruning ratio"),
        scale=alt.Scale(domain=[0, _MARGIN], nice=False),
        axis=alt.Axis(format=".0%", values=_TICKS, grid=False),
    )


@compiled
def _accuracy_shape() -> Any:
    x = ratio_axis()
    guess = alt.Chart(alt.NamedData("guess")).mark_line(**GUESS).encode(x=x, y=accuracy_axis())
    return accuracy_plot(
        x,
        alt.Tooltip("ratio:Q", title=_("Pruning ratio"), format=".0%"),
        [
            alt.Tooltip("network:N", title=_("Network")),
            alt.Tooltip("series:N", title=_("Curve")),
        ],
        chance=(0, 1),
        height=HEIGHT_PX,
        below=[painted(guess, "text")],
    )


# Ratio against time and size: what masks cost, what removing them gives back, what cutting saves.
#
# All times of one line-up come from one sitting, in which the networks took turns
# (`core.pruning.measure`). Times, bytes and MACs are shown as shares of the whole network's.

SIZES = ("size_bytes", "gzip_bytes", "macs")
COSTS = (*COLUMNS, *SIZES)
"""What a network can cost: milliseconds per call, bytes, multiply-accumulates."""


def cost(row: PruningRow, column: str) -> Spread | None:
    """A row's figure for one of COSTS, if it was measured; a size has no spread."""
    if column in COLUMNS:
        return row.latency.get(column)
    figure: int | None = getattr(row, column)
    return None if figure is None else Spread(median=figure, p25=figure, p75=figure, n=1)


def cost_text(value: float, column: str) -> str:
    """A figure with its unit."""
    if column == "macs":
        return f"{value / 1e6:.1f}{numbers.THIN}M"
    return numbers.milliseconds(value) if column in COLUMNS else numbers.size(value)


def timed_row(grid: PruningGrid, form: Form, ratio: float, column: str) -> PruningRow | None:
    """The row whose cost stands for a form at a ratio, if it was measured; ratio 0 is whole."""
    method: Method = "channel_l2" if form == "narrow" else "l1"
    if form == "narrow" and ratio == 0:
        form, method = "removed", "l1"
    row = grid.row(RowKey(method, ratio, form))
    return row if row is not None and cost(row, column) else None


def timing_noise(grid: PruningGrid, column: str) -> float:
    """By what share of the whole network's time equal work was seen to differ in that sitting.

    A network whose masks were removed computes as much as the whole one: what it is off by, at its
    most, is chance (a slow spell, memory). 0 for what is counted, not timed.
    """
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    if column not in COLUMNS or not base:
        return 0.0
    spreads = [
        cost(row, column) for row in grid.rows if row.form == "removed" and column in row.latency
    ]
    return max(abs(time.median / base.median - 1) for time in spreads if time)


def time_frame(grid: PruningGrid, column: str) -> pd.DataFrame:
    """Costs of the three forms against ratio, as shares of the whole network's.

    `column`: one of COSTS. Columns: form, series, ratio, share, low, high (quartiles of the share),
    value (milliseconds, bytes or MACs), figure (the same with its unit). Empty where nothing was
    measured.
    """
    columns = ["form", "series", "ratio", "share", "low", "high", "value", "figure"]
    whole = timed_row(grid, "removed", 0.0, column)
    base = whole and cost(whole, column)
    if not base:
        return pd.DataFrame(columns=columns)
    rows = []
    for form in FORMS:
        for ratio in sorted({row.ratio for row in grid.rows}):
            row = timed_row(grid, form, ratio, column)
            spent = row and cost(row, column)
            if spent:
                shares = [value / base.median for value in (spent.median, spent.p25, spent.p75)]
                text = cost_text(spent.median, column)
                rows.append((form, form_title(form), ratio, *shares, spent.median, text))
    return pd.DataFrame(rows, columns=columns)


_FORM_MARKS: dict[Form, str] = {"masked": "cross", "removed": "square", "narrow": "triangle-up"}


def time_chart(frame: pd.DataFrame, ratio: float, column: str = "torch_1") -> Spec:
    """A cost as a share of the whole network's, one line a form; quartiles as bars."""
    ends = frame.loc[frame.groupby("form", sort=False)["ratio"].idxmax()].copy()
    top = max(1.25, float(np.ceil(10 * frame["high"].max()) / 10))
    ends["label_at"] = beside(ends["share"], 0.11 * top)
    marks = [GLYPHS[_FORM_MARKS[form]] for form in ends["form"]]
    ends["name"] = [f"{m} {stacked(name)}" for m, name in zip(marks, ends["series"], strict=True)]
    ends = ends.assign(role="pruned", **_NAMES_AT)
    kind = column if column in SIZES else "time"
    now = pd.DataFrame({"ratio": [ratio]})
    return with_data(_time_shape(kind), {"top": top}, times=frame, ends=ends, now=now)


@compiled
def _time_shape(kind: str) -> Any:
    x = ratio_axis()
    top = alt.param(name="top", value=1.25)
    title = {
        "time": _("Time, as a share of the original's"),
        "macs": _("MACs, as a share of the original's"),
    }.get(kind, _("Bytes, as a share of the original's"))
    scale = alt.Scale(domain=[0, alt.expr("top")], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("share:Q", title=title, scale=scale, axis=axis)
    domain = list(FORMS)
    dash = alt.StrokeDash(
        "form:N", scale=alt.Scale(domain=domain, range=[[2, 3], [8, 4], [1, 0]]), legend=None
    )
    mark = alt.Shape(
        "form:N",
        scale=alt.Scale(domain=domain, range=[_FORM_MARKS[form] for form in FORMS]),
        legend=None,
    )
    times = alt.Chart(alt.NamedData("times")).encode(x=x)
    lines = times.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash, detail="form:N")
    bars = times.mark_rule(strokeWidth=2, opacity=0.8).encode(
        alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
    )
    marks = times.mark_point(size=110, filled=True, opacity=1).encode(
        y=y,
        shape=mark,
        tooltip=[
            alt.Tooltip("series:N", title=_("Form")),
            alt.Tooltip("ratio:Q", title=_("Pruning ratio"), format=".0%"),
            alt.Tooltip("share:Q", title=title, format=".0%"),
            alt.Tooltip("figure:N", title=_("Median") if kind == "time" else _("Figure")),
        ],
    )
    now = alt.Chart(alt.NamedData("now")).mark_rule(strokeWidth=2).encode(x=x)
    return finish(
        layered(
            level(1.0, "text"),
            painted(now, "muted"),
            painted(lines, "pruned"),
            painted(bars, "pruned"),
            painted(marks, "pruned"),
            *end_names(x, y),
        ).add_params(top),
        height=HEIGHT_PX,
    )


# Inside a pruned network: the weights of a layer, the zeros of every layer, channels and gammas.
#
# The selection is that of `core.pruning.method`, run here and now on the shipped weights;
# only the sensitivity scan was measured beforehand.

SURGERY_HEIGHT_PX = 300
BINS = 61


def histogram_frame(weight: NDArray[np.float32], keep: NDArray[np.bool_] | None) -> pd.DataFrame:
    """How a layer's weights are spread, kept and taken apart: low, high, n, slot (a bin and kind).

    `slot` is "pruned" for what stays and "muted" for what becomes zero; the bins are the same.
    """
    reach = float(np.abs(weight).max()) or 1.0
    stays = np.ones(weight.shape, np.bool_) if keep is None else keep
    frames = []
    for slot, part in (("muted", weight[~stays]), ("pruned", weight[stays])):
        counts, edges = np.histogram(part, bins=BINS, range=(-reach, reach))
        frames.append(
            pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": counts, "slot": slot})
        )
    both = pd.concat(frames, ignore_index=True)
    below = both.groupby("low")["n"].transform("first").where(both["slot"] == "pruned", 0)
    return both.assign(bottom=below, top=below + both["n"])


def histogram_chart(frame: pd.DataFrame) -> Spec:
    """Stacked bars: grey what goes, in colour what stays. The axes do not move with the ratio."""
    whole = frame.groupby("low")["n"].sum().max()
    reach = float(frame["high"].max())
    return with_data(_histogram_shape(), {"reach": reach, "most": int(whole)}, bins=frame)


@compiled
def _histogram_shape() -> Any:
    reach, most = alt.param(name="reach", value=1), alt.param(name="most", value=1)
    base = alt.Chart(alt.NamedData("bins")).encode(
        alt.X(
            "low:Q",
            title=_("Weight"),
            scale=alt.Scale(domain=[alt.expr("-reach"), alt.expr("reach")], nice=False),
            axis=alt.Axis(tickCount=5, grid=False),
        ),
        alt.X2("high:Q"),
        alt.Y("bottom:Q", title=_("How many"), scale=alt.Scale(domain=[0, alt.expr("most")])),
        alt.Y2("top:Q"),
        tooltip=[alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("n:Q", format=",")],
    )
    goes = painted(base.mark_rect(opacity=0.55).transform_filter("datum.slot == 'muted'"), "muted")
    stays = painted(base.mark_rect().transform_filter("datum.slot == 'pruned'"), "pruned")
    both = layered(goes, stays).add_params(reach, most)
    return finish(both, height=SURGERY_HEIGHT_PX)


def layer_title(name: str) -> str:
    """A parameter's name without the word that all of them end in."""
    return name.removesuffix(".weight")


def channel_frame(
    tensors: Tensors, group: ChannelGroup, dropped: NDArray[np.int64]
) -> pd.DataFrame:
    """The units of a group: place by norm (1 the weakest), unit, norm, gamma (or NaN), goes."""
    norm = channel_scores(tensors, group, "channel_l2")
    gamma = channel_scores(tensors, group, "bn_gamma")
    assert norm is not None
    goes = np.isin(np.arange(group.units), group.place(group.writers[0])[dropped])
    frame = pd.DataFrame(
        {
            "unit": np.arange(group.units) + 1,
            "norm": norm,
            "gamma": np.full(group.units, np.nan) if gamma is None else gamma,
            "goes": goes,
        }
    )
    frame = frame.sort_values("norm", ignore_index=True)
    return frame.assign(place=np.arange(len(frame)) + 1)


def channel_chart(frame: pd.DataFrame, ranked_by: str) -> Spec:
    """Channels in order of their filters' norm; `ranked_by` ("norm" or "gamma") is the height.

    What goes is a grey cross, what stays a triangle in colour.
    """
    shown = frame.assign(value=frame[ranked_by], slot=np.where(frame["goes"], "muted", "pruned"))
    return with_data(_channel_shape(ranked_by), channels=shown)


@compiled
def _channel_shape(ranked_by: str) -> Any:
    titles = {"norm": _("L2 norm of its filters"), "gamma": _("|gamma| of its BatchNorm")}
    base = (
        alt.Chart(alt.NamedData("channels"))
        .mark_point(size=60, strokeWidth=2, opacity=1)
        .encode(
            alt.X("place:Q", title=_("Channels, weakest filters first"),
                  axis=alt.Axis(grid=False, tickMinStep=1)),
            alt.Y("value:Q", title=titles[ranked_by], scale=alt.Scale(domainMin=0)),
            tooltip=[
                alt.Tooltip("unit:Q", title=_("Channel")),
                alt.Tooltip("norm:Q", title=titles["norm"], format=".3f"),
                alt.Tooltip("gamma:Q", title=titles["gamma"], format=".3f"),
            ],
        )
    )  # fmt: skip
    cross = alt.value("M-1,-1L1,1M-1,1L1,-1")
    goes = base.transform_filter("datum.goes").encode(shape=cross)
    stays = base.transform_filter("!datum.goes").encode(shape=alt.value("triangle-up"))
    return finish(
        layered(painted(goes, "muted"), painted(stays, "pruned")), height=SURGERY_HEIGHT_PX
    )


def scan_frame(scan: Sequence[ScanPoint], layers: Sequence[str]) -> pd.DataFrame:
    """The sensitivity scan: place, layer, ratio, series, accuracy, low, high, n."""
    places = {name: place for place, name in enumerate(layers, 1)}
    rows = [
        (
            places[point.layer],
            layer_title(point.layer),
            point.ratio,
            _("{ratio} pruned").format(ratio=numbers.share(point.ratio)),
            point.correct / point.n,
            *wilson(point.correct, point.n),
            point.n,
        )
        for point in scan
        if point.layer in places
    ]
    columns = ["place", "layer", "ratio", "series", "accuracy", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).sort_values(["ratio", "place"], ignore_index=True)


def scan_chart(frame: pd.DataFrame, whole: float | None) -> Spec:
    """Accuracy after pruning one layer alone, a line per ratio; `whole`: without pruning."""
    ends = frame.loc[frame.groupby("series", sort=False)["place"].idxmax()].copy()
    ends["short"] = [numbers.share(ratio) for ratio in ends["ratio"]]  # for a phone
    ends["label_at"] = spread(ends["accuracy"].to_numpy(dtype=float).clip(0.04), 0.09)
    return with_data(
        _scan_shape(int(frame["place"].max())),
        scan=frame,
        ends=ends,
        whole=pd.DataFrame({"accuracy": [] if whole is None else [whole]}, dtype=float),
    )


@compiled
def _scan_shape(count: int) -> Any:
    x = alt.X(
        "place:Q",
        title=_("Convolution, from the input to the output"),
        scale=alt.Scale(domain=[0.5, count * 1.22 + 0.5], nice=False),
        axis=alt.Axis(
            values=list(range(1, count + 1, max(1, count // 12))), grid=False, format="d"
        ),
    )
    title = _("Right with this layer pruned")
    y = alt.Y("accuracy:Q", title=title, scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(format=".0%", tickCount=5))  # fmt: skip
    domain = ["0.5", "0.8", "0.95"]
    scan = (
        alt.Chart(alt.NamedData("scan"))
        .transform_calculate(kind="toString(datum.ratio)")
        .encode(
            x=x,
            y=y,
            detail="series:N",
            strokeDash=alt.StrokeDash(
                "kind:N",
                scale=alt.Scale(domain=domain, range=[[1, 0], [8, 4], [2, 3]]),
                legend=None,
            ),
        )
    )
    marks = alt.Chart(alt.NamedData("scan")).mark_point(size=45, filled=True, opacity=1)
    tooltip = [
        alt.Tooltip("layer:N", title=_("Layer")),
        alt.Tooltip("series:N", title=_("Pruned")),
        alt.Tooltip("accuracy:Q", title=title, format=".1%"),
        alt.Tooltip("n:Q", title=_("Pictures"), format=","),
    ]
    names = (
        alt.Chart(alt.NamedData("ends"))
        .transform_calculate(shown="width < 420 ? datum.short : datum.series")
        .encode(x=x, y=alt.Y("label_at:Q", title=title))
    )
    whole = alt.Chart(alt.NamedData("whole")).mark_rule(strokeDash=[5, 4]).encode(y=y)
    return finish(
        layered(
            painted(whole, "text"),
            painted(scan.mark_line(strokeWidth=2), "pruned"),
            painted(marks.encode(x=x, y=y, tooltip=tooltip), "pruned"),
            ink_text(names, "shown:N", align="left", baseline="middle", dx=8),
        ),
        height=SURGERY_HEIGHT_PX,
    )
