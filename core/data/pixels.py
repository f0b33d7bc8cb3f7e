"""Every photograph decoded once: a uint8 square per row, in one file mapped into memory.

Decoding JPEGs anew in each epoch is what the course's notebook spends most of its time on. Here the
squares are made once by the very functions that prepare an upload (`core.photos`) and a training
run reads them as plain memory. The cache is keyed by the index's fingerprint, lies outside the
repository, and appears whole or not at all: it is written under another name and then renamed, and
a lock lets one process build while others wait.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from tqdm import tqdm

from core import paths as places
from core.data.find import Index, find_food11, rows_of
from core.errors import DataError
from core.i18n import _
from core.photos import CROP, STORED, read_photos, square

RECIPE = 1
"""Raise it when `read_photo` or `to_square` changes what comes out: no older cache is then used."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """The readable photographs of an index as squares. Row i of every array is one photograph."""

    pixels: NDArray[np.uint8]
    """(N, 3, stored, stored), RGB 0..255: a read-only memory map."""
    labels: NDArray[np.int64]
    """(N,) 0..10, -1 where unlabelled."""
    splits: NDArray[np.str_]
    """(N,) training, validation or testing."""
    rows: NDArray[np.int64]
    """(N,) the row of `index` that each row here comes from."""
    index: Index
    unreadable: tuple[tuple[str, str], ...]
    """(file, reason) of each photograph that is left out."""
    px: int
    """Side of the crops that networks are given."""
    stored: int
    """Side of the squares kept, STORED(px, crop): the margin is for random crops."""

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, name: str) -> NDArray[np.int64]:
        """Row numbers of a split, ascending. Raises DataError for an unknown name."""
        return rows_of(self.splits, name)


def load_pixels(index: Index, px: int = 128, progress: bool = True, crop: float = CROP) -> Pixels:
    """The squares of an index, built on first use (about a minute for Food-11) and mapped after.

    They are as large as networks need that see `px` by `px`, which is `crop` of the square's side.
    `progress` draws a bar on stderr. Raises DataError where no photograph can be read or the cache
    folder cannot be written (full disk, no permission).
    """
    stored = STORED(px, crop)
    root = places.cache_dir() / "pixels"
    folder = root / f"{index.fingerprint}-{stored}-r{RECIPE}"
    try:
        loaded = _open(folder, index, px, stored)
        if loaded is None:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f"{folder.name}.lock"):
                loaded = _open(
                    folder, index, px, stored
                )  # another process may have built it meanwhile
                if loaded is None:
                    _build(folder, index, stored, progress)
                    loaded = _open(folder, index, px, stored)
    except OSError as error:
        raise DataError(
            _(
                "The photographs cannot be kept in {folder}: {reason}. Set SMALL_PLATES_CACHE."
            ).format(folder=root, reason=error.strerror or error)
        ) from error
    if loaded is None:
        raise DataError(_("The cache in {folder} changed while it was read.").format(folder=folder))
    return loaded


def pixels_here(px: int, crop: float = CROP) -> Pixels | None:
    """`load_pixels` of the photographs on this machine; None where there are none."""
    try:
        return load_pixels(find_food11(), px, crop=crop)
    except DataError:
        return None


def _open(folder: Path, index: Index, px: int, stored: int) -> Pixels | None:
    """The cache in `folder`, or None where there is none or it is not what its description says."""
    try:
        meta: dict[str, Any] = places.read_json(folder / "meta.json")
        pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="r")
        unreadable = tuple((str(file), str(reason)) for file, reason in meta["unreadable"])
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    left_out = {file for file, _reason in unreadable}
    rows = np.array([i for i, f in enumerate(index.files) if f not in left_out], dtype=np.int64)
    if pixels.shape != (len(rows), 3, stored, stored) or pixels.dtype != np.uint8:
        return None
    return Pixels(
        pixels=pixels,
        labels=index.labels[rows],
        splits=index.splits[rows],
        rows=rows,
        index=index,
        unreadable=unreadable,
        px=px,
        stored=stored,
    )


def _build(folder: Path, index: Index, stored: int, progress: bool) -> None:
    """Write the cache. The caller holds the lock, so whatever half-built one lies here is dead."""
    for dead in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(dead, ignore_errors=True)
    work = folder.parent / f".{folder.name}.{os.getpid()}"
    work.mkdir()
    try:
        unreadable: list[tuple[str, str]] = []
        with (work / "pixels.npy").open("wb") as file:
            header = _header(file, len(index), stored)
            for name, square in _squares(index, stored, progress):
                if isinstance(square, str):
                    unreadable.append((name, square))
                else:
                    file.write(square.data)
            _finish(file, header, len(index) - len(unreadable), stored)
        if len(unreadable) == len(index):
            raise DataError(
                _(
                    "None of the {n} files is a photograph that can be read. The first is {file}: "
                    "{why}"
                ).format(n=len(index), file=unreadable[0][0], why=unreadable[0][1])
            )
        meta = {
            "fingerprint": index.fingerprint,
            "name": index.name,
            "stored": stored,
            "recipe": RECIPE,
            "n": len(index) - len(unreadable),
            "unreadable": unreadable,
        }
        places.write_json(work / "meta.json", meta)
        if folder.exists():  # damaged, or _open had taken it
            shutil.rmtree(folder)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _header(file: BinaryIO, n: int, stored: int) -> int:
    """Write a .npy header for n squares at the start of `file`; its length in bytes."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (n, 3, stored, stored)}
    )
    return file.tell()


def _finish(file: BinaryIO, header: int, n: int, stored: int) -> None:
    """State the number of squares that were written, and put everything on the disk."""
    # numpy pads the header so that the first axis can change without moving the data
    if _header(file, n, stored) != header:
        raise AssertionError("numpy no longer pads the header of a .npy file")
    file.flush()
    os.fsync(file.fileno())


def _squares(
    index: Index, stored: int, progress: bool
) -> Iterator[tuple[str, NDArray[np.uint8] | str]]:
    """(file, its square (3, stored, stored) or why there is none) in the index's order."""

    paths = (index.root / name for name in index.files)
    bar: Callable[..., Any] = tqdm
    squares = bar(
        read_photos(square, paths, stored),
        total=len(index),
        desc=_("Reading photographs"),
        unit="photo",
        file=sys.stderr,
        disable=not progress,
    )
    yield from zip(index.files, squares, strict=True)
