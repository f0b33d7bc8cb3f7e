"""A small SQLite file that several servers on one folder share."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock

WAIT_S = 30.0


class Database:
    """One SQLite file. Any thread may use it: each transaction opens a connection of its own.

    Raises sqlite3.Error, OSError or filelock.Timeout where the file cannot be read or written: a
    full disk, a damaged file.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path, self._schema = path, schema

    def exists(self) -> bool:
        """Whether anything was ever written here."""
        return self.path.exists()

    @contextmanager
    def change(self, is_synced: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that may write, one at a time; undone where the block raises.

        Not `is_synced`, it does not wait for the disk: a power cut may lose it, nothing else.
        """
        self._make()
        with self.read() as base:
            if not is_synced:
                base.execute("PRAGMA synchronous = NORMAL")
            base.execute("PRAGMA foreign_keys = ON")
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
                base.execute("COMMIT")
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for single statements; the file must exist."""
        with closing(sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)) as base:
            yield base

    def _make(self) -> None:
        """The file with its tables, if there is none: made under another name, then renamed."""
        if self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock"), timeout=WAIT_S):
            if self.path.exists():
                return
            new = self.path.with_suffix(".new")
            new.unlink(missing_ok=True)
            with closing(sqlite3.connect(new)) as base:
                # the file remembers it; asked while nobody else has it open, or it may be refused
                base.execute("PRAGMA journal_mode = WAL")
                base.executescript(self._schema)
            new.rename(self.path)
