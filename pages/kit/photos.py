"""The photo picker: uploads, the camera once it is switched on, an example from Food-11 here, or a
generated picture (made from the teacher's weights), which says so by its name.

A photo is read when it is needed and let go again: a session keeps a thumbnail and the answers.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL.Image import Image, Resampling

from core.charts import numbers
from core.charts.answers import answer_chart
from core.charts.theme import RoleKey
from core.checkpoints import GRAPH, Checkpoint
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
from core.inference.explain import highlighted
from core.inference.predict import Predictor, predict_photo, predictor
from core.photos import ENDINGS, MAX_BYTES, prepare, read_photo, read_photo_file, warm
from pages.kit.figure import data_button, show
from pages.kit.server import kept_minutes
from pages.kit.url_state import next_of, one_of

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator
    from streamlit.runtime.uploaded_file_manager import UploadedFile


def dreams_here() -> Dreams | None:
    """The shipped generated pictures; None where there are none, or, said, damaged ones."""
    try:
        return load_dreams()
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return None


def thumbs(dreams: Dreams, label: int, most: int | None = None, px: int = SHOW_PX) -> list[Image]:
    """Generated pictures of one class, the first `most`; empty, and said, if damaged."""
    chosen = dreams.of(px) or dreams.of(TRAIN_PX)
    if chosen is None:
        return []
    try:
        pixels = tiles(chosen, label)[:most]
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return []
    return [Pictures.fromarray(np.ascontiguousarray(tile.transpose(1, 2, 0))) for tile in pixels]


def recognised(dreams: Dreams, chosen: DreamSet) -> str:
    """How many of them the teacher, and a network that never learned from it, recognise."""
    right, n = chosen.right("teacher")
    by_teacher = _("Of {n} generated pictures at {px} px the teacher recognises {right}").format(
        n=numbers.count(n), px=chosen.px, right=numbers.count(right)
    )
    right, n = chosen.right("checker")
    if not n or dreams.checker is None:
        return _("{sentence}.").format(sentence=by_teacher)
    return by_teacher + _(
        "; `{checker}`, which learned from labels alone, {right} ({share}; a blind guess gets "
        "{blind})."
    ).format(
        checker=dreams.checker,
        right=numbers.count(right),
        share=numbers.share(right / n),
        blind=numbers.share(1 / len(CLASSES)),
    )


def how_made(dreams: Dreams, chosen: DreamSet) -> str:
    """From which network's weights, how, when."""
    return _(
        "Made from the weights of `{teacher}` in {steps} steps each on {date} (DeepInversion)."
    ).format(teacher=dreams.teacher, steps=chosen.settings.get("steps", "?"), date=dreams.date[:10])


MAX_PHOTOS = 8


@dataclass(frozen=True)
class Photo:
    """A photo not read yet. `read` gives an RGB image or raises PhotoError."""

    key: str
    name: str
    read: Callable[[], Image]
    label: int | None = None
    """The true class, where the photo comes with one; the class a picture was generated for."""
    dreamed: bool = False
    """Not a photo: generated from the teacher's weights. Its name says so, too."""
    is_made: bool = False
    """Not a photo: drawn by code, the same for all visitors."""

    @property
    def caption(self) -> str | None:
        """What must stand under the picture wherever it is shown."""
        text = f"{MARK()[:1].upper()}{MARK()[1:]}"
        return _("{sentence}.").format(sentence=text) if self.dreamed else None


def pick(many: bool = True) -> list[Photo]:
    """Let the visitor choose photos; maybe none yet.

    What was dropped counts. Until then an example stands in where there is a copy of Food-11, else
    a generated picture, and the camera can be switched on; nothing asks for the camera by itself.
    """
    warm()
    if dropped := _from_upload(many):
        return dropped
    sources = {"example": _("Example"), "dream": _("Generated"), "camera": _("Camera")}
    if not food11_available():
        del sources["example"]
    if not (dreams_available(SHOW_PX) or dreams_available()):
        del sources["dream"]
    source = one_of(
        st.pills,
        _("Or take"),
        sources,
        "photo_from",
        default=next(iter(sources)) if len(sources) > 1 else None,
    )
    if source == "camera":
        return _from_camera()
    if source == "dream":
        return _from_dreams()
    return _from_food11() if source == "example" else []


def pick_another(place: "DeltaGenerator") -> Photo | None:
    """`pick` one in a box of its own, for a section that begins with a picture already.

    None where none is chosen, which stands in `place` then.
    """
    with st.popover(_("Another picture"), icon=":material/image:"):
        chosen = pick(many=False)
    if not chosen:
        place.info(_("Choose a picture."))
        return None
    return chosen[0]


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
            _("Only the first {most} photos are used; you chose {n}.").format(
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
    """A menu of classes and a button for the next generated picture."""
    dreams = dreams_here()
    chosen = (dreams.of(SHOW_PX) or dreams.of(TRAIN_PX)) if dreams else None
    if dreams is None or chosen is None:
        return []
    foods = {CLASSES[sheet.label]: food_class(CLASSES[sheet.label]) for sheet in chosen.sheets}
    food = one_of(st.selectbox, _("Class"), foods, "dream_of", default=next(iter(foods)))
    label = CLASSES.index(food)
    turn = next_of(st, _("Next picture"), "dream")
    pictures = thumbs(dreams, label, px=chosen.px)
    if not pictures:
        return []
    number = turn % len(pictures)
    sheet = next(sheet for sheet in chosen.sheets if sheet.label == label)
    name = _("{food}, {mark} ({number})").format(food=foods[food], mark=MARK(), number=number + 1)
    st.caption(recognised(dreams, chosen))
    key = f"dream/{sheet.sha256}/{number}"
    return [Photo(key, name, pictures[number].copy, label, dreamed=True)]


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
    st.caption(_("From the {split} split of {data}.").format(split=split, data=_(index.name)))
    read = partial(read_photo_file, index.root / place)
    name = _("{food}, example {number}").format(food=foods[food], number=turn % len(fitting) + 1)
    return [Photo(f"{index.fingerprint}/{place}", name, read, label)]


THUMB_PX = 480


class Seen(NamedTuple):
    """A photo that was read: a thumbnail and one prediction per chosen network."""

    photo: Photo
    thumb: Image
    answers: list[Answer]


class _Kept(NamedTuple):
    thumb: Image
    answers: dict[str, Answer]

    def has(self, network: Checkpoint) -> bool:
        """Whether the network, as it is published now, has answered."""
        return network.id in self.answers and self.answers[network.id].checkpoint == network


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
    opened = dict(opened or {})
    sound = _sound(networks, [kept.get(photo.key) for photo in photos], opened) if photos else []
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


def _sound(
    networks: Sequence[Checkpoint], known: Sequence["_Kept | None"], opened: dict[str, Predictor]
) -> list[Checkpoint]:
    """The networks whose files are what the manifest says; the others are named.

    Those that must still be asked are opened once for all photos: put into `opened`. `known`: what
    is kept of each photo.
    """
    sound = []
    for network in networks:
        try:
            answered = all(kept is not None and kept.has(network) for kept in known)
            if network.id not in opened and not answered:
                opened[network.id] = predictor(network.id)
            sound.append(network)
        except CheckpointError as error:
            st.error(str(error), icon=":material/error:")
    return sound


def _look_at(
    photo: Photo,
    networks: Sequence[Checkpoint],
    kept: dict[str, _Kept],
    opened: Mapping[str, Predictor],
) -> Seen:
    known = kept.get(photo.key)
    missing = {
        network.id: network for network in networks if known is None or not known.has(network)
    }
    if known is None or missing:
        with st.spinner(_("Looking at {name} ...").format(name=photo.name)):
            if photo.label is None and not photo.is_made:
                fresh = _ask(photo, missing, opened)
            else:
                files = tuple(
                    (id, network.files[GRAPH].sha256, network.weights_sha256)
                    for id, network in missing.items()
                )
                fresh = _ask_once(photo.key, files, photo, missing, opened)
        known = kept.setdefault(photo.key, _Kept(fresh.thumb, {}))
        known.answers.update(
            {id: answer._replace(checkpoint=missing[id]) for id, answer in fresh.answers.items()}
        )
    return Seen(photo, known.thumb, [known.answers[network.id] for network in networks])


def _ask(
    photo: Photo, networks: Mapping[str, Checkpoint], opened: Mapping[str, Predictor]
) -> _Kept:
    image = photo.read()
    answers = {
        prediction.checkpoint: Answer(
            networks[prediction.checkpoint],
            prediction.logits,
            prediction.latency_ms,
            prediction.features,
        )
        for prediction in predict_photo(image, list(networks), opened)
    }
    return _Kept(thumbnail(image), answers)


@st.cache_resource(ttl=600, max_entries=32, show_spinner=False)
def _ask_once(
    key: str,
    files: tuple[tuple[str, ...], ...],
    _photo: Photo,
    _networks: Mapping[str, Checkpoint],
    _opened: Mapping[str, Predictor],
) -> _Kept:
    """`_ask` about a picture that is the same for all visitors."""
    del key, files  # the key of the cache
    return _ask(_photo, _networks, _opened)


def thumbnail(image: Image) -> Image:
    """A small copy for the screen, at most THUMB_PX a side."""
    small = image.copy()
    small.thumbnail((THUMB_PX, THUMB_PX), Resampling.BICUBIC)
    return small


MAP_PX = 224


def map_places(n: int, key: str) -> list[Any]:
    """Places for `n` maps in a row; on a phone two beside each other, so that they compare."""
    half = "calc(50% - 0.5rem)"
    st.html(
        f"<style>@media (max-width: 640px) {{.st-key-{key} [data-testid='stColumn'] "
        f"{{min-width: {half}; max-width: {half}}}}}</style>"
    )
    with st.container(key=key):
        return st.columns(n)


def draw_map(
    place: Any, thumb: Image, checkpoint: Checkpoint, map: NDArray[np.float32], text: str
) -> None:
    """The photo, bright where a class activation map (h, w) is high, with `text` under it."""
    rows, columns = map.shape
    y, x = divmod(int(map.argmax()), columns)
    vertical = (_("at the top"), _("in the middle"), _("at the bottom"))[3 * y // rows]
    side = (_("left"), _("centre"), _("right"))[3 * x // columns]
    view = prepare(thumb, MAP_PX, checkpoint.crop).transpose(1, 2, 0)
    place.image(
        highlighted(view, map),
        caption=text,
        alt=_("{text}. Brightest {place}.").format(text=text, place=_(", ").join([vertical, side])),
        width="stretch",
    )


COLUMNS = 2  # in more there is no room for the names of the classes and the figures beside the bars


class Bars(NamedTuple):
    """One version's answer."""

    name: str
    role: RoleKey
    frame: pd.DataFrame
    """`core.inference.compare.bars_frame`"""
    key: str


def answer_bars(versions: Sequence[Bars], name: str) -> None:
    """A chart for each, under its name; and all in one file, `name` part of its name."""
    for first in range(0, len(versions), COLUMNS):
        row = versions[first : first + COLUMNS]
        for column, bars in zip(st.columns(COLUMNS), row, strict=False):
            top = bars.frame.iloc[0]
            with column:
                st.markdown(f"**{bars.name}**")
                show(
                    answer_chart(bars.frame, bars.role),
                    _("Class probabilities, {name}: most likely {food}, {p}.").format(
                        name=bars.name, food=top.food, p=numbers.share(top.probability)
                    ),
                    key=bars.key,
                )
    data_button(
        lambda: pd.concat([bars.frame.assign(version=bars.name) for bars in versions]), name
    )
