"""`python -m tools distinct`: a data set without the photographs that another one is tested on.

A network that starts from one set and is measured on another has seen too much if pictures of the
second hide in the first. Left out are photographs to learn from (training and validation split)
that are the same as one of the other set's validation or testing split. What remains is a data set
of its own, with a name, a PROVENANCE.md and a list of what is missing and why.

Two photographs count as the same where their thumbnails do: 16 x 16 pixels, mean removed, length 1,
of the whole picture and of its centre square. The cosine of two of them is near 1 for copies that
are smaller, compressed again, cut square or mirrored, and falls off clearly for other pictures of
the same dish. A cut far off the middle is not noticed.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm
from tyro.conf import Positional, arg

from core import paths
from core.cli.answer import Answer
from core.data.find import IN_ITS_LAYOUT, SPLITS, Index, find_food11
from core.data.named import DISTINCT, data_root, read_distinct
from core.errors import ConfigError, DataError
from core.i18n import _
from core.limited import task
from core.photos import read_photos
from core.photos.decode import decode

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


@task
def _seen(data: bytes) -> NDArray[np.float32]:
    return thumbnails(decode(data))


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
            highest = cosines.max(axis=1)
            better = highest > best[part]
            best[part] = np.where(better, highest, best[part])
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
    twins: dict[str, Twin] = {}
    for file, cosine, row in zip(files, *similarity(ours, theirs), strict=True):
        before = twins.get(file)
        if cosine >= threshold and (before is None or cosine > before.similarity):
            twins[file] = Twin(file, others[row], round(float(cosine), 4))
    return sorted(twins.values()), unreadable


def _look(
    index: Index, splits: Iterable[str], progress: bool
) -> tuple[list[str], NDArray[np.float32], list[str]]:
    """Thumbnails of these splits, the file of each row, and the files that cannot be read."""
    names = [index.files[row] for split in splits for row in index.of(split)]

    bar: Callable[..., Any] = tqdm
    seen = bar(
        read_photos(_seen, [index.root / name for name in names]),
        total=len(names),
        desc=_("Comparing photographs"),
        unit="photo",
        file=sys.stderr,
        disable=not progress,
    )
    per_photo = [_NONE if isinstance(rows, str) else rows for rows in seen]
    files = [name for name, rows in zip(names, per_photo, strict=True) for _row in rows]
    unreadable = [name for name, rows in zip(names, per_photo, strict=True) if not len(rows)]
    return files, np.concatenate([_NONE, *per_photo]), unreadable


# -- the set that is left --------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """The set that was written, and what is missing in it."""

    index: Index
    left_out: tuple[Twin, ...]
    unreadable: tuple[str, ...]
    """Photographs to learn from that cannot be read, hence not be compared: left out too."""


def write_distinct(
    source: Index,
    against: Index,
    folder: Path,
    threshold: float = THRESHOLD,
    progress: bool = True,
) -> Written:
    """Make `folder`, a data set of the photographs of `source` that `against` does not test on.

    Same names and layout, as hard links where the disk allows, else as copies; the testing split is
    kept whole, nothing learns from it. It appears under its name when it is complete. A folder that
    holds this very set is left as it is. Raises DataError where the folder holds something else,
    lies in one of the two sets, or cannot be written.
    """
    folder = Path(os.path.abspath(folder.expanduser()))
    for index in (source, against):
        if folder.resolve().is_relative_to(index.root):
            raise DataError(
                _("{folder} lies in the data set {root}. Choose another place.").format(
                    folder=folder, root=index.root
                )
            )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                return _there(folder, _facts(source, against, threshold))
            return _write(source, against, folder, threshold, progress)
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            _("{folder} cannot be written: {reason}.").format(
                folder=folder, reason=error.strerror or error
            )
        ) from error


def _write(
    source: Index, against: Index, folder: Path, threshold: float, progress: bool
) -> Written:
    """Write the set beside its place, look at it as any reader would, and put it there."""
    left_out, unreadable = near_duplicates(source, against, threshold, progress)
    gone = {twin.file for twin in left_out} | set(unreadable)
    work = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)  # of a process that died
    try:
        for name in source.files:
            if name not in gone:
                _link(source.root / name, work / name)
        (work / "PROVENANCE.md").write_text(
            _provenance(source, against, threshold, left_out, unreadable), encoding="utf-8"
        )
        paths.write_json(
            work / DISTINCT,
            {
                **_facts(source, against, threshold),
                "left_out": [twin._asdict() for twin in left_out],
                "unreadable": unreadable,
            },
        )
        written = find_food11(work)
        kept = [row for row, name in enumerate(source.files) if name not in gone]
        if written.files != tuple(source.files[row] for row in kept) or not np.array_equal(
            written.labels, source.labels[kept]
        ):
            raise DataError(
                _("{root} cannot be copied in part: its layout is not one we know well.").format(
                    root=source.root
                )
            )
        if folder.exists():
            folder.rmdir()  # empty
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Written(find_food11(folder), tuple(left_out), tuple(unreadable))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)  # what a link in the source points at, not the link
    except OSError:  # another disk, or one that knows no hard links
        shutil.copyfile(source, target)


def _facts(source: Index, against: Index, threshold: float) -> dict[str, Any]:
    """What a set is made from: two folders with the same facts hold the same photographs."""
    return {
        "source": {"name": source.name, "fingerprint": source.fingerprint},
        "against": {"name": against.name, "fingerprint": against.fingerprint},
        "threshold": threshold,
    }


def _there(folder: Path, facts: dict[str, Any]) -> Written:
    """The set that `folder` holds. DataError where it is not the one that was asked for."""
    note = read_distinct(folder)
    if note is None or any(note.get(name) != fact for name, fact in facts.items()):
        raise DataError(
            _("{folder} holds something else already. Choose another folder.").format(folder=folder)
        )
    try:
        twins = tuple(Twin(**twin) for twin in note["left_out"])
        return Written(find_food11(folder), twins, tuple(note["unreadable"]))
    except (KeyError, TypeError) as error:
        raise DataError(
            _("{folder} is damaged. Delete it and make it again.").format(folder=folder)
        ) from error


def _title(index: Index) -> str:
    if IN_ITS_LAYOUT in index.name:
        return IN_ITS_LAYOUT[:1].upper() + IN_ITS_LAYOUT[1:]
    return index.name.partition(" (")[0]


def _provenance(
    source: Index, against: Index, threshold: float, left_out: list[Twin], unreadable: list[str]
) -> str:
    """PROVENANCE.md: the heading by which `find_food11` names the set, then what became of it."""
    other = "Food-11's" if against.is_food11 else f"the {_title(against)}'s"
    if IN_ITS_LAYOUT in against.name:
        other = "those of its test set"
    whole = source.is_food11 and not left_out and not unreadable
    lines = [
        f"# {_title(source)}, without {other}",
        "",
        *([] if whole else ["**NOT Food-11.**", ""]),
        f"The photographs of {_title(source)} (fingerprint {source.fingerprint}) without "
        f"{len(left_out)} of its training and validation splits that are the same as one of the "
        f"validation or testing split of {_title(against)} (fingerprint {against.fingerprint}): "
        f"thumbnails with a cosine of at least {threshold:g}, mirrored too. "
        f"Left out as unreadable: {len(unreadable)}. {DISTINCT} names them all.",
        "",
        "Written by `python -m tools distinct`. The licence is the source's.",
    ]
    try:
        own = (source.root / "PROVENANCE.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "\n".join(lines) + "\n"
    return "\n".join([*lines, "", "What the source says of itself:", "", own])


# -- the command -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Distinct:
    """Make another data set fit to learn from before Food-11: a folder of its photographs without
    those that Food-11's validation and testing splits hold too.
    """

    source: Annotated[Positional[str], arg(metavar="SOURCE")] = ""
    """The folder with the photographs, or a variable that names it."""

    against: Annotated[str, arg(metavar="FOLDER")] = ""
    """The set that is tested on, a folder or a variable; without it, Food-11."""

    into: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Where to write; without it, a folder of that name in your data folder."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        if not self.source:
            raise ConfigError(
                _("Name the photographs: python -m tools distinct SOURCE --into FOLDER")
            )
        source, against = find_food11(data_root(self.source)), find_food11(data_root(self.against))
        made = write_distinct(
            source, against, self.into or paths.data_dir() / f"{source.root.name}_distinct"
        )
        index = made.index
        document = {
            "root": str(index.root),
            "name": index.name,
            "fingerprint": index.fingerprint,
            "against": against.name,
            "splits": {split: len(index.of(split)) for split in SPLITS},
            "left_out": [twin._asdict() for twin in made.left_out],
            "unreadable": list(made.unreadable),
        }
        counts = [f"{split} {n:,}" for split, n in document["splits"].items()]  # type: ignore[attr-defined]
        text = _(
            "{name}: {counts}. {n:,} near duplicates of {against} were left out. It is in {root}"
        ).format(
            name=index.name, counts=", ".join(counts), n=len(made.left_out), against=against.name,
            root=index.root,
        )  # fmt: skip
        return Answer(document, text)
