"""A data frame leaves the app as CSV: readable by a spreadsheet, and harmless to it."""

from __future__ import annotations

from typing import Any

from core.charts.libraries import pd

_FORMULA = tuple("=+-@\t\r")


def to_csv(frame: pd.DataFrame) -> bytes:
    """The frame as UTF-8 CSV with a byte-order mark, which spreadsheets want.

    A text that a spreadsheet would run as a formula (it starts with = + - @) gets an apostrophe.
    """
    return str(frame.map(_harmless).to_csv(index=False)).encode("utf-8-sig")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, as `to_dict("records")` has them, in a fifth of its time for a few."""
    columns = [frame[name].tolist() for name in frame.columns]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
