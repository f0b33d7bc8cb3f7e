"""What several versions of a network say of one photo: their bars, two beside each other.

In more columns there is no room for the names of the classes and the figures beside the bars.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.answers import answer_chart
from core.charts.theme import RoleKey
from core.words import _
from pages.parts.figure import data_button, show

COLUMNS = 2


class Bars(NamedTuple):
    """One version's answer."""

    name: str
    role: RoleKey
    frame: pd.DataFrame
    """`core.serving.compare.bars_frame`"""
    key: str


def answer_bars(said: Sequence[Bars], name: str) -> None:
    """A chart for each, under its name; and all in one file, `name` part of its name."""
    for first in range(0, len(said), COLUMNS):
        for column, one in zip(st.columns(COLUMNS), said[first : first + COLUMNS], strict=False):
            top = one.frame.iloc[0]
            with column:
                st.markdown(f"**{one.name}**")
                show(
                    answer_chart(one.frame, one.role),
                    _("Class probabilities, {name}: most likely {food}, {p}.").format(
                        name=one.name, food=top.food, p=numbers.share(top.probability)
                    ),
                    key=one.key,
                )
    data_button(pd.concat([one.frame.assign(version=one.name) for one in said]), name)
