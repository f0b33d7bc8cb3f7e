"""Fine-tuning with quantised weights, and the control: the same fine-tuning without.

Both start from the checkpoint and share everything of its recipe (photographs, views, teacher,
steps: `core.training.experiment`); only the rounding in the forward pass differs. Afterwards both
are quantised in the same way, so what is compared is what training with the rounding is worth.
"""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core import checkpoints
from core.checkpoints import Checkpoint, DataInfo
from core.compression.quantize_aware import prepare_aware, without_fakes
from core.measure.quantization_grid import RowKey
from core.places import runs_dir
from core.provenance import commit
from core.training.experiment import finetune, finetune_config
from core.training.publish import publish

if TYPE_CHECKING:
    from torch import nn

    from core.training.experiment import Experiment
    from core.training.loop import Report

TITLE = "{title}, trained with {bits}-bit weights"


def tuned(
    one: "Experiment", key: RowKey, report: "Report | None" = None, device: str | None = None
) -> "nn.Module":
    """The checkpoint after `key.epochs` epochs of `key.training` ("plain" or "aware").

    Its weights are floats, ready to be quantised as `key` says. A finished run is not repeated.
    Raises what training raises.
    """
    config = finetune_config(one.checkpoint, key.epochs)
    weights = one.checkpoint.files[checkpoints.WEIGHTS].sha256[:8]
    how = f"{key.bits}bit" if key.training == "aware" else "plain"
    folder = runs_dir() / f"quantize-{one.checkpoint.id}-{weights}-{how}-{key.epochs}e-s0"
    net = copy.deepcopy(one.net)
    if key.training == "aware":
        prepare_aware(net, key.bits)
    return without_fakes(finetune(net, config, folder, report, device))


def state_arrays(net: "nn.Module") -> dict[str, NDArray[Any]]:
    """The state dict of a network on the CPU, as arrays of their own."""
    return {name: np.array(value.numpy()) for name, value in net.state_dict().items()}


def aware_id(base: Checkpoint, key: RowKey) -> str:
    """The id under which a network trained with quantised weights is kept."""
    return base.version_id(_recipe(base, key))


def _recipe(base: Checkpoint, key: RowKey) -> str:
    return f"{base.recipe}_qat{key.bits}_ft{key.epochs}"


def publish_aware(
    one: "Experiment", net: "nn.Module", key: RowKey, wall_s: float = 0
) -> Checkpoint:
    """Publish `net` with its weights rounded as `key` says: a checkpoint like any other.

    Quantising that checkpoint once more changes next to nothing. Raises CheckpointError as
    `publish` does.
    """
    from core.training.speed import best_device, device_name

    base = one.checkpoint
    rounded = without_fakes(prepare_aware(copy.deepcopy(net), key.bits), rounded=True)
    return publish(
        rounded,
        id=aware_id(base, key),
        spec=one.spec,
        recipe=_recipe(base, key),
        title=TITLE.format(title=base.title, bits=key.bits),
        teacher=base.teacher,
        seed=base.seed,
        epochs=key.epochs,
        input_px=one.px,
        data=base.data if one.pixels is None else DataInfo.of(one.pixels),
        validation=one.pictures("validation"),
        test=one.pictures(),
        config={
            "quantised_from": base.id,
            **key._asdict(),
            "finetune": finetune_config(base, key.epochs).model_dump(mode="json"),
        },
        commit=commit(),
        device=device_name(best_device()),
        wall_s=wall_s,
    )
