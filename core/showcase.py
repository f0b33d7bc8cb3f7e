"""What is measured of the checkpoints beyond their training: a table of steps.

Each step says which checkpoints it speaks of, what is done of one, and how to do the rest; its
results stand in `pretrained/` for the pages to show. Importing this imports no torch: a step loads
what it needs when it is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, get_args

from core import checkpoints
from core.cores import cores
from core.errors import CheckpointError
from core.measure.stack_rows import STUDENT
from core.recipes import SHOWCASE, TEACHER, Recipe, Schedule, sweep

Say = Callable[[str], None]
Step = Literal[
    "training", "pruning", "quantization", "lowrank", "sweep", "stack", "shipping",
    "latency",
]  # fmt: skip
STEPS: tuple[Step, ...] = get_args(Step)
State = Literal["missing", "started", "done", "unreadable"]


@dataclass(frozen=True)
class Order:
    """What was asked for: the recipes, whether they were named one by one, and where to compute."""

    chosen: tuple[Recipe, ...]
    named: bool
    schedule: Schedule
    device: str | None = None
    made: tuple[str, ...] = ()
    """Networks asked for that are no recipe's: cut, factored or taught fewer bits."""

    def asks_for(self, id: str) -> bool:
        """Whether this checkpoint's recipe is among those asked for."""
        return any(recipe.id == id for recipe in self.chosen)


@dataclass(frozen=True)
class Measurement:
    """One step. `subjects` are checkpoints, or "all" where they are measured together."""

    step: Step
    subjects: Callable[[Order], Sequence[str]]
    state: Callable[[str, Order], State]
    make: Callable[[str, Say, Order], object]
    needs_checkpoint: bool = True
    """Whether there is nothing to do for a checkpoint that is not there yet."""


def _staged(step: Step, module: str, subjects: Callable[[Order], Sequence[str]]) -> Measurement:
    """A grid that is filled stage by stage: `module` has STAGES, missing_stages and make_grid."""

    def state(id: str, order: Order) -> State:
        grids = import_module(module)
        if id not in checkpoints.load_manifest():
            return "missing"
        missing = grids.missing_stages(id)
        return "done" if not missing else "missing" if grids.STAGES[0] in missing else "started"

    def make(id: str, say: Say, order: Order) -> None:
        grids = import_module(module)
        stages = grids.missing_stages(id)
        grids.make_grid(id, stages, say, threads=cores(), device=order.device)

    return Measurement(step, subjects, state, make)


def _shown(order: Order) -> list[str]:
    """The checkpoints whose pruned and quantised versions the pages show, and those asked for."""
    return [one.id for one in order.chosen if order.named or one.id in SHOWCASE]


def _factored(order: Order) -> list[str]:
    """One of each architecture that the low-rank page shows, and those asked for."""
    from core.measure.lowrank_grid import MODELS

    return [
        one.id
        for one in order.chosen
        if one.config.model in MODELS
        and not one.config.seed
        and (order.named or one.recipe == "scratch")
    ]


def _shipped(order: Order) -> list[str]:
    """Those asked for; else one seed of all planned and all there are, cut and factored too."""
    planned = [one.id for one in order.chosen if order.named or one.config.seed == 0]
    if order.named:
        return [*planned, *order.made]
    found = checkpoints.load_manifest().values()
    return planned + [one.id for one in found if not one.seed and one.id not in planned]


def _sweep_state(id: str, order: Order) -> State:
    from core.training.sweep import missing_points

    configs = sweep(order.schedule)
    missing = missing_points(configs)
    return "done" if not missing else "missing" if len(missing) == len(configs) else "started"


def _make_sweep(id: str, say: Say, order: Order) -> None:
    from core.training.sweep import make_sweep

    make_sweep(sweep(order.schedule), say, order.device)


def _stack_state(id: str, order: Order) -> State:
    from core.training.stack import state

    return state(id)  # type: ignore[return-value]


def _make_stack(id: str, say: Say, order: Order) -> None:
    from core.training.stack import make_stack

    make_stack(id, say, threads=cores(), device=order.device)


def _shipping_state(id: str, order: Order) -> State:
    from core.training.shipping import state

    return state(id)  # type: ignore[return-value]


def _make_shipping(id: str, say: Say, order: Order) -> None:
    from core.training.shipping import make_shipping

    make_shipping(id, say)


def _latency_state(id: str, order: Order) -> State:
    """One row for all: times of different sittings may not be compared."""
    from core.training.latency_sitting import missing_latency

    found, missing = checkpoints.load_manifest(), missing_latency()
    return "missing" if len(missing) == len(found) else "started" if missing else "done"


def _make_latency(id: str, say: Say, order: Order) -> None:
    from core.training.latency_sitting import measure_latency

    if checkpoints.load_manifest():
        measure_latency(say)


def _teacher(order: Order) -> list[str]:
    return [TEACHER] if order.asks_for(TEACHER) else []


def _student(order: Order) -> list[str]:
    return [STUDENT] if order.asks_for(STUDENT) else []


MEASUREMENTS: tuple[Measurement, ...] = (
    _staged("pruning", "core.training.pruning_curves", _shown),
    _staged("quantization", "core.training.quantization_curves", _shown),
    _staged("lowrank", "core.training.lowrank_curves", _factored),
    Measurement("sweep", _teacher, _sweep_state, _make_sweep),
    Measurement("stack", _student, _stack_state, _make_stack),
    Measurement("shipping", _shipped, _shipping_state, _make_shipping),
    Measurement(
        "latency", lambda order: ["all"], _latency_state, _make_latency, needs_checkpoint=False
    ),
)
"""In the order in which they run; times come last, on a machine that does nothing else."""


def measured(order: Order, steps: Sequence[Step]) -> list[dict[str, str]]:
    """A row per step and checkpoint: `step`, `checkpoint`, `state`."""
    return [
        {"step": one.step, "checkpoint": id, "state": _state(one, id, order)}
        for one in MEASUREMENTS
        if one.step in steps
        for id in one.subjects(order)
    ]


def _state(one: Measurement, id: str, order: Order, say: Say | None = None) -> State:
    """How far it is; "unreadable", and why, where what was measured cannot be understood."""
    try:
        return one.state(id, order)
    except CheckpointError as error:
        if say is not None:
            say(f"{one.step}, {id}: {error}")
        return "unreadable"


def measure(order: Order, steps: Sequence[Step], say: Say) -> None:
    """Do what is missing of these steps for the checkpoints that are there."""
    for one in MEASUREMENTS:
        if one.step not in steps:
            continue
        for id in one.subjects(order):
            there = not one.needs_checkpoint or id in checkpoints.load_manifest()
            if there and _state(one, id, order, say) not in ("done", "unreadable"):
                one.make(id, say, order)
