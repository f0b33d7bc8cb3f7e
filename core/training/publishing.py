"""A finished run becomes a checkpoint: rebuilt, exported, measured on validation and test split."""

from pathlib import Path
from typing import Any

from core import checkpoints
from core.data.pixels import Pixels
from core.measure.accuracy import labelled
from core.models import get
from core.training.runs import RunFolder


def publish_finished(
    run: RunFolder,
    pixels: Pixels,
    *,
    id: str,
    recipe: str,
    title: str,
    config: dict[str, Any],
    root: Path | None = None,
) -> checkpoints.Checkpoint:
    """Publish a finished run as `id` in `pretrained/`, or in `root`; `pixels` are its photographs.

    `config` is what the manifest keeps of its settings. Without labelled test photographs the test
    score is left out. Raises CheckpointError where the export fails.
    """
    settings, said, result = run.config(), run.read(), run.result()
    assert result is not None  # callers ask for finished runs
    spec = get(settings.model)
    net = spec.build()
    net.load_state_dict(run.load_weights())
    testing = labelled(pixels, "testing", settings.px)
    return checkpoints.publish(
        net,
        id=id,
        spec=spec,
        recipe=recipe,
        title=title,
        teacher=settings.teacher or None,
        seed=settings.seed,
        epochs=result["epochs"],
        input_px=settings.px,
        data=checkpoints.DataInfo.of(pixels),
        validation=labelled(pixels, "validation", settings.px),
        test=testing if len(testing.labels) else None,
        config=config,
        commit=said["commit"],
        device=said["device"],
        wall_s=result["wall_s"],
        root=root,
    )
