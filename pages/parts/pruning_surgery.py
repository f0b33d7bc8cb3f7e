"""Surgery: one layer's weights before and after, every layer's zeros, which channels go."""

import numpy as np
import streamlit as st

from core.charts import numbers
from core.charts.pruning_surgery import (
    channel_chart,
    channel_frame,
    histogram_chart,
    histogram_frame,
    layer_title,
    scan_chart,
    scan_frame,
    sparsity_chart,
    sparsity_frame,
)
from core.compression.prune_select import (
    CHANNEL_METHODS,
    ChannelMethod,
    convolutions,
    dropped_channels,
)
from core.errors import CheckpointError
from core.measure.pruning_grid import PruningGrid
from core.words import _
from pages.parts.figure import data_button, show
from pages.parts.linked import one_of
from pages.parts.pruning_controls import Setting, masks, tensors


def surgery(at: Setting) -> None:
    """Choose a layer and look inside, at the method and the ratio set above."""
    try:
        keep, values = masks(at), tensors(at.checkpoint.id, at.sha256)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return
    if keep is None:
        return
    layers = at.grid.layers if at.grid else convolutions(values)
    if not layers:
        st.info(_("This network has no convolution to prune."))
        return
    name = one_of(
        st.selectbox,
        _("Convolution"),
        {layer: layer_title(layer) for layer in layers},
        "layer",
        default=layers[len(layers) // 2],
    )
    left, right = st.columns(2, gap="medium")
    with left:
        _histogram(values[name], keep.get(name), layer_title(name))
    with right:
        frame = sparsity_frame(values, keep, layers)
        total = frame["zeros"].sum() / frame["size"].sum()
        most = frame.iloc[int(frame["share"].argmax())]
        show(
            sparsity_chart(frame, layer_title(name)),
            _(
                "Share of weights that become zero in each convolution: {total} in all, most in "
                "{layer} ({share})."
            ).format(
                total=f"{total:.1%}", layer=most["layer"], share=f"{most['share']:.1%}"
            ),
            key="sparsity",
        )  # fmt: skip
        st.caption(
            _("{total} of all convolution weights become zero; in {layer}, {share} of {n}.").format(
                total=f"{total:.1%}",
                layer=most["layer"],
                share=f"{most['share']:.1%}",
                n=numbers.count(int(most["size"])),
            )
        )
        data_button(frame, "pruning-sparsity")
    if at.grid is not None:
        _channels(at, at.grid)
        _scan(at.grid)


def _histogram(weight: np.ndarray, keep: np.ndarray | None, layer: str) -> None:
    gone = 0 if keep is None else int((~keep).sum())
    said = _("Weights of {layer}: {n} of {all} become zero.").format(
        layer=layer, n=numbers.count(gone), all=numbers.count(weight.size)
    )
    frame = histogram_frame(weight, keep)
    show(histogram_chart(frame), said, key="histogram")
    note = _("Grey: what goes.")
    if keep is not None and 0 < gone < weight.size:
        note += " " + _("The largest that goes: {size}.").format(
            size=f"{np.abs(weight[~keep]).max():.4f}"
        )
    st.caption(f"{said} {note}")
    data_button(frame, "pruning-weights")


def _channels(at: Setting, grid: PruningGrid) -> None:
    values = tensors(at.checkpoint.id, at.sha256)
    st.markdown(_("**Which channels go**"))
    chosen = at.method in CHANNEL_METHODS
    method: ChannelMethod = "bn_gamma" if at.method == "bn_gamma" else "channel_l2"
    dropped = dropped_channels(values, grid.groups, method, at.ratio)
    titles = [
        _("{first}: {n} channels").format(first=group.writers[0], n=group.channels)
        for group in grid.groups
    ]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    number = left.selectbox(
        _("Channels written by"), range(len(titles)), format_func=titles.__getitem__, key="group"
    )
    group = grid.groups[number]
    heights = {"norm": _("norm of filters"), "gamma": _("BatchNorm gamma")}
    ranked = right.segmented_control(
        _("Height"),
        list(heights) if group.norms else ["norm"],
        default="gamma" if method == "bn_gamma" and group.norms else "norm",
        required=True,
        format_func=heights.__getitem__,
    )
    frame = channel_frame(values, group, dropped[number])
    said = _("{n} of {all} channels go.").format(n=len(dropped[number]), all=group.channels)
    show(
        channel_chart(frame, ranked or "norm"),
        _("The channels written by {layer}, weakest filters first. {said}").format(
            layer=group.writers[0], said=said
        ),
        key="channels",
    )
    tied = _("They hang together: {layers}.").format(layers=", ".join(group.writers + group.norms))
    if not group.norms:
        tied += " " + _("No BatchNorm follows, so gamma cannot rank them.")
    if not chosen:
        tied += " " + _("Shown for channels by L2; the method above takes single weights.")
    st.caption(f"{said} {_('Crosses go, triangles stay.')} {tied}")
    data_button(frame, "pruning-channels")


def _scan(grid: PruningGrid) -> None:
    frame = scan_frame(grid.scan, grid.layers)
    if frame.empty:
        return
    st.markdown(_("**Sensitivity: one layer at a time**"))
    harsh = frame[frame["ratio"] == frame["ratio"].max()]
    weak = harsh.iloc[int(harsh["accuracy"].argmin())]
    tough = harsh.iloc[int(harsh["accuracy"].argmax())]
    said = _(
        "With {ratio} of one layer gone and all others whole, the most sensitive is {weak} "
        "({low} right), the least {tough} ({high})."
    ).format(
        ratio=numbers.share(weak["ratio"]),
        weak=weak["layer"],
        low=numbers.percent(weak["accuracy"], weak["n"]),
        tough=tough["layer"],
        high=numbers.percent(tough["accuracy"], tough["n"]),
    )
    show(scan_chart(frame, None), said, key="scan")
    st.caption(
        said
        + " "
        + _("L1, {n} validation photographs.").format(n=numbers.count(int(harsh["n"].iloc[0])))
    )
    data_button(frame, "pruning-scan")
