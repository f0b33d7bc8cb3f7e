"""A pruned network becomes a checkpoint like any other: exported, measured, in the manifest.

Zeroed weights keep the model's shapes; a narrow network carries its widths in the manifest.
"""

from typing import TYPE_CHECKING

from core.checkpoints import Checkpoint, DataInfo
from core.measure.pruning_grid import RowKey
from core.provenance import commit
from core.training.experiment import finetune_config
from core.training.publish import publish

if TYPE_CHECKING:
    from torch import nn

    from core.training.pruning import PruningExperiment

NARROW_TITLE = "{title}, {percent} % of channels cut out"
ZEROED_TITLE = "{title}, {percent} % of weights zeroed"


def pruned_id(base: Checkpoint, key: RowKey) -> str:
    """The id under which a pruned version of `base` is kept: `<model>-<recipe>_...-s<seed>`."""
    return base.version_id(_recipe(base, key))


def _recipe(base: Checkpoint, key: RowKey) -> str:
    percent = f"{100 * key.ratio:.3g}".replace(".", "p")
    tuned = f"_ft{key.finetune_epochs}x{key.rounds}" if key.finetune_epochs else ""
    form = "narrow" if key.form == "narrow" else "pruned"
    return f"{base.recipe}_{form}_{key.method}{percent}{tuned}"


def publish_pruned(
    one: "PruningExperiment", net: "nn.Module", key: RowKey, wall_s: float = 0
) -> Checkpoint:
    """Publish `net`, a version of `one` without masks. Raises CheckpointError as `publish` does."""
    from core.training.speed import best_device, device_name

    base = one.checkpoint
    config = {"pruned_from": base.id, **key._asdict()}
    if key.finetune_epochs:
        config["finetune"] = finetune_config(base, key.finetune_epochs).model_dump(mode="json")
    title = NARROW_TITLE if key.form == "narrow" else ZEROED_TITLE
    return publish(
        net,
        id=pruned_id(base, key),
        spec=one.spec,
        recipe=_recipe(base, key),
        title=title.format(title=base.title, percent=f"{100 * key.ratio:.3g}"),
        teacher=base.teacher,
        seed=base.seed,
        epochs=key.finetune_epochs * key.rounds,
        input_px=one.px,
        data=base.data if one.pixels is None else DataInfo.of(one.pixels),
        validation=one.pictures("validation"),
        test=one.pictures(),
        config=config,
        commit=commit(),
        device=device_name(best_device()),
        wall_s=wall_s,
    )
