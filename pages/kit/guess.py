"""Guess first: a question, and its answer hidden until the visitor has guessed or given up."""

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

import streamlit as st

from core.charts.theme import glyph
from core.i18n import _
from pages.kit import url_state

G = TypeVar("G", bound=str | float)
SHOW = "show"
"""What stands for "Just show me" where a guess would."""


class Guess(NamedTuple, Generic[G]):
    """What became of a question."""

    value: G | None
    """The guess; None before it is made, and where the visitor only wanted to see."""
    is_open: bool
    """Whether the answer may be shown."""


def ask(question: str, options: Mapping[G, str], key: str) -> Guess[G]:
    """Draw a question with an option for each guess (value -> words) and "Just show me".

    The guess is kept while the visitor is elsewhere, and is in no link. Whatever would give the
    answer away must wait until `is_open`; an older link's `reveal` opens every answer.
    """
    offered: dict[str | float, str] = dict(options.items())
    chosen = url_state.guess(question, offered | {SHOW: _("Just show me")}, key, wrap=True)
    guessed = next((value for value in options if value == chosen), None)
    return Guess(guessed, chosen is not None or url_state.is_on("reveal"))


def verdict(guess: Guess[G], is_right: bool, answer: str) -> None:
    """One line: whether the guess was right, and the answer. The line is there before, too, so
    that nothing jumps."""
    if not guess.is_open:
        st.markdown(_(":gray[Guess, or say “Just show me”.]"))
    elif guess.value is None:
        st.markdown(answer)
    else:
        slot, words = ("correct", _("Right.")) if is_right else ("wrong", _("Not quite."))
        st.markdown(f"{glyph(slot)} **{words}** {answer}")


def waits(guess: Guess[G]) -> bool:
    """Whether what would be drawn here must wait for the guess; then it says so."""
    if not guess.is_open:
        st.info(_("This gives the answer away: guess first."), icon=":material/visibility_off:")
    return not guess.is_open
