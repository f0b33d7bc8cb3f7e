""" "Run it here" of the low-rank page: a network, a way to factor it, the energy kept."""

import streamlit as st

from core.charts import low_rank_words, numbers
from core.charts.low_rank import method_title
from core.training.lowrank_live import RUNS, LowRankJob, LowRankPoint
from core.words import _
from pages.parts.live_point import LivePoint, run_it_here
from pages.parts.low_rank_controls import Setting, Whole
from pages.parts.low_rank_network import figures


def live(at: Setting, how: Whole) -> None:
    """The button, the running measurement, its result."""
    start, again = run_it_here()
    LivePoint(
        RUNS,
        LowRankPoint(at.checkpoint.id, at.sha256, how.method, how.energy),
        _(
            "Factors {network} now ({method}, {energy} of the energy), in a process of its own: "
            "accuracy on all test photographs (where they are on this machine) and the time "
            "beside the whole network's. One run at a time; whoever asks for the same shares it."
        ).format(
            network=_(at.checkpoint.title),
            method=method_title(how.method),
            energy=numbers.share(how.energy),
        ),
        start,
        again,
        steps={
            "start": (0.02, _("Starting ...")),
            "factor": (0.08, _("Taking the weights apart ...")),
            "accuracy": (0.2, _("Looking at test photograph {done} of {of} ...")),
            "time": (0.85, _("Timing it beside the whole network ...")),
        },
        told=lambda job: _("{score} right").format(score=low_rank_words.score_text(job.rows[0])),
        shown=_shown,
    ).draw()


def _shown(job: LowRankJob) -> None:
    row = job.rows[0]
    figures(row)
    took, whole = row.latency.get("torch_1"), row.latency.get("whole_torch_1")
    if not (took and whole):
        return
    verdict = {
        "faster": _("faster"),
        "slower": _("slower"),
        "same": _("no difference that the measurement can tell"),
    }[took.against(whole)]
    st.markdown(
        _("- Time of one picture, PyTorch: {time}, the whole network {whole}: {verdict}").format(
            time=numbers.milliseconds(took.median),
            whole=numbers.milliseconds(whole.median),
            verdict=verdict,
        )
    )
