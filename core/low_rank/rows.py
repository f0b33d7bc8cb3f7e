"""What was measured of a checkpoint's factored versions: rows, and the file that keeps them.

A row is one method at one energy (`core.low_rank.method`), before or after fine-tuning.
The rows of a checkpoint stand in `pretrained/results/lowrank-<checkpoint>.json`, with the hash of
the weights and the fingerprint of the photographs they belong to. Nothing here imports torch.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import Field

from core.checkpoints.factored import Form, LayerShape, Method, Ranks
from core.live import Job, LiveRuns
from core.low_rank.method import Spectrum
from core.results import AccuracyRow, CheckpointRows

MODELS = ("plain_2m", "resnet18")
"""The models whose checkpoints `reproduce` measures: networks of k x k convolutions."""
ENERGIES = (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Where the curves are measured."""
TIMED_ENERGIES = (1.0, 0.9, 0.7, 0.5)
"""Where times are measured; at 1 the network is whole."""


class RowKey(NamedTuple):
    """What names a row."""

    method: Method
    energy: float
    finetune_epochs: int = 0


class LowRankRow(AccuracyRow):
    """One factored network, measured. What was not measured is None.

    Its latency may have `whole_torch_1`: the whole network's in the same sitting, where that has no
    row of its own.
    """

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

    @property
    def key(self) -> RowKey:
        """What names this row."""
        return RowKey(self.method, self.energy, self.finetune_epochs)

    def report(self) -> dict[str, Any]:
        """The row as the command line gives it; the time is torch's, one picture at a time."""
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
            **self.measured("torch_1"),
        }


class LowRankGrid(CheckpointRows[LowRankRow]):
    """Everything measured of one checkpoint's factored versions, and where."""

    kind = "lowrank"
    command = "python -m core lowrank-grid {name}"
    lists = ("shapes", "rows", "spectra")

    split: str = "testing"
    shapes: tuple[LayerShape, ...]
    """Its linear layers and convolutions in order of execution."""
    spectra: tuple[Spectrum, ...] = ()
    """Of each layer that can be factored, in each form; a page never takes a weight apart."""

    def spectrum(self, layer: str, form: Form) -> Spectrum | None:
        """The spectrum of a layer in a form, if it was worked out."""
        return next((s for s in self.spectra if (s.layer, s.form) == (layer, form)), None)

    def of(self, method: Method) -> list[LowRankRow]:
        """Rows of a method without fine-tuning, the highest energy first."""
        rows = [row for row in self.rows if row.method == method and not row.finetune_epochs]
        return sorted(rows, key=lambda row: -row.energy)

    def finetuned(self, method: Method) -> list[LowRankRow]:
        """Rows of a method after fine-tuning, the highest energy first."""
        rows = [row for row in self.rows if row.method == method and row.finetune_epochs]
        return sorted(rows, key=lambda row: -row.energy)

    def worth_showing(self, methods: Iterable[Method]) -> tuple[Method, ...]:
        """Those of the methods that take a tenth of the parameters or more at some energy."""
        shown = []
        for method in methods:
            params = [row.params for row in self.of(method)]
            if params and min(params) <= 0.9 * max(params):
                shown.append(method)
        return tuple(shown)


# Live runs of the low-rank page: one point of the curves measured again, here and now.


class LowRankPoint(NamedTuple):
    """What is measured; the hash makes a newly published network a new point."""

    checkpoint: str
    weights_sha256: str
    method: Method
    energy: float


LowRankJob = Job[LowRankPoint, LowRankRow]


RUNS: LiveRuns[LowRankPoint, LowRankRow] = LiveRuns(
    LowRankRow, "core.low_rank.measure:measure_live"
)
"""The line of this server."""
