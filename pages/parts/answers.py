"""What the chosen networks say of the chosen photos, kept for the session and no longer."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st
from PIL.Image import Image, Resampling

from core.checkpoints import Checkpoint
from core.errors import CheckpointError, PhotoError
from core.serving.compare import Answer
from core.serving.predict import predict_photo, predictor
from core.words import _
from pages.parts.photos import Photo

THUMB_PX = 480


class Seen(NamedTuple):
    """A photo that was read: a thumbnail and one prediction per chosen network."""

    photo: Photo
    thumb: Image
    answers: list[Answer]


class _Kept(NamedTuple):
    thumb: Image
    answers: dict[str, Answer]


def look(photos: Sequence[Photo], networks: Sequence[Checkpoint], keep: bool = True) -> list[Seen]:
    """Ask the networks about the photos; one that cannot be read is said, and the others go on.

    Answers are kept for the photos of the latest call, unless `keep` is false.
    """
    kept: dict[str, _Kept] = st.session_state.setdefault("seen", {}) if keep else {}
    for key in [key for key in kept if key not in {photo.key for photo in photos}]:
        del kept[key]
    sound = _sound(networks) if photos else []
    if not sound:
        return []
    seen = []
    for photo in photos:
        try:
            seen.append(_look_at(photo, sound, kept))
        except PhotoError as error:
            st.error(
                _("{name}: {problem}").format(name=photo.name, problem=error),
                icon=":material/broken_image:",
            )
    return seen


def _sound(networks: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The networks whose files are what the manifest says; the others are named."""
    good = []
    for one in networks:
        try:
            predictor(one.id)
        except CheckpointError as error:
            st.error(str(error), icon=":material/error:")
        else:
            good.append(one)
    return good


def _look_at(photo: Photo, networks: Sequence[Checkpoint], kept: dict[str, _Kept]) -> Seen:
    known = kept.get(photo.key)
    have = {
        one.id
        for one in networks
        if known and one.id in known.answers and known.answers[one.id].checkpoint == one
    }
    missing = [one.id for one in networks if one.id not in have]
    if known is None or missing:
        with st.spinner(_("Looking at {name} ...").format(name=photo.name)):
            image = photo.read()
            by_id = {one.id: one for one in networks}
            found = {
                one.checkpoint: Answer(by_id[one.checkpoint], one.logits, one.latency_ms)
                for one in predict_photo(image, missing)
            }
        if known is None:
            known = _Kept(thumbnail(image), {})
            kept[photo.key] = known
        known.answers.update(found)
    return Seen(photo, known.thumb, [known.answers[one.id] for one in networks])


def thumbnail(image: Image) -> Image:
    """A small copy for the screen, at most THUMB_PX a side."""
    small = image.copy()
    small.thumbnail((THUMB_PX, THUMB_PX), Resampling.BICUBIC)
    return small
