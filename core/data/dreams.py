"""The dreams: pictures that a teacher network thought up, shipped with the app, read without torch.

No camera took them: an optimiser changed noise until the teacher saw food in it (how:
`tools/dreams.py`, which makes them). They stand in where a visitor has no photograph, so whoever
shows one says `MARK` beside it. A folder `pretrained/dreams/` holds one JPEG sheet of tiles a class
and size, and `dreams.json`, which says what made them, what each tile was meant to be, and what two
networks see in it. A sheet is read whole and compared with its SHA-256 before a tile is cut from
it.

As a data set (`unpack`) the small ones lie in the layout that `find_food11` knows, with a training
and a validation split of their own, no testing split, and a PROVENANCE.md that names them dreams.
"""

import functools
import hashlib
import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from core import paths
from core.course import CLASSES
from core.errors import DataError, PhotoError
from core.i18n import _
from core.photos import read_photo

DREAMS = "dreams"
"""What a training's `data` says to learn from the dreams."""
TRAIN_PX, SHOW_PX = 64, 128
"""Sides of the dreams to train on and of those to look at, in pixels."""

Answers = tuple[Annotated[int, Field(ge=0, lt=len(CLASSES))], ...]
Shares = tuple[Annotated[float, Field(ge=0, le=1)], ...]


def MARK() -> str:  # noqa: N802
    """What stands beside every dream that is shown, in the visitor's language."""
    return _("generated picture (made from a teacher's weights)")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sheet(_Entry):
    """The dreams of one class and size: tiles of a JPEG, row by row."""

    label: int = Field(ge=0, lt=len(CLASSES))
    """The class they were meant to be."""
    file: Annotated[str, StringConstraints(pattern=r"^[0-9]+-[0-9]{2}-[0-9a-f]{8}\.jpg$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bytes: int = Field(gt=0)
    teacher_answers: Answers
    """What the teacher sees in each tile, as it is shipped; their number is the number of tiles."""
    teacher_sure: Shares
    """How likely the teacher finds `label`, tile by tile (softmax at T = 1)."""
    checker_answers: Answers = ()
    """What the independent network sees; empty if there was none when they were made."""


class DreamSet(_Entry):
    """All dreams of one size."""

    px: int = Field(gt=0)
    columns: int = Field(gt=0)
    """Tiles in a row of a sheet."""
    validation: int = Field(ge=0)
    """So many of each class, the last ones, are the validation split."""
    settings: dict[str, Any]
    sheets: tuple[Sheet, ...]

    @property
    def n(self) -> int:
        """How many dreams there are."""
        return sum(len(sheet.teacher_answers) for sheet in self.sheets)

    def right(self, who: str) -> tuple[int, int]:
        """(times seen as the class it was meant to be, dreams asked) of `teacher` or `checker`."""
        pairs = [
            (answer, sheet.label)
            for sheet in self.sheets
            for answer in getattr(sheet, f"{who}_answers")
        ]
        return sum(answer == label for answer, label in pairs), len(pairs)


class Dreams(_Entry):
    """What `dreams.json` says: who dreamed, how, when, and every dream."""

    teacher: str
    """Checkpoint that dreamed."""
    teacher_sha256: str
    """Of its weights."""
    checker: str | None = None
    """Checkpoint that never learned from the teacher, and was asked what it sees."""
    checker_sha256: str | None = None
    sets: tuple[DreamSet, ...]
    commit: str | None = None
    date: str
    device: str
    compute_s: float = Field(ge=0)
    """Seconds of work, all batches together."""
    versions: dict[str, str] = Field(default_factory=dict)

    def of(self, px: int) -> DreamSet | None:
        """The dreams of one size, if there are any."""
        return next((sheet for sheet in self.sets if sheet.px == px), None)


def dreams_dir() -> Path:
    """Where the dreams are kept."""
    return paths.pretrained_dir() / "dreams"


def load_dreams() -> Dreams | None:
    """What is shipped; None where nothing is. Raises DataError for a list that cannot be read."""
    try:
        text = (dreams_dir() / "dreams.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged("dreams.json") from error
    return _parsed(text)


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> Dreams:
    try:
        return Dreams.model_validate_json(text)
    except ValidationError as error:
        raise _damaged("dreams.json") from error


def dreams_available(px: int = TRAIN_PX) -> bool:
    """Whether dreams of this size are shipped. Opens no picture."""
    try:
        chosen = load_dreams()
    except DataError:
        return False
    return chosen is not None and chosen.of(px) is not None


def tiles(chosen: DreamSet, label: int) -> NDArray[np.uint8]:
    """The dreams of one class: (n, 3, px, px) uint8 RGB, (0, 3, px, px) where there are none.

    Raises DataError where the sheet is missing or is not the one that the list describes.
    """
    sheet = next((each for each in chosen.sheets if each.label == label), None)
    px = chosen.px
    if sheet is None:
        return np.zeros((0, 3, px, px), np.uint8)
    try:
        data = (dreams_dir() / sheet.file).read_bytes()
        if hashlib.sha256(data).hexdigest() != sheet.sha256:
            raise _damaged(sheet.file)
        image = np.asarray(read_photo(data))  # (rows px, columns px, 3)
    except (OSError, PhotoError) as error:
        raise _damaged(sheet.file) from error
    n, rows = len(sheet.teacher_answers), -(-len(sheet.teacher_answers) // chosen.columns)
    if image.shape != (rows * px, chosen.columns * px, 3):
        raise _damaged(sheet.file)
    cut = image.reshape(rows, px, chosen.columns, px, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(cut.reshape(-1, 3, px, px)[:n])


def sheet_jpeg(pictures: NDArray[np.uint8], columns: int, quality: int) -> bytes:
    """A JPEG sheet of (n, 3, px, px) uint8 tiles, grey where the last row has none left.

    Colours are not subsampled, and px is a multiple of JPEG's blocks of 8, so no tile leaks into
    its neighbour. Raises ValueError for another px.
    """
    n, _three, px, _px = pictures.shape
    if px % 8:
        raise ValueError(f"tiles of {px} px do not lie on JPEG's blocks of 8")
    rows = -(-n // columns)
    full = np.full((rows * columns, 3, px, px), 127, np.uint8)
    full[:n] = pictures
    sheet = full.reshape(rows, columns, 3, px, px).transpose(0, 3, 1, 4, 2)
    image = Image.fromarray(np.ascontiguousarray(sheet.reshape(rows * px, columns * px, 3)))
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    return file.getvalue()


def unpack() -> Path:
    """The dreams to train on as a folder for `find_food11`, made in the cache on first use.

    Raises DataError where there are none, or they are damaged, or the cache cannot be written.
    """
    dreams = load_dreams()
    chosen = dreams.of(TRAIN_PX) if dreams else None
    if dreams is None or chosen is None:
        raise DataError(
            _("There are no generated pictures here. Make them with: python -m tools dreams")
        )
    mark = _mark(chosen)
    root = paths.cache_dir() / "dreams"
    folder = root / mark
    if folder.is_dir():  # it appears whole, by a rename
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{mark}.lock"):
            if not folder.is_dir():
                _write(root / f".{mark}.{os.getpid()}", folder, dreams, chosen)
    except OSError as error:
        raise DataError(
            _(
                "The generated pictures cannot be unpacked in {folder}: {reason}. "
                "Set SMALL_PLATES_CACHE."
            ).format(folder=root, reason=error.strerror or error)
        ) from error
    return folder


def dreams_mark() -> str:
    """16 hex digits that change when the dreams to train on do; empty where there are none."""
    dreams = load_dreams()
    chosen = dreams.of(TRAIN_PX) if dreams else None
    return _mark(chosen) if chosen else ""


def _mark(chosen: DreamSet) -> str:
    return hashlib.sha256(chosen.model_dump_json().encode()).hexdigest()[:16]


def _write(work: Path, folder: Path, dreams: Dreams, chosen: DreamSet) -> None:
    try:
        for label in range(len(CLASSES)):
            pictures = tiles(chosen, label)
            for i, picture in enumerate(pictures):
                split = "training" if i < len(pictures) - chosen.validation else "validation"
                path = work / split / f"{label}_{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                # not compressed: every machine then writes the same number of bytes, on which
                # the fingerprint of a data set stands
                Image.fromarray(picture.transpose(1, 2, 0)).save(path, compress_level=0)
        (work / "PROVENANCE.md").write_text(
            f"# Dreamed by the teacher\n\n{chosen.n} pictures made from the weights of "
            f"{dreams.teacher} alone. They are dreams of a network, not photographs, and they are "
            "NOT Food-11.\n",
            encoding="utf-8",
        )
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _damaged(name: str) -> DataError:
    return DataError(
        _(
            "{file} of the generated pictures is not the file it should be. Get it again with git."
        ).format(file=name)
    )
