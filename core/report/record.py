"""What a report holds, how it grows, and its JSON file, which comes back as a stranger's bytes.

A report is immutable: what is added makes another one. Everything in it is bounded. A photo is
in it only where the visitor put it there, small; nothing says who he is but the name he types.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, ValidationError
from pydantic import model_validator as validator

from core.errors import UserError
from core.i18n import _
from core.report.questions import QUESTIONS, QuestionKey, question_of
from core.results import Frozen

MOST = 300
"""Answers and measurements of each kind; the oldest are forgotten."""
LONGEST_WORDS = 5000
"""Characters of a visitor's own words on a question."""
MOST_BYTES = 8_000_000
"""Of a report's file: no report that the app writes is larger."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _printable(text: str) -> str:
    """The same without control characters, which no file shows; lines and tabs stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


Name = Annotated[str, Field(pattern=r"\A[a-z][a-z0-9_]{0,39}\z")]
Line = Annotated[str, AfterValidator(_printable), Field(max_length=500)]
Short = Annotated[str, AfterValidator(_printable), Field(max_length=200)]
Link = Annotated[str, Field(pattern=r"\A[a-z_]{1,40}(\?[A-Za-z0-9%&=+._~*-]{0,2000})?\z")]
"""A page's address below the app's, with its settings."""
Picture = Annotated[str, Field(pattern=r"\A[A-Za-z0-9+/]*={0,2}\z", max_length=12_000)]
"""A small JPEG file in base64; browsers alone open it, the server never does."""


class Entry(Frozen):
    """What was done on a page, with which settings, and when."""

    model_config = ConfigDict(strict=True)

    page: Name
    key: Name
    """Of the question, or of the button."""
    about: Line = ""
    """The settings that the answer depends on: it is counted apart for each."""
    link: Link
    when: AwareDatetime

    @property
    def place(self) -> tuple[str, str, str]:
        """What names the entry among those of its kind."""
        return self.page, self.key, self.about


class Answer(Entry):
    """A guess, or an answer in a quiz."""

    question: Line
    said: Line = ""
    """What the visitor chose; empty: he looked at the answer without a guess."""
    truth: Line = ""
    """The answer in words; empty while he has not seen it."""
    right: bool | None = None
    """None while he has not seen the answer, or if he only looked."""

    @property
    def is_final(self) -> bool:
        """Whether he has seen the answer: what he chooses now is no guess any more."""
        return self.right is not None or not self.said

    @property
    def is_quiz(self) -> bool:
        """Whether it is of a page's quiz."""
        return self.key.startswith("quiz_")


class Measurement(Entry):
    """Something that the visitor had measured on this machine, or on his."""

    result: Line
    """In words, as the page said it."""
    settings: dict[Name, Short] = Field(default_factory=dict, max_length=10)
    values: dict[Name, float] = Field(default_factory=dict, max_length=40)
    """The figures, such as `correct` of `n`, or `macs`."""
    picture: Picture = ""
    """The photo that it is about; empty unless the visitor wanted it here."""


E = TypeVar("E", bound=Entry)


class Report(Frozen):
    """A visitor's lab report."""

    model_config = ConfigDict(strict=True)

    kind: Literal["small-plates-report-1"] = "small-plates-report-1"
    author: Annotated[str, AfterValidator(_printable), Field(max_length=100)] = ""
    answers: tuple[Answer, ...] = Field(default=(), max_length=MOST)
    measured: tuple[Measurement, ...] = Field(default=(), max_length=MOST)
    words: dict[
        QuestionKey, Annotated[str, AfterValidator(_printable), Field(max_length=LONGEST_WORDS)]
    ] = Field(default_factory=dict)

    @validator(mode="after")
    def _is_named_once(self) -> Self:
        for entries in (self.answers, self.measured):
            if len({entry.place for entry in entries}) < len(entries):
                raise ValueError("something is in it twice")
        return self

    def answer(self, place: tuple[str, str, str]) -> Answer | None:
        """What was answered there, if anything."""
        return next((each for each in self.answers if each.place == place), None)

    def with_answer(self, new: Answer) -> Self:
        """With a guess that replaces the one before it, unless its answer was seen by then."""
        old = self.answer(new.place)
        if old is not None and old.is_final:
            return self
        others = [each for each in self.answers if each is not old]
        return self.model_copy(update={"answers": (*others, new)[-MOST:]})

    def revealed(self, place: tuple[str, str, str], right: bool, truth: str) -> Self:
        """With the answer to a guess that the visitor sees now; the first one counts."""
        old = self.answer(place)
        if old is None or old.is_final:
            return self
        seen = Answer.model_validate({**dict(old), "right": right, "truth": truth})
        others = tuple(seen if each is old else each for each in self.answers)
        return self.model_copy(update={"answers": others})

    def without_answer(self, place: tuple[str, str, str]) -> Self:
        """With a guess taken back whose answer was not seen."""
        kept = tuple(each for each in self.answers if each.place != place or each.is_final)
        return self.model_copy(update={"answers": kept})

    def with_measurement(self, new: Measurement) -> Self:
        """With a measurement; the same one again replaces the former."""
        others = [each for each in self.measured if each.place != new.place]
        return self.model_copy(update={"measured": (*others, new)[-MOST:]})

    def with_words(self, words: Mapping[QuestionKey, str], author: str | None = None) -> Self:
        """With the visitor's own words on some questions, and his name; too long ones are cut."""
        kept = self.words | {key: _printable(text)[:LONGEST_WORDS] for key, text in words.items()}
        name = self.author if author is None else _printable(author)[:100]
        filled = {key: kept[key] for key in QUESTIONS if kept.get(key, "").strip()}
        return self.model_copy(update={"words": filled, "author": name})

    def merged(self, other: Self) -> Self:
        """Both reports as one: the earlier of two answers, the later of two measurements; where
        both have words on a question, these reports' one after the other.

        Raises UserError where that is more than a report holds.
        """
        answers: dict[tuple[str, str, str], Answer] = {}
        for each in _by_time(other.answers, self.answers):
            answers.setdefault(each.place, each)
        measured = {each.place: each for each in _by_time(other.measured, self.measured)}
        words = dict(other.words)
        for key, text in self.words.items():
            known = words.get(key, "")
            words[key] = "\n\n".join(filter(None, [known, "" if text in known else text]))
        try:
            return type(self).model_validate(
                {
                    "author": other.author or self.author,
                    "answers": tuple(answers.values()),
                    "measured": tuple(_by_time(measured.values())),
                    "words": words,
                }
            )
        except ValidationError:
            raise UserError(
                _("Both reports together are too long. Download this one, then start a new visit.")
            ) from None

    def unanswered(self) -> list[QuestionKey]:
        """The homeworks' questions without words of the visitor's."""
        return [key for key in QUESTIONS if not self.words.get(key, "").strip()]

    def guesses(self) -> list[Answer]:
        """The guesses whose answer was seen; looking without a guess is none."""
        return [each for each in self.answers if each.right is not None and not each.is_quiz]

    def quizzes(self) -> list[Answer]:
        """The answers in quizzes, as far as their solution was seen."""
        return [each for each in self.answers if each.right is not None and each.is_quiz]

    def under(self, key: QuestionKey | None) -> tuple[list[Answer], list[Measurement]]:
        """The guesses and measurements that stand under a question; None: under no question."""
        return (
            [e for e in self.answers if not e.is_quiz and question_of(e.page, e.key) == key],
            [e for e in self.measured if question_of(e.page, e.key) == key],
        )

    def is_empty(self) -> bool:
        """Whether nothing was done yet."""
        return not (self.answers or self.measured or self.words)

    def to_json(self) -> bytes:
        """The report's file."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def _by_time(*many: Iterable[E]) -> list[E]:
    return sorted(chain(*many), key=lambda entry: entry.when)


def read(data: bytes) -> Report:
    """The report in a file's bytes, whole or not at all.

    Raises UserError, in a sentence, where they are too many or no report.
    """
    if len(data) > MOST_BYTES:
        raise UserError(
            _("This file is too large for a report: {most} MB at most.").format(
                most=f"{MOST_BYTES / 1e6:g}"
            )
        )
    try:
        return Report.model_validate_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:6])
        raise UserError(
            _(
                "This is no lab report of Small Plates, or it was changed ({problem}). Choose the "
                ".json file that you downloaded on the page Report."
            ).format(problem=": ".join(filter(None, [where, first["msg"][:200]])))
        ) from None
