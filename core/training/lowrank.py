"""Low-rank experiments on a checkpoint: factor, fine-tune, measure.

Without fine-tuning the accuracy is counted by ONNX Runtime on the published bytes, each factored
weight replaced by the product of its factors, which answers as the factored network does. What was
fine-tuned is measured for itself.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from core import checkpoints
from core.compression.lowrank import factor, layer_shapes, weights_of
from core.compression.lowrank_plan import (
    Decompositions,
    energy_kept,
    ranks_for_budget,
    ranks_for_energy,
)
from core.compression.lowrank_shapes import LayerShape, Method, Ranks
from core.errors import ConfigError
from core.measure.cost import count_macs, count_params
from core.measure.latency import Spread, Timing
from core.measure.lowrank_grid import LowRankRow, RowKey
from core.places import runs_dir
from core.serving.lowrank import FactoredPredictor
from core.serving.predict import Heard
from core.training.experiment import Experiment, finetune, finetune_config
from core.training.publish import weights_bytes
from core.words import _

if TYPE_CHECKING:
    from core.training.loop import Report

TimeNets = Callable[[Mapping[str, nn.Module]], Mapping[str, Timing]]
WHOLE, FACTORED = "whole", "factored"


@dataclass(frozen=True)
class Plan:
    """Which layers are factored at which ranks, and how that was decided."""

    method: Method
    energy: float
    ranks: Ranks
    budget: int | None = None
    """The parameters that were asked for, where the energy was found from them."""

    def key(self, finetune_epochs: int = 0) -> RowKey:
        """What names its row."""
        return RowKey(self.method, self.energy, finetune_epochs)


class LowRankExperiment(Experiment):
    """A checkpoint with its weights taken apart: what every experiment here starts from."""

    @cached_property
    def shapes(self) -> tuple[LayerShape, ...]:
        """Its layers, found by one forward pass."""
        return layer_shapes(self.net, self.px)

    @cached_property
    def parts(self) -> Decompositions:
        """Its weights, taken apart when first needed."""
        return Decompositions(weights_of(self.net))

    def plan(self, method: Method, energy: float) -> Plan:
        """The ranks that keep `energy` in every layer. Raises ConfigError."""
        return Plan(method, energy, ranks_for_energy(self.shapes, self.parts, method, energy))

    def plan_for_budget(self, method: Method, params: int) -> Plan:
        """The ranks that leave at most `params` parameters. Raises ConfigError if none do."""
        total = count_params(self.net)
        energy, ranks = ranks_for_budget(self.shapes, self.parts, method, params, total)
        return Plan(method, energy, ranks, params)

    def network(self, plan: Plan) -> nn.Module:
        """A new network, factored as planned, in eval mode."""
        return factor(self.net, plan.ranks, self.parts).eval()


def correct_of(low: LowRankExperiment, plan: Plan, heard: Heard | None = None) -> int | None:
    """Right answers on the test split before fine-tuning; None without photographs."""
    pictures = low.pictures()
    if pictures is None:
        return None
    predictor = FactoredPredictor(low.checkpoint.id, plan.ranks, low.parts, low.threads)
    return predictor.correct(pictures, heard)


def describe(
    low: LowRankExperiment,
    net: nn.Module,
    plan: Plan,
    correct: int | None,
    *,
    finetune_epochs: int = 0,
    time: TimeNets | None = None,
) -> LowRankRow:
    """The row of a factored network: all that can be counted, and its time if `time` is given.

    With a time, the whole network takes turns with it, so that the two may be compared.
    """
    pictures = None if correct is None else low.pictures()
    timed = time({WHOLE: low.net, FACTORED: net}) if time else {}
    return LowRankRow(
        **plan.key(finetune_epochs)._asdict(),
        budget=plan.budget,
        ranks=plan.ranks,
        kept=energy_kept(low.shapes, low.parts, plan.ranks),
        params=count_params(net),
        macs=count_macs(net, (3, low.px, low.px)),
        size_bytes=file_bytes(low, net),
        latency={"torch_1": Spread.of(timed[FACTORED])} if time else {},
        n=None if pictures is None else len(pictures.labels),
        correct=correct,
    )


def measure(
    low: LowRankExperiment, plan: Plan, *, time: TimeNets | None = None, heard: Heard | None = None
) -> LowRankRow:
    """Factor as planned and measure, without fine-tuning."""
    correct = correct_of(low, plan, heard)
    return describe(low, low.network(plan), plan, correct, time=time)


def factor_and_finetune(
    low: LowRankExperiment,
    plan: Plan,
    epochs: int,
    *,
    report: "Report | None" = None,
    device: str | None = None,
) -> nn.Module:
    """Factor as planned, then train for `epochs` with the checkpoint's own recipe.

    A checkpoint that had a teacher is taught by it again. A finished fine-tuning is not repeated.
    Returns the network in eval mode. Raises ConfigError for 0 epochs, and what training raises.
    """
    if epochs < 1:
        raise ConfigError(_("Fine-tuning needs at least one epoch."))
    entry = low.checkpoint
    weights = entry.files[checkpoints.WEIGHTS].sha256[:8]
    ranks = hashlib.sha256(json.dumps(plan.ranks, sort_keys=True).encode()).hexdigest()[:8]
    folder = f"lowrank-{entry.id}-{weights}-{plan.method}-{ranks}-{epochs}e"
    config = finetune_config(entry, epochs)
    return finetune(low.network(plan), config, runs_dir() / folder, report, device)


def measure_finetuned(
    low: LowRankExperiment, net: nn.Module, plan: Plan, epochs: int, time: TimeNets | None = None
) -> LowRankRow:
    """The row of a network that `factor_and_finetune` returned."""
    correct = low.right_answers(net)
    return describe(low, net, plan, correct, finetune_epochs=epochs, time=time)


def file_bytes(one: Experiment, net: nn.Module) -> int:
    """Length of the weights file that `net` makes, written for real, numbers as `one` has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / checkpoints.WEIGHTS
        about = {"checkpoint": one.checkpoint.id, "model": one.checkpoint.model}
        path.write_bytes(weights_bytes(net, one.checkpoint.weights_dtype, about))
        return path.stat().st_size
