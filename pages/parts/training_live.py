"""The queue as it moves: every run's state and buttons, and the curves of those chosen, live."""

from collections.abc import Sequence

import streamlit as st

from core.charts import numbers
from core.charts import training as charts
from core.data.dreams import DREAMS
from core.errors import UserError
from core.training.jobs import JobQueue
from core.training.jobs_entry import Job
from core.words import _
from pages.parts import language
from pages.parts.figure import show
from pages.parts.training_queue import curve, marked_title, short_title
from pages.parts.training_state import state

POLL_S = 1.5
MOST_SHOWN = 6
MOST_CARDS = 4
"""Finished runs beyond so many stand in the menu only, until they are chosen there."""


def live(queue: JobQueue, who: str) -> list[Job]:
    """Draw the queue and the curves; they move by themselves while anything runs or waits.

    Returns the jobs whose curves are shown.
    """
    if lost := queue.unreadable(who):
        st.warning(
            _("Left out, since this version cannot read their settings: {runs}.").format(
                runs=", ".join(lost)
            ),
            icon=":material/rule:",
        )
    jobs = _listed(queue, who)
    if not jobs:
        st.caption(_("No training has been started on this machine yet. Yours will stand here."))
        return []
    shown = _choose(jobs)
    moves = any(job.is_active for job in jobs)
    st.fragment(_watch, run_every=POLL_S if moves else None)(queue, who, [j.id for j in shown])
    return shown


def _listed(queue: JobQueue, who: str) -> list[Job]:
    """The visitor's own jobs first, then what else runs or waits."""
    jobs = queue.jobs(who)
    mine = sorted((job for job in jobs if job.mine), key=lambda job: -job.asked)
    return mine + [job for job in jobs if not job.mine and job.is_active]


def _choose(jobs: Sequence[Job]) -> list[Job]:
    """Which runs' curves lie over each other."""
    by_id = {job.id: job for job in jobs}
    new = [id for id in by_id if id not in st.session_state.get("runs_met", ())]
    st.session_state["runs_met"] = list(by_id)
    kept = [id for id in st.session_state.get("runs_shown", ()) if id in by_id]
    fresh = [id for id in new if by_id[id].mine][:MOST_SHOWN]
    if not kept and not fresh and "runs_shown" not in st.session_state:
        fresh = list(by_id)[:1]
    # what was asked for just now is new and chosen already: once is enough
    st.session_state["runs_shown"] = list(dict.fromkeys([*fresh, *kept]))[:MOST_SHOWN]
    chosen = st.multiselect(
        _("Runs over each other"),
        list(by_id),
        format_func=lambda id: marked_title(by_id[id], jobs),
        key="runs_shown",
        max_selections=MOST_SHOWN,
        placeholder=_("Choose runs"),
    )
    return [by_id[id] for id in chosen]


def _watch(queue: JobQueue, who: str, shown: list[str]) -> None:
    """One look at everything that moves (a fragment)."""
    language.speak()
    jobs = _listed(queue, who)
    states = {job.id: job.state for job in jobs}
    before = st.session_state.get("states_seen", states)
    st.session_state["states_seen"] = states
    if before != states:  # something ended, or somebody else's came: results stand outside
        st.rerun()
    if refused := st.session_state.pop("refused", ""):
        st.warning(refused, icon=":material/front_hand:")
    for place, job in enumerate(jobs):
        if job.is_active or job.id in shown or place < MOST_CARDS:
            _card(queue, job, who, jobs)
    picked = [job for job in jobs if job.id in shown and job.run.metrics()]
    if picked:
        _pictures(picked)


def _card(queue: JobQueue, job: Job, who: str, jobs: Sequence[Job]) -> None:
    """One run: what it is, how far, what can be done with it."""
    with st.container(border=True):
        left, right = st.columns([3, 1], vertical_alignment="center")
        with left:
            owner = "" if job.mine else " · " + _("somebody else's")
            st.markdown(f"**{marked_title(job, jobs)}** · {_settings(job)}{owner}")
            state(job)
        with right, st.container(horizontal=True, horizontal_alignment="right"):
            _buttons(queue, job, who)


def _settings(job: Job) -> str:
    config = job.config
    parts = [f"{config.px} px", f"{config.share:.0%}"]
    if config.teacher:
        parts += [f"α {config.alpha:g}", f"T {config.temperature:g}"]
    if config.mixup:
        parts.append(f"mixup {config.mixup:g}")
    return " · ".join(parts)


def _buttons(queue: JobQueue, job: Job, who: str) -> None:
    if not job.mine:
        return
    if job.is_active:
        st.button(
            _("Stop"), icon=":material/stop:", key=f"stop-{job.id}",
            on_click=_do, args=(queue.stop, job.id, who),
        )  # fmt: skip
        return
    if job.state != "done":
        st.button(
            _("Resume"), icon=":material/play_arrow:", key=f"resume-{job.id}",
            on_click=_do, args=(queue.resume, job.id, who),
        )  # fmt: skip
    with st.popover(_("Delete"), icon=":material/delete:"):
        st.markdown(_("The run, its curves and its checkpoint go, for good."))
        st.button(
            _("Delete this run"), key=f"delete-{job.id}", type="primary",
            on_click=_do, args=(queue.delete, job.id, who),
        )  # fmt: skip


def _do(act: object, id: str, who: str) -> None:
    """What a button does; a refusal is shown above the list."""
    try:
        act(id, who)  # type: ignore[operator]
    except UserError as error:
        st.session_state["refused"] = str(error)


def _pictures(picked: Sequence[Job]) -> None:
    curves = [curve(job, picked) for job in picked]
    epochs = max(job.config.epochs for job in picked)
    place = '[class*="st-key-chart-"]'  # kept free, so that nothing jumps when a chart is drawn
    st.html(f"<style>{place} {{min-height: {charts.HEIGHT_PX + 20}px}}</style>")
    panels = {panel.key: panel for panel in charts.panels()}
    left, right = st.columns(2)
    with left:
        _picture(curves, panels["accuracy"], epochs)
    with right:
        _picture(curves, panels["losses"], epochs)
    more = {key: panel.title for key, panel in panels.items() if key not in ("accuracy", "losses")}
    chosen = st.pills(_("Also show"), list(more), format_func=more.__getitem__, key="also")
    if chosen:
        _picture(curves, panels[chosen], epochs)


def _picture(curves: Sequence[charts.Curve], panel: charts.Panel, epochs: int) -> None:
    frame = charts.curves_frame(curves, panel)
    st.markdown(f"**{panel.title}**")
    if frame.empty:
        st.caption(_("None of these runs has a teacher to agree with."))
        return
    last = frame.loc[frame.groupby("series", sort=False)["epoch"].idxmax()]
    said = ", ".join(f"{row.series} {row.value:.3g}" for row in last.itertuples())
    show(
        charts.curves_chart(frame, panel, epochs),
        _("{what} by epoch; after the last one: {values}.").format(what=panel.title, values=said),
        key=f"chart-{panel.key}",
    )


def compared(jobs: Sequence[Job]) -> list[str]:
    """A sentence a finished run: its best epoch, in the words of the list."""
    lines = []
    for job in jobs:
        entries = job.run.metrics()
        if not entries:
            continue
        best = max(entries, key=lambda entry: entry["val_accuracy"])
        said = (
            _(
                "{run}: best after epoch {epoch}, {val} of the dreams right that it had not seen "
                "(n = {n}, none a photograph), {train} of those it learned from"
            )
            if job.config.data == DREAMS
            else _(
                "{run}: best after epoch {epoch}, {val} of the validation photographs right "
                "(n = {n}), {train} of the training ones"
            )
        )
        line = said.format(
            run=short_title(job, jobs), epoch=best["epoch"],
            val=numbers.percent(best["val_accuracy"], best["val_n"]),
            n=numbers.count(best["val_n"]), train=numbers.percent(best["train_accuracy"]),
        )  # fmt: skip
        if best.get("agreement") is not None:
            line += _("; with the teacher it agrees on {share}").format(
                share=numbers.percent(best["agreement"])
            )
        lines.append(line + ".")
    return lines
