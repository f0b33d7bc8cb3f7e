""" "Make it here" of the export page: all files of a network, made and measured."""

import streamlit as st

from core.checkpoints import WEIGHTS, Checkpoint
from core.training.shipping_live import RUNS, FilePoint
from core.words import _
from pages.parts.live_point import LivePoint


def live(one: Checkpoint) -> None:
    """The button, the running measurement, its end; the rows are shown above it."""
    LivePoint(
        RUNS,
        FilePoint(one.id, one.files[WEIGHTS].sha256),
        _(
            "Makes the files of {network} now, in a process of its own, compares each with the "
            "original (on all test photographs, where they are on this machine) and times them. "
            "One run at a time; whoever asks for the same network shares it."
        ).format(network=_(one.title)),
        start=_("Make it here"),
        again=_("Measured already: shown above"),
        steps={
            "start": (0.02, _("Starting ...")),
            "calibrate": (0.06, _("Measuring the ranges that int8 needs ...")),
            "make": (0.2, _("Making the files ...")),
            "compare": (0.25, _("Comparing file {at} of {of} with the original ...")),
            "time": (0.85, _("Timing each file ...")),
        },
        told=lambda job: _("{n} files, shown above").format(n=len(job.rows)),
        asked=_reveal,
        key="make_live",
    ).draw()


def _reveal() -> None:
    """Who asks for the files wants to see what was measured of them."""
    st.session_state["reveal"] = True
