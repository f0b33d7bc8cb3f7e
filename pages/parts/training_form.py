"""The training page's controls: from a preset or by hand to the runs that will be asked for."""

from typing import Any

import streamlit as st
from pydantic import ValidationError

from core.charts.theme import role_title
from core.data.dreams import DREAMS
from core.errors import UserError
from core.models.described import fits
from core.models.design_line import EXAMPLE
from core.models.registry import MODELS, PREFIX, get
from core.recipes import PRESETS
from core.training.config import TrainConfig
from core.training.jobs import JobQueue
from core.words import _
from pages.parts import shelf, training_link
from pages.parts.linked import one_of

OWN = "design"


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
    st.session_state[training_link.DREAMED] = data == DREAMS
    training_link.hold()
    titles = {name: preset_title(name) for name in PRESETS}
    preset = one_of(
        st.segmented_control, _("How much"), titles, "preset", default="minute",
        on_change=_apply, help=_("Sets the controls below; change any of them afterwards."),
    )  # fmt: skip
    if "epochs" not in st.session_state:
        training_link.take_up(preset)
    left, right = st.columns(2)
    with left:
        model = _model()
    with right:
        teacher = _teacher(queue, who)
    settings = _lesson(bool(teacher)) | _amount(model)
    training_link.write(preset)
    try:
        if not model:
            return []
        return [
            TrainConfig(
                model=model, teacher=teacher, seed=seed, data=data,
                **(_unseen(preset, model, settings) | settings),
            )
            for seed in st.session_state["seeds"]
        ]  # fmt: skip
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        st.error(said[:1].upper() + said[1:] + ".", icon=":material/error:")
        return []


def _unseen(preset: str, model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What the preset sets without a control, kept possible under what the controls say."""
    said = training_link.settings_of(preset)
    fixed = {name: value for name, value in said.items() if name not in settings}
    start_px = fixed.get("start_px", 0)
    if start_px and (start_px >= settings["px"] or not fits(model, start_px)):
        del fixed["start_px"]
    warmup = fixed.get("warmup_epochs", 2.0)
    return fixed | {"warmup_epochs": min(warmup, settings["epochs"] / 2)}


def _apply() -> None:
    training_link.fill(st.session_state.get("preset") or "minute")


def _model() -> str:
    """The key of the network; empty, and said, for a design that cannot be."""
    titles = {key: _(spec.title) for key, spec in MODELS.items()}
    titles[OWN] = _("Your own design, in one line")
    linked = st.query_params.get("model", "")
    if linked.startswith(PREFIX):  # a fresh link: whatever these widgets held on the last page
        st.session_state["design"] = linked.removeprefix(PREFIX)
        st.session_state["model"] = st.query_params["model"] = OWN
    chosen = one_of(st.selectbox, _("Student"), titles, "model", default="dwpw_256k")
    if chosen != OWN:
        return chosen
    line = st.text_input(
        _("The design"),
        key="design",
        bind="query-params",
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
    found = {one.id: shelf.name_of(one) for one in shelf.checkpoints()}
    own = shelf.own()
    mine = [job.id for job in queue.jobs(who) if job.mine and job.id in own.keys() - found.keys()]
    found |= {id: f"{shelf.name_of(own[id])} · {id}" for id in mine}
    titles = {"none": _("No teacher: labels alone"), **found}
    default = next((id for id in found if id.startswith("efficientnet")), "none")
    chosen = one_of(st.selectbox, role_title("teacher"), titles, "teacher", default=default)
    return "" if chosen == "none" else chosen


def _lesson(has_teacher: bool) -> dict[str, Any]:
    left, middle, right = st.columns(3)
    with left:
        alpha = st.slider(
            _("Alpha, the teacher's weight"), 0.0, 1.0, step=0.05, key="alpha",
            disabled=not has_teacher, help=_("Weight of the teacher's soft answers in the loss."),
        )  # fmt: skip
    with middle:
        temperature = st.slider(
            _("Temperature T"), 1.0, 20.0, step=0.5, key="T", disabled=not has_teacher,
        )  # fmt: skip
    with right:
        mixup = st.slider(
            _("Mixup"), 0.0, 1.0, step=0.1, key="mixup",
            help=_("Blends pairs of photographs and their labels; 0 blends none."),
        )  # fmt: skip
    lesson = {"alpha": alpha, "temperature": temperature} if has_teacher else {}
    return lesson | {"mixup": float(mixup)}


def _amount(model: str) -> dict[str, Any]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        epochs = st.number_input(
            _("Epochs"), 1, training_link.MOST_EPOCHS, step=1, key="epochs", width=130
        )  # fmt: skip
        px = st.selectbox(
            _("Picture side"),
            sorted({*training_link.SIDES, st.session_state["px"]}),
            key="px",
            width=130,
            format_func=lambda side: f"{side} px",
        )
        share = st.number_input(
            _("Photographs, %"), 5, 100, step=5, key="share", width=160,
            help=_("Share of the training photographs, the same of every class."),
        )  # fmt: skip
        st.pills(
            _("Seeds, a run each"), training_link.SEEDS, selection_mode="multi", key="seeds",
        )  # fmt: skip
        with st.popover(_("More settings"), icon=":material/tune:"):
            more = _more(model)
    return {"epochs": int(epochs), "px": int(px), "share": share / 100, **more}


def _more(model: str) -> dict[str, Any]:
    batch = st.selectbox(_("Photographs a step"), training_link.BATCHES, key="batch_size")
    rate = st.number_input(
        _("Highest learning rate"), 1e-5, 0.1, step=1e-4, format="%.5f", key="lr"
    )
    policies = {
        "none": _("none"),
        "light": _("light"),
        "standard": _("standard"),
        "strong": _("strong"),
    }
    augment = st.selectbox(
        _("Augmentation"), training_link.AUGMENT, format_func=policies.__getitem__, key="augment"
    )
    more: dict[str, Any] = {"batch_size": batch, "lr": rate, "augment": augment}
    if model and get(model).pretrainable:
        more["pretrained"] = st.toggle(_("Start from ImageNet weights"), key="pretrained")
    return more
