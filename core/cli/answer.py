"""A command returns an `Answer`; only `core.cli.main` prints.

So `--json` can promise one JSON document and nothing else, whatever a library says on the way.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from core.errors import ConfigError, UserError
from core.i18n import _

S = TypeVar("S", bound=str)
OK = 0
NOT_OK = 1
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass(frozen=True)
class Answer:
    """What a command found out: `document` for `--json`, `text` for a reader."""

    document: Any
    text: str
    exit_code: int = OK
    notes: tuple[str, ...] = ()
    """Lines for stderr: what went wrong with a part of the work."""

    def json(self) -> str:
        """One JSON document, in ASCII so that any terminal and any file can hold it."""
        return json.dumps(self.document, indent=2, allow_nan=False)


class LeftOut:
    """What of several things asked for could not be done, and why; the others are done all the
    same."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []

    @contextmanager
    def each(self, **thing: Any) -> Iterator[None]:
        """Do one of them in this block; a UserError that it raises leaves it out."""
        try:
            yield
        except UserError as error:
            self.errors.append(thing | {"message": str(error)})

    def answer(self, document: dict[str, Any], text: str, done: Sequence[Any]) -> Answer:
        """The answer about what was `done`, and a note a thing that was left out.

        Raises ConfigError where nothing was done.
        """
        if self.errors and not done:
            raise ConfigError(" ".join(dict.fromkeys(error["message"] for error in self.errors)))
        return Answer(
            document | ({"errors": self.errors} if self.errors else {}),
            text,
            notes=tuple(map(self._note, self.errors)),
        )

    @staticmethod
    def _note(error: dict[str, Any]) -> str:
        thing = ", ".join(f"{name} {value}" for name, value in error.items() if name != "message")
        return _("Left out: {thing}. {message}").format(thing=thing, message=error["message"])


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as an aligned plain-text table; numbers to the right, thousands separated."""
    columns = list(columns or (rows[0] if rows else ()))
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, [c, *(row[i] for row in cells)])) for i, c in enumerate(columns)]
    right = [all(_is_number(row.get(c)) for row in rows) and bool(rows) for c in columns]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), line(["-" * w for w in widths]), *map(line, cells)])


def own_folder() -> str:
    """A sentence for `--help`: where checkpoints that are made here are kept."""
    from core.checkpoints import own_dir

    return f"They go to {own_dir()} (the folder checkpoints in SMALL_PLATES_RUNS)."


def saved_line(id: str) -> str:
    """What a reader is told of a checkpoint that was kept."""
    from core.checkpoints import folder

    return _("Saved as {id} in {folder}").format(id=id, folder=folder(id))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return str(value)


def chosen_stages(wanted: Sequence[str], known: Sequence[S]) -> tuple[S, ...]:
    """Those of the `known` stages that are wanted, in their order; all without any.

    Raises ConfigError for another name.
    """
    unknown = set(wanted) - set(known)
    if unknown:
        raise ConfigError(
            _("There is no stage {unknown}. Choose from: {known}.").format(
                unknown=", ".join(sorted(unknown)), known=", ".join(known)
            )
        )
    return tuple(stage for stage in known if stage in (wanted or known))
