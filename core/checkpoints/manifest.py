"""`pretrained/` and its manifest: what each checkpoint is, and proof that its files are those.

The manifest is the only word on what exists: a folder without an entry is no checkpoint. Files
are read whole, compared with the entry's SHA-256, and only then used, so nothing can change
between the check and the use.

Replacing a checkpoint takes three renames (old folder aside, new one in, manifest), and a process
may be killed between any two. Until the last is done the old folder stays as `.<id>.old`, so that
one of the two folders always matches the manifest: readers take that one, and the next writer
clears up. Nothing here imports torch.

Runs of the people who use the app, and the versions that they make of a network, become checkpoints
too, in a folder of their own beside the runs (`own_dir`), built in the same way: their names are
found like any other, but only `pretrained/` is listed. `python -m core reproduce` alone writes to
`pretrained/`.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from pydantic import ValidationError

from core import paths
from core.checkpoints.entry import Checkpoint, DerivedFrom, FileInfo
from core.errors import CheckpointError
from core.i18n import _, paragraph

LOCK_WAIT_S = 60.0


def own_dir() -> Path:
    """Where what was trained, or made of another network, on this machine is kept."""
    return paths.own_checkpoints_dir()


def manifest_path(root: Path | None = None) -> Path:
    """Where the manifest of a folder (`pretrained/`, if none is named) is, or would be."""
    return (root or paths.pretrained_dir()) / "manifest.json"


def load_manifest(root: Path | None = None) -> dict[str, Checkpoint]:
    """Every checkpoint of `pretrained/`, or of `root`, by its id, sorted; empty where none is yet.

    Raises CheckpointError where there is a manifest, or an entry of it, that cannot be understood.
    """
    listed = listing(root)
    for id, why in listed.unreadable.items():
        raise _damaged(manifest_path(root), f"{id}: {why}")
    return listed.checkpoints


class Listing(NamedTuple):
    """What a manifest lists."""

    checkpoints: dict[str, Checkpoint]
    """By id, sorted."""
    unreadable: dict[str, str]
    """Id -> what is wrong with its entry."""
    raw: dict[str, Any]
    """The unreadable entries as they stand there."""


def listing(root: Path | None = None) -> Listing:
    """`load_manifest` that says which entries cannot be understood, and lists the others.

    Raises CheckpointError where the file is no manifest at all.
    """
    path = manifest_path(root)
    try:
        state = path.stat()
        listed = _parsed(path, state.st_mtime_ns, state.st_size, state.st_ino)
        return Listing(dict(listed.checkpoints), dict(listed.unreadable), listed.raw)
    except FileNotFoundError:
        return Listing({}, {}, {})
    except OSError as error:
        raise _damaged(path, error.strerror or type(error).__name__) from error


@lru_cache(maxsize=4)
def _parsed(path: Path, *_state: int) -> Listing:
    """The manifest at `path`; `_state` changes when the file does, so the cache does too."""
    try:
        content = paths.read_json(path)
    except ValueError as error:
        raise _damaged(path, str(error)[:200]) from error
    entries = content.get("checkpoints") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or set(content) != {"checkpoints"}:
        raise _damaged(path, _("it is not a table of checkpoints"))
    listed = Listing({}, {}, {})
    for name, entry in sorted(entries.items()):
        try:
            listed.checkpoints[name] = _entry(name, entry)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            listed.unreadable[name] = f"{field}: {first['msg']}"
        except (ValueError, TypeError, RecursionError) as error:
            listed.unreadable[name] = str(error)[:200]
    listed.raw.update({name: entries[name] for name in listed.unreadable})
    return listed


def _entry(name: str, content: Any) -> Checkpoint:
    if not isinstance(content, dict):
        raise ValueError(_("it is no table of facts"))
    entry = Checkpoint.model_validate_json(json.dumps({**content, "id": name}))
    if entry.derived_from is not None:
        return entry
    # entries did not always say so
    derived = DerivedFrom.told_by(entry.config, entry.widths, entry.ranks)
    return entry if derived is None else entry.model_copy(update={"derived_from": derived})


def _damaged(path: Path, reason: str) -> CheckpointError:
    if path != manifest_path():
        return CheckpointError(
            _(
                "The list of your own networks, {file}, cannot be read ({reason}). Put it right or "
                "delete it; the runs beside it stay as they are."
            ).format(file=path, reason=reason)
        )
    return CheckpointError(
        _(
            "The list of checkpoints, {file}, cannot be read ({reason}). "
            "Get it again with git, or make it with: python -m core reproduce"
        ).format(file=path.name, reason=reason)
    )


def get(id: str) -> Checkpoint:
    """The checkpoint of that id. Raises CheckpointError naming those there are."""
    listed = listing()
    checkpoints = listed.checkpoints
    if id in checkpoints:
        return checkpoints[id]
    if id in listed.unreadable:
        raise _damaged(manifest_path(), f"{id}: {listed.unreadable[id]}")
    own = listing(own_dir())
    if id in own.checkpoints:
        return own.checkpoints[id]
    if id in own.unreadable:
        raise _damaged(manifest_path(own_dir()), f"{id}: {own.unreadable[id]}")
    if not checkpoints:
        message = _("There are no checkpoints yet. Make them with: python -m core reproduce")
        raise CheckpointError(message)
    raise CheckpointError(
        _("There is no checkpoint called {id}. Choose one of: {known}.").format(
            id=repr(id), known=", ".join(checkpoints)
        )
    )


def folder(id: str) -> Path:
    """Where the files of the checkpoint `id` are. Raises CheckpointError if there is none."""
    return root_of(get(id).id) / id


def root_of(id: str) -> Path:
    """The folder whose manifest lists this checkpoint: `pretrained/`, else `own_dir()`."""
    return paths.pretrained_dir() if id in listing().checkpoints else own_dir()


def read_files(id: str, *names: str) -> tuple[Checkpoint, dict[str, bytes]]:
    """A checkpoint's entry and its files of those names, every byte as the entry says.

    All files of the checkpoint if no name is given. Raises CheckpointError for an unknown
    checkpoint and for a file that is missing or is not the one the manifest describes.
    """
    while True:
        checkpoint = get(id)
        wanted = names or tuple(checkpoint.files)
        try:
            return checkpoint, _matching(checkpoint, wanted)
        except CheckpointError:
            if get(id) == checkpoint:  # otherwise it was published anew while we read: once more
                raise


def _matching(checkpoint: Checkpoint, names: tuple[str, ...]) -> dict[str, bytes]:
    root = root_of(checkpoint.id)
    try:
        return {name: _read(checkpoint, root / checkpoint.id, name) for name in names}
    except CheckpointError:
        old = _old(root, checkpoint.id)
        if not old.is_dir():
            raise
        return {name: _read(checkpoint, old, name) for name in names}


def _read(checkpoint: Checkpoint, where: Path, name: str) -> bytes:
    def bad(words: str) -> CheckpointError:
        again = _("Get it again with git, or make it with: python -m core reproduce")
        return CheckpointError(paragraph([words.format(file=name, id=checkpoint.id), again]))

    expected = checkpoint.files.get(name)
    if expected is None:
        words = _("The checkpoint {id} has no {file}.")
        raise CheckpointError(words.format(file=name, id=checkpoint.id))
    try:
        path = where / name
        size = path.stat().st_size
        data = path.read_bytes() if size == expected.bytes else b""
    except OSError as error:
        raise bad(_("{file} of the checkpoint {id} is missing or cannot be read.")) from error
    if size != expected.bytes or FileInfo.of(data) != expected:
        raise bad(
            _("{file} of the checkpoint {id} is not the file it should be (its SHA-256 differs).")
        )
    return data


def store(checkpoint: Checkpoint, files: dict[str, bytes], root: Path | None = None) -> None:
    """Put a checkpoint into `pretrained/` (or `root`), in place of an earlier one of its id.

    After a crash at any moment the manifest describes files that are there, the old ones or the
    new. Several processes may do this at once. Raises CheckpointError if `files` are not those of
    the entry or another process holds the lock for a minute, OSError for a full disk.
    """
    if {name: FileInfo.of(data) for name, data in files.items()} != checkpoint.files:
        raise CheckpointError(_("The files of {id} are not its entry's.").format(id=checkpoint.id))
    root, id = root or paths.pretrained_dir(), checkpoint.id
    with _locked(root):
        _clear_up(root)
        target, new, old = root / id, root / f".{id}.new", _old(root, id)
        for name, data in files.items():
            paths.write_atomic(new / name, data)
        if target.exists():
            os.rename(target, old)
        os.rename(new, target)
        _write_manifest(root, listing(root), {id: checkpoint})
        shutil.rmtree(old, ignore_errors=True)


def remove(id: str, root: Path) -> None:
    """Take a checkpoint out of `root`: its entry first, then its files. Nothing if it is not there.

    Raises CheckpointError if another process holds the lock for a minute.
    """
    listed = listing(root)
    if id not in listed.checkpoints and id not in listed.unreadable:
        return
    with _locked(root):
        _write_manifest(root, listing(root), {id: None})
        shutil.rmtree(root / id, ignore_errors=True)


def _write_manifest(root: Path, there: Listing, changed: dict[str, Checkpoint | None]) -> None:
    """Replace or take out entries. Those that cannot be read stay: a newer version's, perhaps."""
    kept: dict[str, Any] = {
        name: checkpoint.model_dump(mode="json", exclude={"id"})
        for name, checkpoint in (there.checkpoints | changed).items()
        if checkpoint is not None
    }
    kept |= {name: entry for name, entry in there.raw.items() if name not in changed}
    paths.write_json(manifest_path(root), {"checkpoints": dict(sorted(kept.items()))})


def _old(root: Path, id: str) -> Path:
    return root / f".{id}.old"


def _clear_up(root: Path) -> None:
    """Finish or undo what a killed process left; only while holding the lock."""
    for new in root.glob(".*.new"):
        shutil.rmtree(new)
    checkpoints, unreadable, _raw = listing(root)
    for old in root.glob(".*.old"):
        id = old.name.removeprefix(".").removesuffix(".old")
        if id in unreadable:
            continue
        if id in checkpoints and not _is_whole(checkpoints[id], root / id):
            shutil.rmtree(root / id, ignore_errors=True)
            os.rename(old, root / id)
        else:
            shutil.rmtree(old)


def _is_whole(checkpoint: Checkpoint, where: Path) -> bool:
    try:
        for name in checkpoint.files:
            _read(checkpoint, where, name)
    except CheckpointError:
        return False
    return True


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / ".manifest.lock", timeout=LOCK_WAIT_S):
            yield
    except Timeout as error:
        message = _("Another process has been writing checkpoints for a minute. Try again later.")
        raise CheckpointError(message) from error
