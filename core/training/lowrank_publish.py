"""A factored network becomes a checkpoint like any other: exported, measured, in the manifest.

It carries its ranks there, so that its weights load into a network of the same shapes.
"""

from typing import TYPE_CHECKING

from core.checkpoints import Checkpoint, DataInfo
from core.provenance import commit
from core.training.experiment import finetune_config
from core.training.publish import publish

if TYPE_CHECKING:
    from torch import nn

    from core.training.lowrank import LowRankExperiment, Plan

TITLE = "{title}, factored ({percent} % of the energy)"


def factored_id(base: Checkpoint, plan: "Plan", epochs: int = 0) -> str:
    """The id under which a factored version of `base` is kept: `<model>-<recipe>_...-s<seed>`."""
    return base.version_id(_recipe(base, plan, epochs))


def _recipe(base: Checkpoint, plan: "Plan", epochs: int) -> str:
    percent = f"{100 * plan.energy:.3g}".replace(".", "p")
    tuned = f"_ft{epochs}" if epochs else ""
    return f"{base.recipe}_lowrank_{plan.method}{percent}{tuned}"


def publish_factored(
    low: "LowRankExperiment", net: "nn.Module", plan: "Plan", epochs: int = 0, wall_s: float = 0
) -> Checkpoint:
    """Publish `net`, a factored version of `low`, fine-tuned for `epochs`.

    Raises CheckpointError as `publish` does.
    """
    from core.training.speed import best_device, device_name

    one = low
    base = one.checkpoint
    config = {
        "factored_from": base.id,
        "method": plan.method,
        "energy": plan.energy,
        "budget": plan.budget,
        "finetune_epochs": epochs,
    }
    if epochs:
        config["finetune"] = finetune_config(base, epochs).model_dump(mode="json")
    return publish(
        net,
        id=factored_id(base, plan, epochs),
        spec=one.spec,
        recipe=_recipe(base, plan, epochs),
        title=TITLE.format(title=base.title, percent=f"{100 * plan.energy:.3g}"),
        teacher=base.teacher,
        seed=base.seed,
        epochs=epochs,
        input_px=one.px,
        data=base.data if one.pixels is None else DataInfo.of(one.pixels),
        validation=one.pictures("validation"),
        test=one.pictures(),
        config=config,
        commit=commit(),
        device=device_name(best_device()),
        wall_s=wall_s,
    )
