"""A data frame leaves the app as CSV: readable by a spreadsheet, and harmless to it."""

from __future__ import annotations

from core.charts.libraries import pd

_FORMULA = tuple("=+-@\t\r")


def to_csv(frame: pd.DataFrame) -> bytes:
    """The frame as UTF-8 CSV with a byte-order mark, which spreadsheets want.

    A text that a spreadsheet would run as a formula (it starts with = + - @) gets an apostrophe.
    """
    return str(frame.map(_harmless).to_csv(index=False)).encode("utf-8-sig")


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
