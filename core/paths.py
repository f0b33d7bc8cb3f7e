"""Where things live on this machine, and how a file is written so that it is never half a file."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import platformdirs

REPO = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: Path) -> Path:
    return Path(os.environ[variable]).expanduser() if os.environ.get(variable) else default


def pretrained_dir() -> Path:
    """Checkpoints and cached results that ship with the app (`SMALL_PLATES_PRETRAINED`)."""
    return _folder("SMALL_PLATES_PRETRAINED", REPO / "pretrained")


def cache_dir() -> Path:
    """What can be made again: pixel caches, teacher logits, speed notes (`SMALL_PLATES_CACHE`)."""
    return _folder("SMALL_PLATES_CACHE", Path(platformdirs.user_cache_dir("small-plates", False)))


def runs_dir() -> Path:
    """Training runs, a folder each (`SMALL_PLATES_RUNS`)."""
    default = Path(platformdirs.user_data_dir("small-plates", False)) / "runs"
    return _folder("SMALL_PLATES_RUNS", default)


def data_dir() -> Path:
    """Data sets that were made here, a folder each (`SMALL_PLATES_DATA`)."""
    default = Path(platformdirs.user_data_dir("small-plates", False)) / "data"
    return _folder("SMALL_PLATES_DATA", default)


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
