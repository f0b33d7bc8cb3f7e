"""Which photographs of one data set are also in another, whatever their size.

Two photographs count as the same where their thumbnails do: 16 x 16 pixels, mean removed, length 1,
of the whole picture and of its centre square. The cosine of two of them is near 1 for copies that
are smaller, compressed again, cut square or mirrored, and falls off clearly for other pictures of
the same dish. A cut far off the middle is not noticed.
"""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from core.data.find import Index
from core.errors import DataError, PhotoError
from core.photos import read_photo_file
from core.words import _

THRESHOLD = 0.95
"""Cosine from which on two photographs count as the same."""
SIDE = 16
LEARNED, TESTED = ("training", "validation"), ("validation", "testing")
"""Splits of the source that are looked at, and splits of the other set that they are kept from."""

_NONE = np.zeros((0, SIDE * SIDE * 3), np.float32)
_PLAIN = 1.0  # length, in grey levels, under which a thumbnail shows nothing to compare
_ROWS = 1024  # compared at a time: bounds memory


class Twin(NamedTuple):
    """A photograph that was left out, and the one of the other set that it is the same as."""

    file: str
    like: str
    similarity: float


def thumbnails(image: Image.Image) -> NDArray[np.float32]:
    """What is compared of an RGB picture: (1, 768), or (2, 768) where it is not square.

    Rows have mean 0 and length 1: the whole picture's, then the centre square's. A picture of one
    colour gives zeros, which are like nothing.
    """
    wide, high = image.size
    short = min(wide, high)
    left, top = (wide - short) // 2, (high - short) // 2
    cuts = [image]
    if abs(wide - high) > 2:  # otherwise both are the same thumbnail
        cuts.append(image.crop((left, top, left + short, top + short)))
    rows = []
    for cut in cuts:
        small = cut.resize((SIDE, SIDE), Image.Resampling.BOX)
        flat = np.asarray(small, dtype=np.float32).reshape(-1)  # (768,)
        flat = flat - flat.mean()
        length = float(np.linalg.norm(flat))
        rows.append(flat / length if length > _PLAIN else np.zeros_like(flat))
    return np.stack(rows)


def similarity(
    ours: NDArray[np.float32], theirs: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The nearest of `theirs`, mirrored or not, for each of `ours`: cosines (n,) and rows (n,).

    (n, 768) and (m, 768) as `thumbnails` gives them; m at least 1.
    """
    mirrored = theirs.reshape(-1, SIDE, SIDE, 3)[:, :, ::-1].reshape(len(theirs), -1)
    best = np.full(len(ours), -1, np.float32)
    nearest = np.zeros(len(ours), np.int64)
    for start in range(0, len(ours), _ROWS):
        part = slice(start, start + _ROWS)
        for base in (theirs, mirrored):
            cosines = ours[part] @ base.T  # (rows, m)
            rows = cosines.argmax(axis=1)
            found = cosines.max(axis=1)
            better = found > best[part]
            best[part] = np.where(better, found, best[part])
            nearest[part] = np.where(better, rows, nearest[part])
    return best, nearest


def near_duplicates(
    source: Index, against: Index, threshold: float = THRESHOLD, progress: bool = True
) -> tuple[list[Twin], list[str]]:
    """Photographs of `source` to learn from that `against` tests on; and those it cannot read.

    Reads every photograph of the splits LEARNED and TESTED. Raises DataError where `against` has
    none that can be read.
    """
    files, ours, unreadable = _look(source, LEARNED, progress)
    others, theirs, _bad = _look(against, TESTED, progress)
    if not len(theirs):
        raise DataError(
            _("{folder} has no validation or testing photograph that can be read.").format(
                folder=against.root
            )
        )
    found: dict[str, Twin] = {}
    for file, cosine, row in zip(files, *similarity(ours, theirs), strict=True):
        before = found.get(file)
        if cosine >= threshold and (before is None or cosine > before.similarity):
            found[file] = Twin(file, others[row], round(float(cosine), 4))
    return sorted(found.values()), unreadable


def _look(
    index: Index, splits: Iterable[str], progress: bool
) -> tuple[list[str], NDArray[np.float32], list[str]]:
    """Thumbnails of these splits, the file of each row, and the files that cannot be read."""
    names = [index.files[row] for split in splits for row in index.of(split)]

    def seen(name: str) -> NDArray[np.float32]:
        try:
            return thumbnails(read_photo_file(index.root / name))
        except PhotoError:
            return _NONE

    bar: Callable[..., Any] = tqdm
    workers = min(8, os.cpu_count() or 1)  # threads: Pillow lets go of the interpreter's lock
    with ThreadPoolExecutor(workers) as pool:
        found = list(
            bar(
                pool.map(seen, names), total=len(names), desc=_("Comparing photographs"),
                unit="photo", file=sys.stderr, disable=not progress,
            )
        )  # fmt: skip
    files = [name for name, rows in zip(names, found, strict=True) for _row in rows]
    unreadable = [name for name, rows in zip(names, found, strict=True) if not len(rows)]
    return files, np.concatenate([_NONE, *found]), unreadable
