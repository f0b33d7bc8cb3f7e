"""Make `pretrained/` again: train what is missing, go on with what was stopped, publish the rest.

Every training is a run folder under this machine's runs; a finished one is published as a
checkpoint (weights, ONNX graph, measured accuracies, manifest entry). Then come the measurements
that the pages show of each checkpoint (its pruned, quantised and factored versions, one student's
whole way to a phone, every file it ships as), and last a sitting in which all of them are timed.
Running it twice does nothing the second time. Importing this imports no torch: a step loads what it
needs when it is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from core import checkpoints
from core.collection.latency import measure_latency, missing_latency
from core.collection.recipes import SHOWCASE, TEACHER, Recipe, Schedule, chosen_recipes, sweep
from core.cores import cores
from core.data.dreams import DREAMS, load_dreams
from core.data.find import find_food11
from core.data.named import data_root, is_distinct, is_variable
from core.errors import CheckpointError, ConfigError, DataError, UserError
from core.export.same_size import BIG
from core.export.stack import STUDENT
from core.i18n import _
from core.models.registry import get
from core.paths import runs_dir
from core.training.runs import RunFolder

Log = Callable[[str], None]
Step = Literal[
    "training", "pruning", "quantization", "lowrank", "sweep", "stack", "same_size", "shipping",
    "not_food", "latency",
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


@dataclass(frozen=True)
class Measurement:
    """One step. `subjects` are checkpoints, or "all" where they are measured together."""

    step: Step
    subjects: Callable[[Order], Sequence[str]]
    state: Callable[[str, Order], State]
    make: Callable[[str, Log, Order], object]
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

    def make(id: str, log: Log, order: Order) -> None:
        grids = import_module(module)
        stages = grids.missing_stages(id)
        grids.make_grid(id, stages, log, threads=cores(), device=order.device)

    return Measurement(step, subjects, state, make)


def _resumed(step: Step, module: str, subjects: Callable[[Order], Sequence[str]]) -> Measurement:
    """What goes on where it was stopped: `module` has state and make_<step>."""

    def state(id: str, order: Order) -> State:
        result: State = import_module(module).state(id)
        return result

    def make(id: str, log: Log, order: Order) -> None:
        begin = getattr(import_module(module), f"make_{step}")
        begin(id, log, threads=cores(), device=order.device)

    return Measurement(step, subjects, state, make)


def _of(order: Order, *ids: str) -> list[str]:
    """These checkpoints, as far as their recipes are among those asked for."""
    return [id for id in ids if any(recipe.id == id for recipe in order.chosen)]


def _shown(order: Order) -> list[str]:
    """The checkpoints whose pruned and quantised versions the pages show, and those asked for."""
    return [recipe.id for recipe in order.chosen if order.named or recipe.id in SHOWCASE]


def _factored(order: Order) -> list[str]:
    """One of each architecture that the low-rank page shows, and those asked for."""
    from core.low_rank.rows import MODELS

    return [
        recipe.id
        for recipe in order.chosen
        if recipe.config.model in MODELS
        and not recipe.config.seed
        and (order.named or recipe.recipe == "scratch")
    ]


def _shipped(order: Order) -> list[str]:
    """Those asked for; else one seed of all planned and all there are, cut and factored too."""
    planned = [r.id for r in order.chosen if order.named or r.config.seed == 0]
    if order.named:
        return [*planned, *order.made]
    there = checkpoints.load_manifest().values()
    return planned + [each.id for each in there if not each.seed and each.id not in planned]


def _all(order: Order) -> list[str]:
    """All planned and all there are, of every seed; only those asked for where some were named."""
    planned = [*(recipe.id for recipe in order.chosen), *order.made]
    there = [] if order.named else checkpoints.load_manifest()
    return planned + [id for id in there if id not in planned]


def _sweep_state(id: str, order: Order) -> State:
    from core.distillation.measure import missing_points

    configs = sweep(order.schedule)
    missing = missing_points(configs)
    return "done" if not missing else "missing" if len(missing) == len(configs) else "started"


def _make_sweep(id: str, log: Log, order: Order) -> None:
    from core.distillation.measure import make_sweep

    make_sweep(sweep(order.schedule), log, order.device)


def _make_shipping(id: str, log: Log, order: Order) -> None:
    from core.export.measure import make_shipping

    make_shipping(id, log)


def _latency_state(id: str, order: Order) -> State:
    """One row for all: times of different sittings may not be compared."""
    missing = missing_latency()
    there = len(checkpoints.load_manifest())
    return "missing" if len(missing) == there else "started" if missing else "done"


def _make_latency(id: str, log: Log, order: Order) -> None:
    if checkpoints.load_manifest():
        measure_latency(log)


MEASUREMENTS: tuple[Measurement, ...] = (
    _staged("pruning", "core.pruning.measure", _shown),
    _staged("quantization", "core.quantization.measure", _shown),
    _staged("lowrank", "core.low_rank.measure", _factored),
    Measurement("sweep", lambda order: _of(order, TEACHER), _sweep_state, _make_sweep),
    _resumed("stack", "core.export.make_stack", lambda order: _of(order, STUDENT)),
    _resumed("same_size", "core.export.make_same_size", lambda order: _of(order, *BIG)),
    replace(_resumed("shipping", "core.export.measure", _shipped), make=_make_shipping),
    _resumed("not_food", "core.not_food.measure", _all),
    Measurement("latency", lambda order: ["all"], _latency_state, _make_latency, False),
)
"""In the order in which they run; times come last, on a machine that does nothing else."""


def measured(order: Order, steps: Sequence[Step]) -> list[dict[str, str]]:
    """A row per step and checkpoint: `step`, `checkpoint`, `state`."""
    return [
        {"step": each.step, "checkpoint": id, "state": state_of(each, id, order)}
        for each in MEASUREMENTS
        if each.step in steps
        for id in each.subjects(order)
    ]


def state_of(measurement: Measurement, id: str, order: Order, log: Log | None = None) -> State:
    """How far it is; "unreadable", and why, where what was measured cannot be understood."""
    try:
        return measurement.state(id, order)
    except CheckpointError as error:
        if log is not None:
            log(f"{measurement.step}, {id}: {error}")
        return "unreadable"


def measure(order: Order, steps: Sequence[Step], log: Log) -> None:
    """Do what is missing of these steps for the checkpoints that are there."""
    for each in MEASUREMENTS:
        for id in each.subjects(order) if each.step in steps else ():
            is_there = not each.needs_checkpoint or id in checkpoints.load_manifest()
            if is_there and state_of(each, id, order, log) not in ("done", "unreadable"):
                each.make(id, log, order)


Report = Callable[[str, dict[str, Any]], None]


def status(
    schedule: Schedule = "quick", only: tuple[str, ...] = (), steps: tuple[Step, ...] = STEPS
) -> list[dict[str, Any]]:
    """What is done and what is missing: a row a step, in the order in which they run."""
    order = order_of(schedule, only)
    rows = [_row(recipe, schedule) for recipe in order.chosen] if "training" in steps else []
    return [*rows, *measured(order, steps)]


def order_of(schedule: Schedule, only: tuple[str, ...] = (), device: str | None = None) -> Order:
    """What is asked for by these ids: trainings, and networks here that were made from another.

    Raises UserError for an id that is neither.
    """
    there = checkpoints.load_manifest()
    made = tuple(id for id in only if id in there and there[id].derived_from)
    trained = tuple(id for id in only if id not in made)
    chosen = chosen_recipes(schedule, trained) if trained or not only else ()
    return Order(chosen, bool(only), schedule, device, made)


def reproduce(
    schedule: Schedule = "quick",
    only: tuple[str, ...] = (),
    report: Report | None = None,
    device: str | None = None,
    steps: tuple[Step, ...] = STEPS,
    log: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train, publish and measure everything that is not done; returns `status` of it all.

    `report(id, metrics)` hears each epoch, `say` each measured point. Raises UserError with what
    is missing (photographs, a teacher); whatever was finished by then is kept.
    """
    order = order_of(schedule, only, device)
    if "training" in steps:
        _train(order, report, log)
    measure(order, steps, log)
    return status(schedule, only, steps)


def _train(order: Order, report: Report | None, log: Callable[[str], None]) -> None:
    chosen, schedule = order.chosen, order.schedule
    lacking = without_photographs(chosen, log)
    for recipe in chosen:
        if is_done(recipe) or recipe.id in lacking:
            continue

        def on_progress(metrics: dict[str, Any], name: str = recipe.id) -> None:
            if report:
                report(name, metrics)

        make(recipe, run_folder(recipe, schedule), order.device, on_progress)


def make(
    recipe: Recipe,
    folder: Path,
    device: str | None = None,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Train a recipe in its run's folder, or go on there, and publish it.

    Raises CheckpointError, before any work, if its teacher or its start is not there.
    """
    from core.training.loop import train

    _need(recipe)
    train(recipe.config, folder, on_progress, device)
    publish(recipe, folder)


def publish(recipe: Recipe, folder: Path) -> checkpoints.Checkpoint:
    """Make a finished run the checkpoint `recipe.id`, measured on validation and test split."""
    from core.data.pixels import load_pixels
    from core.training.publish import publish_finished

    config, run, crop = recipe.config, RunFolder(folder), get(recipe.config.model).crop
    result = run.result()
    if result is None:
        raise UserError(_("{run} is not finished.").format(run=recipe.id))
    pixels = load_pixels(find_food11(data_root(config.data)), px=config.px, crop=crop)
    if pixels.index.fingerprint != run.read()["data"]["fingerprint"]:
        raise UserError(
            _("{run} was trained on other photographs than those that are here now.").format(
                run=recipe.id
            )
        )
    dreamed = config.data == DREAMS  # whoever learned from dreams is tested on photographs
    return publish_finished(
        run,
        load_pixels(find_food11(), px=config.px, crop=crop) if dreamed else pixels,
        learned_from=pixels if dreamed else None,
        id=recipe.id,
        recipe=recipe.recipe,
        title=recipe.title,
        config=config.model_dump(),
    )


def run_folder(recipe: Recipe, schedule: Schedule) -> Path:
    """Where a training keeps its run; the schedules do not share one."""
    return runs_dir() / (recipe.id if schedule == "quick" else f"{schedule}-{recipe.id}")


def is_done(recipe: Recipe) -> bool:
    """Whether its checkpoint is there, trained with these very settings."""
    entry = checkpoints.load_manifest().get(recipe.id)
    return entry is not None and entry.config == recipe.config.model_dump()


def _row(recipe: Recipe, schedule: Schedule) -> dict[str, Any]:
    run = RunFolder(run_folder(recipe, schedule))
    epochs_done, test = len(run.metrics()), None
    entry = checkpoints.load_manifest().get(recipe.id)
    done = is_done(recipe)
    if done and entry is not None:
        epochs_done, test = entry.epochs, entry.test and entry.test.accuracy
    state = "done" if done else "started" if epochs_done else "missing"
    return {
        "step": "training",
        "checkpoint": recipe.id,
        "state": state,
        "epochs_done": epochs_done,
        "epochs": recipe.config.epochs,
        "test_accuracy": test,
        "run": run.path.name,
    }


def without_photographs(chosen: tuple[Recipe, ...], log: Callable[[str], None]) -> set[str]:
    """Ids that cannot be trained because a data set is missing, and what starts from them; why.

    Such a set is one to learn from before these photographs, or beside them: it must be distinct
    from them. Or it is the dreams: they must be those of the teacher that is here.
    """
    lacking: dict[str, str] = {}  # id -> DREAMS, or the variable that names no fit folder
    for recipe in chosen:
        config, start = recipe.config, recipe.config.start_from
        if is_done(recipe):
            continue
        if start in lacking:
            lacking[recipe.id] = lacking[start]
        else:
            needs = (config.data, config.more_data)
            unfit = next((data for data in needs if not _is_fit(data)), None)
            if unfit is not None:
                lacking[recipe.id] = unfit
    for data in dict.fromkeys(lacking.values()):
        text = (
            _(
                "Left out for now: {ids}. There are no dreams of the {teacher} that is here to "
                "learn from; make them with: python -m tools dreams"
            )
            if data == DREAMS
            else _(
                "Left out for now: {ids}. The variable {variable} must name a folder of other "
                "photographs without any that are tested on here; make it with: python -m tools "
                "distinct SOURCE"
            )
        )
        ids = ", ".join(id for id, needs in lacking.items() if needs == data)
        log(text.format(ids=ids, variable=data, teacher=TEACHER))
    return set(lacking)


def _is_fit(data: str) -> bool:
    """Whether a training may learn from a config's `data` or `more_data`."""
    try:
        if data == DREAMS:
            teacher, dreams = checkpoints.load_manifest().get(TEACHER), load_dreams()
            return bool(teacher and dreams and dreams.teacher_sha256 == teacher.weights_sha256)
        if not is_variable(data):
            return True
        root = data_root(data)
    except (ConfigError, DataError):
        return False
    return root is not None and is_distinct(root, find_food11())


def _need(recipe: Recipe) -> None:
    """Raises CheckpointError, before any work, if teacher or start are not there."""
    there, config = checkpoints.load_manifest(), recipe.config
    for needed, text in (
        (config.teacher, _("{run} learns from {id}, which is missing. Make that one first.")),
        (config.start_from, _("{run} starts from {id}, which is missing. Make that one first.")),
    ):
        if needed and needed not in there:
            raise CheckpointError(text.format(run=recipe.id, id=needed))
