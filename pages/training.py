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
from streamlit.errors import StreamlitAPIException

from core import checkpoints
from core.charts import numbers
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
from core.i18n import _, food_class, ngettext
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
from core.training.runs import Progress, read_progress, seconds_left
from core.training.watch import Picture, Watched, fixed_pictures, read_watch
from pages.kit import frame, guess, networks, url_state
from pages.kit.figure import data_button, show
from pages.kit.guess import Guess
from pages.kit.provenance import accuracy_line, provenance
from pages.kit.url_state import choice, choices, number_of, one_of, several_of, toggle
from pages.kit.visitor import remember, visitor

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
    st.markdown(
        _("Choose a student and a teacher, press **Start** and watch it learn.")
        + " "
        + learns_from(index)
    )
    workshop(index)
    frame.foot(KEY)
    remember()


@frame.section
def workshop(index: Index | None) -> None:
    """The recipe's controls, the run that goes on, and the tabs."""
    who, queue = visitor(), shared_queue()
    if st.context.url:  # a browser's visit: not the server's own, when it starts
        queue.prepare()
    is_dreamed = index is not None and index.is_dreamed
    with frame.instrument() as (controls, picture):
        with controls:
            configs = wanted(queue, who, DREAMS if is_dreamed else "")
            start(configs, queue, who, index)
        jobs = listed(queue, who)
        seen = st.session_state["states_seen"] = states(jobs)
        moves = any(job.is_active for job in jobs)
        poll_s = FIRST_POLL_S if "starting" in seen.values() else POLL_S
        with picture:
            epochs = configs[0].epochs if configs else 1
            st.fragment(watch, run_every=poll_s if moves else None)(queue, who, index, epochs)
            guess_first(is_dreamed, jobs)
    done = [job for job in jobs if job.state == "done"]
    frame.tabs(
        [
            frame.Tab("runs", _("Runs"), partial(runs, queue, who)),
            frame.Tab("curves", _("Curves"), partial(curves, queue, who)),
            frame.Tab("result", _("The finished run"), partial(results, done, index)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("trap", _("Trap"), partial(trap, jobs[:MOST_SHOWN])),
            frame.Tab("homework", _("Homework"), homework),
        ]
    )


# ------------------------------------------------------------------------------------------------
# What there is to learn from.


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
    if index is None:
        try:
            find_food11()
        except UserError as error:
            st.info(
                _("Training needs photographs, and there are none on this machine. {why}").format(
                    why=error
                ),
                icon=":material/photo_library:",
            )
        st.code("python -m core data fetch\nexport FOOD11_ROOT=/path/to/food11", language="bash")
        return ""
    n = numbers.count(int(index.class_counts("training").sum()))
    if not index.is_dreamed:
        return _("It learns from {n} photographs: {data}.").format(data=index.name, n=n)
    if named := os.environ.get("FOOD11_ROOT"):
        try:
            find_food11()
        except DataError as error:
            st.warning(
                _("The photographs in {folder} are not used. {why}").format(
                    folder=named, why=error
                ),
                icon=":material/rule_folder:",
            )
    return _(
        "No photographs are here: it learns from {n} pictures of {px} px and is tested on others. "
        "Each is a **{mark}**: scores say little about real food."
    ).format(mark=MARK(), n=n, px=TRAIN_PX)


# ------------------------------------------------------------------------------------------------
# The controls: from a preset or by hand to the runs that will be asked for.


def preset_title(name: str) -> str:
    """What a preset promises."""
    return {
        "minute": _("A minute on a laptop"),
        "hour": _("An hour on two cores"),
        "full": _("The full recipe, on a GPU"),
    }[name]


def wanted(queue: JobQueue, who: str, data: str = "") -> list[TrainConfig]:
    """Draw the controls; the runs they describe, one a seed. Empty, and said, if they cannot be.

    `data` is what they learn from, as a `TrainConfig` says it.
    """
    titles = {name: preset_title(name) for name in PRESETS}
    preset = one_of(
        st.selectbox, _("How much"), titles, "preset", default="minute",
        on_change=_apply, help=_("Sets the recipe; change any of it afterwards."),
    )  # fmt: skip
    promised = preset_settings(preset, data == DREAMS)
    model, teacher = _model(), _teacher(queue, who)
    usual = defaults(promised)
    with st.popover(_("Recipe"), icon=":material/tune:", width="stretch"):
        settings = _lesson(bool(teacher), usual) | _amount(model, usual)
    seeds = settings.pop("seeds")
    try:
        if not model:
            return []
        return [
            TrainConfig(
                model=model, teacher=teacher, seed=seed, data=data,
                **(_unseen(promised, model, settings) | settings),
            )
            for seed in seeds
        ]  # fmt: skip
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        st.error(message[:1].upper() + message[1:] + ".", icon=":material/error:")
        return []


def defaults(promised: dict[str, Any]) -> dict[str, Any]:
    """What the controls of OF_PRESET show before anything is touched, for a preset's settings."""
    plain = TrainConfig()
    shown = {name: promised.get(name, getattr(plain, name)) for name in OF_PRESET}
    return shown | {"share": round(100 * shown["share"])}


def _unseen(promised: dict[str, Any], model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What the preset sets without a control, kept possible under what the controls say."""
    fixed = {name: value for name, value in promised.items() if name not in settings}
    start_px = fixed.get("start_px", 0)
    if start_px and (start_px >= settings["px"] or not fits(model, start_px)):
        del fixed["start_px"]
    warmup = fixed.get("warmup_epochs", 2.0)
    return fixed | {"warmup_epochs": min(warmup, settings["epochs"] / 2)}


def _apply() -> None:
    """Another preset was chosen: the settings that it sets follow it."""
    for name in OF_PRESET:
        url_state.say(name)


def _model() -> str:
    """The key of the network; empty, and said, for a design that cannot be."""
    titles = {key: _(spec.title) for key, spec in MODELS.items()}
    titles[OWN] = _("Your own design, in one line")
    for linked in url_state.texts("model")[:1]:
        if linked.startswith(PREFIX):  # the page Architecture links so
            url_state.say("design", linked.removeprefix(PREFIX))
            url_state.say("model", OWN)
    chosen = one_of(st.selectbox, _("Student"), titles, "model", default="dwpw_256k")
    if chosen != OWN:
        return chosen
    line = url_state.draw(
        st.text_input,
        _("The design"),
        key="design",
        spelling=url_state.line(url_state.LONGEST),
        default="",
        placeholder=EXAMPLE,
        help=_("The page Architecture writes this line while you draw."),
    )
    if not line:
        st.caption(_("Paste the line that the page Architecture shows below your drawing."))
        return ""
    try:
        return get(PREFIX + line).key
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        return ""


def _teacher(queue: JobQueue, who: str) -> str:
    """The id of the checkpoint that teaches; empty for none."""
    found = {one.id: networks.name_of(one) for one in networks.checkpoints()}
    own = networks.own()
    mine = [job.id for job in queue.jobs(who) if job.mine and job.id in own.keys() - found.keys()]
    found |= {id: f"{networks.name_of(own[id])} · {id}" for id in mine}
    titles = {"none": _("No teacher: labels alone"), **found}
    default = next((id for id in found if id.startswith("efficientnet_lite0")), "none")
    chosen = one_of(st.selectbox, role_title("teacher"), titles, "teacher", default=default)
    return "" if chosen == "none" else chosen


def _lesson(has_teacher: bool, usual: dict[str, Any]) -> dict[str, Any]:
    left, right = st.columns(2)
    alpha = number_of(
        left.slider, _("Alpha, the teacher's weight"), 0.0, 1.0, LESSON["alpha"], 0.05, "alpha",
        clamp=False, disabled=not has_teacher,
        help=_("Weight of the teacher's soft answers in the loss."),
    )  # fmt: skip
    temperature = number_of(
        right.slider, _("Temperature T"), 1.0, 20.0, float(LESSON["temperature"]), 0.5, "T",
        clamp=False, disabled=not has_teacher,
    )  # fmt: skip
    mixup = number_of(
        left.slider, _("Mixup"), 0.0, 1.0, float(usual["mixup"]), 0.1, "mixup",
        clamp=False, help=_("Blends pairs of photographs and their labels; 0 blends none."),
    )  # fmt: skip
    lesson = {"alpha": alpha, "temperature": temperature} if has_teacher else {}
    return lesson | {"mixup": mixup}


def _amount(model: str, usual: dict[str, Any]) -> dict[str, Any]:
    left, right = st.columns(2)
    with left:
        epochs = number_of(
            st.number_input, _("Epochs"), 1, MOST_EPOCHS, usual["epochs"], 1, "epochs",
            clamp=False,
        )  # fmt: skip
        linked = url_state.current("px", choice(ANY_SIDE), usual["px"])
        px = one_of(
            st.selectbox,
            _("Picture side"),
            {side: f"{side} px" for side in sorted({*SIDES, linked})},
            "px",
            usual["px"],
        )
        share = number_of(
            st.number_input, _("Photographs, %"), 5, 100, usual["share"], 5, "share",
            clamp=False,
            help=_("Share of the training photographs, the same of every class."),
        )  # fmt: skip
    with right:
        seeds = url_state.draw(
            st.pills, _("Seeds, a run each"), SEEDS, selection_mode="multi", key="seeds",
            spelling=_IN_ONE, default=[0],
        )  # fmt: skip
        more = _more(model, usual)
    return {"epochs": epochs, "px": px, "share": share / 100, "seeds": seeds, **more}


def _read_in_one(said: list[str]) -> list[int] | None:
    words = said[0].split(".") if said else []
    found = choices(SEEDS, len(SEEDS)).read(words)
    return sorted(found) if found is not None and len(found) == len(words) else None


_IN_ONE: url_state.Spelling[list[int]] = url_state.Spelling(
    _read_in_one, lambda chosen: [".".join(map(str, sorted(chosen)))]
)
"""Several seeds in one text: "0.2"."""


def _more(model: str, usual: dict[str, Any]) -> dict[str, Any]:
    policies = {
        "none": _("none"),
        "light": _("light"),
        "standard": _("standard"),
        "strong": _("strong"),
    }
    label = _("Photographs a step")
    more: dict[str, Any] = {
        "batch_size": one_of(st.selectbox, label, BATCHES, "batch_size", usual["batch_size"]),
        "lr": number_of(
            st.number_input, _("Highest learning rate"), 1e-5, 0.1, usual["lr"], 1e-4, "lr",
            clamp=False, format="%.5f",
        ),
        "augment": one_of(st.selectbox, _("Augmentation"), policies, "augment", usual["augment"]),
    }  # fmt: skip
    if model and get(model).pretrainable:
        more["pretrained"] = toggle(_("Start from ImageNet weights"), "pretrained")
    return more


def start(configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index | None) -> None:
    """The button that asks for the runs, and what became of it."""
    if not configs:
        return
    runs = len(configs)
    label = ngettext("Start {n} run", "Start {n} runs", runs).format(n=runs)
    st.button(
        label, icon=":material/play_arrow:", type="primary", key="start", disabled=index is None,
        on_click=_ask, args=(list(configs), queue, who, index), width="stretch",
        help=_("It runs in a process of its own and goes on when you close the tab."),
    )  # fmt: skip
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


def _ask(configs: Sequence[TrainConfig], queue: JobQueue, who: str, index: Index) -> None:
    there = {job.id for job in queue.jobs(who)}
    asked = []
    try:
        for config in configs:
            asked.append(queue.ask(config, who, index.fingerprint).id)
    except UserError as error:
        st.session_state["start_refused"] = str(error)
    st.session_state["start_joined"] = len(there & set(asked))
    add_shown(asked)


# ------------------------------------------------------------------------------------------------
# The picture: a guess, then the run that goes on: its progress, its loss step by step, and what it
# answers to six pictures that it never learns from.


def watch(queue: JobQueue, who: str, index: Index | None, epochs: int) -> None:
    """One look at the run in the picture (a fragment that runs again while anything moves);
    without one, the axes for the `epochs` that are chosen."""
    frame.speak()
    jobs = listed(queue, who)
    redraw_if_changed(jobs)
    if refused := st.session_state.pop("refused", ""):
        st.warning(refused, icon=":material/front_hand:")
    job = current(jobs)
    if job is None:
        pictures = fixed_pictures(index) if index is not None else []
        words = _("No loss yet: no training runs.")
        show(charts.loss_chart([], epochs, "distilled"), words, key="loss")
        answers(pictures, None, index)
        st.markdown(
            _("These six pictures are not among those it learns from. Before it has learned "
              "anything, 1 answer in 11 is right by chance.")
        )  # fmt: skip
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{marked_title(job, jobs)}** · {_owner(job)}")
        if job.is_active:
            _buttons(queue, job, who)
    state(job)
    watched = read_watch(job.run.path)
    loss_picture(job, watched)
    if watched is not None:
        answers(watched.pictures, watched, index)
    elif index is not None:
        answers(fixed_pictures(index), None, index)
    st.markdown("  \n".join(seen(job, watched)))


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
    mine = sorted((job for job in jobs if job.mine), key=lambda job: -job.asked)
    others = [job for job in jobs if not job.mine]
    done = sorted((job for job in others if job.state == "done"), key=lambda job: -job.asked)
    return mine + [job for job in others if job.is_active] + done[:MOST_OF_OTHERS]


def current(jobs: Sequence[Job]) -> Job | None:
    """The run in the picture: the visitor's own that goes on, else the first of `listed`."""
    return next((job for job in jobs if job.is_active and job.mine), jobs[0] if jobs else None)


def _owner(job: Job) -> str:
    return " · ".join([_settings(job)] if job.mine else [_settings(job), _("somebody else's")])


def loss_picture(job: Job, watched: Watched | None) -> None:
    """The loss, step by step; epoch by epoch for a run that told no steps."""
    if watched is not None and watched.loss:
        per_point = watched.stride / watched.steps_per_epoch
        points = [((place + 1) * per_point, loss) for place, loss in enumerate(watched.loss)]
    else:
        points = [(float(entry["epoch"]), float(entry["loss"])) for entry in job.run.metrics()]
    words = (
        _("Loss by epoch: {first} at the start, {last} now, after {epochs} epochs.").format(
            first=f"{points[0][1]:.3g}", last=f"{points[-1][1]:.3g}", epochs=f"{points[-1][0]:.3g}"
        )
        if points
        else _("No loss yet: the first step has not been made.")
    )
    show(charts.loss_chart(points, job.config.epochs, role(job.config)), words, key="loss")


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
    """What the picture shows, in words with its numbers."""
    lines = []
    if watched is not None and watched.loss:
        named = sum(
            shares.index(max(shares)) == picture.label
            for shares, picture in zip(watched.latest, watched.pictures, strict=True)
        )
        lines.append(
            _("After {done} of {steps} steps its loss is {last}; it was {first} at the start. It "
              "names {right} of the {n} pictures right.").format(
                done=numbers.count(watched.done), steps=numbers.count(watched.steps),
                first=f"{watched.loss[0]:.3g}", last=f"{watched.loss[-1]:.3g}",
                right=named, n=len(watched.pictures),
            )
        )  # fmt: skip
    entries = job.run.metrics()
    if job.state == "done" and entries:
        lines.append(against_chance(entries))
    return lines


def against_chance(entries: Sequence[dict[str, Any]]) -> str:
    """Whether a run is better than a blind guess after its last epoch."""
    last = entries[-1]
    n = last["val_n"]
    low, high = wilson(round(last["val_accuracy"] * n), n)
    words = (
        _("**Clearly better than a blind guess** ({chance}): {accuracy} right after the last "
          "epoch, {low} to {high} with 95 % confidence.")
        if low > CHANCE
        else _("Not clearly better than a blind guess ({chance}): {accuracy} right after the last "
               "epoch, {low} to {high} with 95 % confidence. Train longer.")
    )  # fmt: skip
    return words.format(
        chance=numbers.share(CHANCE),
        accuracy=numbers.percent(last["val_accuracy"], n),
        low=numbers.share(low),
        high=numbers.share(high),
    )


def guess_first(is_dreamed: bool, jobs: Sequence[Job]) -> None:
    """One tap before starting, and a verdict on it by the newest run that has finished."""
    question = (
        _(
            "Guess: of 100 generated pictures that it has never seen, how many will your student "
            "name right at its end? (A blind guess: 9.)"
        )
        if is_dreamed
        else _(
            "Guess: of 100 photographs that it has never seen, how many will your student name "
            "right at its end? (A blind guess: 9.)"
        )
    )
    expected = url_state.guess(
        question,
        {"low": _("fewer than 30"), "middle": _("30 to 60"), "high": _("more than 60")},
        key="guess_right",
    )
    done = [job for job in jobs if job.state == "done" and job.run.metrics()]
    if expected is None or not done:
        return
    accuracy = done[0].run.metrics()[-1]["val_accuracy"]
    low, high = GUESSES[expected]
    words = _("It got {n} of 100 right after its last epoch.").format(n=round(100 * accuracy))
    guess.verdict(Guess(expected, True), low <= accuracy < high, words)


def state(job: Job) -> None:
    """How far a run is, or how it ended and what to do."""
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
        words = (
            _(
                ":material/check_circle: Done: {accuracy} of {n} generated pictures right that it "
                "had not seen; not photographs."
            )
            if job.config.data == DREAMS
            else _(":material/check_circle: Done: {accuracy} of {n} validation photographs right.")
        )
        st.markdown(words.format(accuracy=numbers.percent(accuracy, n), n=numbers.count(n)))
        if job.reason == "unpublished":
            st.caption(_("It could not become a checkpoint: {why}").format(why=job.message))
    else:
        explain_end(job, len(entries))


def _running(job: Job, entries: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """Share of the whole run that is done, and words for it."""
    of, done = job.config.epochs, len(entries)
    if done >= of:
        words = _("Epoch {epoch} of {of}. Testing it and making it a checkpoint ...")
        return 1.0, words.format(epoch=of, of=of)
    now = read_progress(job.run.path, done)
    if now is None and not entries:
        lines = job.lines()
        words = _("Starting ({s} s): reading photographs, asking the teacher ...").format(
            s=round(job.ran_s or 0)
        )
        return 0.0, f"{words} {lines[-1][:80]}" if lines else words
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
    if now.phase == "validation":
        return _("testing it")
    return _("{share} of its pictures").format(share=f"{now.share:.0%}")


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
            _(":material/pause_circle: Paused. {kept} Resume goes on there.").format(kept=kept)
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
            _("Pause"), icon=":material/pause:", key=f"stop-{job.id}",
            on_click=_do, args=(queue.stop, job.id, who),
            help=_("Every whole epoch is kept; Resume goes on there."),
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


def _do(act: Callable[[str, str], object], id: str, who: str) -> None:
    """What a button does; a refusal is shown above the list."""
    try:
        act(id, who)
    except UserError as error:
        st.session_state["refused"] = str(error)


def short_title(job: Job, among: Sequence[Job] = ()) -> str:
    """A run's name, short enough for the end of a curve; told apart from others of that name."""
    config = job.config
    kind = {
        "distilled": _("distilled"),
        "imagenet": _("from ImageNet"),
        "finetuned": _("fine-tuned"),
    }.get(recipe_of(config), _("from scratch"))
    name = f"{get(config.model).slug} {kind}, s{config.seed}"
    alike = [one for one in among if one.id != job.id and short_title(one) == name]
    return f"{name} #{job.id[-4:]}" if alike else name


def marked_title(job: Job, among: Sequence[Job] = ()) -> str:
    """`short_title` after the mark of the run's role."""
    return f"{glyph(role(job.config))} {short_title(job, among)}"


def role(config: TrainConfig) -> RoleKey:
    """What colour and mark a run has."""
    return trained_role(get(config.model).family, recipe_of(config))


# ------------------------------------------------------------------------------------------------
# Tab "Runs": every run's state and buttons.


def runs(queue: JobQueue, who: str) -> None:
    """The queue; it moves by itself while anything runs or waits."""
    if lost := queue.unreadable(who):
        st.warning(
            _("Left out, since this version cannot read their settings: {runs}.").format(
                runs=", ".join(lost)
            ),
            icon=":material/rule:",
        )
    jobs = listed(queue, who)
    if not jobs:
        st.caption(_("No training has been started on this machine yet. Yours will stand here."))
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
                    st.markdown(f"**{marked_title(job, jobs)}** · {_owner(job)}")
                    state(job)
                with right, st.container(horizontal=True, horizontal_alignment="right"):
                    if not (job.is_active and job == current(jobs)):  # then in the picture
                        _buttons(queue, job, who)


# ------------------------------------------------------------------------------------------------
# Tab "Curves": chosen runs over each other, epoch by epoch.


def curves(queue: JobQueue, who: str) -> None:
    """Choose runs and see their curves; they move while anything runs."""
    jobs = listed(queue, who)
    if not jobs:
        st.caption(_("No training has been started on this machine yet."))
        return
    ids = [job.id for job in _choose(jobs)]
    moves = any(job.is_active for job in jobs)
    st.fragment(_watch_curves, run_every=4 * POLL_S if moves else None)(queue, who, ids)


def _choose(jobs: Sequence[Job]) -> list[Job]:
    """Which runs' curves lie over each other."""
    by_id = {job.id: job for job in jobs}
    new = [id for id in by_id if id not in st.session_state.get("runs_met", ())]
    st.session_state["runs_met"] = list(by_id)
    linked = url_state.texts("runs_shown")
    first_look = len(new) == len(by_id)  # what a link chooses then is not added to
    if fresh := [] if linked and first_look else [id for id in new if by_id[id].mine]:
        add_shown(fresh)
    chosen = several_of(
        st.multiselect,
        _("Runs over each other"),
        {id: marked_title(job, jobs) for id, job in by_id.items()},
        "runs_shown",
        default=list(by_id)[:1],
        most=MOST_SHOWN,
        max_selections=MOST_SHOWN,
        placeholder=_("Choose runs"),
    )
    return [by_id[id] for id in chosen]


def add_shown(ids: Sequence[str]) -> None:
    """Let the curves of these runs lie over those that are shown already."""
    before = url_state.texts("runs_shown") or st.session_state.get("runs_shown", ())
    url_state.say("runs_shown", *list(dict.fromkeys([*ids, *before]))[:MOST_SHOWN])


def _watch_curves(queue: JobQueue, who: str, chosen: list[str]) -> None:
    """One look at the curves (a fragment)."""
    frame.speak()
    jobs = listed(queue, who)
    redraw_if_changed(jobs)
    picked = [job for job in jobs if job.id in chosen and job.run.metrics()]
    if picked:
        _pictures(picked)
        st.markdown("\n".join(f"- {line}" for line in compared(picked)))
        st.caption(
            _(
                "The **hard** loss falls when the student learns the labels, the **soft** one when "
                "it learns to answer like its teacher; **agreement** says how often both name the "
                "same food. Where training accuracy climbs on while validation stands still, the "
                "student has begun to learn its pictures by heart."
            )
        )
        data_button(metrics_frame([curve(job, picked) for job in picked]), KEY)


def _pictures(picked: Sequence[Job]) -> None:
    drawn = [curve(job, picked) for job in picked]
    epochs = max(job.config.epochs for job in picked)
    panels = {panel.key: panel for panel in charts.panels()}
    left, right = st.columns(2)
    with left:
        _picture(drawn, panels["accuracy"], epochs)
    with right:
        _picture(drawn, panels["losses"], epochs)
    more = {key: panel.title for key, panel in panels.items() if key not in ("accuracy", "losses")}
    chosen = one_of(st.pills, _("Also show"), more, "also", None)
    if chosen:
        _picture(drawn, panels[chosen], epochs)


def curve(job: Job, among: Sequence[Job]) -> charts.Curve:
    """A run as the charts draw it; what all their networks share is left out of the names."""
    title = short_title(job, among)
    slugs = {get(one.config.model).slug for one in among}
    if len(slugs) == 1:
        title = title.removeprefix(slugs.pop()).strip()
    return charts.Curve(
        title,
        role(job.config),
        job.run.metrics(),
        job.config.alpha,
        bool(job.config.teacher),
    )


def _picture(curves: Sequence[charts.Curve], panel: charts.Panel, epochs: int) -> None:
    rows = charts.curve_rows(curves, panel)
    st.markdown(f"**{panel.title}**")
    if not rows:
        st.caption(_("None of these runs has a teacher to agree with."))
        return
    values = ", ".join(f"{row['series']} {row['value']:.3g}" for row in charts.curve_ends(rows))
    show(
        charts.curves_chart(rows, panel, epochs),
        _("{what} by epoch; after the last one: {values}.").format(what=panel.title, values=values),
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
        words = (
            _(
                "{run}: best after epoch {epoch}, {val} of the generated pictures right that it "
                "had not seen (n = {n}, none a photograph), {train} of those it learned from"
            )
            if job.config.data == DREAMS
            else _(
                "{run}: best after epoch {epoch}, {val} of the validation photographs right "
                "(n = {n}), {train} of the training ones"
            )
        )
        line = words.format(
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


# ------------------------------------------------------------------------------------------------
# Tab "The finished run": what it takes for what, its surest mistakes, its files, where to use it.


def results(done: Sequence[Job], index: Index | None) -> None:
    """The end of one finished run."""
    if not done:
        st.caption(_("No training has finished yet."))
        return
    titles = {job.id: marked_title(job, done) for job in done}
    chosen = done[0].id
    if len(done) > 1:
        chosen = one_of(st.selectbox, _("Which one"), titles, "finished", chosen)
    result(next(job for job in done if job.id == chosen), index)


def result(job: Job, index: Index | None) -> None:
    """Draw the end of one finished run."""
    published = checkpoint_of(job)
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


def checkpoint_of(job: Job) -> Checkpoint | None:
    """The checkpoint a finished run became, if it could be published."""
    return networks.own().get(job.id)


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
    words = (
        _("**What it takes for what**, on {n} generated pictures it never learned from:")
        if dreamed
        else _("**What it takes for what**, on {n} {split} photographs it never learned from:")
    )
    st.markdown(words.format(n=numbers.count(total), split=split))
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
    own = networks.own()
    shipped = networks.starters([one for one in networks.checkpoints() if one.id not in own])[:2]
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
    entry = frame.entry(page)
    try:
        st.page_link(entry.file, label=label, icon=entry.icon, query_params=query, width="content")
    except (StreamlitAPIException, KeyError):  # a page alone, without app.py around it
        st.caption(label)


# ------------------------------------------------------------------------------------------------
# Tabs "Why", "Trap" and "Homework".


def why() -> None:
    """The loss, its symbols, the other curves, and the function that computes it."""
    st.latex(
        r"L = \alpha\, T^2\, \mathrm{KL}\bigl(p^{\text{teacher}}_T \,\|\, "
        r"p^{\text{student}}_T\bigr) + (1 - \alpha)\, \mathrm{CE}(y, p^{\text{student}}_1)"
    )
    st.markdown(
        _(
            "The **soft** loss asks the student to answer like the teacher, both softened by the "
            "temperature $T$; the **hard** one asks for the label $y$. $\\alpha$ weighs them. "
            "$T^2$ keeps the soft term's gradients, which shrink as $1/T^2$, on the scale of the "
            "hard ones. With mixup the picture is a blend of two, and the hard loss is blended "
            "likewise; the teacher has looked at the blend itself. This is the function that every "
            "step of every run here calls:"
        )
    )
    st.code(source_of("core.training.loss", "loss_fn_kd"), language="python")


def trap(jobs: Sequence[Job]) -> None:
    """Comparing losses of different recipes; the best epoch flatters."""
    st.markdown(
        _(
            "**Two traps when reading these curves.** *Losses of different recipes cannot be "
            "compared*: with a teacher the total is another sum, and T and alpha stretch it. "
            "Compare accuracies on the validation split. *The best epoch flatters*: whoever picks "
            "the best of many epochs picks luck, too."
        )
    )
    for job in jobs:
        entries = job.run.metrics()
        if len(entries) < 2:
            continue
        best = max(entry["val_accuracy"] for entry in entries)
        tail = entries[-max(2, len(entries) // 4) :]
        mean = sum(entry["val_accuracy"] for entry in tail) / len(tail)
        st.markdown(
            _(
                "- Here, really: the best of {n} epochs has {best}; the last {m} epochs have "
                "{mean} on average."
            ).format(n=len(entries), best=numbers.percent(best), m=len(tail),
                     mean=numbers.percent(mean))
        )  # fmt: skip
    st.markdown(
        _(
            "How to notice: look at the last quarter of the curve instead of its highest point, "
            "train several seeds (choose more than one above), and measure once, at the end, on "
            "the test split, which chose nothing."
        )
    )


def homework() -> None:
    """Where the homework's training questions are answered here."""
    st.markdown(
        _(
            "- **HW13 Q2.1**, write `loss_fn_kd`: under “Why” above, as it runs. The course's "
            "values are alpha = 0.5 and T = 1; the report's are 0.3 and 2 with mixup; HW7's "
            "reference is T = 20, alpha = 0.5.\n"
            "- **HW7 Q2**, does a student learn more from a teacher? Start the same student twice, "
            "with the teacher and with “No teacher”, on the same seeds: the curves lie over each "
            "other.\n"
            "- **HW13 Q1**, at most 100,000 parameters: choose a student that keeps to it, or "
            "draw one on the page Architecture and train it here.\n"
            "- The course trains with Adam at 3e-4 in batches of 64: both stand under “More "
            "settings”."
        )
    )


if __name__ == "__main__":
    main()
