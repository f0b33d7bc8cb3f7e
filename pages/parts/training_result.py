"""A finished run: what it takes for what, its surest mistakes, its files, and where to use it."""

import json
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from core import checkpoints
from core.charts import numbers
from core.charts.training import confusion_chart, confusion_frame
from core.course import CLASSES
from core.data.dreams import DREAMS
from core.data.find import Index
from core.errors import PhotoError, UserError
from core.photos import read_photo_file
from core.places import read_json
from core.training.jobs_entry import Job
from core.training.jobs_process import REPORT
from core.training.model_card import model_card
from core.words import _, food_class
from pages.parts import contents, shelf, training_queue
from pages.parts.figure import data_button, show
from pages.parts.provenance import accuracy_line, provenance

THUMB = (200, 200)


def result(job: Job, index: Index | None) -> None:
    """Draw the end of one finished run."""
    published = training_queue.checkpoint_of(job)
    if published is not None:
        st.markdown(accuracy_line(published))
    report = _report(job)
    if report is not None:
        _confusion(report, job.config.data == DREAMS)
        _mistakes(report, index)
    _downloads(job, published)
    if published is not None:
        own = st.session_state.setdefault("own_checkpoints", [])
        if job.id not in own:
            own.append(job.id)
        _use(published)
        provenance([published])


def _report(job: Job) -> dict[str, Any] | None:
    try:
        found = read_json(job.run.path / REPORT)
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and {"split", "confusion", "mistakes"} <= found.keys()
    return found if whole else None


def _confusion(report: dict[str, Any], dreamed: bool) -> None:
    counts = report["confusion"]
    right = sum(counts[i][i] for i in range(len(counts)))
    total = sum(map(sum, counts))
    pairs = [(counts[i][j], i, j) for i in range(len(counts)) for j in range(len(counts)) if i != j]
    most, label, answer = max(pairs)
    split = {"testing": _("test"), "validation": _("validation")}[report["split"]]
    said = (
        _("**What it takes for what**, on {n} dreams it never learned from, not photographs:")
        if dreamed
        else _("**What it takes for what**, on {n} {split} photographs it never learned from:")
    )
    st.markdown(said.format(n=numbers.count(total), split=split))
    worst = (
        _(" The most frequent mistake: {label} taken for {answer}, {n} times.").format(
            label=food_class(CLASSES[label]), answer=food_class(CLASSES[answer]), n=most
        )
        if most
        else ""
    )
    show(
        confusion_chart(counts),
        _("Confusion matrix: {right} of {n} right.").format(right=right, n=total) + worst,
        key="confusion",
    )
    data_button(confusion_frame(counts), "confusion")
    st.caption(
        _(
            "A row is a true class; what stands on the diagonal is right, the rest is wrong. The "
            "fuller a cell, the larger its share of the row."
        )
        + worst
    )
    if report["unreadable"]:
        names = ", ".join(name for name, _why in report["unreadable"][:3])
        st.caption(
            _("{n} pictures could not be read and were left out: {names}").format(
                n=len(report["unreadable"]), names=names
            )
        )


def _mistakes(report: dict[str, Any], index: Index | None) -> None:
    """The photos themselves, only from the local copy, never kept."""
    if not report["mistakes"]:
        return
    st.markdown(_("**Wrong, and most sure of it**"))
    if index is None or index.fingerprint != report["data"]["fingerprint"]:
        st.caption(
            _("The photos are shown where the copy lies that it was tested on: {data}.").format(
                data=report["data"]["name"]
            )
        )
        return
    with st.container(horizontal=True):
        for mistake in report["mistakes"][:6]:
            if mistake["file"] not in index.files:  # the report names a file: trust the index
                continue
            label, answer = (food_class(CLASSES[mistake[key]]) for key in ("label", "answer"))
            said = _("{label}, taken for {answer}, {sure} sure").format(
                label=label, answer=answer, sure=numbers.share(mistake["confidence"])
            )
            try:
                photo = read_photo_file(index.root / mistake["file"])
            except PhotoError as error:
                st.caption(str(error))
                continue
            photo.thumbnail(THUMB)
            st.image(photo, caption=said, alt=_("Photo: {what}").format(what=said), width=150)


def _downloads(job: Job, published: checkpoints.Checkpoint | None) -> None:
    name = job.id
    with st.container(horizontal=True):
        _download(_("Settings"), job.config.model_dump_json(indent=1, exclude={"data"}),
                  f"{name}-config.json", "application/json")  # fmt: skip
        lines = "".join(json.dumps(entry) + "\n" for entry in job.run.metrics())
        _download(_("Metrics"), lines, f"{name}-metrics.jsonl", "application/jsonl")
        if published is None:
            return
        try:
            _one, files = checkpoints.read_files(name, checkpoints.WEIGHTS)
        except UserError as error:
            st.error(str(error), icon=":material/error:")
            return
        _download(_("Weights"), files[checkpoints.WEIGHTS], f"{name}.safetensors",
                  "application/octet-stream")  # fmt: skip
        _download(_("Model card"), model_card(published, _report(job)), f"{name}.md",
                  "text/markdown")  # fmt: skip


def _download(label: str, data: str | bytes, name: str, mime: str) -> None:
    st.download_button(
        label, data, file_name=name, mime=mime, icon=":material/download:", on_click="ignore"
    )


def _use(published: checkpoints.Checkpoint) -> None:
    """Doors to the pages where the new checkpoint can be used."""
    own = shelf.own()
    shipped = shelf.starters([one for one in shelf.checkpoints() if one.id not in own])[:2]
    with st.container(horizontal=True):
        _door(
            "compare",
            _("Show it your lunch: open it in Compare"),
            [("networks", id) for id in [published.id, *shipped]],
        )
        _door("pruning", _("Cut it smaller: open it in Pruning"), [("network", published.id)])
    st.caption(
        _("Its name, for the command line: {id}").format(id=f"`{published.id}`"),
        help=_("For example: python -m core evaluate, then its name."),
    )


def _door(page: str, label: str, query: list[tuple[str, str]]) -> None:
    found = contents.entry(page)
    try:
        st.page_link(found.file, label=label, icon=found.icon, query_params=query, width="content")
    except (StreamlitAPIException, KeyError):  # a page alone, without app.py around it
        st.caption(label)
