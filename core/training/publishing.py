"""A finished run becomes a checkpoint: rebuilt, exported, measured on validation and test split.

Its figures of each epoch go with it; checkpoints published before that was so get theirs from the
run, as long as the run is there and is proved, weight by weight, to be theirs.
"""

from pathlib import Path
from typing import Any

import numpy as np

from core import checkpoints
from core.compression.widths import set_widths
from core.data.pixels import Pixels
from core.errors import CheckpointError
from core.measure.accuracy import labelled
from core.models import get
from core.training.publish import publish
from core.training.runs import RunFolder


def publish_finished(
    run: RunFolder,
    pixels: Pixels,
    *,
    id: str,
    recipe: str,
    title: str,
    config: dict[str, Any],
    learned_from: Pixels | None = None,
    root: Path | None = None,
) -> checkpoints.Checkpoint:
    """Publish a finished run as `id` in `pretrained/`, or in `root`; `pixels` are its photographs.

    Where it learned from others than those it is measured on, `learned_from` are those. `config` is
    what the manifest keeps of its settings. Without labelled test photographs the test score is
    left out. Raises CheckpointError where the export fails.
    """
    settings, said, result = run.config(), run.read(), run.result()
    assert result is not None  # callers ask for finished runs
    spec = get(settings.model)
    net = set_widths(spec.build(), run.widths())
    net.load_state_dict(run.load_weights())
    testing = labelled(pixels, "testing", settings.px)
    data = checkpoints.DataInfo.of(pixels)
    if learned_from is not None:
        told = {
            "name": f"{data.name}, having learned from: {learned_from.index.name}",
            "is_food11": data.is_food11 and learned_from.index.is_food11,
            "training": len(learned_from.split("training")),
        }
        data = data.model_copy(update=told)
    if said["data"].get("more"):
        further = checkpoints.FurtherData.model_validate(said["data"]["more"])
        data = data.model_copy(update={"more": further})
    return publish(
        net,
        id=id,
        spec=spec,
        recipe=recipe,
        title=title,
        teacher=settings.teacher or None,
        seed=settings.seed,
        epochs=result["epochs"],
        input_px=settings.px,
        data=data,
        validation=labelled(pixels, "validation", settings.px),
        test=testing if len(testing.labels) else None,
        config=config,
        commit=said["commit"],
        device=said["device"],
        wall_s=result["wall_s"],
        history=_history(run, result),
        root=root,
    )


def attach_history(id: str, run: RunFolder) -> bool:
    """Give the published checkpoint `id` the history of the run that made it.

    Returns False, and changes nothing, if it has one already, or if `run` is not finished or is
    not where these weights come from. Raises CheckpointError for a damaged checkpoint.
    """
    entry = checkpoints.load_manifest().get(id)
    result = run.result()
    if entry is None or result is None or checkpoints.HISTORY in entry.files:
        return False
    found = _history(run, result)
    if found is None or not _made(run, id):
        return False
    checkpoints.add_history(id, found)
    return True


def _history(run: RunFolder, result: dict[str, Any]) -> checkpoints.History | None:
    """None for metrics of another version: a curve is no reason to lose a checkpoint."""
    try:
        return checkpoints.History.of(run.metrics(), result["best_epoch"])
    except CheckpointError:
        return None


def _made(run: RunFolder, id: str) -> bool:
    """Whether the run's chosen weights are the published ones, in the type they are stored in."""
    from safetensors.numpy import load, load_file

    published = load(checkpoints.read_files(id, checkpoints.WEIGHTS)[1][checkpoints.WEIGHTS])
    try:
        own = load_file(run.path / "best.safetensors")
    except OSError:
        return False
    return own.keys() == published.keys() and all(
        own[name].shape == stored.shape and np.array_equal(own[name].astype(stored.dtype), stored)
        for name, stored in published.items()
    )
