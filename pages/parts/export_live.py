""" "Make it here": all files of a network made and measured on this machine, in its own process."""

import time
import uuid

import streamlit as st

from core.checkpoints import WEIGHTS, Checkpoint
from core.errors import UserError
from core.training.shipping_live import RUNS, FileJob, FilePoint
from core.words import _
from pages.parts import language

POLL_S = 0.7


def live(one: Checkpoint) -> None:
    """The button, the running measurement, its end; other visitors' runs are waited for."""
    who = st.session_state.setdefault("live_who", uuid.uuid4().hex)
    point = FilePoint(one.id, one.files[WEIGHTS].sha256)
    st.caption(
        _(
            "Makes the files of {network} now, in a process of its own, compares each with the "
            "original (on all test photographs, where they are on this machine) and times them. "
            "One run at a time; whoever asks for the same network shares it."
        ).format(network=_(one.title))
    )
    job = RUNS.look(point, who)
    going = job is not None and not job.is_over
    if not going:
        again = job is not None and job.state == "done"
        st.button(
            _("Measured already: shown above") if again else _("Make it here"),
            icon=":material/play_arrow:",
            type="primary",
            key="make_live",
            disabled=again,
            on_click=_ask,
            args=(point, who),
        )
        if refused := st.session_state.pop("live_refused", ""):
            st.warning(refused, icon=":material/hourglass_top:")
    st.fragment(_watch, run_every=POLL_S if going else None)(point, who)


def _ask(point: FilePoint, who: str) -> None:
    try:
        RUNS.ask(point, who)
        st.session_state["reveal"] = True
    except UserError as error:
        st.session_state["live_refused"] = str(error)


def _watch(point: FilePoint, who: str) -> None:
    """What the run says now; when it is over the page is drawn anew, with its rows."""
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


def _progress(job: FileJob) -> tuple[float, str]:
    if job.state == "waiting":
        return 0.0, _("{n} before you on this machine ...").format(n=RUNS.place(job.point))
    said = {
        "start": _("Starting ..."),
        "calibrate": _("Measuring the ranges that int8 needs ..."),
        "make": _("Making the files ..."),
        "compare": _("Comparing file {at} of {of} with the original ..."),
        "time": _("Timing each file ..."),
    }[job.step].format(at=job.done + 1, of=job.of)
    begun = {"start": 0.02, "calibrate": 0.06, "make": 0.2, "compare": 0.25, "time": 0.85}[job.step]
    share = 0.6 * job.done / job.of if job.of and job.step == "compare" else 0.0
    return begun + share, said


def _result(job: FileJob) -> None:
    if job.state == "stopped":
        st.info(_("Stopped. Nothing was kept."), icon=":material/stop_circle:")
    elif job.state == "failed":
        told = {
            "said": job.message,
            "too_long": _("It took too long and was ended. Try a smaller network."),
            "crashed": _("The run broke off ({reason}). Try it again.").format(reason=job.message),
        }
        st.error(told.get(job.reason, job.message), icon=":material/error:")
    else:
        st.success(
            _("Measured here at {when} UTC: {n} files, shown above.").format(
                when=time.strftime("%Y-%m-%d %H:%M", time.gmtime(job.finished)), n=len(job.rows)
            ),
            icon=":material/star:",
        )
