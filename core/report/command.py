"""`report`: the lab reports of a class as a table."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from core.cli.answer import Answer, LeftOut, table
from core.errors import UserError
from core.i18n import _
from core.report.questions import QUESTIONS
from core.report.record import MOST_BYTES, Report, read


@dataclass(frozen=True)
class Row:
    """One report, counted."""

    file: str
    author: str
    answered: int
    """Of the homeworks' questions: how many have words."""
    questions: int
    guesses_right: int
    guesses: int
    """Whose answer was seen."""
    quiz_right: int
    quiz: int
    measured: int

    @classmethod
    def of(cls, file: Path, report: Report) -> "Row":
        """The counts of a report."""
        guesses, quiz = report.guesses(), report.quizzes()
        return cls(
            file.name,
            report.author,
            len(QUESTIONS) - len(report.unanswered()),
            len(QUESTIONS),
            sum(each.right is True for each in guesses),
            len(guesses),
            sum(each.right is True for each in quiz),
            len(quiz),
            len(report.measured),
        )


@dataclass(frozen=True)
class Reports:
    """Read lab reports (the .json files of the page Report), and print a line for each: how many of
    the homeworks' questions have words, how many guesses and quiz answers are right.

    A file that is no report is named, and the others are read all the same. Nothing in a report is
    signed: its owner can change it.
    """

    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE [FILE ...]")]
    """The .json files."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        """Read all of them."""
        rows: list[Row] = []
        left_out = LeftOut()
        for file in self.files:
            with left_out.each(file=str(file)):
                rows.append(Row.of(file, read(_bytes(file))))
        shown = [
            {
                "file": row.file,
                "name": "".join(c if c.isprintable() else "?" for c in row.author),
                "answered": f"{row.answered}/{row.questions}",
                "guesses": f"{row.guesses_right}/{row.guesses}",
                "quiz": f"{row.quiz_right}/{row.quiz}",
                "measured": row.measured,
            }
            for row in rows
        ]
        return left_out.answer({"reports": [asdict(row) for row in rows]}, table(shown), rows)


def _bytes(file: Path) -> bytes:
    """Its bytes, not many more than a report has. Raises UserError where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(
            _("{file} cannot be read ({reason}).").format(
                file=file, reason=error.strerror or type(error).__name__
            )
        ) from error
