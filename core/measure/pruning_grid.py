"""What was measured of a checkpoint's pruned versions: rows, and the file that keeps them.

A row is one method at one ratio in one form (`core.compression.prune`). The rows of a checkpoint
stand in `pretrained/results/pruning-<checkpoint>.json`, with the hash of the weights and the
fingerprint of the photographs they belong to. Nothing here imports torch.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.compression.prune import Form
from core.compression.prune_select import ChannelGroup, Method
from core.errors import CheckpointError
from core.measure.accuracy import Score
from core.measure.latency import Timing
from core.places import pretrained_dir, write_atomic
from core.words import _

RATIOS = tuple(step / 20 for step in range(20))
"""0, 5, ... 95 %: where the curves are measured."""
TIMED_RATIOS = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Where times and zipped sizes are measured; dense arithmetic does not care where the zeros are."""
ENGINES = ("torch", "onnx")
BATCHES = (1, 32)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spread(_Frozen):
    """Milliseconds per call: median and quartiles of `n` calls."""

    median: float
    p25: float
    p75: float
    n: int

    @classmethod
    def of(cls, timing: Timing) -> "Spread":
        """The same figures, rounded to the microsecond."""
        figures = (round(x, 3) for x in (timing.median_ms, timing.p25_ms, timing.p75_ms))
        return cls(**dict(zip(("median", "p25", "p75"), figures, strict=True)), n=timing.n)

    def against(self, whole: "Spread") -> Literal["faster", "slower", "same"]:
        """Different only where the middle halves of the calls lie apart."""
        if self.p75 < whole.p25:
            return "faster"
        return "slower" if self.p25 > whole.p75 else "same"


class RowKey(NamedTuple):
    """What names a row."""

    method: Method
    ratio: float
    form: Form
    finetune_epochs: int = 0
    rounds: int = 1


class PruningRow(_Frozen):
    """One pruned network, measured. What was not measured is None."""

    method: Method
    ratio: float = Field(ge=0, le=1)
    form: Form
    finetune_epochs: int = 0
    """Epochs of fine-tuning after pruning (after each round)."""
    rounds: int = 1
    """In how many steps the ratio was reached, each with its fine-tuning."""
    params: int
    nonzero: int
    """Parameters that are not zero, as the forward pass uses them."""
    macs: int
    """Multiply-accumulates that are carried out for one picture; those with zeros count too."""
    size_bytes: int
    """Bytes of the state dict, masks included."""
    gzip_bytes: int | None = None
    latency: dict[str, Spread] = Field(default_factory=dict)
    """`torch_1`, `torch_32`, `onnx_1`, `onnx_32` (engine and batch size), as far as measured."""
    n: int | None = None
    correct: int | None = None

    @property
    def key(self) -> RowKey:
        """What names this row."""
        return RowKey(self.method, self.ratio, self.form, self.finetune_epochs, self.rounds)

    @property
    def score(self) -> Score | None:
        """The accuracy with its interval, if pictures were there."""
        if self.n is None or self.correct is None:
            return None
        return Score.of(self.correct, self.n)

    def report(self) -> dict[str, Any]:
        """The row as the command line gives it; the time is torch's, one picture at a time."""
        time = self.latency.get("torch_1")
        return {
            "method": self.method,
            "ratio": self.ratio,
            "form": self.form,
            "params": self.params,
            "nonzero": self.nonzero,
            "macs": self.macs,
            "size_bytes": self.size_bytes,
            "latency_ms": time and {"median": time.median, "p25": time.p25, "p75": time.p75},
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.score and self.score.accuracy,
        }


class ScanPoint(_Frozen):
    """One layer pruned alone (L1), the others whole."""

    layer: str
    ratio: float
    n: int
    correct: int


class Grid(_Frozen):
    """Everything measured of one checkpoint's pruned versions, and where."""

    checkpoint: str
    weights_sha256: str
    data: str
    """Name of the photographs."""
    fingerprint: str
    split: str = "testing"
    layers: tuple[str, ...]
    """Parameter names of the convolution weights, in order of execution."""
    groups: tuple[ChannelGroup, ...]
    device: str
    """The processor on which it was timed."""
    threads: int = 1
    """Computing threads while timing."""
    versions: dict[str, str]
    commit: str
    date: str
    rows: tuple[PruningRow, ...] = ()
    scan: tuple[ScanPoint, ...] = ()
    scan_split: str = "validation"

    @property
    def machine(self) -> str:
        """The processor's name; the threads that older grids wrote behind it were training's."""
        return re.sub(r", \d+ threads?$", "", self.device)

    def row(self, key: RowKey) -> PruningRow | None:
        """The row of that key, if it was measured."""
        return next((row for row in self.rows if row.key == key), None)

    def of(self, method: Method, form: Form | None = None) -> list[PruningRow]:
        """Rows of a method without fine-tuning, by ratio; of one form if given."""
        found = [
            row
            for row in self.rows
            if row.method == method and row.form == (form or row.form) and not row.finetune_epochs
        ]
        return sorted(found, key=lambda row: row.ratio)

    def finetuned(self, method: Method) -> list[PruningRow]:
        """Rows of a method after fine-tuning, by ratio."""
        found = [row for row in self.rows if row.method == method and row.finetune_epochs]
        return sorted(found, key=lambda row: row.ratio)

    def with_rows(self, rows: Iterable[PruningRow]) -> "Grid":
        """A copy in which `rows` are new or replace those of the same keys; rows sorted."""
        merged = {row.key: row for row in (*self.rows, *rows)}
        return self.model_copy(update={"rows": tuple(merged[key] for key in sorted(merged))})


def results_dir() -> Path:
    """Where cached results are kept."""
    return pretrained_dir() / "results"


def grid_path(checkpoint: str) -> Path:
    """The file of one checkpoint's rows, whether or not it is there."""
    return results_dir() / f"pruning-{checkpoint}.json"


def load_grid(checkpoint: str) -> Grid | None:
    """The measured rows of a checkpoint; None if nobody measured them.

    Raises CheckpointError if there is a file that cannot be understood.
    """
    path = grid_path(checkpoint)
    try:
        return Grid.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            _("{file} cannot be read. Get it again with git, or make it with: {command}").format(
                file=path.name, command=f"python -m core prune-grid {checkpoint}"
            )
        ) from error


def save_grid(grid: Grid) -> None:
    """Write a grid, atomically, a line per row so that a change shows as what it is."""
    content = grid.model_dump(mode="json", exclude_defaults=True)
    lists = {name: content.pop(name, []) for name in ("groups", "rows", "scan")}
    parts = [f'"{name}": {json.dumps(value)}' for name, value in content.items()]
    for name, rows in lists.items():
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]' if rows else f'"{name}": []')
    write_atomic(grid_path(grid.checkpoint), ("{\n" + ",\n".join(parts) + "\n}\n").encode())
