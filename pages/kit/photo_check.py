"""A photo through one network: as it was trained, and in some changed versions side by side.

The pages differ in what they change and how it is called; the photo, the bars and the words about
the answers are the same for all of them. A picture that the teacher made up stands under its name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL.Image import Image

from core.charts.theme import RoleKey, role_of
from core.checkpoints import Checkpoint
from core.errors import UserError
from core.i18n import _
from core.inference.compare import Answer, bars_frame
from core.photos import prepare
from pages.kit.photos import Bars, Photo, answer_bars, pick, thumbnail
from pages.kit.url_state import several_of


class Network(Protocol):
    """Any network that answers."""

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 11) of uint8 RGB pixels (N, 3, px, px)."""
        ...


class Version(NamedTuple):
    """The network, changed or as it was trained."""

    name: str
    open: Callable[[], Network]
    """Called once there is a photo, for each that nobody asked about before: gives a network that
    visitors share (`core.inference.predict.shared`). May raise UserError."""
    role: RoleKey | None = None
    """What was done to it; None: nothing."""


class Choice(NamedTuple):
    """The pills from which the versions are chosen."""

    label: str
    values: Sequence[int]
    default: Sequence[int]
    key: str
    most: int = 3


def photo_check(
    checkpoint: Checkpoint,
    choice: Choice,
    versions: Callable[[Sequence[int]], Sequence[Version]],
    *,
    way: str,
    hint: str,
    name: str,
) -> None:
    """Choose a photo and versions of `one`; see which of them change the answer.

    `versions` makes the versions of the chosen values (at most `choice.most`, in the order of
    `choice.values`), the network as it was trained first; none where it has said why not. `way`:
    how they are made, in a few words. `hint` stands here until there is a photo. `name`: of the
    data's file.
    """
    chosen = several_of(
        st.pills,
        choice.label,
        choice.values,
        choice.key,
        choice.default,
        len(choice.values),
        selection_mode="multi",
    )
    photos = pick(many=False)
    if not photos:
        st.caption(hint)
        return
    photo = photos[0]
    try:
        compared = versions([value for value in choice.values if value in chosen][: choice.most])
        if not compared:
            return
        looked = _look(photo, checkpoint, way, compared)
    except UserError as error:
        st.error(str(error), icon=":material/broken_image:")
        return
    logits = [looked.logits[_key(checkpoint, way, version)] for version in compared]
    assert looked.thumb is not None  # no answer without the picture
    st.image(
        looked.thumb,
        caption=photo.caption,
        width=160,
        alt=_("The photo {name}").format(name=photo.name),
    )
    answers = [
        Bars(
            version.name,
            version.role or role_of(checkpoint),
            bars_frame(Answer(checkpoint, each, 0.0)),
            f"photo-{version.name}",
        )
        for version, each in zip(compared, logits, strict=True)
    ]
    answer_bars(answers, name)
    st.markdown(_verdict(answers, way))


@dataclass(eq=False)
class _Looked:
    """A photo that was looked at: a thumbnail, and what versions answered."""

    photo: str
    thumb: Image | None = None
    logits: dict[tuple[str, ...], NDArray[np.float32]] = field(default_factory=dict)
    """By `_key`; (11,) each."""


def _key(checkpoint: Checkpoint, way: str, version: Version) -> tuple[str, ...]:
    return checkpoint.id, checkpoint.weights_sha256, way, version.name


@st.cache_data(ttl=600, max_entries=256, show_spinner=False)
def _shared(
    photo: str, key: tuple[str, ...], _ask: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """An answer about a picture of a data set: the same for all; who asks meanwhile waits."""
    return _ask()


def _look(photo: Photo, checkpoint: Checkpoint, way: str, versions: Sequence[Version]) -> _Looked:
    """The photo's thumbnail and the versions' answers; only those that are new are asked for.

    One network after another, each let go before the next is opened, as far as memory goes.
    """
    looked: _Looked = st.session_state.get("photo_check", _Looked(photo.key))
    if looked.photo != photo.key or looked.thumb is None:
        looked = _Looked(photo.key)
    missing = {
        key: version.open
        for version in versions
        if (key := _key(checkpoint, way, version)) not in looked.logits
    }
    if missing:
        image = photo.read()
        looked.thumb = thumbnail(image)
        pixels = prepare(image, checkpoint.input_px, checkpoint.crop)[None]  # (1, 3, px, px)

        def ask(open_network: Callable[[], Network]) -> NDArray[np.float32]:
            return open_network().logits(pixels)[0]

        with st.spinner(_("Looking at {name} ...").format(name=photo.name)):
            for key, open_network in missing.items():
                answer = partial(ask, open_network)
                is_shared = photo.label is not None
                looked.logits[key] = _shared(photo.key, key, answer) if is_shared else answer()
    st.session_state["photo_check"] = looked
    return looked


def _verdict(answers: Sequence[Bars], way: str) -> str:
    """Which versions answer something else than the first."""
    foods = [str(bars.frame.iloc[0].food) for bars in answers]
    changed = [bars.name for bars, food in zip(answers, foods, strict=True) if food != foods[0]]
    if not changed:
        return _("**{way}**: the answer stays {food} in every version.").format(
            way=way, food=foods[0]
        )
    return _("**{way}**: {first} it is {food}; the answer changes at: {names}.").format(
        way=way, first=answers[0].name, food=foods[0], names=_(", ").join(changed)
    )
