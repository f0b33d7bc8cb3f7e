"""Networks measured on other photographs: named, and kept out of what is ranked or drawn."""

from collections.abc import Sequence

import streamlit as st

from core.charts import numbers
from core.serving.collected import Collected
from core.words import _
from pages.parts.provenance import data_name


def measured_elsewhere(groups: Sequence[Collected]) -> None:
    """Say which they are, how often right, on what; nothing where there are none."""
    if not groups:
        return
    lines = [
        _("*{title}*: {accuracy} of {n} test photographs of {data}").format(
            title=_(group.first.title),
            accuracy=numbers.percent(group.interval()[0], group.n),
            n=numbers.count(group.n),
            data=data_name(group.first.data),
        )
        for group in groups
    ]
    st.caption(
        _("Not among them, because other photographs give other accuracies: {networks}.").format(
            networks="; ".join(lines)
        )
    )
