""" "Run it here": one point measured on this machine, with progress and a way to stop it."""

import time
import uuid

import streamlit as st

from core.charts.quantization import scheme_title
from core.charts.quantization_words import bits_text, score_text
from core.compression.quantize import BITS
from core.errors import UserError
from core.training.quantization_live import RUNS, QuantJob, QuantPoint
from core.words import _
from pages.parts import language
from pages.parts.address import choose
from pages.parts.quantization_controls import Setting
from pages.parts.quantization_curves import figures

POLL_S = 0.7
START = 4


def live(at: Setting) -> None:
    """Bits to try, the button, the running measurement, its result."""
    who = st.session_state.setdefault("live_who", uuid.uuid4().hex)
    bits = choose(
        st.segmented_control, _("Bits"), BITS, START, "bits", format_func=str, required=True
    )
    point = QuantPoint(at.checkpoint.id, at.sha256, at.scheme, bits)
    st.caption(
        _(
            "Quantises {network} now, {scheme}, {bits}, in a process of its own: the file is "
            "written and weighed, and all test photographs are looked at (where they are on this "
            "machine). One run at a time; whoever asks for the same point shares it."
        ).format(
            network=_(at.checkpoint.title), scheme=scheme_title(at.scheme), bits=bits_text(bits)
        )
    )
    job = RUNS.look(point, who)
    going = job is not None and not job.is_over
    if not going:
        again = job is not None and job.state == "done"
        st.button(
            _("Measured already: see below") if again else _("Run it here"),
            icon=":material/play_arrow:",
            type="primary",
            key="run_live",
            disabled=again,
            on_click=_ask,
            args=(point, who),
        )
        if refused := st.session_state.pop("live_refused", ""):
            st.warning(refused, icon=":material/hourglass_top:")
    st.fragment(_watch, run_every=POLL_S if going else None)(point, who)


def _ask(point: QuantPoint, who: str) -> None:
    try:
        RUNS.ask(point, who)
    except UserError as error:
        st.session_state["live_refused"] = str(error)


def _watch(point: QuantPoint, who: str) -> None:
    """What the run says now; when it is over the page is drawn anew, its point in the chart."""
    language.speak()
    job = RUNS.look(point, who)
    if job is None:
        return
    if not job.is_over:
        st.session_state["live_watching"] = point
        st.progress(*_progress(job))
        st.button(
            _("Stop"),
            icon=":material/stop:",
            key="stop_live",
            on_click=RUNS.leave,
            args=(point, who),
        )
        return
    if st.session_state.pop("live_watching", None) == point:
        st.rerun()
    _result(job)


def _progress(job: QuantJob) -> tuple[float, str]:
    if job.state == "waiting":
        return 0.0, _("{n} before you on this machine ...").format(n=RUNS.place(job.point))
    said = {
        "start": _("Starting ..."),
        "whole": _("In float32: test photograph {done} of {of} ..."),
        "accuracy": _("Quantised: test photograph {done} of {of} ..."),
    }[job.step].format(done=job.done, of=job.of)
    begun = {"start": 0.02, "whole": 0.05, "accuracy": 0.52}[job.step]
    return begun + (0.46 * job.done / job.of if job.of else 0.0), said


def _result(job: QuantJob) -> None:
    if job.state == "stopped":
        st.info(_("Stopped. Nothing was kept."), icon=":material/stop_circle:")
        return
    if job.state == "failed":
        told = {
            "said": job.message,
            "too_long": _("It took too long and was ended. Try a smaller network."),
            "crashed": _("The run broke off ({reason}). Try it again.").format(reason=job.message),
        }
        st.error(told.get(job.reason, job.message), icon=":material/error:")
        return
    st.success(
        _("Measured here at {when} UTC: {score} right.").format(
            when=time.strftime("%Y-%m-%d %H:%M", time.gmtime(job.finished)),
            score=score_text(job.rows[0]),
        ),
        icon=":material/star:",
    )
    figures(job.rows)
