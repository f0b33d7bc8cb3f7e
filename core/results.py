"""Measured rows and the files that keep them: `pretrained/results/<kind>-<name>.json`.

One class for every kind of measurement. A file names what it belongs to (the hash of the weights,
the fingerprint of the photographs) and where it was made (device, versions, commit, date); it is
written after every row, so a measurement that was stopped goes on where it was. Imports no torch.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from core.errors import CheckpointError
from core.i18n import _
from core.paths import own_checkpoints_dir, pretrained_dir, write_atomic
from core.stats import Score
from core.timing import Spread

if TYPE_CHECKING:
    from core.checkpoints import Checkpoint
    from core.data.find import Index


class Frozen(BaseModel):
    """A validated, immutable record; unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def results_dir() -> Path:
    """The folder of all measured rows."""
    return pretrained_dir() / "results"


class ResultFile(Frozen):
    """The content of one results file."""

    kind: ClassVar[str]
    """First part of the file's name."""
    command: ClassVar[str]
    """The command that makes the file again; `{name}` stands for the second part of its name."""
    lists: ClassVar[tuple[str, ...]] = ("rows",)
    """Fields written with a line per item, so that a change shows as what it is."""

    @property
    def name(self) -> str:
        """Second part of the file's name; empty for a file that is the only one of its kind."""
        return ""

    @classmethod
    def path(cls, name: str = "") -> Path:
        """The file of that name, whether or not it is there."""
        return results_dir() / (f"{cls.kind}-{name}.json" if name else f"{cls.kind}.json")

    @classmethod
    def load(cls, name: str = "") -> Self | None:
        """The file's content; None if nobody has measured it.

        Raises CheckpointError if there is a file that cannot be understood.
        """
        path = cls.path(name)
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise CheckpointError(
                _(
                    "{file} cannot be read. Get it again with git, or delete it and make it with: "
                    "{command}"
                ).format(file=path.name, command=cls.command.format(name=name))
            ) from error

    @classmethod
    def now(cls, name: str = "") -> Self | None:
        """`load`, once for each of the file's states: all get the same (immutable) object."""
        path = cls.path(name)
        try:
            state = path.stat()
        except OSError:
            return None
        with _loading:  # whoever asks while it is being parsed waits for that
            return _loaded(cls, name, path, state.st_mtime_ns, state.st_size, state.st_ino)

    def save(self) -> None:
        """Write the file in one step: a reader sees the old one or the new one."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        items = {field: content.pop(field, []) for field in self.lists}
        parts = [f'"{field}": {json.dumps(value)}' for field, value in content.items()]
        for field, rows in items.items():
            lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
            parts.append(f'"{field}": [\n{lines}\n]' if rows else f'"{field}": []')
        write_atomic(self.path(self.name), ("{\n" + ",\n".join(parts) + "\n}\n").encode())


class MeasuredRow(Frozen):
    """One row. What was not measured is None."""

    @property
    def key(self) -> Any:
        """What names the row among those of its file."""
        raise NotImplementedError


class AccuracyRow(MeasuredRow):
    """One changed network, with right answers and times as far as they were measured."""

    latency: dict[str, Spread] = Field(default_factory=dict)
    """`torch_1`, `torch_32`, `onnx_1`, `onnx_32` (engine and batch size), as far as measured."""
    n: int | None = None
    """Test photographs that it answered."""
    correct: int | None = None

    @model_serializer(mode="wrap")
    def _own_fields_first(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What the row is before what was measured, so that a line reads well in a file."""
        content: dict[str, Any] = dumped(self)
        measured = {name: content.pop(name) for name in AccuracyRow.model_fields if name in content}
        return content | measured

    @property
    def score(self) -> Score | None:
        """The accuracy with its interval, if pictures were there."""
        if self.n is None or self.correct is None:
            return None
        return Score.of(self.correct, self.n)

    def measured(self, column: str) -> dict[str, Any]:
        """The last columns of every report: the time in `column`, right answers, accuracy."""
        time = self.latency.get(column)
        return {
            "latency_ms": time and time.report(),
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.score and self.score.accuracy,
        }


Row = TypeVar("Row", bound=MeasuredRow)


class CheckpointRows(ResultFile, Generic[Row]):
    """What was measured of one checkpoint's versions, a row each, and where."""

    checkpoint: str
    """Its id."""
    weights_sha256: str
    data: str
    """Name of the photographs; empty where there were none."""
    fingerprint: str
    """Of the photographs; empty where there were none."""
    device: str
    """The processor on which it was timed."""
    threads: int = 1
    """Computing threads while timing."""
    versions: dict[str, str]
    commit: str
    date: str
    rows: tuple[Row, ...] = ()

    @property
    def name(self) -> str:
        """The checkpoint's id."""
        return self.checkpoint

    @classmethod
    def path(cls, name: str = "") -> Path:
        """The file of that checkpoint; of one of this machine's own, beside that one."""
        usual = super().path(name)
        if (pretrained_dir() / name).is_dir() or not (own_checkpoints_dir() / name).is_dir():
            return usual
        return own_checkpoints_dir() / "results" / usual.name

    @classmethod
    def names(cls) -> set[str]:
        """The checkpoints that something was measured of, as far as the files' names say."""
        begin, end = f"{cls.kind}-", ".json"
        names: set[str] = set()
        for folder in (results_dir(), own_checkpoints_dir() / "results"):
            with suppress(OSError):  # no such folder
                files = os.listdir(folder)
                names |= {f[len(begin) : -len(end)] for f in files if f.startswith(begin)}
        return names

    @classmethod
    def of_checkpoint(cls, checkpoint: "Checkpoint") -> Self | None:
        """What was measured of a checkpoint as it is now; None if nothing, or of other weights.

        Raises CheckpointError as `load`.
        """
        content, known = cls.now(checkpoint.id), checkpoint.weights_sha256
        return content if content is not None and content.weights_sha256 == known else None

    @staticmethod
    def order(key: Any) -> Any:
        """What rows are sorted by."""
        return key

    def row(self, key: Any) -> Row | None:
        """The row of that key, if it was measured."""
        rows, by_key = self.__dict__.get("_rows_by_key", (None, {}))
        if rows is not self.rows:  # kept as functools.cached_property would; not by a copy
            by_key = {row.key: row for row in reversed(self.rows)}
            self.__dict__["_rows_by_key"] = self.rows, by_key
        row: Row | None = by_key.get(key)
        return row

    def with_rows(self, rows: Iterable[Row]) -> Self:
        """A copy in which `rows` are new or replace those of the same keys; rows sorted."""
        merged = {row.key: row for row in (*self.rows, *rows)}
        keys = sorted(merged, key=self.order)
        return self.model_copy(update={"rows": tuple(merged[key] for key in keys)})

    def keep(self, rows: Iterable[Row]) -> Self:
        """`with_rows`, written to the file."""
        kept = self.with_rows(rows)
        kept.save()
        return kept

    @classmethod
    def begin(
        cls,
        checkpoint: "Checkpoint",
        photographs: "Index | None",
        facts: Callable[[], dict[str, Any]],
    ) -> Self:
        """The file there is, if it belongs to these weights and photographs; else an empty one.

        Without photographs here, rows that were measured with some are kept: nothing would come in
        the place of their accuracies. `facts`: the other fields of a new file. Raises
        CheckpointError as `load`.
        """
        weights = checkpoint.weights_sha256
        fingerprint = photographs.fingerprint if photographs else ""
        known = cls.load(checkpoint.id)
        if (
            known is not None
            and known.weights_sha256 == weights
            and fingerprint in ("", known.fingerprint)
        ):
            return known
        return cls(
            checkpoint=checkpoint.id,
            weights_sha256=weights,
            data=photographs.name if photographs else "",
            fingerprint=fingerprint,
            **facts(),
        )


File = TypeVar("File", bound=ResultFile)
_loading = threading.Lock()


@lru_cache(maxsize=64)
def _loaded(kind: type[File], name: str, _path: Path, *_state: int) -> File | None:
    """The file of that name; `_state` changes when the file does, and so the key of the cache."""
    return kind.load(name)
