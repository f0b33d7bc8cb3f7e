"""A data set as settings and commands name it: a folder, a variable that holds one, or `dreams`."""

import os
import re
from pathlib import Path
from typing import Any

from core.data.dreams import DREAMS, unpack
from core.data.find import Index
from core.data.shared import is_address, local_copy
from core.errors import ConfigError
from core.i18n import _
from core.paths import read_json

DISTINCT = "distinct.json"
"""Lies in a data set that was made distinct from another, and says from which (`read_distinct`)."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def is_variable(data: str) -> bool:
    """Whether `data` is the name of a variable: capitals, digits and underscores."""
    return _VARIABLE.fullmatch(data) is not None


def data_root(data: str) -> Path | None:
    """A config's `data` as a folder; None for the usual places.

    `dreams` are unpacked first. Raises ConfigError for a variable that is not set, DataError where
    there are no dreams.
    """
    if not data:
        return None
    if data == DREAMS:
        return unpack()
    if is_variable(data):
        if not os.environ.get(data):
            raise ConfigError(
                _("The variable {name}, which names a folder of photographs, is not set.").format(
                    name=data
                )
            )
        named = os.environ[data]
        return local_copy(named) if is_address(named) else Path(named)
    return Path(data)


def read_distinct(folder: Path) -> dict[str, Any] | None:
    """What a folder's DISTINCT says; None where there is none or it cannot be read."""
    try:
        note = read_json(folder / DISTINCT)
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def is_distinct(folder: Path, against: Index) -> bool:
    """Whether `folder` holds no photograph that this very `against` is tested on, as it says.

    `python -m tools distinct` writes such folders.
    """
    note = read_distinct(folder)
    named = note.get("against") if note else None
    return isinstance(named, dict) and named.get("fingerprint") == against.fingerprint
