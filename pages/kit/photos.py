"""The photo picker: uploads, the camera once it is switched on, an example from Food-11 here, or a
picture that the teacher dreamed.

A photo is read when it is needed and let go again: a session keeps a thumbnail and the answers.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image as Pictures
from PIL.Image import Image, Resampling

from core.charts import numbers
from core.charts.answers import answer_chart
from core.charts.theme import RoleKey
from core.checkpoints import GRAPH, WEIGHTS, Checkpoint
from core.course import CLASSES
from core.data import Index, find_food11, food11_available
from core.data.dreams import (
    MARK,
    SHOW_PX,
    TRAIN_PX,
    Dreams,
    DreamSet,
    dreams_available,
    load_dreams,
    tiles,
)
from core.errors import CheckpointError, DataError, PhotoError
from core.i18n import _, food_class
from core.inference.compare import Answer, photo_name
from core.inference.predict import Predictor, predict_photo, predictor
from core.photos import ENDINGS, MAX_BYTES, read_photo, read_photo_file, warm
from pages.kit.figure import data_button, show
from pages.kit.server import kept_minutes
from pages.kit.url_state import next_of, one_of

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


# ------------------------------------------------------------------------------------------------
# Dreams on the screen: one to try where there is no photo, and the words that go with each.
#
# Whoever shows a dream says that it is one: its very name does.


def sentence(text: str) -> str:
    """Words as a sentence of their own: a large first letter (where there is one), a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


class Picked(NamedTuple):
    """A dream that was chosen to look at."""

    key: str
    name: str
    """Says that it is a dream."""
    picture: Image
    label: int
    """The class it was meant to be."""


def dreams_here() -> Dreams | None:
    """The shipped dreams; None where there are none, or where they are damaged (said)."""
    try:
        return load_dreams()
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return None


def pick_dream() -> Picked | None:
    """A menu of classes and a button for the next dream; the chosen one, if there is any."""
    dreams = dreams_here()
    chosen = (dreams.of(SHOW_PX) or dreams.of(TRAIN_PX)) if dreams else None
    if dreams is None or chosen is None:
        return None
    foods = {CLASSES[sheet.label]: food_class(CLASSES[sheet.label]) for sheet in chosen.sheets}
    food = one_of(st.selectbox, _("Class"), foods, "dream_of", default=next(iter(foods)))
    label = CLASSES.index(food)
    turn = next_of(st, _("Next picture"), "dream")
    found = thumbs(dreams, label, px=chosen.px)
    if not found:
        return None
    number = turn % len(found)
    sheet = next(one for one in chosen.sheets if one.label == label)
    name = _("{food}, {mark} ({number})").format(food=foods[food], mark=MARK(), number=number + 1)
    st.caption(recognised(dreams, chosen))
    return Picked(f"dream/{sheet.sha256}/{number}", name, found[number], label)


def thumbs(dreams: Dreams, label: int, most: int | None = None, px: int = SHOW_PX) -> list[Image]:
    """Dreams of one class as pictures, the first `most` of them; empty, and said, if damaged."""
    chosen = dreams.of(px) or dreams.of(TRAIN_PX)
    if chosen is None:
        return []
    try:
        found = tiles(chosen, label)[:most]
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return []
    return [Pictures.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0))) for one in found]


def recognised(dreams: Dreams, chosen: DreamSet) -> str:
    """How many dreams the teacher, and a network that never heard it, take for what was meant."""
    right, n = chosen.right("teacher")
    said = _("Of {n} generated pictures at {px} px the teacher recognises {right}").format(
        n=numbers.count(n), px=chosen.px, right=numbers.count(right)
    )
    also, asked = chosen.right("checker")
    if not asked or dreams.checker is None:
        return said + "."
    return said + _(
        "; `{checker}`, which learned from labels alone, {also} ({share}; a blind guess gets "
        "{blind})."
    ).format(
        checker=dreams.checker,
        also=numbers.count(also),
        share=numbers.share(also / asked),
        blind=numbers.share(1 / len(CLASSES)),
    )


def how_made(dreams: Dreams, chosen: DreamSet) -> str:
    """Who dreamed them, how, when."""
    return _("Dreamed by `{teacher}` in {steps} steps each on {date} (DeepInversion).").format(
        teacher=dreams.teacher, steps=chosen.settings.get("steps", "?"), date=dreams.date[:10]
    )


MAX_PHOTOS = 8


@dataclass(frozen=True)
class Photo:
    """A photo not read yet. `read` gives an RGB image or raises PhotoError."""

    key: str
    name: str
    read: Callable[[], Image]
    label: int | None = None
    """The true class, where the photo comes with one; of a dream, the class it was meant to be."""
    dreamed: bool = False
    """Not a photo at all: made up by the teacher. Its name says so, too."""

    @property
    def caption(self) -> str | None:
        """What must stand under the picture wherever it is shown."""
        return sentence(MARK()) if self.dreamed else None


def pick(many: bool = True) -> list[Photo]:
    """Let the visitor choose photos; maybe none yet.

    What was dropped counts. Until then an example stands in where there is a copy of Food-11, else
    a dream, and the camera can be switched on; nothing asks for the camera by itself.
    """
    warm()
    dropped = _from_upload(many)
    if dropped:
        return dropped
    sources = {
        "example": _("Example"),
        "dream": _("Generated"),
        "camera": _("Camera"),
    }
    if not food11_available():
        del sources["example"]
    if not (dreams_available(SHOW_PX) or dreams_available()):
        del sources["dream"]
    source = one_of(
        st.segmented_control,
        _("No photo at hand?"),
        sources,
        "photo_from",
        default=next((one for one in ("example", "dream") if one in sources), None),
    )
    if source == "camera":
        return _from_camera()
    if source == "dream":
        return _from_dreams()
    return _from_food11() if source == "example" else []


def _from_upload(many: bool) -> list[Photo]:
    label = _("Drop photos of food here") if many else _("Drop a photo of food here")
    files = st.file_uploader(
        label,
        type=list(ENDINGS),
        accept_multiple_files=many,
        max_upload_size=MAX_BYTES // 2**20,
        key="uploads" if many else "upload",
        help=_(
            "JPEG, PNG, WebP, HEIC or AVIF. Photos stay in memory, are never written to disk, and "
            "are forgotten about {minutes} minutes after you close the page."
        ).format(minutes=kept_minutes()),
    )
    chosen = files if isinstance(files, list) else [files] if files else []
    if len(chosen) > MAX_PHOTOS:
        st.warning(
            _("Only the first {most} photos are looked at; you chose {n}.").format(
                most=MAX_PHOTOS, n=len(chosen)
            ),
            icon=":material/filter_8:",
        )
    return [_uploaded(file, number) for number, file in enumerate(chosen[:MAX_PHOTOS], 1)]


def _uploaded(file: "UploadedFile", number: int) -> Photo:
    return Photo(file.file_id, photo_name(file.name, number), lambda: read_photo(file.getvalue()))


def _from_camera() -> list[Photo]:
    if not st.toggle(_("Switch the camera on"), key="camera_on"):
        return []
    taken = st.camera_input(_("Take a picture of food"), key="camera")
    return [_uploaded(taken, 1)] if taken else []


def _from_dreams() -> list[Photo]:
    picked = pick_dream()
    if picked is None:
        return []
    return [Photo(picked.key, picked.name, picked.picture.copy, picked.label, dreamed=True)]


@st.cache_resource(ttl=600, max_entries=2, show_spinner=False)
def _index(root: str | None) -> Index:
    """The local copy; kept by its FOOD11_ROOT, read-only for all sessions."""
    del root  # only the key of the cache: find_food11 reads the variable itself
    return find_food11()


def local_index() -> Index | None:
    """The photographs on this machine; None where there are none, or none that can be read."""
    try:
        return _index(os.environ.get("FOOD11_ROOT")) if food11_available() else None
    except DataError:
        return None


def _from_food11() -> list[Photo]:
    try:
        index = _index(os.environ.get("FOOD11_ROOT"))
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return []
    labelled = [split for split in ("testing", "validation") if index.class_counts(split).any()]
    if not labelled:
        st.info(_("This copy has no photo with a known class outside the training split."))
        return []
    rows = index.of(labelled[0])
    foods = {name: food_class(name) for name in CLASSES}
    food = one_of(st.selectbox, _("Class"), foods, "food", default=CLASSES[0])
    label = CLASSES.index(food)
    turn = next_of(st, _("Next photo"), "example")
    fitting = rows[np.flatnonzero(index.labels[rows] == label)]
    if not len(fitting):
        st.info(_("This copy has no photo of that class outside the training split."))
        return []
    place = index.files[fitting[turn % len(fitting)]]
    split = {"testing": _("test"), "validation": _("validation")}[labelled[0]]
    st.caption(_("From the {split} split of {data}.").format(split=split, data=index.name))
    read = partial(read_photo_file, index.root / place)
    name = _("{food}, example {number}").format(food=foods[food], number=turn % len(fitting) + 1)
    return [Photo(f"{index.fingerprint}/{place}", name, read, label)]


# ------------------------------------------------------------------------------------------------
# What the chosen networks say of the chosen photos. Of a visitor's photo it is kept for the session
# and no longer; of a picture that everybody has it is shared.


THUMB_PX = 480


class Seen(NamedTuple):
    """A photo that was read: a thumbnail and one prediction per chosen network."""

    photo: Photo
    thumb: Image
    answers: list[Answer]


class _Kept(NamedTuple):
    thumb: Image
    answers: dict[str, Answer]


def look(
    photos: Sequence[Photo],
    networks: Sequence[Checkpoint],
    keep: bool = True,
    opened: Mapping[str, Predictor] | None = None,
) -> list[Seen]:
    """Ask the networks about the photos; one that cannot be read is said, and the others go on.

    Answers are kept for the photos of the latest call, unless `keep` is false. `opened`: predictors
    of those networks that are no checkpoint of their own, by id.
    """
    kept: dict[str, _Kept] = st.session_state.setdefault("seen", {}) if keep else {}
    for key in [key for key in kept if key not in {photo.key for photo in photos}]:
        del kept[key]
    opened = opened or {}
    sound = _sound(networks, opened) if photos else []
    if not sound:
        return []
    seen = []
    for photo in photos:
        try:
            seen.append(_look_at(photo, sound, kept, opened))
        except PhotoError as error:
            st.error(
                _("{name}: {problem}").format(name=photo.name, problem=error),
                icon=":material/broken_image:",
            )
    return seen


def _sound(networks: Sequence[Checkpoint], opened: Mapping[str, Predictor]) -> list[Checkpoint]:
    """The networks whose files are what the manifest says; the others are named."""
    good = []
    for one in networks:
        try:
            if one.id not in opened:
                predictor(one.id)
        except CheckpointError as error:
            st.error(str(error), icon=":material/error:")
        else:
            good.append(one)
    return good


def _look_at(
    photo: Photo,
    networks: Sequence[Checkpoint],
    kept: dict[str, _Kept],
    opened: Mapping[str, Predictor],
) -> Seen:
    known = kept.get(photo.key)
    have = {
        one.id
        for one in networks
        if known and one.id in known.answers and known.answers[one.id].checkpoint == one
    }
    missing = {one.id: one for one in networks if one.id not in have}
    if known is None or missing:
        with st.spinner(_("Looking at {name} ...").format(name=photo.name)):
            if photo.label is None:
                found = _ask(photo, missing, opened)
            else:
                files = tuple(
                    (id, *(one.files[name].sha256 for name in (GRAPH, WEIGHTS)))
                    for id, one in missing.items()
                )
                found = _ask_once(photo.key, files, photo, missing, opened)
        known = kept.setdefault(photo.key, _Kept(found.thumb, {}))
        known.answers.update(
            {id: answer._replace(checkpoint=missing[id]) for id, answer in found.answers.items()}
        )
    return Seen(photo, known.thumb, [known.answers[one.id] for one in networks])


def _ask(
    photo: Photo, networks: Mapping[str, Checkpoint], opened: Mapping[str, Predictor]
) -> _Kept:
    image = photo.read()
    answers = predict_photo(image, list(networks), opened)
    return _Kept(
        thumbnail(image),
        {
            one.checkpoint: Answer(networks[one.checkpoint], one.logits, one.latency_ms)
            for one in answers
        },
    )


@st.cache_resource(ttl=600, max_entries=32, show_spinner=False)
def _ask_once(
    key: str,
    files: tuple[tuple[str, ...], ...],
    _photo: Photo,
    _networks: Mapping[str, Checkpoint],
    _opened: Mapping[str, Predictor],
) -> _Kept:
    """`_ask` about a picture of a data set, which is the same for all visitors."""
    del key, files  # the key of the cache
    return _ask(_photo, _networks, _opened)


def thumbnail(image: Image) -> Image:
    """A small copy for the screen, at most THUMB_PX a side."""
    small = image.copy()
    small.thumbnail((THUMB_PX, THUMB_PX), Resampling.BICUBIC)
    return small


# ------------------------------------------------------------------------------------------------
# What several versions of a network say of one photo: their bars, two beside each other.
#
# In more columns there is no room for the names of the classes and the figures beside the bars.


COLUMNS = 2


class Bars(NamedTuple):
    """One version's answer."""

    name: str
    role: RoleKey
    frame: pd.DataFrame
    """`core.inference.compare.bars_frame`"""
    key: str


def answer_bars(said: Sequence[Bars], name: str) -> None:
    """A chart for each, under its name; and all in one file, `name` part of its name."""
    for first in range(0, len(said), COLUMNS):
        for column, one in zip(st.columns(COLUMNS), said[first : first + COLUMNS], strict=False):
            top = one.frame.iloc[0]
            with column:
                st.markdown(f"**{one.name}**")
                show(
                    answer_chart(one.frame, one.role),
                    _("Class probabilities, {name}: most likely {food}, {p}.").format(
                        name=one.name, food=top.food, p=numbers.share(top.probability)
                    ),
                    key=one.key,
                )
    data_button(pd.concat([one.frame.assign(version=one.name) for one in said]), name)
