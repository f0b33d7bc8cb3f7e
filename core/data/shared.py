"""Photographs in a store that only fsspec reads (`s3://...`, `gs://...`): a copy on this machine.

The copy lies in the cache under a name made of the address, is made once by whoever comes first,
and appears as a whole. The store is not asked again afterwards: photographs that have changed there
need a new address, or the copy deleted.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from core.errors import DataError
from core.i18n import _
from core.paths import cache_dir


def is_address(named: str) -> bool:
    """Whether fsspec must fetch it: `scheme://...`."""
    return "://" in named


def local_copy(address: str) -> Path:
    """The folder on this machine that holds what lies at an address; fetched if it is not there.

    Others that ask meanwhile wait. Raises DataError where it cannot be fetched, with why.
    """
    shelf = cache_dir() / "photographs"
    folder = shelf / hashlib.sha256(address.encode()).hexdigest()[:20]
    if folder.is_dir():
        return folder
    shelf.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            coming = Path(tempfile.mkdtemp(dir=shelf, prefix="coming-"))
            try:
                _fetch(address, coming / "all")
                os.rename(coming / "all", folder)
            finally:
                shutil.rmtree(coming, ignore_errors=True)
    return folder


def _fetch(address: str, into: Path) -> None:
    import fsspec

    try:
        store, path = fsspec.core.url_to_fs(address)
        if not store.isdir(path):
            raise FileNotFoundError(address)
        store.get(path.rstrip("/") + "/", f"{into}{os.sep}", recursive=True)
    except Exception as error:  # each store has errors of its own
        why = str(error) or type(error).__name__
        raise DataError(
            _("{address} cannot be fetched: {why}").format(address=address, why=why)
        ) from error
