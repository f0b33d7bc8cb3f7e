"""Fill a checkpoint's grid of factored versions, stage by stage; what is there is not done again.

- `curves`: every method at each energy: accuracy, parameters, MACs, bytes, without fine-tuning.
- `times`: one sitting in which they take turns (`core.training.lowrank_times`).
- `finetune`: some energies after a short fine-tuning; one of them becomes a checkpoint.

The file is written after every point, so a stopped run goes on where it was.
"""

import time
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from core import checkpoints
from core.compression.lowrank_shapes import METHODS, Method
from core.measure.lowrank_grid import ENERGIES, TIMED_ENERGIES, LowRankGrid, LowRankRow, RowKey
from core.provenance import made_here
from core.training.lowrank import (
    LowRankExperiment,
    Plan,
    describe,
    factor_and_finetune,
    measure,
    measure_finetuned,
)
from core.training.lowrank_publish import publish_factored
from core.training.lowrank_times import COLUMNS, TIMED_METHODS, timed_rows

Stage = Literal["curves", "times", "finetune"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Say = Callable[[str], None]

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
    if grid is None or grid.weights_sha256 != entry.files[checkpoints.WEIGHTS].sha256:
        return STAGES
    known = {row.key for row in grid.rows if row.n}
    tuned = (RowKey(FINETUNED_METHOD, energy, FINETUNE_EPOCHS) for energy in FINETUNED_ENERGIES)
    done = {
        "curves": known.issuperset(RowKey(m, energy) for m in METHODS for energy in ENERGIES),
        "times": _is_timed(grid),
        "finetune": known.issuperset(tuned),
    }
    return tuple(stage for stage in STAGES if not done[stage])


def make_grid(
    id: str,
    stages: Sequence[Stage] = STAGES,
    say: Say = print,
    *,
    threads: int = 1,
    device: str | None = None,
) -> LowRankGrid:
    """Do what is missing of these stages for one checkpoint; returns its grid.

    `threads`: computing threads for accuracies (times use one). Raises CheckpointError and what
    training raises.
    """
    low = LowRankExperiment.open(id, threads)
    grid = LowRankGrid.begin(
        low.checkpoint,
        low.pixels.index if low.pixels else None,
        lambda: made_here(shapes=low.shapes),
    )

    def hear(line: str) -> None:
        say(f"{id}: {line}")

    if "curves" in stages:
        grid = _curves(low, grid, hear)
    if "times" in stages and not _is_timed(grid):
        grid = _keep(grid, timed_rows(low, grid.row, hear))
    if "finetune" in stages and low.pixels is not None:
        grid = _finetuned(low, grid, hear, device)
    return grid


def _keep(grid: LowRankGrid, rows: Sequence[LowRankRow]) -> LowRankGrid:
    """The grid with these rows, written; times that were measured earlier stay."""
    kept = []
    for row in rows:
        old = grid.row(row.key)
        keeps = old is not None and not row.latency
        kept.append(row.model_copy(update={"latency": old.latency}) if keeps and old else row)
    return grid.keep(kept)


def _told(row: LowRankRow) -> str:
    score = row.score
    return "no photographs" if score is None else f"{score.accuracy:.1%} right"


def _curves(low: LowRankExperiment, grid: LowRankGrid, say: Say) -> LowRankGrid:
    photographs = low.pictures() is not None
    for energy in ENERGIES:
        for method in METHODS:
            known = grid.row(RowKey(method, energy))
            if known is not None and (known.n or not photographs):
                continue
            plan = low.plan(method, energy)
            row = _same(low, grid, plan) or measure(low, plan)
            grid = _keep(grid, [row])
            say(f"{method}, {energy:.0%} of the energy: {row.params:,} parameters, {_told(row)}")
    return grid


def _same(low: LowRankExperiment, grid: LowRankGrid, plan: Plan) -> LowRankRow | None:
    """The row of a plan whose very network was measured under another method's name."""
    for row in grid.rows:
        if row.ranks == plan.ranks and row.n and not row.finetune_epochs:
            return describe(low, low.network(plan), plan, row.correct)
    return None


def _is_timed(grid: LowRankGrid) -> bool:
    keys = (RowKey(method, energy) for method in TIMED_METHODS for energy in TIMED_ENERGIES)
    rows = [grid.row(key) for key in keys]
    return all(row is not None and set(COLUMNS) <= set(row.latency) for row in rows)


def _finetuned(
    low: LowRankExperiment, grid: LowRankGrid, say: Say, device: str | None
) -> LowRankGrid:
    for energy in FINETUNED_ENERGIES:
        if grid.row(RowKey(FINETUNED_METHOD, energy, FINETUNE_EPOCHS)) is not None:
            continue
        began = time.perf_counter()
        plan = low.plan(FINETUNED_METHOD, energy)
        net = factor_and_finetune(low, plan, FINETUNE_EPOCHS, device=device)
        row = measure_finetuned(low, net, plan, FINETUNE_EPOCHS)
        if energy == PUBLISHED_ENERGY:
            publish_factored(low, net, plan, FINETUNE_EPOCHS, time.perf_counter() - began)
        grid = _keep(grid, [row])
        say(f"{energy:.0%} of the energy after {FINETUNE_EPOCHS} epochs: {_told(row)}")
    return grid
