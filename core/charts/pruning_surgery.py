"""Inside a pruned network: the weights of a layer, the zeros of every layer, channels and gammas.

The selection is that of `core.compression.prune_select`, run here and now on the shipped weights;
only the sensitivity scan was measured beforehand.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.charts import numbers
from core.charts.lines import spread
from core.charts.shape import Spec, filled, shape
from core.charts.theme import finish, ink_text, layered, painted
from core.compression.prune_select import ChannelGroup, Keep, Tensors, channel_scores
from core.measure.accuracy import wilson
from core.measure.pruning_grid import ScanPoint
from core.words import _

HEIGHT_PX = 300
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
    return filled(_histogram_shape(reach, int(whole)), bins=frame)


@shape
def _histogram_shape(reach: float, most: int) -> Any:
    base = alt.Chart(alt.NamedData("bins")).encode(
        alt.X(
            "low:Q",
            title=_("Weight"),
            scale=alt.Scale(domain=[-reach, reach], nice=False),
            axis=alt.Axis(tickCount=5, grid=False),
        ),
        alt.X2("high:Q"),
        alt.Y("bottom:Q", title=_("How many"), scale=alt.Scale(domain=[0, most])),
        alt.Y2("top:Q"),
        tooltip=[alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("n:Q", format=",")],
    )
    goes = painted(base.mark_rect(opacity=0.55).transform_filter("datum.slot == 'muted'"), "muted")
    stays = painted(base.mark_rect().transform_filter("datum.slot == 'pruned'"), "pruned")
    return finish(layered(goes, stays), height=HEIGHT_PX)


def sparsity_frame(tensors: Tensors, keep: Keep, layers: Sequence[str]) -> pd.DataFrame:
    """Zeros per convolution: columns place (1, 2 ...), layer, size, zeros, share."""
    rows = []
    for place, name in enumerate(layers, 1):
        mask = keep.get(name)
        zeros = 0 if mask is None else int((~mask).sum())
        size = tensors[name].size
        rows.append((place, layer_title(name), size, zeros, zeros / size))
    return pd.DataFrame(rows, columns=["place", "layer", "size", "zeros", "share"])


def layer_title(name: str) -> str:
    """A parameter's name without the word that all of them end in."""
    return name.removesuffix(".weight")


def sparsity_chart(frame: pd.DataFrame, chosen: str) -> Spec:
    """One bar a layer: the share of its weights that become zero; the chosen one in full colour."""
    return filled(_sparsity_shape(len(frame)), layers=frame.assign(on=frame["layer"] == chosen))


@shape
def _sparsity_shape(count: int) -> Any:
    bars = (
        alt.Chart(alt.NamedData("layers"))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            alt.X(
                "place:O",
                title=_("Convolution, from the input to the output"),
                axis=alt.Axis(labelAngle=0, labelOverlap="parity"),
            ),
            alt.Y(
                "share:Q",
                title=_("Weights that become zero"),
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", tickCount=5),
            ),
            opacity=alt.condition("datum.on", alt.value(1), alt.value(0.5)),
            tooltip=[
                alt.Tooltip("layer:N", title=_("Layer")),
                alt.Tooltip("size:Q", title=_("Weights"), format=","),
                alt.Tooltip("zeros:Q", title=_("become zero"), format=","),
                alt.Tooltip("share:Q", title=_("share"), format=".1%"),
            ],
        )
    )
    return finish(layered(painted(bars, "pruned")), height=HEIGHT_PX)


def channel_frame(
    tensors: Tensors, group: ChannelGroup, dropped: NDArray[np.int64]
) -> pd.DataFrame:
    """The units of a group: place by norm (1 the weakest), unit, norm, gamma (or NaN), goes."""
    norm = channel_scores(tensors, group, "channel_l2")
    gamma = channel_scores(tensors, group, "bn_gamma")
    assert norm is not None
    goes = np.isin(np.arange(group.units), dropped[dropped < group.units])
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
    return filled(_channel_shape(ranked_by), channels=shown)


@shape
def _channel_shape(ranked_by: str) -> Any:
    titles = {"norm": _("L2 norm of its filters"), "gamma": _("|gamma| of its BatchNorm")}
    base = (
        alt.Chart(alt.NamedData("channels"))
        .mark_point(size=60, strokeWidth=2, opacity=1)
        .encode(
            alt.X("place:Q", title=_("Channels, the weakest filters first"),
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
    return finish(layered(painted(goes, "muted"), painted(stays, "pruned")), height=HEIGHT_PX)


def scan_frame(scan: Sequence[ScanPoint], layers: Sequence[str]) -> pd.DataFrame:
    """The sensitivity scan: place, layer, ratio, series, accuracy, low, high, n."""
    places = {name: place for place, name in enumerate(layers, 1)}
    rows = [
        (
            places[point.layer],
            layer_title(point.layer),
            point.ratio,
            _("{ratio} gone").format(ratio=numbers.share(point.ratio)),
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
    return filled(
        _scan_shape(int(frame["place"].max())),
        scan=frame,
        ends=ends,
        whole=pd.DataFrame({"accuracy": [] if whole is None else [whole]}, dtype=float),
    )


@shape
def _scan_shape(count: int) -> Any:
    x = alt.X(
        "place:Q",
        title=_("Convolution, from the input to the output"),
        scale=alt.Scale(domain=[0.5, count * 1.22 + 0.5], nice=False),
        axis=alt.Axis(
            values=list(range(1, count + 1, max(1, count // 12))), grid=False, format="d"
        ),
    )
    title = _("Right, with only this layer pruned")
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
        height=HEIGHT_PX,
    )
