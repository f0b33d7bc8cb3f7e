"""Make `pretrained/` again: train what is missing, go on with what was stopped, publish the rest.

Every training is a run folder under this machine's runs; a finished one is published as a
checkpoint (weights, ONNX graph, measured accuracies, manifest entry). Then come the measurements
that the pages show of each checkpoint (now: its pruned versions). Running it twice does nothing
the second time.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from core import checkpoints
from core.errors import CheckpointError, UserError
from core.places import runs_dir
from core.recipes import SHOWCASE, Recipe, Schedule, choose
from core.training.runs import RunFolder
from core.words import _

Report = Callable[[str, dict[str, Any]], None]
Step = Literal["training", "pruning"]
STEPS: tuple[Step, ...] = ("training", "pruning")


def status(
    schedule: Schedule = "quick", only: tuple[str, ...] = (), steps: tuple[Step, ...] = STEPS
) -> list[dict[str, Any]]:
    """What is done and what is missing: a row a step, in the order in which they run."""
    chosen = choose(schedule, only)
    rows = [_row(recipe, schedule) for recipe in chosen] if "training" in steps else []
    if "pruning" in steps:
        rows += [_grid_row(recipe) for recipe in chosen if recipe.id in SHOWCASE]
    return rows


def reproduce(
    schedule: Schedule = "quick",
    only: tuple[str, ...] = (),
    report: Report | None = None,
    device: str | None = None,
    steps: tuple[Step, ...] = STEPS,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train, publish and measure everything that is not done; returns `status` of it all.

    `report(id, metrics)` hears each epoch, `say` each measured point. Raises UserError with what
    is missing (photographs, a teacher); whatever was finished by then is kept.
    """
    if "training" in steps:
        _train(schedule, only, report, device)
    if "pruning" in steps:
        _prune(schedule, only, say, device)
    return status(schedule, only, steps)


def _prune(
    schedule: Schedule, only: tuple[str, ...], say: Callable[[str], None], device: str | None
) -> None:
    from core.training.pruning_curves import make_grid, missing_stages

    for recipe in choose(schedule, only):
        if recipe.id in SHOWCASE and (stages := missing_stages(recipe.id)):
            make_grid(recipe.id, stages, say, threads=os.cpu_count() or 1, device=device)


def _train(
    schedule: Schedule, only: tuple[str, ...], report: Report | None, device: str | None
) -> None:
    from core.training.loop import train

    for recipe in choose(schedule, only):
        if _row(recipe, schedule)["state"] == "done":
            continue
        _need(recipe)

        def heard(metrics: dict[str, Any], name: str = recipe.id) -> None:
            if report:
                report(name, metrics)

        folder = run_folder(recipe, schedule)
        train(recipe.config, folder, heard, device)
        publish(recipe, folder)


def publish(recipe: Recipe, folder: Path) -> checkpoints.Checkpoint:
    """Make a finished run the checkpoint `recipe.id`, measured on validation and test split."""
    from core.data.find import find_food11
    from core.data.pixels import load_pixels
    from core.training.photographs import data_root
    from core.training.publishing import publish_finished

    config, run = recipe.config, RunFolder(folder)
    said, result = run.read(), run.result()
    if result is None:
        raise UserError(_("{run} is not finished.").format(run=recipe.id))
    pixels = load_pixels(find_food11(data_root(config.data)), px=config.px)
    if pixels.index.fingerprint != said["data"]["fingerprint"]:
        raise UserError(
            _("{run} was trained on other photographs than those that are here now.").format(
                run=recipe.id
            )
        )
    return publish_finished(
        run,
        pixels,
        id=recipe.id,
        recipe=recipe.recipe,
        title=recipe.title,
        config=config.model_dump(),
    )


def run_folder(recipe: Recipe, schedule: Schedule) -> Path:
    """Where a training keeps its run; the schedules do not share one."""
    return runs_dir() / (recipe.id if schedule == "quick" else f"{schedule}-{recipe.id}")


def _row(recipe: Recipe, schedule: Schedule) -> dict[str, Any]:
    run = RunFolder(run_folder(recipe, schedule))
    epochs_done, test = len(run.metrics()), None
    entry = checkpoints.load_manifest().get(recipe.id)
    done = entry is not None and entry.config == recipe.config.model_dump()
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


def _grid_row(recipe: Recipe) -> dict[str, Any]:
    from core.training.pruning_curves import STAGES, missing_stages

    missing: tuple[str, ...] = STAGES
    if recipe.id in checkpoints.load_manifest():
        missing = missing_stages(recipe.id)
    state = "done" if not missing else "missing" if "curves" in missing else "started"
    return {"step": "pruning", "checkpoint": recipe.id, "state": state}


def _need(recipe: Recipe) -> None:
    """Raises CheckpointError, before any work, if the teacher is not there."""
    teacher = recipe.config.teacher
    if teacher and teacher not in checkpoints.load_manifest():
        raise CheckpointError(
            _("{run} learns from {teacher}, which is missing. Make that one first.").format(
                run=recipe.id, teacher=teacher
            )
        )
