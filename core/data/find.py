"""Photographs in one of Food-11's layouts: one index for every folder layout met in the wild.

Accepted under the root, or up to three folders below it (as archives unpack):

- `training|validation|evaluation/<label>_<index>.jpg`, EPFL's original; the course's copy calls the
  third folder `testing` and gives no label in its names;
- `training|.../<class name>/*.jpg`, the copies on Kaggle, however the class is spelt;
- `training/labeled/<00..10>/*.jpg`, `validation/<00..10>/`, `testing/00/`, the course of 2021,
  whose testing photographs are unlabelled in spite of their folder's number.

A label is never guessed: where folders or file names can be read in two ways (numbers that run
from 1 to 11, two folders of one class or split), the data set is refused with what is wrong.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import paths
from core.course import CLASSES, FOOD11_COUNTS
from core.data.layouts import SplitFolder, check_numbers, folders_in, listed, read_split
from core.data.shared import is_address, local_copy
from core.errors import DataError
from core.i18n import _

SPLITS = ("training", "validation", "testing")

_SPLIT_OF = {
    **dict.fromkeys(("training", "train"), "training"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("testing", "test", "evaluation", "eval"), "testing"),
}
_NOT_FOOD11 = re.compile(r"\bnot\W+food-?\s?11\b", re.IGNORECASE)
_DREAMED = "Dreamed by the teacher"  # the heading that `core.data.dreams` writes
_TITLES = {
    "food11_standin": "Food-11 stand-in",
    "food101_64": "Food-101 mapped to 11 classes",
}
IN_ITS_LAYOUT = "photographs in Food-11's layout"
"""What a data set is called that does not say what it is, and counts other photographs."""
_DEPTH = 3


@dataclass(frozen=True, eq=False)
class Index:
    """Which photographs there are, sorted by file; entry i of each array is one photograph."""

    root: Path
    """The folder that holds the split folders."""
    layout: str
    """`flat`, `class folders` or `labelled folders`, as the training folder has it."""
    files: tuple[str, ...]
    """(N,) paths relative to `root`, with forward slashes."""
    labels: NDArray[np.int64]
    """(N,) 0..10; -1 where nothing says the class, which happens in the testing split only."""
    splits: NDArray[np.str_]
    """(N,) one of SPLITS."""
    name: str
    """The data set, for people; says so where it is not Food-11."""
    is_food11: bool
    """Whether the splits count as many photographs as Food-11's, and no PROVENANCE.md beside them
    says that they are NOT Food-11."""
    fingerprint: str
    """16 hex digits over names, sizes in bytes, splits and labels; the same on every machine."""
    skipped: tuple[str, ...] = ()
    """Pictures left out because nothing in their name or folder says a class."""

    def __len__(self) -> int:
        return len(self.files)

    @property
    def is_dreamed(self) -> bool:
        """Whether these are no photographs at all but dreams (`core.data.dreams`)."""
        return self.name.startswith(_DREAMED)

    def of(self, split: str) -> NDArray[np.int64]:
        """Row numbers of a split, ascending. Raises DataError for a name that is none of SPLITS."""
        return rows_of(self.splits, split)

    def class_counts(self, split: str) -> NDArray[np.int64]:
        """(11,) labelled photographs per class in a split."""
        labels = self.labels[self.of(split)]
        return np.bincount(labels[labels >= 0], minlength=len(CLASSES))


def rows_of(splits: NDArray[np.str_], split: str) -> NDArray[np.int64]:
    """Where `splits` equals `split`: int64 row numbers. DataError for an unknown split."""
    if split not in SPLITS:
        raise DataError(
            _("There is no split {split!r}. Choose one of: {splits}.").format(
                split=split, splits=", ".join(SPLITS)
            )
        )
    return np.flatnonzero(splits == split)


def food11_available() -> bool:
    """Whether `find_food11()` would find something. Lists folders, opens no photograph."""
    try:
        food11_folder()
    except DataError:
        return False
    return True


def food11_folder() -> Path:
    """The folder of splits that `find_food11()` would index. Raises DataError where none is."""
    return _split_root(_root())


def find_food11(root: Path | str | None = None) -> Index:
    """Index the photographs under `root`, else FOOD11_ROOT, else `data/food11` in the repository.

    Opens no photograph. Raises DataError, which says what to do, where there are none, where two
    data sets lie side by side, where the folders are laid out in an unknown way, and where a split
    or a label could be read in two ways.
    """
    base = _split_root(_root(root))
    by_split = _read_splits(base)
    rows: list[tuple[str, int, str, int]] = []
    skipped: list[str] = []
    for split, read in by_split.items():
        for path, label, size in read.rows:
            name = path.relative_to(base).as_posix()
            if label is None and split != "testing":
                skipped.append(name)
            else:
                rows.append((name, -1 if label is None else label, split, size))
    rows.sort()
    if not any(label >= 0 for _name, label, _split, _size in rows):
        raise DataError(
            _(
                "No photograph in {folder} says its class. Known are <label>_<number>.jpg, one "
                "folder per class name, and folders 00 to 10."
            ).format(folder=base)
        )
    splits = np.array([split for _name, _label, split, _size in rows])
    name, is_food11 = _name(base, splits)
    return Index(
        root=base,
        layout=by_split["training"].layout,
        files=tuple(row[0] for row in rows),
        labels=np.array([row[1] for row in rows], dtype=np.int64),
        splits=splits,
        name=name,
        is_food11=is_food11,
        fingerprint=_fingerprint(rows),
        skipped=tuple(sorted(skipped)),
    )


def _root(root: Path | str | None = None) -> Path:
    """The folder to look in, which exists."""
    named = root if root is not None else os.environ.get("FOOD11_ROOT")
    if not named:
        folder = paths.REPO / "data" / "food11"
        if not folder.is_dir():
            raise DataError(
                _(
                    "Food-11 is not on this machine. Get it with `python -m core data fetch`, or "
                    "set FOOD11_ROOT to the folder that holds training, validation and testing."
                )
            )
        return folder
    if is_address(str(named)):
        return local_copy(str(named))
    given = Path(named).expanduser()
    for folder in (given, paths.REPO / given):  # an absolute path stays what it is
        if folder.is_dir():
            return folder.resolve()
    if root is not None:
        raise DataError(
            _("{folder} is not a folder. Name one with photographs.").format(folder=given)
        )
    raise DataError(
        _("{folder} is not a folder. Set FOOD11_ROOT to where Food-11 lies.").format(folder=given)
    )


def _split_root(root: Path) -> Path:
    """`root`, or the one folder at most _DEPTH below it, that has a training folder."""
    level = [root]
    for _depth in range(_DEPTH + 1):
        folders = [f for f in level if any(s == "training" for _f, s in _split_folders(f))]
        if len(folders) > 1:
            raise DataError(
                _("{folder} holds more than one data set ({names}). Name one of them.").format(
                    folder=root, names=", ".join(f.name for f in folders)
                )
            )
        if folders:
            return folders[0]
        level = [below for folder in level for below in folders_in(folder)]
    raise DataError(
        _("{folder} has no folder called training (or train) with photographs in it.").format(
            folder=root
        )
    )


def _split_folders(folder: Path) -> list[tuple[Path, str]]:
    return [
        (f, _SPLIT_OF[f.name.lower()]) for f in folders_in(folder) if f.name.lower() in _SPLIT_OF
    ]


def _read_splits(base: Path) -> dict[str, SplitFolder]:
    """Each split's folder, read. Raises DataError where a split or a label has two readings."""
    folders: dict[str, list[tuple[Path, SplitFolder]]] = {}
    for folder, split in _split_folders(base):
        folders.setdefault(split, []).append((folder, read_split(folder, split)))
    splits = {}
    for split, several in folders.items():
        filled = [folder for folder in several if folder[1].rows] or several[:1]
        if len(filled) > 1:
            raise DataError(
                _(
                    "{folder} holds {names}, and each can be meant by the {split} split. "
                    "Leave one of them there."
                ).format(folder=base, names=listed(f.name for f, _read in filled), split=split)
            )
        splits[split] = filled[0][1]
    check_numbers(base, list(splits.values()))
    return splits


def _fingerprint(rows: Iterable[tuple[str, int, str, int]]) -> str:
    digest = hashlib.sha256()
    for name, label, split, size in rows:
        digest.update(f"{name}\0{size}\0{split}\0{label}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _name(base: Path, splits: NDArray[np.str_]) -> tuple[str, bool]:
    """What to call the data set, and whether it is Food-11 as far as its folder tells."""
    try:
        text = (base / "PROVENANCE.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    if _NOT_FOOD11.search(text):
        heading = re.search(r"^#\s+(.+?)\s*$", text, re.MULTILINE)
        title = heading[1] if heading else base.name
        title = _TITLES.get(title, title)
        if title == _DREAMED:
            return f"{title} ({len(splits):,} pictures, not photographs, not Food-11)", False
        return f"{title} ({len(splits):,} photographs, not Food-11)", False
    counts = {split: int((splits == split).sum()) for split in SPLITS}
    if counts == FOOD11_COUNTS:
        return "Food-11", True
    return f"{len(splits):,} {IN_ITS_LAYOUT} (not Food-11)", False
