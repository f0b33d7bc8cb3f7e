"""A data set as settings and commands name it: a folder, a variable that holds one, or `dreams`."""

import os
import re
from pathlib import Path

from core.data.dreams import DREAMS, unpack
from core.errors import ConfigError
from core.words import _

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
        return Path(os.environ[data])
    return Path(data)
