"""The sitting in which all shipped networks were timed, and how it was held."""

import streamlit as st

from core.errors import CheckpointError
from core.measure.latency_table import LatencyTable
from core.words import _


def latency() -> LatencyTable | None:
    """The table of times; None where there is none. A damaged file is said."""
    try:
        return LatencyTable.load()
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None


def explain_missing_times() -> None:
    """Say that times are missing and which command measures them."""
    st.info(
        _("Some networks are not timed yet. On a machine that does nothing else, run:"),
        icon=":material/timer_off:",
    )
    st.code(LatencyTable.command, language="bash")


def latency_provenance(times: LatencyTable | None) -> None:
    """Where and how the times were measured."""
    if times is None:
        return
    st.caption(
        _(
            "Times: one picture, {engine} on {device}, {threads} thread, median of {rounds} rounds "
            "after {warmup} to warm up, all networks taking turns, {date}, commit `{commit}`."
        ).format(
            engine=times.engine,
            device=times.device,
            threads=times.threads,
            rounds=times.rounds,
            warmup=times.warmup,
            date=times.date,
            commit=times.commit[:10],
        )
    )
