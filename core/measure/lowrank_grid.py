"""What was measured of a checkpoint's factored versions: rows, and the file that keeps them.

A row is one method at one energy (`core.compression.lowrank_plan`), before or after fine-tuning.
The rows of a checkpoint stand in `pretrained/results/lowrank-<checkpoint>.json`, with the hash of
the weights and the fingerprint of the photographs they belong to. Nothing here imports torch.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.compression.lowrank_shapes import LayerShape, Method, Ranks
from core.errors import CheckpointError
from core.measure.accuracy import Score
from core.measure.pruning_grid import Spread, results_dir
from core.places import write_atomic
from core.words import _

MODELS = ("plain_2m", "resnet18")
"""The models whose checkpoints `reproduce` measures: networks of k x k convolutions."""
ENERGIES = (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Where the curves are measured."""
TIMED_ENERGIES = (1.0, 0.9, 0.7, 0.5)
"""Where times are measured; at 1 the network is whole."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RowKey(NamedTuple):
    """What names a row."""

    method: Method
    energy: float
    finetune_epochs: int = 0


class LowRankRow(_Frozen):
    """One factored network, measured. What was not measured is None."""

    method: Method
    energy: float = Field(ge=0, le=1)
    """The share of its squared weights that every layer was asked to keep."""
    finetune_epochs: int = 0
    budget: int | None = None
    """The parameters that were asked for, where the energy was found from them."""
    ranks: Ranks
    """Of the layers that are factored; the others are whole."""
    kept: float = Field(ge=0, le=1)
    """Share of all squared weights that is really kept (before fine-tuning)."""
    params: int
    macs: int
    size_bytes: int
    """Length of its weights file, written as a checkpoint's is, in the whole network's numbers."""
    latency: dict[str, Spread] = Field(default_factory=dict)
    """`torch_1`, `torch_32`, `onnx_1`, `onnx_32` (engine and batch size), as far as measured;
    `whole_torch_1` is the whole network's in the same sitting, where it has no row of its own."""
    n: int | None = None
    correct: int | None = None

    @property
    def key(self) -> RowKey:
        """What names this row."""
        return RowKey(self.method, self.energy, self.finetune_epochs)

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
            "energy": round(self.energy, 6),
            "budget": self.budget,
            "kept": round(self.kept, 6),
            "factored_layers": len(self.ranks),
            "params": self.params,
            "macs": self.macs,
            "size_bytes": self.size_bytes,
            "finetune_epochs": self.finetune_epochs,
            "latency_ms": time and {"median": time.median, "p25": time.p25, "p75": time.p75},
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.score and self.score.accuracy,
        }


class LowRankGrid(_Frozen):
    """Everything measured of one checkpoint's factored versions, and where."""

    checkpoint: str
    weights_sha256: str
    data: str
    """Name of the photographs."""
    fingerprint: str
    split: str = "testing"
    shapes: tuple[LayerShape, ...]
    """Its linear layers and convolutions in order of execution."""
    device: str
    """The processor on which it was timed."""
    threads: int = 1
    """Computing threads while timing."""
    versions: dict[str, str]
    commit: str
    date: str
    rows: tuple[LowRankRow, ...] = ()

    def row(self, key: RowKey) -> LowRankRow | None:
        """The row of that key, if it was measured."""
        return next((row for row in self.rows if row.key == key), None)

    def of(self, method: Method) -> list[LowRankRow]:
        """Rows of a method without fine-tuning, the highest energy first."""
        found = [row for row in self.rows if row.method == method and not row.finetune_epochs]
        return sorted(found, key=lambda row: -row.energy)

    def finetuned(self, method: Method) -> list[LowRankRow]:
        """Rows of a method after fine-tuning, the highest energy first."""
        found = [row for row in self.rows if row.method == method and row.finetune_epochs]
        return sorted(found, key=lambda row: -row.energy)

    def worth_showing(self, methods: Iterable[Method]) -> tuple[Method, ...]:
        """Those of the methods that take a tenth of the parameters or more at some energy."""
        found = []
        for method in methods:
            params = [row.params for row in self.of(method)]
            if params and min(params) <= 0.9 * max(params):
                found.append(method)
        return tuple(found)

    def with_rows(self, rows: Iterable[LowRankRow]) -> "LowRankGrid":
        """A copy in which `rows` are new or replace those of the same keys; rows sorted."""
        merged = {row.key: row for row in (*self.rows, *rows)}
        return self.model_copy(update={"rows": tuple(merged[key] for key in sorted(merged))})


def grid_path(checkpoint: str) -> Path:
    """The file of one checkpoint's rows, whether or not it is there."""
    return results_dir() / f"lowrank-{checkpoint}.json"


def load_grid(checkpoint: str) -> LowRankGrid | None:
    """The measured rows of a checkpoint; None if nobody measured them.

    Raises CheckpointError if there is a file that cannot be understood.
    """
    path = grid_path(checkpoint)
    try:
        return LowRankGrid.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            _("{file} cannot be read. Get it again with git, or make it with: {command}").format(
                file=path.name, command=f"python -m core lowrank-grid {checkpoint}"
            )
        ) from error


def save_grid(grid: LowRankGrid) -> None:
    """Write a grid, atomically, a line per row so that a change shows as what it is."""
    content = grid.model_dump(mode="json", exclude_defaults=True)
    lists = {name: content.pop(name, []) for name in ("shapes", "rows")}
    parts = [f'"{name}": {json.dumps(value)}' for name, value in content.items()]
    for name, rows in lists.items():
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]' if rows else f'"{name}": []')
    write_atomic(grid_path(grid.checkpoint), ("{\n" + ",\n".join(parts) + "\n}\n").encode())
