"""Training: choose a student and a teacher, start, and watch it learn, live."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any

import streamlit as st
from PIL import ImageOps
from pydantic import ValidationError

from core import checkpoints
from core.charts import numbers
from core.charts.names import short_network
from core.charts.theme import RoleKey, glyph, role_title, trained_role
from core.checkpoints import Checkpoint
from core.collection.recipes import LESSON, PRESETS
from core.collection.recipes import preset as preset_settings
from core.course import CLASSES
from core.data.dreams import (
    DREAMS,
    MARK,
    TRAIN_PX,
    dreams_available,
    dreams_dir,
    dreams_mark,
    unpack,
)
from core.data.find import Index, find_food11
from core.errors import DataError, PhotoError, UserError
from core.i18n import _, food_class, labelled, ngettext, paragraph
from core.models.design.plans import fits
from core.models.design.spec import EXAMPLE
from core.models.registry import MODELS, PREFIX, get
from core.paths import read_json
from core.photos import read_photo_file
from core.source_text import source_of
from core.stats import wilson
from core.training import chart as charts
from core.training.chart import confusion_chart, confusion_frame, metrics_frame
from core.training.config import TrainConfig
from core.training.publish import model_card
from core.training.queue.line import Job, JobQueue, recipe_of, shared_queue
from core.training.queue.process import REPORT
from core.training.runs import read_progress, seconds_left
from core.training.watch import Picture, Watched, fixed_pictures, read_watch
from pages.kit import frame, guess, lab, networks, url_state
from pages.kit.figure import data_button, show, source
from pages.kit.provenance import accuracy_line, provenance
from pages.kit.server import has_few_visitors
from pages.kit.url_state import choice, choices, number_of, one_of, several_of, toggle
from pages.kit.visitor import visitor

KEY = "training"
CHANCE = 1 / len(CLASSES)
GUESSES = {"low": (0.0, 0.3), "middle": (0.3, 0.6), "high": (0.6, 1.01)}
"""What a visitor may guess: shares of new pictures named right, from and below."""
OWN = "design"
SIDES = (32, 48, 64, 96, 128, 160, 192, 224)
"""What the menu offers; a link may name another of ANY_SIDE, as a design of one's own does."""
ANY_SIDE = range(32, 513, 16)
BATCHES = (16, 32, 64, 128, 256)
MOST_EPOCHS = 300
SEEDS = (0, 1, 2, 3, 4)
OF_PRESET = ("px", "epochs", "batch_size", "lr", "mixup", "augment", "share")
"""The settings that a preset sets; any of them may be changed afterwards."""
POLL_S, FIRST_POLL_S = 1.5, 0.5
"""Seconds from one look at a run to the next, and before its first loss is known."""
MOST_SHOWN = 6
MOST_CARDS = 4
"""Finished runs beyond so many stand in the menu only, until they are chosen there."""
MOST_OF_OTHERS = 4
"""Finished runs of other visitors that are listed, the newest."""
PICTURE_PX, THUMB_PX = 80, 200


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    index = photographs()
    begin = _("Choose a student and a teacher, press **Start** and watch it learn.")
    st.markdown(paragraph([begin, learns_from(index)]))
    workshop(index)
    frame.foot(KEY)


@frame.section
def workshop(index: Index | None) -> None:
    """The recipe's controls, the run that goes on, and the tabs."""
    who, queue = visitor(), shared_queue()
    if has_few_visitors():  # it takes memory, and a class shares the places there are anyway
        queue.prepare()
    with_dreams = index is not None and index.is_dreamed
    with frame.instrument() as (controls, picture):
        with controls:
            configs = wanted(queue, who, DREAMS if with_dreams else "")
            if configs:
                start(configs, queue, who, index)
        jobs = listed(queue, who)
        seen = st.session_state["states_seen"] = states(jobs)
        moves = any(job.is_active for job in jobs)
        poll_s = FIRST_POLL_S if "starting" in seen.values() else POLL_S
        with picture:
            epochs = configs[0].epochs if configs else 1
            st.fragment(watch, run_every=poll_s if moves else None)(queue, who, index, epochs)
            guess_first(with_dreams, jobs)
    done = [job for job in jobs if job.state == "done"]
    for job in done:
        if job.mine and not lab.is_measured("start", job.id):
            into_report(job)
    frame.tabs(
        [
            frame.Tab("runs", _("Runs"), partial(runs, queue, who)),
            frame.Tab("curves", _("Curves"), partial(curves, queue, who), former=("trap",)),
            frame.Tab("result", _("The finished run"), partial(results, done, index)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("homework", _("Homework"), homework),
        ]
    )


def into_report(job: Job) -> None:
    """Put a finished run into the visitor's lab report."""
    entries = job.run.metrics()
    if not entries:
        return
    last, config = entries[-1], job.config
    settings: dict[str, Any] = {"model": config.model, "recipe": recipe_of(config)}
    settings["epochs"] = config.epochs
    if config.teacher:
        settings |= {"teacher": config.teacher, "alpha": config.alpha, "t": config.temperature}
    words = _("right on {accuracy} of {n} after the last epoch").format(
        accuracy=numbers.percent(last["val_accuracy"], last["val_n"]), n=last["val_n"]
    )
    lab.measured("start", job.id, words, job.ended or job.asked, settings, last)


def photographs() -> Index | None:
    """The local copy, looked up anew every minute, else the shipped generated pictures
    (`Index.is_dreamed`); None where there are neither."""
    try:
        return _index(os.environ.get("FOOD11_ROOT"))
    except DataError:
        return _dreams(str(dreams_dir()), dreams_mark()) if dreams_available() else None


@st.cache_resource(ttl=60, max_entries=2, show_spinner=False)
def _index(root: str | None) -> Index:
    del root  # only the key of the cache: find_food11 reads the variable itself
    return find_food11()


@st.cache_resource(ttl=600, max_entries=2, show_spinner=False)
def _dreams(folder: str, mark: str) -> Index | None:
    del folder, mark  # only the key of the cache
    try:
        return find_food11(unpack())
    except DataError:
        return None


def learns_from(index: Index | None) -> str:
    """A sentence on it; draws, too, why photographs that were named are not used, or missing."""
    named, problem = os.environ.get("FOOD11_ROOT"), ""
    if index is None or (index.is_dreamed and named):
        try:
            find_food11()
        except UserError as error:
            problem = str(error)
    if index is None:
        st.info(
            _("Training needs photographs, and there are none on this machine. {why}").format(
                why=problem
            ),
            icon=":material/photo_library:",
        )
        st.code("python -m core data fetch\nexport FOOD11_ROOT=/path/to/food11", language="bash")
        return ""
    n = numbers.count(int(index.class_counts("training").sum()))
    if not index.is_dreamed:
        return _("It learns from {n} photographs: {data}.").format(data=_(index.name), n=n)
    if problem:
        st.warning(
            _("The photographs in {folder} are not used. {why}").format(folder=named, why=problem),
            icon=":material/rule_folder:",
        )
    return _(
        "Without photographs, it learns from {n} pictures of {px} px and is tested on others. "
        "Each is a **{mark}**: its accuracy says little about real food."
    ).format(mark=MARK(), n=n, px=TRAIN_PX)


def wanted(queue: JobQueue, who: str, data: str = "") -> list[TrainConfig]:
    """Draw the controls; the runs they describe, one a seed. Empty, and said, if they cannot be.

    `data` is what they learn from, as a `TrainConfig` says it.
    """
    titles = {
        "minute": _("A minute on a laptop"),
        "hour": _("An hour on two cores"),
        "full": _("The full recipe, on a GPU"),
    }
    preset = one_of(
        st.selectbox, _("How long"), {name: titles[name] for name in PRESETS}, "preset",
        default="minute", on_change=_follow_preset,
        help=_("Sets the recipe. You can change it afterwards."),
    )  # fmt: skip
    promised = preset_settings(preset, data == DREAMS)
    model, teacher = _model(), _teacher(queue, who)
    plain = TrainConfig()
    usual = {name: promised.get(name, getattr(plain, name)) for name in OF_PRESET}
    usual["share"] = round(100 * usual["share"])
    with st.popover(_("Recipe"), icon=":material/tune:", width="stretch"):
        settings = _recipe(model, bool(teacher), usual)
    if not model:
        return []
    seeds = settings.pop("seeds")
    # what the preset sets without a control gives way to what the controls say
    fixed = {name: value for name, value in promised.items() if name not in settings}
    start_px = fixed.get("start_px", 0)
    if start_px and (start_px >= settings["px"] or not fits(model, start_px)):
        del fixed["start_px"]
    fixed["warmup_epochs"] = min(fixed.get("warmup_epochs", 2.0), settings["epochs"] / 2)
    settings |= {"model": model, "teacher": teacher, "data": data}
    try:
        return [TrainConfig(seed=seed, **(fixed | settings)) for seed in seeds]
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        st.error(message[:1].upper() + message[1:] + ".", icon=":material/error:")
        return []


def _follow_preset() -> None:
    for name in OF_PRESET:
        url_state.say(name)


def _model() -> str:
    """The key of the network; empty, and said, for a design that cannot be."""
    titles = {key: _(spec.title) for key, spec in MODELS.items()}
    titles[OWN] = _("Your own design")
    for linked in url_state.texts("model")[:1]:
        if linked.startswith(PREFIX):  # the page Architecture links so
            url_state.say("design", linked.removeprefix(PREFIX))
            url_state.say("model", OWN)
    chosen = one_of(st.selectbox, _("Student"), titles, "model", default="dwpw_256k")
    if chosen != OWN:
        return chosen
    line = url_state.draw(
        st.text_input, _("The design"), key="design", default="", placeholder=EXAMPLE,
        spelling=url_state.line(url_state.LONGEST),
        help=_("The page Architecture writes this line."),
    )  # fmt: skip
    if not line:
        st.caption(_("Paste the line that the page Architecture shows below your design."))
        return ""
    try:
        return get(PREFIX + line).key
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return ""


def _teacher(queue: JobQueue, who: str) -> str:
    """The id of the checkpoint that teaches; empty for none."""
    titles = networks.menu_names(networks.checkpoints())
    default = next((id for id in titles if id.startswith("efficientnet_lite0")), "none")
    own = networks.own()
    titles |= {
        job.id: f"{networks.name_of(own[job.id])} · {job.id}"
        for job in queue.jobs(who)
        if job.mine and job.id in own.keys() - titles.keys()
    }
    titles = {"none": _("No teacher (labels alone)"), **titles}
    chosen = one_of(st.selectbox, role_title("teacher"), titles, "teacher", default=default)
    return "" if chosen == "none" else chosen


def _recipe(model: str, has_teacher: bool, usual: dict[str, Any]) -> dict[str, Any]:
    """The controls of the recipe: fields of `TrainConfig`, and `seeds`."""
    exact = partial(number_of, clamp=False)
    left, right = st.columns(2)
    lesson: dict[str, Any] = {
        "alpha": exact(
            left.slider, _("Alpha, the teacher's weight"), 0.0, 1.0, LESSON["alpha"], 0.05, "alpha",
            disabled=not has_teacher, help=_("Weight of the teacher's soft answers in the loss."),
        ),
        "temperature": exact(
            right.slider, _("Temperature T"), 1.0, 20.0, float(LESSON["temperature"]), 0.5, "T",
            disabled=not has_teacher,
        ),
    }  # fmt: skip
    settings = lesson if has_teacher else {}
    linked = url_state.current("px", choice(ANY_SIDE), usual["px"])
    sides = {side: f"{side} px" for side in sorted({*SIDES, linked})}
    policies = {
        "none": _("none"), "light": _("light"), "standard": _("standard"), "strong": _("strong"),
    }  # fmt: skip
    settings |= {
        "mixup": exact(
            left.slider, _("Mixup"), 0.0, 1.0, float(usual["mixup"]), 0.1, "mixup",
            help=_("Mixes pairs of photographs and their labels; 0: no mixing."),
        ),
        "epochs": exact(
            left.number_input, _("Epochs"), 1, MOST_EPOCHS, usual["epochs"], 1, "epochs"
        ),
        "px": one_of(left.selectbox, _("Picture side"), sides, "px", usual["px"]),
        "share": exact(
            left.number_input, _("Photographs, %"), 5, 100, usual["share"], 5, "share",
            help=_("Share of the training photographs, equal in all classes."),
        ) / 100,
        "seeds": url_state.draw(
            right.pills, _("Seeds, a run each"), SEEDS, selection_mode="multi", key="seeds",
            spelling=_IN_ONE, default=[0],
        ),
        "batch_size": one_of(
            right.selectbox, _("Batch size"), BATCHES, "batch_size", usual["batch_size"]
        ),
        "lr": exact(
            right.number_input, _("Highest learning rate"), 1e-5, 0.1, usual["lr"], 1e-4, "lr",
            format="%.5f",
        ),
        "augment": one_of(
            right.selectbox, _("Augmentation"), policies, "augment", usual["augment"]
        ),
    }  # fmt: skip
    if model and get(model).pretrainable:
        with right:
            settings["pretrained"] = toggle(_("Start from ImageNet weights"), "pretrained")
    return settings


def _read_in_one(texts: list[str]) -> list[int] | None:
    words = texts[0].split(".") if texts else []
    seeds = choices(SEEDS, len(SEEDS)).read(words)
    return sorted(seeds) if seeds is not None and len(seeds) == len(words) else None


_IN_ONE: url_state.Spelling[list[int]] = url_state.Spelling(
    _read_in_one, lambda chosen: [".".join(map(str, sorted(chosen)))]
)
"""Several seeds in one text: "0.2"."""


def start(configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index | None) -> None:
    """The button that asks for the runs, and what became of it."""
    n = len(configs)
    st.button(
        ngettext("Start", "Start {n} runs", n).format(n=n), key="start",
        icon=":material/play_arrow:", type="primary", width="stretch", disabled=index is None,
        on_click=_ask, args=(list(configs), queue, who, index),
        help=_("It continues when you close the tab."),
    )  # fmt: skip
    if refusal := st.session_state.pop("start_refused", ""):
        st.warning(refusal, icon=":material/front_hand:")


def _ask(configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index) -> None:
    ids = []
    try:
        for config in configs:
            ids.append(queue.ask(config, who, index.fingerprint).id)
    except UserError as error:
        st.session_state["start_refused"] = str(error)
    add_shown(ids)


def watch(queue: JobQueue, who: str, index: Index | None, epochs: int) -> None:
    """One look at the run in the picture (a fragment that runs again while anything moves): its
    progress, its loss and its answers; without a run, the axes for the `epochs` chosen."""
    frame.speak()
    jobs = listed(queue, who)
    redraw_if_changed(jobs)
    if refusal := st.session_state.pop("refused", ""):
        st.warning(refusal, icon=":material/front_hand:")
    job = current(jobs)
    watched = read_watch(job.run.path) if job is not None else None
    if job is None:
        alt = _("No loss yet: no training runs.")
        show(charts.loss_chart([], epochs, "distilled"), alt, key="loss")
        text = _("**Nothing runs yet.** Press Start: the loss is drawn here, and each “?” becomes "
                 "the student's answer. It does not learn from these six pictures. Before it "
                 "learns, 1 answer in 11 is right by chance.")  # fmt: skip
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(headline(job, jobs))
            if job.state != "done":
                _buttons(queue, job, who)
        state(job)
        loss_picture(job, watched)
        text = "  \n".join(seen(job, watched))
    if watched is not None:
        answers(watched.pictures, watched, index)
    elif index is not None:
        answers(fixed_pictures(index), None, index)
    st.markdown(text)


def redraw_if_changed(jobs: Sequence[Job]) -> None:
    """Draw the whole page anew where a run has ended, gone on or come: all fragments change, and
    whether they look again by themselves."""
    if st.session_state["states_seen"] != states(jobs):
        st.rerun()


def states(jobs: Sequence[Job]) -> dict[str, str]:
    """State of each job, by id; `starting` for a running one whose first loss is not known yet."""

    def has_loss(job: Job) -> bool:
        watched = read_watch(job.run.path)
        return watched is not None and bool(watched.loss)

    return {
        job.id: "starting" if job.state == "running" and not has_loss(job) else job.state
        for job in jobs
    }


def listed(queue: JobQueue, who: str) -> list[Job]:
    """The visitor's own jobs, newest first, then what else runs or waits, then the newest finished
    ones of others."""
    jobs = queue.jobs(who)
    newest = sorted(jobs, key=lambda job: -job.asked)
    done = [job for job in newest if not job.mine and job.state == "done"]
    active = [job for job in jobs if not job.mine and job.is_active]
    return [job for job in newest if job.mine] + active + done[:MOST_OF_OTHERS]


def current(jobs: Sequence[Job]) -> Job | None:
    """The run in the picture: the visitor's own that goes on, else the first of `listed`."""
    return next((job for job in jobs if job.is_active and job.mine), jobs[0] if jobs else None)


def headline(job: Job, jobs: Sequence[Job]) -> str:
    """A run's name, its settings, and whether it is somebody else's."""
    config = job.config
    parts = [f"**{marked_title(job, jobs)}**", f"{config.px} px", f"{config.share:.0%}"]
    if config.teacher:
        parts += [f"α {config.alpha:g}", f"T {config.temperature:g}"]
    if config.mixup:
        parts.append(f"mixup {config.mixup:g}")
    if not job.mine:
        parts.append(_("somebody else's"))
    return " · ".join(parts)


def loss_picture(job: Job, watched: Watched | None) -> None:
    """The loss, step by step; epoch by epoch for a run that told no steps."""
    if watched is not None and watched.loss:
        per_point = watched.stride / watched.steps_per_epoch
        points = [((place + 1) * per_point, loss) for place, loss in enumerate(watched.loss)]
    else:
        points = [(float(entry["epoch"]), float(entry["loss"])) for entry in job.run.metrics()]
    alt = _("No loss yet: the first step has not been made.")
    if points:
        alt = _("Loss by epoch: {first} at the start, {last} now, after {epochs} epochs.").format(
            first=f"{points[0][1]:.3g}", last=f"{points[-1][1]:.3g}", epochs=f"{points[-1][0]:.3g}"
        )
    show(charts.loss_chart(points, job.config.epochs, role(job.config)), alt, key="loss")


def answers(pictures: Sequence[Picture], watched: Watched | None, index: Index | None) -> None:
    """The fixed pictures, and what the network says to each of them now."""
    st.html("<style>.st-key-answers {min-height: 160px}</style>")
    with st.container(horizontal=True, key="answers", gap="xsmall"):
        for place, picture in enumerate(pictures):
            label, answer = food_class(CLASSES[picture.label]), "?"
            if watched is not None:
                shares = watched.latest[place]
                named = shares.index(max(shares))
                mark = glyph("correct" if named == picture.label else "wrong")
                answer = f"{mark} {food_class(CLASSES[named])} {numbers.share(max(shares))}"
            thumb = None
            caption = f"{label}  \n{answer}".replace("/", " / ")  # it wraps at spaces only
            # a file beside the run names the picture: only the index is trusted
            if index is not None and picture.file in index.files:
                thumb = _thumbnail(str(index.root / picture.file), index.fingerprint)
            if thumb is None:
                st.caption(caption)
            else:
                alt = _("{label}. Its answer: {answer}").format(label=label, answer=answer)
                st.image(thumb, caption=caption, alt=alt, width=PICTURE_PX)


@st.cache_data(max_entries=64, show_spinner=False)
def _thumbnail(file: str, fingerprint: str) -> bytes | None:
    """A square JPEG, as large as it is shown; None where the picture cannot be read."""
    del fingerprint  # only the key of the cache
    try:
        photo = read_photo_file(file)
    except PhotoError:
        return None
    buffer = BytesIO()
    ImageOps.fit(photo, (PICTURE_PX, PICTURE_PX)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def seen(job: Job, watched: Watched | None) -> list[str]:
    """What the picture shows, in words with its numbers; at the end, whether it beats chance."""
    lines = []
    if watched is not None and watched.loss:
        right = sum(
            shares.index(max(shares)) == picture.label
            for shares, picture in zip(watched.latest, watched.pictures, strict=True)
        )
        lines.append(
            _("After {done} of {steps} steps its loss is {last}; it was {first} at the start. It "
              "is right on {right} of the {n} pictures.").format(
                done=numbers.count(watched.done), steps=numbers.count(watched.steps),
                first=f"{watched.loss[0]:.3g}", last=f"{watched.loss[-1]:.3g}",
                right=right, n=len(watched.pictures),
            )
        )  # fmt: skip
    entries = job.run.metrics()
    if job.state == "done" and entries:
        accuracy, n = entries[-1]["val_accuracy"], entries[-1]["val_n"]
        low, high = wilson(round(accuracy * n), n)
        verdict = (
            _("**Better than a blind guess** ({chance}): right on {accuracy} after the last epoch "
              "(95 % interval {low} to {high}).")
            if low > CHANCE
            else _("Not clearly better than a blind guess ({chance}): right on {accuracy} after "
                   "the last epoch (95 % interval {low} to {high}). Train longer.")
        )  # fmt: skip
        lines.append(
            verdict.format(
                chance=numbers.share(CHANCE), accuracy=numbers.percent(accuracy, n),
                low=numbers.share(low), high=numbers.share(high),
            )
        )  # fmt: skip
    return lines


def guess_first(with_dreams: bool, jobs: Sequence[Job]) -> None:
    """One tap before starting, and a verdict on it by the visitor's newest finished run."""
    expected = guess.ask(
        _(
            "Guess: on how many of 100 new {pictures} will your student be right after training? "
            "(A blind guess: 9.)"
        ).format(pictures=_("generated pictures") if with_dreams else _("photographs")),
        {"low": _("fewer than 30"), "middle": _("30 to 60"), "high": _("more than 60")},
        key="guess_right",
        can_show=False,
    )
    done = [job for job in jobs if job.mine and job.state == "done" and job.run.metrics()]
    if expected.value is None or not (expected.is_open and done):
        return
    accuracy = done[0].run.metrics()[-1]["val_accuracy"]
    low, high = GUESSES[expected.value]
    words = _("It is right on {n} of 100 after its last epoch.").format(n=round(100 * accuracy))
    guess.verdict(expected, low <= accuracy < high, words)


def state(job: Job) -> None:
    """How far a run is, or how it ended and what to do."""
    entries = job.run.metrics()
    if job.state == "queued":
        ahead = job.place - 1
        st.progress(
            len(entries) / job.config.epochs,
            ngettext(
                "Waiting: {n} run comes first.", "Waiting: {n} runs come first.", ahead
            ).format(n=ahead)
            if ahead
            else _("Waiting: it is next."),
        )
    elif job.state == "running":
        st.progress(*progress_of(job, entries))
    elif job.state == "done":
        accuracy = max((entry["val_accuracy"] for entry in entries), default=0.0)
        n = entries[-1]["val_n"] if entries else 0
        words = (
            _(
                ":material/check_circle: Done: right on {accuracy} of {n} new generated pictures "
                "(not photographs)."
            )
            if job.config.data == DREAMS
            else _(
                ":material/check_circle: Done: right on {accuracy} of {n} validation photographs."
            )
        )
        st.markdown(words.format(accuracy=numbers.percent(accuracy, n), n=numbers.count(n)))
        if job.reason == "unpublished":
            st.caption(_("It could not become a checkpoint: {why}").format(why=job.message))
    else:
        explain_end(job, len(entries))


def progress_of(job: Job, entries: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """Share of the whole run that is done, and words for it."""
    of, done = job.config.epochs, len(entries)
    if done >= of:
        words = _("Epoch {epoch} of {of}. Testing it and making it a checkpoint ...")
        return 1.0, words.format(epoch=of, of=of)
    now = read_progress(job.run.path, done)
    if now is None and not entries:
        lines = job.lines()
        words = _("Starting ({s} s): reading photographs ...").format(s=round(job.ran_s or 0))
        return 0.0, f"{words} {lines[-1][:80]}" if lines else words
    head = _("Epoch {epoch} of {of}").format(epoch=done + 1, of=of)
    if now is not None:
        doing = (
            _("testing it")
            if now.phase == "validation"
            else _("{share} of its pictures").format(share=f"{now.share:.0%}")
        )
        head = labelled(head, doing)
    parts = [head]
    rate = now.images_per_s if now and now.done else entries[-1]["images_per_s"] if entries else 0
    if rate:
        parts.append(_("{rate} images/s").format(rate=numbers.count(round(rate))))
    left = seconds_left(of, done, now, float(entries[-1]["seconds"]) if entries else 0.0)
    if left is not None:
        parts.append(_("about {left} left").format(left=duration(left)))
    return min(1.0, (done + (now.learned if now else 0.0)) / of), " · ".join(parts)


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return _("{n} s").format(n=f"{seconds:.{1 if seconds < 10 else 0}f}")
    if seconds < 5400:
        return _("{n} min").format(n=f"{seconds / 60:.0f}")
    return _("{n} h").format(n=f"{seconds / 3600:.1f}")


def explain_end(job: Job, epochs: int) -> None:
    """Why a run is not finished, what is kept of it, and what to do."""
    ends: dict[str, tuple[Callable[[str], object], str]] = {
        "stopped": (
            st.markdown,
            _(":material/pause_circle: Paused. {kept} Resume continues from there."),
        ),
        "time": (
            st.info,
            _("Stopped after {time}, the longest time for one run: others are waiting. {kept} "
              "Resume continues from there."),
        ),
        "interrupted": (
            st.warning,
            _("Interrupted: its process has ended, perhaps because the machine was restarted. "
              "{kept} Resume continues from there."),
        ),
        "killed": (
            st.error,
            _("The system ended it (signal {message}; 9 usually means too little memory). {kept} "
              "Resume continues from there. Smaller pictures or a smaller batch need less memory."),
        ),
        "loss": (st.error, _("{message} {kept}")),
        "said": (st.error, _("{message} {kept}")),
        "disk": (
            st.error,
            _("The disk is full. {kept} Free some space, then resume."),
        ),
        "data": (st.error, _("The photographs have been moved. {message} {kept}")),
    }  # fmt: skip
    key = job.reason if job.state == "failed" or job.reason == "time" else job.state
    draw, words = ends.get(key, (st.error, _("It stopped: {message}. {kept}")))
    kept = ngettext("{n} epoch is kept.", "{n} epochs are kept.", epochs).format(n=epochs)
    time = duration(60 * int(job.message)) if job.reason == "time" else ""
    draw(words.format(kept=kept, message=job.message, time=time))
    if job.state in ("killed", "failed") and (lines := job.lines()):
        with st.expander(_("Its last lines")):
            st.code("\n".join(lines), language=None)


def _buttons(queue: JobQueue, job: Job, who: str) -> None:
    """Pause, or resume and delete; a refusal is shown above the picture."""
    if not job.mine:
        return

    def act(on_job: Callable[[str, str], object]) -> None:
        try:
            on_job(job.id, who)
        except UserError as error:
            st.session_state["refused"] = str(error)

    if job.is_active:
        st.button(
            _("Pause"), icon=":material/pause:", key=f"stop-{job.id}", on_click=act,
            args=(queue.stop,), help=_("Complete epochs are kept; Resume continues from there."),
        )  # fmt: skip
        return
    if job.state != "done":
        st.button(
            _("Resume"), icon=":material/play_arrow:", key=f"resume-{job.id}", on_click=act,
            args=(queue.resume,),
        )  # fmt: skip
    with st.popover(_("Delete"), icon=":material/delete:"):
        st.markdown(_("This deletes the run, its curves and its checkpoint permanently."))
        st.button(
            _("Delete this run"), key=f"delete-{job.id}", type="primary", on_click=act,
            args=(queue.delete,),
        )  # fmt: skip


def network_name(job: Job) -> str:
    """The network of a run, in a word or two; of an own design, what it is called."""
    return short_network(job.config.model, get(job.config.model).slug)


def short_title(job: Job, among: Sequence[Job] = ()) -> str:
    """A run's name, short enough for the end of a curve; told apart from others of that name."""
    kinds = {
        "distilled": _("distilled"),
        "imagenet": _("from ImageNet"),
        "finetuned": _("fine-tuned"),
    }
    kind = kinds.get(recipe_of(job.config), _("from scratch"))
    name = f"{network_name(job)} {kind}, s{job.config.seed}"
    alike = [other for other in among if other.id != job.id and short_title(other) == name]
    return f"{name} #{job.id[-4:]}" if alike else name


def marked_title(job: Job, among: Sequence[Job] = ()) -> str:
    """`short_title` after the mark of the run's role."""
    return f"{glyph(role(job.config))} {short_title(job, among)}"


def role(config: TrainConfig) -> RoleKey:
    """What colour and mark a run has."""
    return trained_role(get(config.model).family, recipe_of(config))


def runs(queue: JobQueue, who: str) -> None:
    """Every run's state and buttons; they move while anything runs or waits."""
    if lost := queue.unreadable(who):
        st.warning(
            _("Not shown, their settings cannot be read: {runs}.").format(runs=_(", ").join(lost)),
            icon=":material/rule:",
        )
    jobs = listed(queue, who)
    if not jobs:
        st.caption(_("There are no runs yet. Yours will be listed here."))
        return
    moves = any(job.is_active for job in jobs)
    st.fragment(_cards, run_every=2 * POLL_S if moves else None)(queue, who)


def _cards(queue: JobQueue, who: str) -> None:
    """One look at all runs (a fragment)."""
    frame.speak()
    jobs, chosen = listed(queue, who), url_state.texts("runs_shown")
    redraw_if_changed(jobs)
    for place, job in enumerate(jobs):
        if job.is_active or job.id in chosen or place < MOST_CARDS:
            with st.container(border=True):
                left, right = st.columns([3, 1], vertical_alignment="center")
                with left:
                    st.markdown(headline(job, jobs))
                    state(job)
                with right, st.container(horizontal=True, horizontal_alignment="right"):
                    if job.state == "done" or job != current(jobs):  # else in the picture
                        _buttons(queue, job, who)


def curves(queue: JobQueue, who: str) -> None:
    """Chosen runs over each other, epoch by epoch; they move while anything runs."""
    jobs = listed(queue, who)
    if not jobs:
        st.caption(_("There are no runs yet."))
    else:
        ids = _choose(jobs)
        moves = any(job.is_active for job in jobs)
        st.fragment(_watch_curves, run_every=4 * POLL_S if moves else None)(queue, who, ids)
    st.markdown(
        _(
            "**Two traps.** *Do not compare losses of different recipes*: a teacher, T and alpha "
            "change the sum. Compare accuracies on the validation split. *The best epoch is also "
            "the luckiest*: look at the last quarter of the curve, train several seeds, and "
            "measure once, at the end, on the test split."
        )
    )


def _choose(jobs: Sequence[Job]) -> list[str]:
    """Ids of the runs whose curves lie over each other."""
    by_id = {job.id: job for job in jobs}
    return several_of(
        st.multiselect,
        _("Runs to compare"),
        {id: marked_title(job, jobs) for id, job in by_id.items()},
        "runs_shown",
        default=list(by_id)[:1],
        most=MOST_SHOWN,
        max_selections=MOST_SHOWN,
        placeholder=_("Choose runs"),
    )


def add_shown(ids: Sequence[str]) -> None:
    """Let the curves of these runs lie over those that are shown already."""
    before = url_state.texts("runs_shown") or st.session_state.get("runs_shown", ())
    if ids:
        url_state.say("runs_shown", *list(dict.fromkeys([*ids, *before]))[:MOST_SHOWN])


def _watch_curves(queue: JobQueue, who: str, chosen: list[str]) -> None:
    """One look at the curves (a fragment)."""
    frame.speak()
    jobs = listed(queue, who)
    redraw_if_changed(jobs)
    picked = [job for job in jobs if job.id in chosen and job.run.metrics()]
    if not picked:
        return
    drawn = [curve(job, picked) for job in picked]
    epochs = max(job.config.epochs for job in picked)
    panels = {panel.key: panel for panel in charts.panels()}
    for place, key in zip(st.columns(2), ("accuracy", "losses"), strict=True):
        with place:
            _curves_picture(drawn, panels.pop(key), epochs)
    more = {key: panel.title for key, panel in panels.items()}
    if also := one_of(st.pills, _("Also show"), more, "also", None):
        _curves_picture(drawn, panels[also], epochs)
    st.markdown("\n".join(f"- {line}" for line in compared(picked)))
    st.caption(
        _(
            "The **hard** loss falls when the student learns the labels, the **soft** loss when it "
            "learns its teacher's answers. **Agreement**: how often both name the same food. If "
            "training accuracy rises and validation accuracy does not, the student overfits."
        )
    )
    data_button(metrics_frame(drawn), KEY)


def curve(job: Job, among: Sequence[Job]) -> charts.Curve:
    """A run as the charts draw it; what all their networks share is left out of the names."""
    title = short_title(job, among)
    shared = {network_name(other) for other in among}
    if len(shared) == 1:
        title = title.removeprefix(shared.pop()).strip()
    config = job.config
    return charts.Curve(title, role(config), job.run.metrics(), config.alpha, bool(config.teacher))


def _curves_picture(curves: Sequence[charts.Curve], panel: charts.Panel, epochs: int) -> None:
    rows = charts.curve_rows(curves, panel)
    st.markdown(f"**{panel.title}**")
    if not rows:
        st.caption(_("None of these runs has a teacher to agree with."))
        return
    values = _(", ").join(f"{row['series']} {row['value']:.3g}" for row in charts.curve_ends(rows))
    show(
        charts.curves_chart(rows, panel, epochs),
        _("{what} by epoch; after the last one: {values}.").format(what=panel.title, values=values),
        key=f"chart-{panel.key}",
    )


def compared(jobs: Sequence[Job]) -> list[str]:
    """A sentence a run: its best epoch, and the mean of the last ones beside it."""
    lines = []
    for job in jobs:
        entries = job.run.metrics()
        if not entries:
            continue
        best = max(entries, key=lambda entry: entry["val_accuracy"])
        words = (
            _("{run}: best after epoch {epoch}, right on {val} of new generated pictures (n = {n}, "
              "not photographs) and {train} of those it learned from")
            if job.config.data == DREAMS
            else _("{run}: best after epoch {epoch}, right on {val} of the validation photographs "
                   "(n = {n}) and {train} of the training photographs")
        )  # fmt: skip
        line = words.format(
            run=short_title(job, jobs), epoch=best["epoch"],
            val=numbers.percent(best["val_accuracy"], best["val_n"]),
            n=numbers.count(best["val_n"]), train=numbers.percent(best["train_accuracy"]),
        )  # fmt: skip
        if best.get("agreement") is not None:
            line += _("; agrees with the teacher on {share}").format(
                share=numbers.percent(best["agreement"])
            )
        if len(entries) > 1:
            last = entries[-max(2, len(entries) // 4) :]
            mean = sum(entry["val_accuracy"] for entry in last) / len(last)
            line += _("; mean of the last {m} epochs: {mean}").format(
                m=len(last), mean=numbers.percent(mean)
            )
        lines.append(line + ".")
    return lines


def results(done: Sequence[Job], index: Index | None) -> None:
    """The end of one finished run: what it takes for what, its surest mistakes, its files."""
    if not done:
        st.caption(_("No training has finished yet."))
        return
    job = done[0]
    if len(done) > 1:
        titles = {other.id: marked_title(other, done) for other in done}
        id = one_of(st.selectbox, _("Run"), titles, "finished", job.id)
        job = next(other for other in done if other.id == id)
    published = networks.own().get(job.id)
    if published is not None:
        st.markdown(accuracy_line(published))
    report = _report(job)
    if report is not None:
        _confusion(report, job.config.data == DREAMS)
        _mistakes(report, index)
    _downloads(job, published, report)
    if published is not None:
        own = st.session_state.setdefault("own_checkpoints", [])
        if job.id not in own:
            own.append(job.id)
        _use(published)
        provenance([published])


def _report(job: Job) -> dict[str, Any] | None:
    try:
        report = read_json(job.run.path / REPORT)
    except (OSError, ValueError):
        return None
    whole = isinstance(report, dict) and {"split", "confusion", "mistakes"} <= report.keys()
    return report if whole else None


def _confusion(report: dict[str, Any], dreamed: bool) -> None:
    counts = report["confusion"]
    right = sum(counts[i][i] for i in range(len(counts)))
    total = sum(map(sum, counts))
    pairs = [(counts[i][j], i, j) for i in range(len(counts)) for j in range(len(counts)) if i != j]
    most, label, answer = max(pairs)
    split = {"testing": _("test"), "validation": _("validation")}[report["split"]]
    words = (
        _("**Confusion matrix** on {n} new generated pictures:")
        if dreamed
        else _("**Confusion matrix** on {n} {split} photographs:")
    )
    st.markdown(words.format(n=numbers.count(total), split=split))
    worst = []
    if most:
        mistake = _("Most frequent mistake: {label} taken for {answer}, {n} times.")
        taken, given = food_class(CLASSES[label]), food_class(CLASSES[answer])
        worst.append(mistake.format(label=taken, answer=given, n=most))
    alt = _("Confusion matrix: {right} of {n} right.").format(right=right, n=total)
    show(confusion_chart(counts), paragraph([alt, *worst]), key="confusion")
    data_button(confusion_frame(counts), "confusion")
    st.caption(paragraph([_("Rows: true classes. Diagonal: right answers."), *worst]))
    if report["unreadable"]:
        names = _(", ").join(name for name, _why in report["unreadable"][:3])
        st.caption(
            _("{n} pictures could not be read: {names}").format(
                n=len(report["unreadable"]), names=names
            )
        )


def _mistakes(report: dict[str, Any], index: Index | None) -> None:
    """The photos themselves, only from the local copy, never kept."""
    if not report["mistakes"]:
        return
    st.markdown(_("**Wrong answers of which it is most sure**"))
    if index is None or index.fingerprint != report["data"]["fingerprint"]:
        st.caption(
            _("To see the photos, use the data it was tested on: {data}.").format(
                data=_(report["data"]["name"])
            )
        )
        return
    with st.container(horizontal=True):
        for mistake in report["mistakes"][:6]:
            if mistake["file"] not in index.files:  # the report names a file: trust the index
                continue
            label, answer = (food_class(CLASSES[mistake[key]]) for key in ("label", "answer"))
            words = _("{label}, taken for {answer}, {sure} sure").format(
                label=label, answer=answer, sure=numbers.share(mistake["confidence"])
            )
            try:
                photo = read_photo_file(index.root / mistake["file"])
            except PhotoError as error:
                st.caption(str(error))
                continue
            photo.thumbnail((THUMB_PX, THUMB_PX))
            st.image(photo, caption=words, alt=_("Photo: {what}").format(what=words), width=150)


def _downloads(job: Job, published: Checkpoint | None, report: dict[str, Any] | None) -> None:
    def download(label: str, data: str | bytes, ending: str, mime: str) -> None:
        st.download_button(
            label, data, file_name=job.id + ending, mime=f"application/{mime}",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip

    with st.container(horizontal=True):
        settings = job.config.model_dump_json(indent=1, exclude={"data"})
        download(_("Settings"), settings, "-config.json", "json")
        lines = "".join(json.dumps(entry) + "\n" for entry in job.run.metrics())
        download(_("Metrics"), lines, "-metrics.jsonl", "jsonl")
        if published is None:
            return
        try:
            _entry, files = checkpoints.read_files(job.id, checkpoints.WEIGHTS)
        except UserError as error:
            st.error(str(error), icon=":material/error:")
            return
        download(_("Weights"), files[checkpoints.WEIGHTS], ".safetensors", "octet-stream")
        download(_("Model card"), model_card(published, report), ".md", "markdown")


def _use(published: Checkpoint) -> None:
    """Links to the pages where the new checkpoint can be used."""
    own = networks.own()
    shipped = networks.starters([e for e in networks.checkpoints() if e.id not in own])[:2]
    with st.container(horizontal=True):
        frame.page_link(
            frame.entry("compare"),
            _("Open it in Compare"),
            [("networks", id) for id in [published.id, *shipped]],
        )
        frame.page_link(
            frame.entry("pruning"),
            _("Open it in Pruning"),
            [("network", published.id)],
        )
    st.caption(
        _("Its name, for the command line: {id}").format(id=f"`{published.id}`"),
        help=_("Example: python -m core evaluate NAME"),
    )


def why() -> None:
    """The loss, its symbols, the other curves, and the function that computes it."""
    st.latex(
        r"L = \alpha\, T^2\, \mathrm{KL}\bigl(p^{\text{teacher}}_T \,\|\, "
        r"p^{\text{student}}_T\bigr) + (1 - \alpha)\, \mathrm{CE}(y, p^{\text{student}}_1)"
    )
    source(
        _(
            "The **soft** loss compares the student with the teacher, both at temperature $T$; the "
            "**hard** loss compares it with the label $y$. $\\alpha$ weighs them. The gradients of "
            "the soft loss shrink as $1/T^2$; the factor $T^2$ makes up for that. Mixup mixes two "
            "pictures, and the hard loss mixes their labels; the teacher sees the mixed picture. "
            "Every step of every run calls this function:"
        ),
        source_of("core.training.loss", "loss_fn_kd"),
    )


def homework() -> None:
    """Where the homework's training questions are answered here."""
    st.markdown(
        _(
            "- **HW13 Q2.1**, write `loss_fn_kd`: see “Why”. The course uses alpha = 0.5 and "
            "T = 1; the report 0.3 and 2 with mixup; HW7's reference 0.5 and 20.\n"
            "- **HW7 Q2**, does a student learn more with a teacher? Start the same student twice, "
            "with the teacher and with “No teacher”, on the same seeds, and compare the curves.\n"
            "- **HW13 Q1**, at most 100,000 parameters: choose such a student, or design one on "
            "the page Architecture and train it here.\n"
            "- The course uses Adam at 3e-4 in batches of 64: set both numbers under “Recipe”."
        )
    )


if __name__ == "__main__":
    main()
