""" "Run it here" of the quantisation page: a network, a scheme, a number of bits."""

import streamlit as st

from core.charts.quantization import scheme_title
from core.charts.quantization_words import bits_text, score_text
from core.compression.quantize import BITS
from core.training.quantization_live import RUNS, QuantPoint
from core.words import _
from pages.parts.address import choose
from pages.parts.live_point import LivePoint, run_it_here
from pages.parts.quantization_controls import Setting
from pages.parts.quantization_curves import figures

START = 4


def live(at: Setting) -> None:
    """Bits to try, the button, the running measurement, its result."""
    bits = choose(
        st.segmented_control, _("Bits"), BITS, START, "bits", format_func=str, required=True
    )
    start, again = run_it_here()
    LivePoint(
        RUNS,
        QuantPoint(at.checkpoint.id, at.sha256, at.scheme, bits),
        _(
            "Quantises {network} now, {scheme}, {bits}, in a process of its own: the file is "
            "written and weighed, and all test photographs are looked at (where they are on this "
            "machine). One run at a time; whoever asks for the same point shares it."
        ).format(
            network=_(at.checkpoint.title), scheme=scheme_title(at.scheme), bits=bits_text(bits)
        ),
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "whole": (0.05, _("In float32: test photograph {done} of {of} ...")),
            "accuracy": (0.52, _("Quantised: test photograph {done} of {of} ...")),
        },
        told=lambda job: _("{score} right").format(score=score_text(job.rows[0])),
        shown=lambda job: figures(job.rows),
    ).draw()
