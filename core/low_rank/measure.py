"""Low-rank experiments on a checkpoint: factor, fine-tune, measure.

Without fine-tuning the accuracy is counted by ONNX Runtime on the published bytes, each factored
weight replaced by the product of its factors, which answers as the factored network does. What was
fine-tuned is measured for itself.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import nn

from core import checkpoints
from core.checkpoints import Checkpoint
from core.checkpoints.entry import method_name
from core.checkpoints.factored import METHODS, LayerShape, Method, Ranks
from core.errors import ConfigError
from core.i18n import _
from core.inference.export import onnx_bytes, trace
from core.inference.predict import OnProgress, open_session
from core.live import Report
from core.low_rank.method import (
    Decompositions,
    energy_kept,
    ranks_for_budget,
    ranks_for_energy,
    spectra,
)
from core.low_rank.network import FactoredPredictor, factor, layer_shapes, weights_of
from core.low_rank.rows import ENERGIES, TIMED_ENERGIES, LowRankGrid, LowRankRow, RowKey
from core.models.cost import count_macs, count_params
from core.paths import runs_dir
from core.provenance import made_here
from core.timing import COLUMNS, Spread, Timing, time_sitting
from core.training.experiment import Experiment, finetune, finetune_config
from core.training.publish import weights_bytes

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


def correct_of(
    experiment: LowRankExperiment, plan: Plan, on_progress: OnProgress | None = None
) -> int | None:
    """Right answers on the test split before fine-tuning; None without photographs."""
    pictures = experiment.pictures()
    if pictures is None:
        return None
    predictor = FactoredPredictor(
        experiment.checkpoint.id, plan.ranks, experiment.parts, experiment.threads
    )
    return predictor.correct(pictures, on_progress)


def describe(
    experiment: LowRankExperiment,
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
    pictures = None if correct is None else experiment.pictures()
    timed = time({WHOLE: experiment.net, FACTORED: net}) if time else {}
    return LowRankRow(
        **plan.key(finetune_epochs)._asdict(),
        budget=plan.budget,
        ranks=plan.ranks,
        kept=energy_kept(experiment.shapes, experiment.parts, plan.ranks),
        params=count_params(net),
        macs=count_macs(net, (3, experiment.px, experiment.px)),
        size_bytes=file_bytes(experiment, net),
        latency={"torch_1": Spread.of(timed[FACTORED])} if time else {},
        n=None if pictures is None else len(pictures.labels),
        correct=correct,
    )


def measure(
    experiment: LowRankExperiment,
    plan: Plan,
    *,
    time: TimeNets | None = None,
    on_progress: OnProgress | None = None,
) -> LowRankRow:
    """Factor as planned and measure, without fine-tuning."""
    correct = correct_of(experiment, plan, on_progress)
    return describe(experiment, experiment.network(plan), plan, correct, time=time)


def factor_and_finetune(
    experiment: LowRankExperiment,
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
    entry = experiment.checkpoint
    weights = entry.weights_sha256[:8]
    ranks = hashlib.sha256(json.dumps(plan.ranks, sort_keys=True).encode()).hexdigest()[:8]
    folder = f"lowrank-{entry.id}-{weights}-{plan.method}-{ranks}-{epochs}e"
    config = finetune_config(entry, epochs)
    return finetune(experiment.network(plan), config, runs_dir() / folder, report, device)


def measure_finetuned(
    experiment: LowRankExperiment,
    net: nn.Module,
    plan: Plan,
    epochs: int,
    time: TimeNets | None = None,
) -> LowRankRow:
    """The row of a network that `factor_and_finetune` returned."""
    correct = experiment.right_answers(net)
    return describe(experiment, net, plan, correct, finetune_epochs=epochs, time=time)


def file_bytes(experiment: Experiment, net: nn.Module) -> int:
    """Length of the weights file of `net`, written for real, in the checkpoint's own numbers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / checkpoints.WEIGHTS
        about = {"checkpoint": experiment.checkpoint.id, "model": experiment.checkpoint.model}
        path.write_bytes(weights_bytes(net, experiment.checkpoint.weights_dtype, about))
        return path.stat().st_size


# A factored network becomes a checkpoint like any other: exported, measured, in the manifest.
#
# It carries its ranks there, so that its weights load into a network of the same shapes.

TITLE = "{title}, factored ({percent} % of the energy)"


def publish_factored(
    experiment: "LowRankExperiment",
    net: "nn.Module",
    plan: "Plan",
    epochs: int = 0,
    wall_s: float = 0,
    *,
    own: bool = False,
) -> Checkpoint:
    """Publish `net`, factored as planned and fine-tuned for `epochs`: see `Experiment.publish`."""
    base = experiment.checkpoint
    config = {
        "factored_from": base.id,
        "method": plan.method,
        "energy": plan.energy,
        "budget": plan.budget,
        "finetune_epochs": epochs,
    }
    if epochs:
        config["finetune"] = finetune_config(base, epochs).model_dump(mode="json")
    recipe = f"{base.recipe}_lowrank_{method_name(plan.method, plan.energy)}"
    return experiment.publish(
        net,
        "factored",
        f"{recipe}_ft{epochs}" if epochs else recipe,
        TITLE.format(title=base.title, percent=f"{100 * plan.energy:.3g}"),
        config,
        epochs=epochs,
        wall_s=wall_s,
        own=own,
    )


# Factored networks timed against the whole one in one sitting, in torch and in ONNX Runtime.
#
# Only networks that took turns in the same sitting may be compared, so every candidate is in memory
# at once. In ONNX Runtime the factored layers are exported as they are, not as their product.

TIMED_METHODS: tuple[Method, ...] = ("auto", "spatial", "tucker2")


def timed_plans(experiment: LowRankExperiment) -> dict[RowKey, Plan]:
    """What takes turns: every method at each timed energy."""
    plans = [
        experiment.plan(method, energy) for method in TIMED_METHODS for energy in TIMED_ENERGIES
    ]
    return {plan.key(): plan for plan in plans}


def timed_rows(
    experiment: LowRankExperiment,
    known: Callable[[RowKey], LowRankRow | None],
    log: Callable[[str], None],
) -> list[LowRankRow]:
    """The rows of `timed_plans` with their times, on top of what is `known` of them.

    Methods that come to the same ranks are one network, timed once.
    """
    plans = timed_plans(experiment)
    distinct = {_name(plan): plan for plan in plans.values()}
    nets = {name: experiment.network(plan) for name, plan in distinct.items()}
    sessions = {
        name: open_session(onnx_bytes(trace(net, experiment.spec, experiment.px)))
        for name, net in nets.items()
    }
    log(f"{len(nets)} networks made and exported")
    latency = time_sitting(nets, sessions, experiment.px, log)
    rows = []
    for key, plan in plans.items():
        name = _name(plan)
        row = known(key) or describe(experiment, nets[name], plan, None)
        rows.append(row.model_copy(update={"latency": latency[name]}))
    return rows


def _name(plan: Plan) -> str:
    """Equal for plans that make the same network."""
    return str(sorted(plan.ranks.items()))


# Fill a checkpoint's grid of factored versions, stage by stage; what is there is not done again.
#
# - `curves`: every method at each energy: accuracy, parameters, MACs, bytes, without fine-tuning.
# - `times`: one sitting in which they take turns (`core.low_rank.measure`).
# - `finetune`: some energies after a short fine-tuning; one of them becomes a checkpoint.
# - `spectra`: the singular values of every layer, which the weights alone determine.
#
# The file is written after every point, so a stopped run goes on where it was.

Stage = Literal["curves", "times", "finetune", "spectra"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Log = Callable[[str], None]

FINETUNE_EPOCHS = 3
FINETUNED_METHOD: Method = "auto"
FINETUNED_ENERGIES = (0.9, 0.7, 0.5, 0.3)
PUBLISHED_ENERGY = 0.7
"""The fine-tuned network that becomes a checkpoint, to be asked about photos."""


def missing_stages(id: str) -> tuple[Stage, ...]:
    """What `make_grid` would still have to do for this checkpoint.

    Raises CheckpointError if there is no such checkpoint.
    """
    entry, grid = checkpoints.get(id), LowRankGrid.load(id)
    if grid is None or grid.weights_sha256 != entry.weights_sha256:
        return STAGES
    known = {row.key for row in grid.rows if row.n}
    tuned = (RowKey(FINETUNED_METHOD, energy, FINETUNE_EPOCHS) for energy in FINETUNED_ENERGIES)
    done = {
        "curves": known.issuperset(RowKey(m, energy) for m in METHODS for energy in ENERGIES),
        "times": _is_timed(grid),
        "finetune": known.issuperset(tuned),
        "spectra": bool(grid.spectra) or not any(shape.forms for shape in grid.shapes),
    }
    return tuple(stage for stage in STAGES if not done[stage])


def make_grid(
    id: str,
    stages: Sequence[Stage] = STAGES,
    log: Log = print,
    *,
    threads: int = 1,
    device: str | None = None,
) -> LowRankGrid:
    """Do what is missing of these stages for one checkpoint; returns its grid.

    `threads`: computing threads for accuracies (times use one). Raises CheckpointError and what
    training raises.
    """
    experiment = LowRankExperiment.open(id, threads)
    grid = LowRankGrid.begin(
        experiment.checkpoint,
        experiment.pixels.index if experiment.pixels else None,
        lambda: made_here(shapes=experiment.shapes),
    )

    def log_line(line: str) -> None:
        log(f"{id}: {line}")

    if "curves" in stages:
        grid = _curves(experiment, grid, log_line)
    if "times" in stages and not _is_timed(grid):
        grid = _keep(grid, timed_rows(experiment, grid.row, log_line))
    if "finetune" in stages and experiment.pixels is not None:
        grid = _finetuned(experiment, grid, log_line, device)
    if "spectra" in stages and not grid.spectra:
        grid = grid.model_copy(update={"spectra": spectra(grid.shapes, experiment.parts)})
        grid.save()
        log_line(f"singular values of {len(grid.spectra)} layers and forms")
    return grid


def _keep(grid: LowRankGrid, rows: Sequence[LowRankRow]) -> LowRankGrid:
    """The grid with these rows, written; times that were measured earlier stay."""
    kept = []
    for row in rows:
        old = grid.row(row.key)
        keeps = old is not None and not row.latency
        kept.append(row.model_copy(update={"latency": old.latency}) if keeps and old else row)
    return grid.keep(kept)


def _outcome(row: LowRankRow) -> str:
    score = row.score
    return "no photographs" if score is None else f"{score.accuracy:.1%} right"


def _curves(experiment: LowRankExperiment, grid: LowRankGrid, log: Log) -> LowRankGrid:
    photographs = experiment.pictures() is not None
    for energy in ENERGIES:
        for method in METHODS:
            known = grid.row(RowKey(method, energy))
            if known is not None and (known.n or not photographs):
                continue
            plan = experiment.plan(method, energy)
            row = _same(experiment, grid, plan) or measure(experiment, plan)
            grid = _keep(grid, [row])
            log(f"{method}, {energy:.0%} of the energy: {row.params:,} parameters, {_outcome(row)}")
    return grid


def _same(experiment: LowRankExperiment, grid: LowRankGrid, plan: Plan) -> LowRankRow | None:
    """The row of a plan whose very network was measured under another method's name."""
    for row in grid.rows:
        if row.ranks == plan.ranks and row.n and not row.finetune_epochs:
            return describe(experiment, experiment.network(plan), plan, row.correct)
    return None


def _is_timed(grid: LowRankGrid) -> bool:
    keys = (RowKey(method, energy) for method in TIMED_METHODS for energy in TIMED_ENERGIES)
    rows = [grid.row(key) for key in keys]
    return all(row is not None and set(COLUMNS) <= set(row.latency) for row in rows)


def _finetuned(
    experiment: LowRankExperiment, grid: LowRankGrid, log: Log, device: str | None
) -> LowRankGrid:
    for energy in FINETUNED_ENERGIES:
        if grid.row(RowKey(FINETUNED_METHOD, energy, FINETUNE_EPOCHS)) is not None:
            continue
        began = time.perf_counter()
        plan = experiment.plan(FINETUNED_METHOD, energy)
        net = factor_and_finetune(experiment, plan, FINETUNE_EPOCHS, device=device)
        row = measure_finetuned(experiment, net, plan, FINETUNE_EPOCHS)
        if energy == PUBLISHED_ENERGY:
            publish_factored(experiment, net, plan, FINETUNE_EPOCHS, time.perf_counter() - began)
        grid = _keep(grid, [row])
        log(f"{energy:.0%} of the energy after {FINETUNE_EPOCHS} epochs: {_outcome(row)}")
    return grid


def measure_live(point: dict[str, Any], report: Report) -> None:
    """Measure one point; `report` hears steps, and at the end one row, which has the whole
    network's time in it.

    `point`: the fields of `LowRankPoint`. Raises UserError.
    """
    from core.timing import Spread, time_networks

    experiment = LowRankExperiment.open(point["checkpoint"])
    report({"step": "factor"})
    plan = experiment.plan(point["method"], point["energy"])
    whole: dict[str, Any] = {}

    def timed(nets: Any) -> Any:
        report({"step": "time"})
        timings = time_networks(nets, experiment.px, repeats=20, budget_s=8)
        whole["torch_1"] = Spread.of(timings[WHOLE])
        return timings

    def on_progress(done: int, of: int) -> None:
        report({"step": "accuracy", "done": done, "of": of})

    row = measure(experiment, plan, time=timed, on_progress=on_progress)
    beside = row.model_copy(update={"latency": {**row.latency, "whole_torch_1": whole["torch_1"]}})
    report({"rows": [beside.model_dump(mode="json")]})
