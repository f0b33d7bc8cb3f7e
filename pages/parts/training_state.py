"""What a run's card says: how far it is, how fast, or how it ended and what to do."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.charts import numbers
from core.data.dreams import DREAMS
from core.training.jobs_entry import Job
from core.training.progress import Progress, read_progress, seconds_left
from core.words import _, ngettext


def state(job: Job) -> None:
    """Draw it."""
    entries = job.run.metrics()
    of = job.config.epochs
    if job.state == "queued":
        ahead = job.place - 1
        st.progress(
            len(entries) / of,
            ngettext(
                "Waiting: {n} run comes first.", "Waiting: {n} runs come first.", ahead
            ).format(n=ahead)
            if ahead
            else _("Waiting: it is next."),
        )
    elif job.state == "running":
        st.progress(*_running(job, entries))
    elif job.state == "done":
        accuracy = max((entry["val_accuracy"] for entry in entries), default=0.0)
        n = entries[-1]["val_n"] if entries else 0
        said = (
            _(
                ":material/check_circle: Done: {accuracy} of {n} dreams right that it had not "
                "seen; not photographs."
            )
            if job.config.data == DREAMS
            else _(":material/check_circle: Done: {accuracy} of {n} validation photographs right.")
        ).format(accuracy=numbers.percent(accuracy, n), n=numbers.count(n))
        st.markdown(said)
        if job.reason == "unpublished":
            st.caption(_("It could not become a checkpoint: {why}").format(why=job.message))
    else:
        explain_end(job, len(entries))


def _running(job: Job, entries: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """Share of the whole run that is done, and words for it."""
    of, done = job.config.epochs, len(entries)
    if done >= of:
        said = _("Epoch {epoch} of {of}. Testing it and making it a checkpoint ...")
        return 1.0, said.format(epoch=of, of=of)
    now = read_progress(job.run.path, done)
    if now is None and not entries:
        lines = job.lines()
        said = _("Starting ({s} s): reading photographs, asking the teacher ...").format(
            s=round(job.ran_s or 0)
        )
        return 0.0, f"{said} {lines[-1][:80]}" if lines else said
    head = _("Epoch {epoch} of {of}").format(epoch=done + 1, of=of)
    parts = [f"{head}: {_doing(now)}" if now else head]
    rate = now.images_per_s if now and now.done else entries[-1]["images_per_s"] if entries else 0
    if rate:
        parts.append(_("{rate} images/s").format(rate=numbers.count(round(rate))))
    left = seconds_left(of, done, now, float(entries[-1]["seconds"]) if entries else 0.0)
    if left is not None:
        parts.append(_("about {left} left").format(left=duration(left)))
    return min(1.0, (done + (now.learned if now else 0.0)) / of), " · ".join(parts)


def _doing(now: Progress) -> str:
    if now.phase == "teacher":
        return _("the teacher has answered to {done} of {n} photographs").format(
            done=numbers.count(now.done), n=numbers.count(now.of)
        )
    if now.phase == "validation":
        return _("testing it")
    return _("{share} of its photographs").format(share=f"{now.share:.0%}")


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 10:
        return _("{n} s").format(n=f"{seconds:.1f}")
    if seconds < 90:
        return _("{n} s").format(n=f"{seconds:.0f}")
    if seconds < 5400:
        return _("{n} min").format(n=f"{seconds / 60:.0f}")
    return _("{n} h").format(n=f"{seconds / 3600:.1f}")


def explain_end(job: Job, epochs: int) -> None:
    """Why a run is not finished, what is kept of it, and what to do."""
    kept = ngettext("{n} epoch is kept.", "{n} epochs are kept.", epochs).format(n=epochs)
    if job.state == "stopped" and job.reason == "time":
        st.info(
            _(
                "Stopped after {time}, as long as a run may take here at a stretch: now it is the "
                "others' turn. {kept} Resume goes on there."
            ).format(time=duration(60 * int(job.message)), kept=kept),
            icon=":material/timer_off:",
        )
        return
    if job.state == "stopped":
        st.markdown(
            _(":material/stop_circle: Stopped. {kept} Resume goes on there.").format(kept=kept)
        )
        return
    if job.state == "interrupted":
        st.warning(
            _(
                "Interrupted: its process has gone, perhaps because the machine was restarted. "
                "{kept} Resume goes on there."
            ).format(kept=kept)
        )
    elif job.state == "killed":
        st.error(
            _(
                "The system ended it (signal {n}){why} {kept} Resume goes on there; smaller "
                "pictures or fewer of them a step need less memory."
            ).format(n=job.message,
                     why=_(": that is how Linux frees memory when it runs out.")
                     if job.message == "9" else ".", kept=kept)
        )  # fmt: skip
    else:
        st.error(_failed(job).format(kept=kept, message=job.message))
    if job.state in ("killed", "failed") and (lines := job.lines()):
        with st.expander(_("Its last lines")):
            st.code("\n".join(lines), language=None)


def _failed(job: Job) -> str:
    return {
        "loss": _("{message} {kept}"),
        "disk": _(
            "The disk is full, so nothing more could be written. {kept} Make room, then resume."
        ),
        "data": _("The photographs are not where they were. {message} {kept}"),
        "said": _("{message} {kept}"),
    }.get(job.reason, _("It broke off: {message}. {kept}"))
