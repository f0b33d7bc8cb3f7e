"""What was measured of a checkpoint's pruned versions: rows, and the file that keeps them.

A row is one method at one ratio in one form (`core.pruning.network`). The rows of a checkpoint
stand in `pretrained/results/pruning-<checkpoint>.json`, with the hash of the weights and the
fingerprint of the photographs they belong to. Nothing here imports torch.
"""

import re
from typing import Any, NamedTuple

from pydantic import Field

from core.live import LiveRuns
from core.pruning.method import ChannelGroup, Form, Method
from core.results import AccuracyRow, CheckpointRows, Frozen

RATIOS = tuple(step / 20 for step in range(20))
"""0, 5, ... 95 %: where the curves are measured."""
TIMED_RATIOS = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Where times and zipped sizes are measured; dense arithmetic does not care where the zeros are."""


class RowKey(NamedTuple):
    """What names a row."""

    method: Method
    ratio: float
    form: Form
    finetune_epochs: int = 0
    rounds: int = 1


class PruningRow(AccuracyRow):
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

    @property
    def key(self) -> RowKey:
        """What names this row."""
        return RowKey(self.method, self.ratio, self.form, self.finetune_epochs, self.rounds)

    def report(self) -> dict[str, Any]:
        """The row as the command line gives it; the time is torch's, one picture at a time."""
        return {
            "method": self.method,
            "ratio": self.ratio,
            "form": self.form,
            "params": self.params,
            "nonzero": self.nonzero,
            "macs": self.macs,
            "size_bytes": self.size_bytes,
            **self.measured("torch_1"),
        }


class ScanPoint(Frozen):
    """One layer pruned alone (L1), the others whole."""

    layer: str
    ratio: float
    n: int
    correct: int


class PruningGrid(CheckpointRows[PruningRow]):
    """Everything measured of one checkpoint's pruned versions, and where."""

    kind = "pruning"
    command = "python -m core prune-grid {name}"
    lists = ("groups", "rows", "scan")

    split: str = "testing"
    layers: tuple[str, ...]
    """Parameter names of the convolution weights, in order of execution."""
    groups: tuple[ChannelGroup, ...]
    scan: tuple[ScanPoint, ...] = ()
    scan_split: str = "validation"

    @property
    def machine(self) -> str:
        """The processor's name; the threads that older grids wrote behind it were training's."""
        return re.sub(r", \d+ threads?$", "", self.device)

    def of(self, method: Method, form: Form | None = None) -> list[PruningRow]:
        """Rows of a method without fine-tuning, by ratio; of one form if given."""
        rows = [
            row
            for row in self.rows
            if row.method == method and row.form == (form or row.form) and not row.finetune_epochs
        ]
        return sorted(rows, key=lambda row: row.ratio)

    def finetuned(self, method: Method) -> list[PruningRow]:
        """Rows of a method after fine-tuning, by ratio."""
        rows = [row for row in self.rows if row.method == method and row.finetune_epochs]
        return sorted(rows, key=lambda row: row.ratio)


# Live runs of the pruning page: one point of the curves measured again, here and now.


class Point(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    method: Method
    ratio: float


RUNS: LiveRuns[Point, PruningRow] = LiveRuns(PruningRow, "core.pruning.measure:measure_live")
"""The line of this server."""
