"""Designs that ship with the app: one small JSON file each, registered under the file's name.

A file holds `title`, `source` and `line` (the design in one line). What the designer saves is read
as well, once a title and a source are written into it. Nothing here imports torch.
"""

import json
from functools import lru_cache
from pathlib import Path

from core.errors import ConfigError
from core.i18n import _
from core.models.design.spec import Design, from_json, read

DESIGNS = Path(__file__).with_name("designs")
"""The folder; the registry lists whatever is in it."""


def shipped() -> dict[str, Design]:
    """The designs by name, sorted; each has its file's name, its title and its source.

    Raises ConfigError naming the file that is no design.
    """
    return _all(DESIGNS)


@lru_cache(maxsize=2)
def _all(folder: Path) -> dict[str, Design]:
    return {file.stem: _read(file) for file in sorted(folder.glob("*.json"))}


def _read(file: Path) -> Design:
    try:
        return _design(file.read_text(encoding="utf-8")).model_copy(update={"name": file.stem})
    except ConfigError as error:
        raise ConfigError(
            _("{file} is no design: {why}").format(file=file.name, why=error)
        ) from None


def _design(text: str) -> Design:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict) or "line" not in content:
        return from_json(text)
    line = content.pop("line")
    whole = json.loads(read(str(line)).to_json())
    return from_json(json.dumps(content | whole))
