"""Guess first: a question, and its answer hidden until the visitor has guessed or given up."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import streamlit as st

from core.charts.theme import glyph
from core.classroom import Tally
from core.i18n import _, paragraph
from pages.kit import lab, room, url_state

G = TypeVar("G", bound=str | float)
SHOW = "show"
"""What stands for "Just show me" where a guess would."""


@dataclass(frozen=True)
class Guess(Generic[G]):
    """What became of a question. Unpacked, it is what a picture of it depends on."""

    value: G | None
    """The guess; None before it is made, and where the visitor only wanted to see."""
    is_open: bool
    """Whether the answer may be shown."""
    place: lab.Place = field(default=("", "", ""), compare=False)
    """Where the report keeps it."""

    def __iter__(self) -> Iterator[Any]:
        yield from (self.value, self.is_open)


def ask(
    question: str,
    options: Mapping[G, str],
    key: str,
    about: str = "",
    is_seen: bool = False,
    can_show: bool = True,
    widget: Callable[..., Any] = st.pills,
    **more: Any,
) -> Guess[G]:
    """Draw a question with an option for each guess (value -> words) and "Just show me".

    The guess is kept while the visitor is elsewhere, and is in no link. Whatever would give the
    answer away must wait until `is_open`; an older link's `reveal` opens every answer. In a class's
    room the guess is counted, the lecturer may hold answers back, and the class's guesses follow.
    The guess before the answer was seen goes into the visitor's lab report.

    `about`: the settings that the answer depends on, such as the network's name: a class's guesses
    are counted apart for each. `is_seen`: the visitor has seen the answer elsewhere. Without
    `can_show` there is no "Just show me", and no link opens the answer.
    """
    tally = room.ask(question, options, key, about)
    is_held = tally is not None and room.holds_back() and not tally.is_open
    offered: dict[str | float, str] = dict(options.items())
    if can_show and not is_held:
        offered[SHOW] = _("Just show me")
    place = lab.place_of(key, about)
    more |= {"on_change": _touched, "args": (place, question, options, tally)}
    if widget is st.pills:
        more["wrap"] = True
    chosen = url_state.guess(question, offered, key, widget, **more)
    guessed = next((value for value in options if value == chosen), None)
    is_open = chosen is not None or is_seen or (can_show and is_revealed())
    if tally is not None:
        is_open = tally.is_open or (is_open and not is_held)
        room.show_class(tally, is_open)
    if is_open:
        lab.saw(place)
    return Guess(guessed, is_open, place)


def _touched(
    place: lab.Place, question: str, options: Mapping[Any, str], tally: Tally | None
) -> None:
    """A guess was made, changed or taken back: the report and the room hear of it."""
    _page, key, _about = place
    chosen = st.session_state.get(key)
    lab.answered(place, question, None if chosen is None else options.get(chosen, ""))
    if tally is not None:
        room.guessed(tally.question.place, key, options)


def is_revealed() -> bool:
    """Whether an older link opens every answer, and no room holds them back."""
    return url_state.is_on("reveal") and not room.holds_back()


def verdict(guess: Guess[G], is_right: bool, answer: str) -> None:
    """A line or two: whether the guess was right, and the answer. Their room is kept before, too,
    so that nothing jumps."""
    answer = paragraph([answer])
    if not guess.is_open:
        text = "&nbsp;"
    elif guess.value is None:
        text = answer
    else:
        lab.revealed(guess.place, is_right, answer)
        slot, words = ("correct", _("Right.")) if is_right else ("wrong", _("Not quite."))
        text = f"{glyph(slot)} **{words}** {answer}"
    with st.container(key=f"verdict-{guess.place[1]}"):
        st.markdown(text)


def waits(guess: Guess[G]) -> bool:
    """Whether what would be drawn here must wait for the guess; then it says so."""
    if not guess.is_open:
        first, wait = _("This gives the answer away: guess first."), _("Wait for the answer.")
        st.info(wait if room.holds_back() else first, icon=":material/visibility_off:")
    return not guess.is_open
