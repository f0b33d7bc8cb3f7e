""" "Time it here": the four real layers timed on this machine, beside their MACs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.charts import conv_words, numbers
from core.charts.convolutions import kind_title, share_text, time_text, timing_chart, timing_frame
from core.charts.numbers import short_count
from core.errors import UserError
from core.measure.conv_cost import Cost, Kind
from core.measure.conv_setting import ConvSetting
from core.measure.conv_timing import BATCHES, ConvTimings, is_too_heavy, time_layers
from core.words import _
from pages.parts import language
from pages.parts.figure import data_button, show

GUESSES = ("promised", "half", "same", "more")
WIDE = 1.5
"""Upper over lower quartile from which a measurement is called unsteady."""


@st.cache_data(max_entries=64, show_spinner=False)
def _timed(setting: ConvSetting) -> ConvTimings:
    return time_layers(setting)


@st.fragment
def timer(setting: ConvSetting, costs: Mapping[Kind, Cost]) -> None:
    """The guess, the button, and what was measured for this very setting."""
    language.speak()
    guess = _predict_first(costs)
    heavy = [batch for batch in BATCHES if is_too_heavy(setting, batch)]
    for batch in heavy:
        st.caption(
            _(
                "Batch {n} is left out for this layer: it would hold up the others who use this "
                "machine. A smaller map or fewer channels bring it back."
            ).format(n=batch)
        )
    if len(heavy) == len(BATCHES):
        return
    if st.button(_("Time it here"), icon=":material/timer:", key="time_it", type="primary"):
        st.session_state["conv_timed"] = setting
    if st.session_state.get("conv_timed") != setting:
        st.caption(
            _("Takes a few seconds. Each layer is called over and over, in turn with the others.")
        )
        return
    try:
        with st.spinner(_("Timing the four layers ...")):
            measured = _timed(setting)
    except UserError as error:
        st.warning(str(error), icon=":material/hourglass_top:")
        return
    _draw(guess, setting, costs, measured)


def _predict_first(costs: Mapping[Kind, Cost]) -> str | None:
    titles = {
        "promised": _("what its MACs promise"),
        "half": _("about half"),
        "same": _("about as long"),
        "more": _("longer"),
    }
    return st.pills(
        _(
            "A guess again: depthwise + pointwise does {share} of the standard layer's MACs. What "
            "part of its time will it take here, one picture at a time?"
        ).format(share=share_text(costs["separable"].macs / costs["standard"].macs)),
        GUESSES,
        format_func=titles.__getitem__,
        key="guess_time",
    )


def _draw(
    guess: str | None, setting: ConvSetting, costs: Mapping[Kind, Cost], measured: ConvTimings
) -> None:
    frame = timing_frame(costs, measured)
    first = frame[frame["kind"] == "separable"].iloc[0]
    answer = _(
        "Depthwise + pointwise takes {share} of the standard layer's time at batch {n}."
    ).format(share=time_text(first["time_share"]), n=first["batch"])
    told = _told(guess, first["time_share"], first["macs_share"])
    st.markdown(f"**{f'{told} {answer}' if told else answer}**")
    left, right = st.columns([6, 5], gap="medium")
    with left:
        show(timing_chart(frame), conv_words.timing_alt(frame), key="conv-timing")
        st.caption(_("Pale: MACs. Full: time, with its quartiles. All as shares of the standard."))
    with right:
        for line in conv_words.why_time(frame, costs):
            st.markdown(line)
    _table(frame)
    data_button(frame, "convolution-times")
    if (frame["p75_ms"] > WIDE * frame["p25_ms"]).any():
        st.caption(
            _(
                "Some quartiles lie far apart: something else keeps this machine busy. Measure "
                "again before you believe a small difference."
            )
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            _(
                "Median and quartiles of {rounds} calls, {threads} thread, PyTorch {version}, "
                "float32, on this machine at {when} UTC. Other work on it slows all four alike."
            ).format(
                rounds=" / ".join(str(n) for n in dict.fromkeys(frame["rounds"])),
                threads=measured.threads,
                version=measured.torch_version,
                when=f"{measured.when:%Y-%m-%d %H:%M}",
            )
        )
        st.button(
            _("Measure again"),
            icon=":material/refresh:",
            key="time_again",
            on_click=_timed.clear,
            args=(setting,),
        )


def _told(guess: str | None, share: float, promised: float) -> str:
    """Whether the guess came nearest; empty without one."""
    if guess is None:
        return ""
    shares = {"promised": promised, "half": 0.5, "same": 1.0, "more": max(share, 1.3)}
    nearest = min(shares, key=lambda name: abs(shares[name] - share))
    return _("Well seen.") if guess == nearest else _("Not quite.")


def _table(frame: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "layer": [kind_title(kind) for kind in frame["kind"]],
            "batch": frame["batch"],
            "params": frame["params"],
            "macs": [short_count(value) for value in frame["macs"]],
            "median": [numbers.milliseconds(value) for value in frame["median_ms"]],
            "quartiles": [
                _("{low} to {high}").format(low=f"{low:.3g}", high=numbers.milliseconds(high))
                for low, high in zip(frame["p25_ms"], frame["p75_ms"], strict=True)
            ],
            "speed": [f"{value / 1e9:.1f}" for value in frame["macs_per_s"]],
        }
    )
    columns: dict[str, Any] = {
        "layer": _("Layer"),
        "batch": _("Batch"),
        "params": st.column_config.NumberColumn(_("Parameters"), format="localized"),
        "macs": _("MACs"),
        "median": _("Median"),
        "quartiles": _("Quartiles"),
        "speed": _("Billion MACs/s"),
    }
    st.dataframe(
        shown,
        column_config=columns,
        hide_index=True,
        alt=_("Each layer at each batch size: parameters, MACs, median time, quartiles, speed."),
    )
