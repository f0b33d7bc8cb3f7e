"""Where things live on this machine, what its environment sets, and files never half written."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from core.errors import ConfigError
from core.i18n import _

REPO = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: Path) -> Path:
    """The folder that a variable names; it need not be there yet.

    Raises ConfigError where it cannot be one: it, or a folder that it would lie in, is a file.
    """
    named = os.environ.get(variable)
    if not named:
        return default
    folder = Path(os.path.expanduser(named))
    there = next((parent for parent in (folder, *folder.parents) if os.path.lexists(parent)), None)
    if there is not None and not os.path.isdir(there):
        raise ConfigError(
            _("{variable} must name a folder, and {file} is none.").format(
                variable=variable, file=there
            )
        )
    return folder


def whole_number(name: str, default: int) -> int:
    """What the environment variable `name` says, at least 1. Raises ConfigError if it is none."""
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        number = int(text)
        if number < 1:
            raise ValueError
    except ValueError:
        raise ConfigError(
            _("{name} must be a whole number from 1, not {text}.").format(
                name=name, text=repr(text)
            )
        ) from None
    return number


def pretrained_dir() -> Path:
    """Checkpoints and cached results that ship with the app (`SMALL_PLATES_PRETRAINED`).

    Raises ConfigError, as the others do, where the variable names what is no folder.
    """
    return _folder("SMALL_PLATES_PRETRAINED", REPO / "pretrained")


def cache_dir() -> Path:
    """What can be made again: pixels, teacher logits, compiled charts (`SMALL_PLATES_CACHE`)."""
    return _folder("SMALL_PLATES_CACHE", Path(platformdirs.user_cache_dir("small-plates", False)))


def runs_dir() -> Path:
    """Training runs, a folder each (`SMALL_PLATES_RUNS`)."""
    default = Path(platformdirs.user_data_dir("small-plates", False)) / "runs"
    return _folder("SMALL_PLATES_RUNS", default)


def own_checkpoints_dir() -> Path:
    """Where what was trained, or made of another network, on this machine is kept."""
    return runs_dir() / "checkpoints"


def data_dir() -> Path:
    """What was made here and is no training: data sets, rooms of classes (`SMALL_PLATES_DATA`)."""
    default = Path(platformdirs.user_data_dir("small-plates", False)) / "data"
    return _folder("SMALL_PLATES_DATA", default)


FOLDERS: dict[str, Callable[[], Path]] = {
    "SMALL_PLATES_PRETRAINED": pretrained_dir,
    "SMALL_PLATES_CACHE": cache_dir,
    "SMALL_PLATES_RUNS": runs_dir,
    "SMALL_PLATES_DATA": data_dir,
}
"""The variables, and what they name."""


def remedy(file: str | bytes | Path | int | None) -> str:
    """Which variable to set where this file, of one of our folders, cannot be read or written: a
    sentence. Empty for any other file."""
    if not isinstance(file, str | bytes | Path):
        return ""
    path = Path(os.path.abspath(os.fsdecode(file)))
    for variable, folder in FOLDERS.items():
        try:
            root = Path(os.path.abspath(folder()))
        except ConfigError:
            continue
        # a folder that is still to be made fails at the first one above it that is not there
        if root in (path, *path.parents) or (path in root.parents and not root.exists()):
            return _("To use another folder, set {variable}.").format(variable=variable)
    return ""


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that a reader, or a crash, sees the old file or the new one, never a part.

    Raises OSError (a full disk, a folder that may not be written); the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's 0600 would hide a shared result from other accounts
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; UTF-8 whatever the locale.

    Raises OSError as `write_atomic`, ValueError for NaN and infinity, which are not JSON.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    # half a surrogate pair, as Python has for a file name that is no UTF-8: JSON escapes it so, too
    write_atomic(path, (text + "\n").encode(errors="backslashreplace"))


def read_json(path: Path) -> Any:
    """The content of a JSON file: UTF-8 whatever the locale, with or without a byte order mark.

    Raises OSError where it cannot be read, ValueError where it is no JSON in UTF-8.
    """
    return parse_json(path.read_bytes())


def parse_json(data: bytes) -> Any:
    """`read_json` of bytes that are in memory already."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
