""" "Run it here": one point measured on this machine, with progress and a way to stop it."""

import time
import uuid

import streamlit as st

from core.charts import numbers
from core.charts.pruning import method_title
from core.errors import UserError
from core.training.pruning_live import RUNS, Job, Point
from core.words import _
from pages.parts import language
from pages.parts.pruning_controls import Setting
from pages.parts.pruning_curves import figures, score_text

POLL_S = 0.7


def live(at: Setting) -> None:
    """The button, the running measurement, its result; other visitors' runs are waited for."""
    who = st.session_state.setdefault("live_who", uuid.uuid4().hex)
    point = Point(at.checkpoint.id, at.sha256, at.method, at.ratio)
    st.caption(
        _(
            "Prunes {network} by {method} to {ratio} now, in a process of its own: accuracy on "
            "all test photographs (where they are on this machine), and the time of every form. "
            "One run at a time; whoever asks for the same point shares it."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(at.method),
            ratio=numbers.share(at.ratio),
        )
    )
    job = RUNS.look(point, who)
    going = job is not None and not job.is_over
    if not going:
        again = job is not None and job.state == "done"
        label = _("Measured already: see below") if again else _("Run it here")
        st.button(
            label,
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


def _ask(point: Point, who: str) -> None:
    try:
        RUNS.ask(point, who)
    except UserError as error:
        st.session_state["live_refused"] = str(error)


def _watch(point: Point, who: str) -> None:
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


def _progress(job: Job) -> tuple[float, str]:
    if job.state == "waiting":
        return 0.0, _("{n} before you on this machine ...").format(n=RUNS.place(job.point))
    said = {
        "start": _("Starting ..."),
        "prune": _("Pruning ..."),
        "accuracy": _("Looking at test photograph {done} of {of} ..."),
        "time": _("Timing each form ..."),
    }[job.step].format(done=job.done, of=job.of)
    begun = {"start": 0.02, "prune": 0.08, "accuracy": 0.12, "time": 0.85}[job.step]
    share = 0.72 * job.done / job.of if job.of and job.step == "accuracy" else 0.0
    return begun + share, said


def _result(job: Job) -> None:
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
            score=score_text(job.rows[0].score),
        ),
        icon=":material/star:",
    )
    figures(job.rows)
