"""Before a training: the guess and the button."""

from collections.abc import Sequence

import streamlit as st

from core.data.find import Index
from core.errors import UserError
from core.training.config import TrainConfig
from core.training.jobs import JobQueue
from core.training.jobs_entry import Job
from core.words import _, ngettext

GUESSES = {"low": (0.0, 0.3), "middle": (0.3, 0.6), "high": (0.6, 1.01)}


def predict_first() -> str | None:
    """One tap before starting."""
    titles = {
        "low": _("fewer than 30"),
        "middle": _("30 to 60"),
        "high": _("more than 60"),
    }
    return st.pills(
        _(
            "First, a guess: of 100 photographs it has never seen, how many will your student get "
            "right after its last epoch? (A blind guess gets 9.)"
        ),
        list(titles),
        format_func=titles.__getitem__,
        key="guess_right",
    )


def reveal(guess: str | None, jobs: Sequence[Job]) -> None:
    """The guess beside what the newest finished run of those shown came to."""
    done = [job for job in jobs if job.state == "done" and job.run.metrics()]
    if guess is None or not done:
        return
    last = done[0].run.metrics()[-1]
    accuracy = last["val_accuracy"]
    low, high = GUESSES[guess]
    said = _("It got {n} of 100 right after its last epoch.").format(n=round(100 * accuracy))
    if low <= accuracy < high:
        st.success(_("You guessed well. ") + said, icon=":material/star:")
    else:
        st.info(_("You guessed otherwise. ") + said, icon=":material/lightbulb:")


def start(configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index | None) -> None:
    """The button that asks for the runs, and what became of it."""
    if not configs:
        return
    _start_button(configs, queue, who, index)
    if refused := st.session_state.pop("start_refused", ""):
        st.warning(refused, icon=":material/front_hand:")
    if joined := st.session_state.pop("start_joined", 0):
        st.toast(
            ngettext(
                "{n} of these runs was there already: you share it.",
                "{n} of these runs were there already: you share them.",
                joined,
            ).format(n=joined),
            icon=":material/group:",
        )


def _start_button(
    configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index | None
) -> None:
    runs = len(configs)
    label = ngettext("Start {n} run", "Start {n} runs", runs).format(n=runs)
    st.button(
        label, icon=":material/play_arrow:", type="primary", key="start", disabled=index is None,
        on_click=_ask, args=(list(configs), queue, who, index),
    )  # fmt: skip


def _ask(configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index) -> None:
    there = {job.id for job in queue.jobs(who)}
    asked = []
    try:
        for config in configs:
            asked.append(queue.ask(config, who, index.fingerprint).id)
    except UserError as error:
        st.session_state["start_refused"] = str(error)
    st.session_state["start_joined"] = len(there & set(asked))
    shown = [*asked, *st.session_state.get("runs_shown", ())]
    st.session_state["runs_shown"] = list(dict.fromkeys(shown))[:6]
