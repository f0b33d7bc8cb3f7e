"""A command returns an `Answer`; only `core.cli.main` prints.

So `--json` can promise one JSON document and nothing else, whatever a library says on the way.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
