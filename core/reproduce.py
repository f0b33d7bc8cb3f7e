"""Make `pretrained/` again: train what is missing, go on with what was stopped, publish the rest.

Every training is a run folder under this machine's runs; a finished one is published as a
checkpoint (weights, ONNX graph, measured accuracies, manifest entry). Running it twice does
nothing the second time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import checkpoints
from core.errors import CheckpointError, UserError
from core.places import runs_dir
from core.recipes import Recipe, Schedule, choose
from core.training.runs import RunFolder
from core.words import _

Report = Callable[[str, dict[str, Any]], None]


def status(schedule: Schedule = "quick", only: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What is done and what is missing: a row a training, in the order in which they run."""
    return [_row(recipe, schedule) for recipe in choose(schedule, only)]


def reproduce(
    schedule: Schedule = "quick",
    only: tuple[str, ...] = (),
    report: Report | None = None,
    device: str | None = None,
) -> list[dict[str, Any]]:
    """Train and publish everything that is not done; returns `status` of it all.

    `report(id, metrics)` hears each epoch. Raises UserError with what is missing (photographs, a
    teacher); whatever was finished by then is kept.
    """
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
        if recipe.ships:
            publish(recipe, folder)
    return status(schedule, only)


def publish(recipe: Recipe, folder: Path) -> checkpoints.Checkpoint:
    """Make a finished run the checkpoint `recipe.id`, measured on validation and test split."""
    from core.data.find import find_food11
    from core.data.pixels import load_pixels
    from core.measure.accuracy import labelled
    from core.models import get
    from core.training.photographs import data_root

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
    spec = get(config.model)
    net = spec.build()
    net.load_state_dict(run.load_weights())
    return checkpoints.publish(
        net,
        id=recipe.id,
        spec=spec,
        recipe=recipe.recipe,
        title=recipe.title,
        teacher=config.teacher or None,
        seed=config.seed,
        epochs=result["epochs"],
        input_px=config.px,
        data=checkpoints.DataInfo.of(pixels),
        validation=labelled(pixels, "validation", config.px),
        test=labelled(pixels, "testing", config.px),
        config=config.model_dump(),
        commit=said["commit"],
        device=said["device"],
        wall_s=result["wall_s"],
    )


def run_folder(recipe: Recipe, schedule: Schedule) -> Path:
    """Where a training keeps its run; the schedules do not share one."""
    return runs_dir() / (recipe.id if schedule == "quick" else f"{schedule}-{recipe.id}")


def _row(recipe: Recipe, schedule: Schedule) -> dict[str, Any]:
    run = RunFolder(run_folder(recipe, schedule))
    epochs_done, test = len(run.metrics()), None
    if recipe.ships:
        entry = checkpoints.load_manifest().get(recipe.id)
        done = entry is not None and entry.config == recipe.config.model_dump()
        if done and entry is not None:
            epochs_done, test = entry.epochs, entry.test and entry.test.accuracy
    else:
        done = run.result() is not None
    state = "done" if done else "started" if epochs_done else "missing"
    return {
        "checkpoint": recipe.id,
        "state": state,
        "epochs_done": epochs_done,
        "epochs": recipe.config.epochs,
        "test_accuracy": test,
        "run": run.path.name,
    }


def _need(recipe: Recipe) -> None:
    """Raises CheckpointError, before any work, if the teacher is not there."""
    teacher = recipe.config.teacher
    if teacher and teacher not in checkpoints.load_manifest():
        raise CheckpointError(
            _("{run} learns from {teacher}, which is missing. Make that one first.").format(
                run=recipe.id, teacher=teacher
            )
        )
