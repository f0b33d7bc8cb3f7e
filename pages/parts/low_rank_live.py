""" "Run it here": one factored network measured on this machine, with progress and a way out."""

import time
import uuid

import streamlit as st

from core.charts import low_rank_words, numbers
from core.charts.low_rank import method_title
from core.errors import UserError
from core.training.lowrank_live import RUNS, LowRankJob, LowRankPoint
from core.words import _
from pages.parts import language
from pages.parts.low_rank_controls import Setting, Whole
from pages.parts.low_rank_network import figures

POLL_S = 0.7


def live(at: Setting, how: Whole) -> None:
    """The button, the running measurement, its result; other visitors' runs are waited for."""
    who = st.session_state.setdefault("live_who", uuid.uuid4().hex)
    point = LowRankPoint(at.checkpoint.id, at.sha256, how.method, how.energy)
    st.caption(
        _(
            "Factors {network} now ({method}, {energy} of the energy), in a process of its own: "
            "accuracy on all test photographs (where they are on this machine) and the time "
            "beside the whole network's. One run at a time; whoever asks for the same shares it."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(how.method),
            energy=numbers.share(how.energy),
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


def _ask(point: LowRankPoint, who: str) -> None:
    try:
        RUNS.ask(point, who)
    except UserError as error:
        st.session_state["live_refused"] = str(error)


def _watch(point: LowRankPoint, who: str) -> None:
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


def _progress(job: LowRankJob) -> tuple[float, str]:
    if job.state == "waiting":
        return 0.0, _("{n} before you on this machine ...").format(n=RUNS.place(job.point))
    said = {
        "start": _("Starting ..."),
        "factor": _("Taking the weights apart ..."),
        "accuracy": _("Looking at test photograph {done} of {of} ..."),
        "time": _("Timing it beside the whole network ..."),
    }[job.step].format(done=job.done, of=job.of)
    begun = {"start": 0.02, "factor": 0.08, "accuracy": 0.2, "time": 0.85}[job.step]
    share = 0.64 * job.done / job.of if job.of and job.step == "accuracy" else 0.0
    return begun + share, said


def _result(job: LowRankJob) -> None:
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
    row = job.rows[0]
    st.success(
        _("Measured here at {when} UTC: {score} right.").format(
            when=time.strftime("%Y-%m-%d %H:%M", time.gmtime(job.finished)),
            score=low_rank_words.score_text(row),
        ),
        icon=":material/star:",
    )
    figures(row)
    took, whole = row.latency.get("torch_1"), row.latency.get("whole_torch_1")
    if took and whole:
        verdict = {
            "faster": _("faster"),
            "slower": _("slower"),
            "same": _("no difference that the measurement can tell"),
        }[took.against(whole)]
        st.markdown(
            _(
                "- Time of one picture, PyTorch: {time}, the whole network {whole}: {verdict}"
            ).format(
                time=numbers.milliseconds(took.median),
                whole=numbers.milliseconds(whole.median),
                verdict=verdict,
            )
        )
