"""The final table: a row a recipe, what it costs and how often it is right."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.theme import glyph, role_of
from core.measure.latency_table import LatencyTable
from core.serving.collected import Collected
from core.serving.results import results_frame
from core.words import _
from pages.parts.latency import explain_missing_times

NAME_PX, ROW_PX, HEIGHT_PX = 205, 74, 640
"""A name in up to three lines: wider, a column that stays would leave a phone nothing to scroll."""


def final_table(groups: Mapping[str, Collected], times: LatencyTable | None) -> pd.DataFrame:
    """Draw the table; returns every figure in it, for the CSV."""
    frame = results_frame(groups, times)
    shown = pd.DataFrame(
        {
            "network": [
                f"{glyph(role_of(family, recipe))} {_(title)}"
                for family, recipe, title in zip(
                    frame["family"], frame["recipe"], frame["title"], strict=True
                )
            ],
            "right": [numbers.percent(p, n) for p, n in zip(frame["accuracy"], frame["n"],
                                                            strict=True)],
            "interval": [
                numbers.interval(low, high, n)
                for low, high, n in zip(frame["low"], frame["high"], frame["n"], strict=True)
            ],
            "n": frame["n"],
            "seeds": frame["seeds"],
            "params": frame["params"],
            "bytes": [numbers.size(value) for value in frame["size_bytes"]],
            "macs": [f"{value / 1e6:,.1f}{numbers.THIN}M" for value in frame["macs"]],
            "ms": [None if pd.isna(ms) else numbers.milliseconds(ms) for ms in frame["latency_ms"]],
            "reported": [
                None if pd.isna(theirs) else numbers.percent(theirs) for theirs in frame["reported"]
            ],
        }
    )  # fmt: skip
    titles = {
        "network": _("Network"),
        "right": _("Right, test split"),
        "interval": _("95 % interval"),
        "n": _("Photographs"),
        "seeds": _("Seeds"),
        "params": _("Parameters"),
        "bytes": _("File"),
        "macs": _("MACs"),
        "ms": _("Time"),
        "reported": _("Theirs, on Food-11"),
    }
    st.dataframe(
        shown,
        column_config={
            **titles,
            "network": st.column_config.TextColumn(titles["network"], pinned=True, width=NAME_PX),
            "params": st.column_config.NumberColumn(titles["params"], format="localized"),
            "n": st.column_config.NumberColumn(titles["n"], format="localized"),
        },
        hide_index=True,
        row_height=ROW_PX,
        height=HEIGHT_PX,
        alt=_("Every network with accuracy, interval, seeds, parameters, bytes, MACs and time."),
    )
    st.caption(
        _(
            "Accuracy: mean over seeds. Time: one picture, ONNX Runtime, median, lowest seed. "
            "Theirs: the reports' test accuracies, another set of photographs; the depthwise "
            "network's is that of Q1, in Q4 it is {q4}."
        ).format(q4=_q4())
    )
    if frame["latency_ms"].isna().any():
        explain_missing_times()
    return frame


def _q4() -> str:
    from core.course import REPORTED_Q4

    return numbers.percent(REPORTED_Q4["dwpw_256k-scratch"].accuracy)
