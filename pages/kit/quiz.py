"""A quiz at the end of a page, made from the numbers on its screen.

Each question is a guess whose answer opens at once (in a room, when the lecturer shows it): so a
class's answers are counted, and the first answer of each visitor stands in his lab report.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple
from zlib import crc32

import streamlit as st

from core.i18n import _, paragraph
from pages.kit import frame, guess, lab


class Question(NamedTuple):
    """One question with its options."""

    key: str
    text: str
    options: Sequence[str]
    """In the order in which they are shown; those that read alike are shown once."""
    right: str
    """One of the options."""
    why: str
    """One sentence."""


def among(
    right: float, wrong: Iterable[float], text: Callable[[Any], str]
) -> tuple[list[str], str]:
    """Options and right answer of a question about a number: the smallest first, in words.

    A wrong number that is less than a tenth away from the right one is left out.
    """
    far = {value for value in wrong if abs(value - right) > abs(right) / 10}
    return [text(value) for value in sorted({right, *far})], text(right)


def tab(
    make: Callable[[], Sequence[Question]], about: str, guessed: guess.Guess[Any] | None = None
) -> frame.Tab:
    """The last tab of a page. `about`: the settings that the answers depend on; `guessed`: the
    page's own guess, which the questions would give away."""
    return frame.Tab("quiz", _("Quiz"), partial(draw, make, about, guessed))


def draw(
    make: Callable[[], Sequence[Question]], about: str, guessed: guess.Guess[Any] | None
) -> None:
    """The questions, a verdict on each answer, the score."""
    if guessed is not None and guess.waits(guessed):
        return
    places = [ask(question, about) for question in make() if len(set(question.options)) > 1]
    if not places:
        st.caption(_("No question: what this quiz asks about was not measured."))
        return
    answers = [lab.report().answer(place) for place in places]
    rights = [answer.right for answer in answers if answer is not None]
    words = _("Right: {right} of {n}. Your first answers count, and stand in your report.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(words.format(right=rights.count(True), n=len(places)), width="content")
        frame.page_link(frame.entry("report"), frame.entry("report").name)


def ask(question: Question, about: str) -> lab.Place:
    """Draw one question; returns where its answer is kept."""
    # named by their words: an answer to other numbers is none to these
    options = {f"{crc32(words.encode()):08x}": words for words in dict.fromkeys(question.options)}
    answer = guess.ask(
        question.text, options, f"quiz_{question.key}", about,
        can_show=False, widget=st.radio, index=None,
    )  # fmt: skip
    if answer.is_open:
        is_right = answer.value is not None and options[answer.value] == question.right
        right = _("{sentence}.").format(sentence=f"**{question.right}**")
        guess.verdict(answer, is_right, paragraph([right, question.why]))
    return answer.place
