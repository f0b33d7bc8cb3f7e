"""Dreams on the screen: one to try where there is no photo, and the words that go with each.

Whoever shows a dream says that it is one: its very name does.
"""

from typing import NamedTuple

import numpy as np
import streamlit as st
from PIL import Image as Pictures
from PIL.Image import Image

from core.charts import numbers
from core.course import CLASSES
from core.data.dreams import MARK, SHOW_PX, TRAIN_PX, Dreams, DreamSet, load_dreams, tiles
from core.errors import DataError
from core.words import _, food_class
from pages.parts.linked import one_of


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
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    food = one_of(left.selectbox, _("Class"), foods, "dream_of", default=next(iter(foods)))
    label = CLASSES.index(food)
    turn = st.session_state.setdefault("dream_number", 0)
    if right.button(_("Next dream"), icon=":material/skip_next:", width="stretch"):
        turn = st.session_state["dream_number"] = turn + 1
    found = thumbs(dreams, label, px=chosen.px)
    if not found:
        return None
    number = turn % len(found)
    sheet = next(one for one in chosen.sheets if one.label == label)
    name = _("{food}, {mark} ({number})").format(food=foods[food], mark=MARK(), number=number + 1)
    st.caption(
        _(":material/bedtime: **{mark}** {said}").format(
            mark=sentence(MARK()), said=recognised(dreams, chosen)
        )
    )
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
    said = _("Of {n} dreams at {px} px the teacher itself recognises {right}").format(
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
