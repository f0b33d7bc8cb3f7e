"""Of which class each picture of a split's folder is, by its folder or by its own name.

A label is never guessed: what can be read in two ways (numbers that run from 1 to 11, two folders
of one class, a file in the folder of another class) is refused, with the reason.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from core.course import CLASSES
from core.errors import DataError
from core.i18n import _
from core.photos.formats import ENDINGS

_LABEL_OF = {
    spelling: label
    for label, spellings in enumerate(
        (
            "bread breads",
            "dairyproduct dairyproducts dairy",
            "dessert desserts",
            "egg eggs",
            "friedfood friedfoods fried",
            "meat meats",
            "noodlespasta noodlepasta noodlesandpasta noodles noodle pasta",
            "rice",
            "seafood seafoods",
            "soup soups",
            "vegetablefruit vegetablesfruits vegetablefruits vegetablesfruit"
            " vegetableandfruit vegetablesandfruits vegetable vegetables fruit fruits",
        )
    )
    for spelling in spellings.split()
}
# ASCII digits only: `\d` takes other scripts' digits, and str.isdigit even "²"
_FLAT_NAME = re.compile(r"([0-9]{1,2})_\w+")
_INDEXED_NAME = re.compile(r"([0-9]{1,2})_[0-9]+")
_NUMBER = re.compile(r"[0-9]+")


class SplitFolder(NamedTuple):
    """What one split's folder holds."""

    layout: str
    rows: list[tuple[Path, int | None, int]]
    """(path, label or None, size in bytes) of each picture."""
    numbers: frozenset[int]
    """Numbers that its class folders have for names."""
    flat: frozenset[int]
    """Numbers at the beginning of its pictures' names, where they lie in no class folder."""


def folders_in(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without hidden ones; none where it cannot be read."""
    try:
        return sorted(
            Path(e.path)
            for e in os.scandir(folder)
            if e.is_dir() and not e.name.startswith((".", "__"))
        )
    except OSError:
        return []


def _pictures(folder: Path) -> Iterator[tuple[Path, int]]:
    """Path and size in bytes of every picture in a folder, not below it."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.is_file():
                    continue  # ._0_1.jpg is what macOS leaves in archives
                if os.path.splitext(entry.name)[1].lower() in ENDINGS:
                    yield Path(entry.path), entry.stat().st_size
    except OSError as error:
        raise DataError(_("{folder} cannot be read.").format(folder=folder)) from error


def check_numbers(base: Path, splits: Sequence[SplitFolder]) -> None:
    """Raises DataError where numbers that stand for classes may be counted from 1."""
    numbers = {number for read in splits for number in read.numbers}
    if numbers and numbers != set(range(len(CLASSES))):
        raise _misnumbered(_("The class folders in {folder}").format(folder=base), numbers)
    from_one = set(range(1, len(CLASSES)))
    everywhere = {number for read in splits for number in read.flat}
    for flat in (set(read.flat) for read in splits):
        # a small split may well lack class 0; nothing has a class 11
        if 0 not in flat and len(CLASSES) in flat and flat & from_one:
            raise _misnumbered(_("The labels in file names of {folder}").format(folder=base), flat)
    if 0 not in everywhere and from_one <= everywhere:
        what = _("The labels in file names of {folder}").format(folder=base)
        raise _misnumbered(what, everywhere)


def _misnumbered(what: str, numbers: Set[int]) -> DataError:
    least, most = min(numbers), max(numbers)
    run = len(numbers) > 2 and numbers == set(range(least, most + 1))
    shown = (
        _("{least} to {most}").format(least=least, most=most)
        if run
        else listed(map(str, sorted(numbers)))
    )
    return DataError(
        _(
            "{what} are numbered {numbers}. Food-11's classes are 0 (Bread) to 10 "
            "(Vegetable/Fruit), so it is not clear which class each number means. Number them from "
            "0 to 10, or name folders after the classes."
        ).format(what=what, numbers=shown)
    )


def listed(names: Iterable[str], most: int = 15) -> str:
    """The first names, for a sentence."""
    every = list(names)
    return ", ".join(every[:most]) + (" ..." if len(every) > most else "")


class _ClassFolder(NamedTuple):
    """A folder inside a split's whose name means a class, and its pictures with their sizes."""

    path: Path
    label: int | None
    numbered: bool
    pictures: list[tuple[Path, int]]


def read_split(folder: Path, split: str) -> SplitFolder:
    """What one split's folder holds. Raises DataError where a label has two readings."""
    folder = _labelled_part(folder)
    inner = [
        _ClassFolder(f, _folder_label(f.name), bool(_NUMBER.fullmatch(f.name)), [*_pictures(f)])
        for f in folders_in(folder)
    ]
    if split == "testing" and [_folder_number(folder.path.name) for folder in inner] == [0]:
        # the course of 2021 put every unlabelled testing photograph in 00
        inner = [inner[0]._replace(label=None, numbered=False)]
    _check_folders(folder, inner)
    in_folders = [(path, folder.label, size) for folder in inner for path, size in folder.pictures]
    flat = [(path, _name_label(path.stem), size) for path, size in _pictures(folder)]
    numbers = (_folder_number(folder.path.name) for folder in inner if folder.numbered)
    labels = (_FLAT_NAME.fullmatch(path.stem) for path, _label, _size in flat)
    layout = "labelled folders" if any(folder.numbered for folder in inner) else "class folders"
    return SplitFolder(
        "flat" if len(flat) > len(in_folders) else layout,
        flat + in_folders,
        frozenset(number for number in numbers if number is not None),
        frozenset(int(match[1]) for match in labels if match),
    )


def _labelled_part(folder: Path) -> Path:
    """The folder `labeled` of a split's folder, as the course of 2021 has it; else the latter.

    `unlabeled` beside it holds no usable class. Raises DataError where classes lie beside it, too.
    """
    below = folders_in(folder)
    parts = [f for f in below if f.name.lower() in ("labeled", "labelled")]
    if not parts:
        return folder
    others = parts[1:] + [f for f in below if _means_class(f.name) and any(_pictures(f))]
    others += [path for path, _size in _pictures(folder) if _name_label(path.stem) is not None]
    if others:
        raise DataError(
            _(
                "{folder} holds {part} and beside it {other}: which of them to learn from is not "
                "clear. Leave one of them there."
            ).format(folder=folder, part=parts[0].name, other=others[0].name)
        )
    return parts[0]


def _check_folders(folder: Path, inner: list[_ClassFolder]) -> None:
    """Raises DataError where the class folders of a split contradict each other or their files."""
    filled = [
        class_folder
        for class_folder in inner
        if class_folder.pictures and _means_class(class_folder.path.name)
    ]
    names = [class_folder.path.name for class_folder in filled if not class_folder.numbered]
    numbers = [class_folder.path.name for class_folder in filled if class_folder.numbered]
    if names and numbers:
        raise DataError(
            _(
                "{folder} has folders named after classes ({names}) and numbered ones ({numbers}). "
                "Name all of them in one way."
            ).format(folder=folder, names=listed(names, 3), numbers=listed(numbers, 3))
        )
    seen: dict[int, Path] = {}
    for path, label, _numbered, pictures in filled:
        if label is None:
            continue
        if label in seen:
            raise DataError(
                _(
                    "The folders {one} and {other} in {folder} both mean the class {name}. "
                    "Leave one of them there."
                ).format(one=seen[label].name, other=path.name, folder=folder, name=CLASSES[label])
            )
        seen[label] = path
        for picture, _size in pictures:
            match = _INDEXED_NAME.fullmatch(picture.stem)
            if match and int(match[1]) < len(CLASSES) and int(match[1]) != label:
                raise DataError(
                    _(
                        "{file} lies in the folder of the class {name}, but by its own name it is "
                        "of class {number}. Rename the file, or the folder."
                    ).format(file=picture, name=CLASSES[label], number=int(match[1]))
                )


def _name_label(stem: str) -> int | None:
    match = _FLAT_NAME.fullmatch(stem)
    return int(match[1]) if match and int(match[1]) < len(CLASSES) else None


def _folder_number(name: str) -> int | None:
    return int(name) if _NUMBER.fullmatch(name) else None


def _means_class(name: str) -> bool:
    """Whether a folder of this name is meant to hold a class, known or not."""
    return _folder_number(name) is not None or _folder_label(name) is not None


def _folder_label(name: str) -> int | None:
    number = _folder_number(name)
    if number is not None:
        return number if number < len(CLASSES) else None
    return _LABEL_OF.get(re.sub(r"[^a-z]", "", name.lower()))
