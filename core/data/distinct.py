"""A data set without the photographs that another one is tested on, so that it may come first.

A network that starts from one set and is measured on another has seen too much if pictures of the
second hide in the first. Left out are photographs to learn from (training and validation split)
that are the same (`core.data.alike`) as one of the other set's validation or testing split. What
remains is a data set of its own, with a name, a PROVENANCE.md and a list of what is missing and
why.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from core import places
from core.data.alike import THRESHOLD, Twin, near_duplicates
from core.data.find import IN_ITS_LAYOUT, Index, find_food11
from core.errors import DataError
from core.words import _

LIST = "distinct.json"
"""What lies beside the photographs and says what was left out."""


@dataclass(frozen=True)
class Distinct:
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
) -> Distinct:
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


def is_distinct(folder: Path, against: Index) -> bool:
    """Whether `folder` was written by `write_distinct` to be distinct from this very `against`."""
    said = _said(folder)
    named = said.get("against") if said else None
    return isinstance(named, dict) and named.get("fingerprint") == against.fingerprint


def _write(
    source: Index, against: Index, folder: Path, threshold: float, progress: bool
) -> Distinct:
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
        places.write_json(
            work / LIST,
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
    return Distinct(find_food11(folder), tuple(left_out), tuple(unreadable))


def _link(there: Path, here: Path) -> None:
    here.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(there.resolve(), here)  # what a link in the source points at, not the link
    except OSError:  # another disk, or one that knows no hard links
        shutil.copyfile(there, here)


def _facts(source: Index, against: Index, threshold: float) -> dict[str, Any]:
    """What a set is made from: two folders with the same facts hold the same photographs."""
    return {
        "source": {"name": source.name, "fingerprint": source.fingerprint},
        "against": {"name": against.name, "fingerprint": against.fingerprint},
        "threshold": threshold,
    }


def _said(folder: Path) -> dict[str, Any] | None:
    try:
        said = places.read_json(folder / LIST)
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _there(folder: Path, facts: dict[str, Any]) -> Distinct:
    """The set that `folder` holds. DataError where it is not the one that was asked for."""
    said = _said(folder)
    if said is None or any(said.get(name) != fact for name, fact in facts.items()):
        raise DataError(
            _("{folder} holds something else already. Choose another folder.").format(folder=folder)
        )
    try:
        twins = tuple(Twin(**twin) for twin in said["left_out"])
        return Distinct(find_food11(folder), twins, tuple(said["unreadable"]))
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
        f"Left out as unreadable: {len(unreadable)}. {LIST} names them all.",
        "",
        "Written by `python -m core data distinct`. The licence is the source's.",
    ]
    try:
        own = (source.root / "PROVENANCE.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "\n".join(lines) + "\n"
    return "\n".join([*lines, "", "What the source says of itself:", "", own])
