"""The example of the distillation pages: two networks, a picture, and their logits for it."""

import base64
import io
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL.Image import Image, fromarray

from core.charts.theme import role_of
from core.checkpoints import GRAPH, TEST_LOGITS, Checkpoint, test_logits
from core.checkpoints.by_recipe import is_trial
from core.course import CLASSES
from core.data import Index
from core.data.dreams import MARK, SHOW_PX, TRAIN_PX, DreamSet, tiles
from core.distillation.temperature import Kind, examples
from core.errors import CheckpointError, PhotoError
from core.i18n import _, food_class
from core.inference.predict import predictor
from core.photos import prepare, read_photo_file
from pages.kit import networks, photos, url_state
from pages.kit.url_state import next_of, one_of, toggle

PICTURE_PX, TEXT_PX = 160, 230
"""Of the picture, shown small, and of the text beside it: a phone has room for both."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class Example(NamedTuple):
    """Logits of one picture by each network, and what else is known of it."""

    logits: list[NDArray[np.float32]]
    """(11,) each."""
    label: int | None = None
    """The true class, 0..10; of a generated picture, the class it was made as. None if unknown."""
    picture: str | None = None
    """A small image file as a data URL, which Streamlit passes on as it is; None where only the
    stored answers to it are here."""
    is_generated: bool = False


class Bank(NamedTuple):
    """A network's stored answers to the test split: logits (n, 11), true classes (n,)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]


def more_choices() -> Any:
    """The place for choices that are seldom changed: a popover."""
    return st.popover(_("More choices"), icon=":material/tune:", width="stretch")


def choose_pair(listed: list[Checkpoint], more: Any) -> list[Checkpoint]:
    """Two menus: a teacher, and a student to stand beside it; one network where there is one.

    `more`: the place for the switch that offers more networks.
    """
    if len(listed) < 2:
        return listed
    with more:
        offered = offer(listed)
    teacher = choose_teacher(offered)
    students = [checkpoint for checkpoint in offered if checkpoint.id != teacher.id]
    students.sort(key=lambda checkpoint: role_of(checkpoint) != "distilled")
    return [teacher, networks.choose_one(_("Student"), students, "student")]


def choose_teacher(offered: list[Checkpoint]) -> Checkpoint:
    """The menu of teachers; of all networks where there is none."""
    return networks.choose_one(_("Teacher"), networks.teachers(offered) or offered, "teacher")


def offer(listed: list[Checkpoint]) -> list[Checkpoint]:
    """The networks for both menus: seed 0 of each training; the others by a switch, or a link."""

    def is_usual(checkpoint: Checkpoint) -> bool:
        return (
            checkpoint.seed == 0
            and checkpoint.derived_from is None
            and not is_trial(checkpoint.recipe)
        )

    usual = [checkpoint for checkpoint in listed if is_usual(checkpoint)] or listed
    if len(usual) == len(listed):
        return listed
    named = {id for key in ("teacher", "student") for id in url_state.texts(key)}
    is_named = any(checkpoint.id in named and not is_usual(checkpoint) for checkpoint in listed)
    return listed if toggle(_("More networks"), "more_networks", default=is_named) else usual


def short_names(pair: list[Checkpoint]) -> list[str]:
    """A word for each of the pair, to head its panel."""
    return [_("Teacher") if network.family == "teacher" else _("Student") for network in pair]


def kind_titles() -> dict[Kind, str]:
    """Every kind of stored answers, in words that end the sentence "A picture where"."""
    return {
        "hesitates": _("the teacher is unsure"),
        "sure": _("the teacher is sure"),
        "disagree": _("only the teacher is right"),
        "both_wrong": _("both are wrong"),
    }


def in_a_sentence(network: Checkpoint) -> str:
    """How a sentence calls this network."""
    return _("the teacher") if network.family == "teacher" else _("the student")


@st.cache_data(max_entries=32, show_spinner=False)
def _bank(id: str, sha256: str) -> Bank:
    del sha256  # only part of the cache's key: a checkpoint published anew is read anew
    return Bank(*test_logits(id))


def bank(checkpoint: Checkpoint) -> Bank | None:
    """The stored test answers of a checkpoint; None where it has none, or a damaged one (said)."""
    stored = checkpoint.files.get(TEST_LOGITS)
    if stored is None:
        return None
    try:
        return _bank(checkpoint.id, stored.sha256)
    except CheckpointError as error:
        st.error(str(error), icon=":material/error:")
        return None


def choose(
    pair: list[Checkpoint], kinds: Mapping[Kind, str], more: Any, own_photo: bool = True
) -> Example | None:
    """Menus for the example; None, and said why, while there is none.

    To begin with it is one that can be seen: a test photograph where the photographs of the stored
    answers are on this machine, else a generated picture where there are some. `kinds`: which kinds
    of stored answers to offer, and what to call them; `more`: the place for the menu of the
    picture's source; `own_photo`: whether the visitor's own will do, whose class nobody knows.
    """
    has_photographs = _index_of(pair) is not None
    sources = {
        "bank": _("a test photograph") if has_photographs else _("stored test answers"),
        "dream": _("a generated picture"),
        "photo": _("your photo"),
    }
    dreams = photos.dreams_here()
    generated = (dreams.of(SHOW_PX) or dreams.of(TRAIN_PX)) if dreams else None
    if generated is None:
        del sources["dream"]
    if not own_photo:
        del sources["photo"]
    # a link from before there were generated pictures names a kind or a number of stored answers
    is_stored = any(url_state.texts(key) for key in ("kind", *(f"number_{kind}" for kind in KINDS)))
    default = "bank" if has_photographs or is_stored or "dream" not in sources else "dream"
    source = default
    if len(sources) > 1:
        source = one_of(more.selectbox, _("Picture"), sources, "answers_to", default=default)
    if source == "photo":
        return _own_photo(pair)
    if source == "dream" and generated is not None:
        return _generated(pair, generated)
    return _stored(pair, kinds)


def _own_photo(pair: list[Checkpoint]) -> Example | None:
    seen = photos.look(photos.pick(many=False), pair)
    if not seen or len(seen[0].answers) < len(pair):
        return None
    photo = seen[0].photo
    logits = [answer.logits for answer in seen[0].answers]
    return Example(logits, photo.label, _file(seen[0].thumb), photo.dreamed)


def _generated(pair: list[Checkpoint], chosen: DreamSet) -> Example:
    """A picture made from a teacher's weights, chosen by class and a button for the next one."""
    # first the class of which the teacher is least sure: there is most to see
    sheets = sorted(chosen.sheets, key=lambda sheet: sheet.teacher_sure[0])
    by_food = {CLASSES[sheet.label]: sheet for sheet in sheets}
    titles = {food: food_class(food) for food in by_food}
    food = one_of(st.selectbox, _("Made as"), titles, "dream_of", default=next(iter(titles)))
    turn = next_of(st, _("Next picture"), "dream")
    sheet = by_food[food]
    versions = tuple(
        (network.id, network.weights_sha256, network.files[GRAPH].sha256) for network in pair
    )  # what the answers depend on
    number = turn % len(sheet.teacher_answers)
    return _answered(versions, sheet.sha256, number, chosen, sheet.label)


@st.cache_data(max_entries=256, show_spinner=False)
def _answered(
    versions: tuple[tuple[str, str, str], ...],
    sheet_sha256: str,
    number: int,
    _chosen: DreamSet,
    _label: int,
) -> Example:
    """A generated picture and each network's answer to it; all visitors share them.

    Raises DataError and CheckpointError for files that are not what they should be.
    """
    del sheet_sha256  # the key of the cache
    tile = tiles(_chosen, _label)[number]  # (3, px, px)
    picture = fromarray(np.ascontiguousarray(tile.transpose(1, 2, 0)))
    answers = []
    for id, *_files in versions:
        network = predictor(id)
        px, crop = network.checkpoint.input_px, network.checkpoint.crop
        answers.append(network.logits(prepare(picture, px, crop)[None])[0])
    return Example(answers, _label, _file(picture), is_generated=True)


def _stored(pair: list[Checkpoint], kinds: Mapping[Kind, str]) -> Example | None:
    """A picture of the test split by kind and number; None, and said why, where there is none."""
    banks = [bank(network) for network in pair]
    stored = [answers for answers in banks if answers is not None]
    if len(stored) < len(pair):
        st.info(_("The test answers of these networks are missing. Use a photo instead."))
        return None
    if any(not np.array_equal(answers.labels, stored[0].labels) for answers in stored):
        st.info(_("These two were not measured on the same pictures. Choose two others."))
        return None
    rows_of = examples(stored[0].logits, stored[-1].logits, stored[0].labels)
    rows_of = {kind: rows for kind, rows in rows_of.items() if kind in kinds}
    if not rows_of:
        st.info(_("There is no test picture with a known class."))
        return None
    titles = {kind: kinds[kind] for kind in rows_of}
    kind = one_of(st.selectbox, _("Picture where"), titles, "kind", default=next(iter(titles)))
    rows = rows_of[kind]
    number = next_of(st, _("Next picture"), f"number_{kind}", 1, len(rows))
    row = int(rows[number - 1])
    label = int(stored[0].labels[row])
    return Example(
        [answers.logits[row] for answers in stored], label, _photograph(pair, row, label)
    )


def _index_of(pair: list[Checkpoint]) -> Index | None:
    """The photographs whose stored answers these are, if they are on this machine."""
    index = photos.local_index()
    return (
        index
        if index and index.fingerprint in {network.data.fingerprint for network in pair}
        else None
    )


def _photograph(pair: list[Checkpoint], row: int, label: int) -> str | None:
    """The photograph that a row of the stored answers is about, if it is on this machine."""
    index = _index_of(pair)
    if index is None:
        return None
    rows = index.of("testing")
    if row >= len(rows) or index.labels[rows[row]] != label:
        return None
    return _small(str(index.root / index.files[rows[row]]), index.fingerprint)


@st.cache_data(max_entries=256, show_spinner=False)
def _small(file: str, fingerprint: str) -> str | None:
    """A photograph as `Example.picture`; None where it cannot be read."""
    del fingerprint  # only part of the key
    try:
        return _file(read_photo_file(file))
    except PhotoError:
        return None


def _file(image: Image) -> str:
    small, file = image.copy(), io.BytesIO()
    small.thumbnail((PICTURE_PX, PICTURE_PX))
    small.save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def show_picture(chosen: Example) -> None:
    """The picture that the answers are about, and what is known of it."""
    food = food_class(CLASSES[chosen.label]) if chosen.label is not None else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if chosen.picture is not None:
            st.image(chosen.picture, width=56, alt=_("The picture that the answers are about"))
        if chosen.is_generated:
            words = _("A {mark}, made as **{food}**.")
            st.markdown(words.format(mark=MARK(), food=food), width=TEXT_PX)
        elif food:
            st.markdown(_("The label says **{food}**.").format(food=food), width=TEXT_PX)
