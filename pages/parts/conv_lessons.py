"""The convolution calculator's trap, really run, and the homework questions it answers."""

from collections.abc import Mapping

import streamlit as st

from core.charts import numbers
from core.charts.convolutions import kind_title, share_text
from core.course import PARAM_LIMITS
from core.measure.conv_cost import Cost, Kind
from core.measure.conv_reach import HW7_Q4_ACCURACY, changed_outputs
from core.measure.conv_setting import ConvSetting
from core.words import _

LAYERS = 3


@st.cache_data(max_entries=128, show_spinner=False)
def _tried(channels: int, groups: int, shuffle: bool) -> list[int]:
    return changed_outputs(channels, groups, LAYERS, shuffle=shuffle)


def trap(setting: ConvSetting) -> None:
    """Groups in every layer: nudge one channel of a stack and count who notices."""
    channels, groups = setting.out_channels, setting.groups
    st.markdown(
        _(
            "Group layers look as cheap as depthwise + pointwise. But stacked with the same "
            "groups, a channel never meets the other groups, however deep the network: it is {g} "
            "narrow networks side by side. Tried here: {n} group layers of {c} channels with "
            "random weights, input channel 1 nudged a little."
        ).format(g=groups, n=LAYERS, c=channels)
    )
    if groups == 1:
        st.info(_("Set the groups above 1 to see it."), icon=":material/touch_app:")
        return
    rows = {
        _("{g} groups in every layer").format(g=groups): _tried(channels, groups, False),
        _("the same, channels shuffled in between"): _tried(channels, groups, True),
    }
    lines = [
        _("- {name}: channels that change after layer 1, 2, 3: **{counts}** of {all}").format(
            name=name, counts=", ".join(numbers.count(n) for n in counts), all=channels
        )
        for name, counts in rows.items()
    ]
    st.markdown("\n".join(lines))
    st.markdown(
        _(
            "How to notice: nudge one input and count, as here. The cure: let the groups meet, by "
            "a pointwise layer (the second half of depthwise + pointwise is there for it) or by "
            "shuffling channels (ShuffleNet, Zhang et al. 2018)."
        )
    )


def homework(costs: Mapping[Kind, Cost]) -> None:
    """HW7 Q1 and Q4 and HW13 Q1, and where on the page their answers stand."""
    standard, separable = costs["standard"], costs["separable"]
    st.markdown(
        _(
            "**HW7 Q1: how does depthwise + pointwise make a network smaller?** Look at the first "
            "picture and its sum: {few} instead of {many} parameters for this layer, close to "
            "1/C_out + 1/k²."
        ).format(few=numbers.count(separable.params), many=numbers.count(standard.params))
    )
    accuracies = _(", ").join(
        f"{kind_title(kind)} {accuracy:.5f}" for kind, accuracy in HW7_Q4_ACCURACY.items()
    )
    st.markdown(
        _(
            "**HW7 Q4: plain, depthwise + pointwise or groups of 8, all about 1 MB?** A report "
            "states these test accuracies on Food-11, one run each, without an interval: "
            "{accuracies}. The drawings show what the group layers lack: a way from group to group "
            "(see the trap)."
        ).format(accuracies=accuracies)
    )
    limit = PARAM_LIMITS["HW13 2022"]
    st.markdown(
        _(
            "**HW13 Q1: a student of at most {limit} parameters.** This layer alone would take "
            "{standard} of them as a standard convolution, {separable} as depthwise + pointwise."
        ).format(
            limit=numbers.count(limit),
            standard=share_text(standard.params / limit),
            separable=share_text(separable.params / limit),
        )
    )
