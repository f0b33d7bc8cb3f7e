"""The photo picker: uploads, the camera once it is switched on, an example from Food-11 here, or a
picture that the teacher dreamed.

A photo is read when it is needed and let go again: a session keeps a thumbnail and the answers.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL.Image import Image

from core.course import CLASSES
from core.data import Index, find_food11, food11_available
from core.data.dreams import MARK, SHOW_PX, dreams_available
from core.errors import DataError
from core.photos import MAX_BYTES, read_photo, read_photo_file
from core.serving.compare import photo_name
from core.words import _, food_class
from pages.parts.dreams import pick_dream, sentence
from pages.parts.linked import one_of

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

MAX_PHOTOS = 8
ENDINGS = ["jpg", "jpeg", "png", "webp", "heic", "heif"]


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
    dropped = _from_upload(many)
    if dropped:
        return dropped
    sources = {
        "example": _("An example"),
        "dream": _("A dream of the teacher"),
        "camera": _("The camera"),
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
        default=next((one for one in ("example", "dream") if one in sources), ""),
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
        type=ENDINGS,
        accept_multiple_files=many,
        max_upload_size=MAX_BYTES // 2**20,
        key="uploads" if many else "upload",
        help=_("JPEG, PNG, WebP or HEIC. Photos stay in memory and are never written to disk."),
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
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    foods = {name: food_class(name) for name in CLASSES}
    food = one_of(left.selectbox, _("Class"), foods, "food", default=CLASSES[0])
    label = CLASSES.index(food)
    turn = st.session_state.setdefault("example_number", 0)
    if right.button(_("Next photo"), icon=":material/skip_next:", width="stretch"):
        turn = st.session_state["example_number"] = turn + 1
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
