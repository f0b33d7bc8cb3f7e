"""What the convolution calculator says: sentences with the numbers of the setting in them."""

from collections.abc import Mapping

import pandas as pd

from core.charts import numbers
from core.charts.conv_formulas import Quantity
from core.charts.conv_wiring import Column, Wiring
from core.charts.convolutions import (
    kind_title,
    quantity_text,
    quantity_title,
    share_text,
    time_text,
)
from core.charts.numbers import short_count
from core.measure.conv_cost import Cost, Kind
from core.measure.conv_setting import ConvSetting, Offer
from core.words import _

SLOWER_THAN_PROMISED = 1.25
"""A time share this many times the MACs share is worth a sentence; below it is noise."""


def field_title(field: str) -> str:
    """What a reader calls a field of `ConvSetting`."""
    return {
        "in_channels": _("Input channels"),
        "out_channels": _("Output channels"),
        "kernel_size": _("Kernel"),
        "stride": _("Stride"),
        "padding": _("Padding"),
        "groups": _("Groups"),
        "map_size": _("Map size"),
    }[field]


def offer_title(offer: Offer) -> str:
    """An offer on a button: "Groups: 8"."""
    return _("{field}: {value}").format(field=field_title(offer.field), value=offer.value)


def seen(costs: Mapping[Kind, Cost], setting: ConvSetting) -> list[str]:
    """Four sentences or so on what the bars show, one a paragraph; Markdown."""
    standard, separable = costs["standard"], costs["separable"]
    return [
        _(
            "**Depthwise + pointwise** needs {params} parameters, {params_share} of the standard "
            "layer's {all_params}, and does {macs} MACs, {macs_share} of its {all_macs}."
        ).format(
            params=numbers.count(separable.params),
            all_params=numbers.count(standard.params),
            params_share=share_text(separable.params / standard.params),
            macs=short_count(separable.macs),
            all_macs=short_count(standard.macs),
            macs_share=share_text(separable.macs / standard.macs),
        ),
        _(
            "But its map between the two steps must be written and read again: {bytes} of "
            "activations where the standard layer writes {all_bytes}. Less arithmetic is left for "
            "each byte moved: {low} MACs instead of {high}."
        ).format(
            bytes=numbers.size(separable.activation_bytes),
            all_bytes=numbers.size(standard.activation_bytes),
            low=_intensity(separable.intensity()),
            high=_intensity(standard.intensity()),
        ),
        _group_words(setting),
        _rank_words(costs, setting),
    ]


def _group_words(s: ConvSetting) -> str:
    if s.groups == 1:
        return _("**Group** with 1 group *is* the standard layer. Raise the groups to cut it up.")
    if s.groups == s.in_channels:
        return _(
            "**Group** with as many groups as input channels is a *depthwise* layer: each output "
            "channel reads one input channel, and nothing mixes them."
        )
    return _(
        "**Group** with {g} groups costs 1/{g} of the weights and MACs, because each output "
        "channel reads only {few} of the {all} input channels."
    ).format(g=s.groups, few=s.in_channels // s.groups, all=s.in_channels)


def _rank_words(costs: Mapping[Kind, Cost], s: ConvSetting) -> str:
    share = costs["lowrank"].params / costs["standard"].params
    if not s.break_even_rank:
        return _(
            "**Low-rank** cannot save anything here: even rank 1 has as many weights as the "
            "standard layer."
        )
    said = _(
        "**Low-rank** at rank {rank} has {share} of the standard parameters; it saves weights up "
        "to rank {even}."
    ).format(rank=s.rank, share=share_text(share), even=s.break_even_rank)
    if s.full_rank > s.break_even_rank:
        said += " " + _(
            "To be *any* standard layer it needs rank {full}: what is saved is paid for in freedom."
        ).format(full=s.full_rank)
    return said


def wirings(setting: ConvSetting) -> dict[Kind, Wiring]:
    """The three layers that are drawn, with their columns named."""
    ins = Column(_("in"), setting.in_channels)
    outs = Column(_("out"), setting.out_channels)
    between = Column(_("depthwise"), setting.in_channels)
    return {
        "standard": Wiring((ins, outs), (1,)),
        "group": Wiring((ins, outs), (setting.groups,)),
        "separable": Wiring((ins, between, outs), (setting.in_channels, 1)),
    }


def wiring_words(kind: Kind, setting: ConvSetting) -> str:
    """One sentence under a drawing: what an output channel reads."""
    if kind == "separable":
        return _(
            "First each of the {n} channels is filtered alone, then the 1 × 1 layer mixes all {n}."
        ).format(n=setting.in_channels)
    groups = setting.groups if kind == "group" else 1
    if groups == 1:
        return _("Every output channel reads all {n} input channels.").format(n=setting.in_channels)
    return _("{g} groups: an output channel reads {few} of {all} input channels.").format(
        g=groups, few=setting.in_channels // groups, all=setting.in_channels
    )


def cost_alt(frame: pd.DataFrame, quantity: Quantity) -> str:
    """What a bar chart of `cost_frame` shows, for who cannot see it."""
    bars = _(", ").join(
        f"{kind_title(kind)} {quantity_text(quantity, value)} ({share_text(share)})"
        for kind, value, share in zip(
            frame["kind"], frame[quantity], frame[f"{quantity}_share"], strict=True
        )
    )
    return _("{quantity} of four layers, and share of the standard one: {bars}.").format(
        quantity=quantity_title(quantity), bars=bars
    )


def timing_alt(frame: pd.DataFrame) -> str:
    """What the chart of `timing_frame` shows, for who cannot see it."""
    bars = _("; ").join(
        _("{layer} {macs} of the MACs, {time} of the time at batch {n}").format(
            layer=kind_title(row["kind"]),
            macs=share_text(row["macs_share"]),
            time=time_text(row["time_share"]),
            n=row["batch"],
        )
        for row in frame.to_dict("records")
        if row["kind"] != "standard"
    )
    return _("MACs and measured time as shares of the standard layer: {bars}.").format(bars=bars)


def why_time(frame: pd.DataFrame, costs: Mapping[Kind, Cost]) -> list[str]:
    """Why time did not follow the MACs (or did), from the numbers of `timing_frame`; Markdown."""
    rows = frame.to_dict("records")
    others = [row for row in rows if row["kind"] != "standard"]
    worst = max(others, key=lambda row: row["time_share"] / row["macs_share"])
    kind, batch = worst["kind"], worst["batch"]
    standard = next(r for r in rows if r["kind"] == "standard" and r["batch"] == batch)
    layer = kind_title(kind)
    macs, time = share_text(worst["macs_share"]), time_text(worst["time_share"])
    if worst["time_share"] < SLOWER_THAN_PROMISED * worst["macs_share"]:
        return [
            _(
                "Here time follows the MACs: even **{layer}**, the furthest from it, takes {time} "
                "of the standard layer's time for {macs} of its MACs (batch {n})."
            ).format(layer=layer, time=time, macs=macs, n=batch)
        ]
    said = [
        _(
            "**{layer}** does {macs} of the MACs and takes {time} of the time (batch {n}): "
            "{slow} billion MACs a second, where the standard layer does {fast} billion."
        ).format(
            layer=layer,
            macs=macs,
            time=time,
            n=batch,
            slow=_billions(worst["macs_per_s"]),
            fast=_billions(standard["macs_per_s"]),
        )
    ]
    low, high = costs[kind].intensity(batch), costs["standard"].intensity(batch)
    if low < high:
        said.append(
            _(
                "*Memory.* It has {low} MACs to do for each byte it moves, the standard layer "
                "{high}. The arithmetic shrank to {macs}, the bytes that must be moved only to "
                "{bytes}, and a layer is as fast as the slower of the two."
            ).format(
                low=_intensity(low),
                high=_intensity(high),
                macs=macs,
                bytes=share_text(worst["bytes_moved"] / standard["bytes_moved"]),
            )
        )
    said.append(
        _(
            "*Kernels.* A layer also needs a fast routine (a *kernel*) on this machine. The "
            "standard convolution amounts to one large matrix product, the best-polished routine "
            "there is; a group, depthwise or k × 1 layer gets a smaller or rarer one. And two "
            "steps are two calls, each with a fixed cost that counts most at batch 1."
        )
    )
    return said


def _intensity(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _billions(per_second: float) -> str:
    value = per_second / 1e9
    return f"{value:.{0 if value >= 10 else 1}f}"
