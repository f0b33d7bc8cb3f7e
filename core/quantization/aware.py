"""Training that knows its weights will be quantised: fake quantisation, straight-through gradients.

In the forward pass every convolution and linear layer computes with w' = quantise(w), dequantised
again. Rounding has no slope, so the backward pass pretends that there was none of it: the gradient
of w' goes to w as it is (the straight-through estimator: Bengio, Leonard & Courville 2013; in
quantised networks: Jacob et al. 2018). w itself stays a float and adds up what rounding would
swallow. The levels are those of `core.quantization.method`'s `channel_symmetric`.
"""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core import checkpoints
from core.checkpoints import Checkpoint, DataInfo, DerivedFrom
from core.paths import runs_dir
from core.provenance import commit
from core.quantization.method import check
from core.quantization.rows import RowKey
from core.training.experiment import finetune, finetune_config
from core.training.publish import publish

if TYPE_CHECKING:
    from core.training.experiment import Experiment
    from core.training.loop import Report


class FakeQuantise(nn.Module):
    """Weights (out, ...) -> the same, rounded to what `bits` can say, per output channel."""

    def __init__(self, bits: int) -> None:
        """Raises ConfigError unless 1 <= bits <= 8."""
        super().__init__()
        check("channel_symmetric", bits)
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """Rounded in the forward pass; in the backward pass the gradient goes straight through."""
        rounded = fake_quantised(weight.detach(), self.bits)
        return weight + (rounded - weight).detach()

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def fake_quantised(weight: Tensor, bits: int) -> Tensor:
    """`channel_symmetric` and back, on the weights' own device: float32 -> float32."""
    flat = weight.double().flatten(1)  # as exact as numpy does it, so that both give one answer
    if bits == 1:
        scale = flat.abs().mean(1).float().double()
        values = torch.where(flat >= 0, 1.0, -1.0) * scale[:, None]
    else:
        top = 2 ** (bits - 1) - 1
        scale = (flat.abs().amax(1) / top).float().double()
        safe = torch.where(scale > 0, scale, 1.0)[:, None]
        values = (flat / safe).round().clamp(-top, top) * scale[:, None]
    return values.float().reshape(weight.shape)


def prepare_aware(net: nn.Module, bits: int) -> nn.Module:
    """Give every convolution and linear layer of `net` quantised weights, in place; returns it."""
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            parametrize.register_parametrization(module, "weight", FakeQuantise(bits))
    return net


def without_fakes(net: nn.Module, *, rounded: bool = False) -> nn.Module:
    """Plain weights again, in place: the floats behind the rounding, or the rounded ones."""
    for module in list(net.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=rounded)
    return net


def tuned(
    experiment: "Experiment", key: RowKey, report: "Report | None" = None, device: str | None = None
) -> "nn.Module":
    """The checkpoint after `key.epochs` epochs of `key.training`: "aware", or "plain", the control
    that differs in the rounding alone.

    Its weights are floats, ready to be quantised as `key` says. A finished run is not repeated.
    Raises what training raises.
    """
    config = finetune_config(experiment.checkpoint, key.epochs)
    weights = experiment.checkpoint.weights_sha256[:8]
    how = f"{key.bits}bit" if key.training == "aware" else "plain"
    folder = runs_dir() / f"quantize-{experiment.checkpoint.id}-{weights}-{how}-{key.epochs}e-s0"
    net = copy.deepcopy(experiment.net)
    if key.training == "aware":
        prepare_aware(net, key.bits)
    return without_fakes(finetune(net, config, folder, report, device))


def state_arrays(net: "nn.Module") -> dict[str, NDArray[Any]]:
    """The state dict of a network on the CPU, as arrays of their own."""
    return {name: np.array(value.numpy()) for name, value in net.state_dict().items()}


def publish_aware(
    experiment: "Experiment", net: "nn.Module", key: RowKey, wall_s: float = 0
) -> Checkpoint:
    """Publish `net` with its weights rounded as `key` says, beside the experiment's checkpoint.

    Quantising that checkpoint once more changes next to nothing. Raises CheckpointError as
    `publish` does.
    """
    from core.training.speed import best_device, device_name

    base = experiment.checkpoint
    recipe = f"{base.recipe}_qat{key.bits}_ft{key.epochs}"
    rounded = without_fakes(prepare_aware(copy.deepcopy(net), key.bits), rounded=True)
    return publish(
        rounded,
        id=base.version_id(recipe),
        spec=experiment.spec,
        recipe=recipe,
        title=f"{base.title}, trained with {key.bits}-bit weights",
        teacher=base.teacher,
        derived_from=DerivedFrom(id=base.id, kind="quantised"),
        seed=base.seed,
        epochs=key.epochs,
        input_px=experiment.px,
        data=base.data if experiment.pixels is None else DataInfo.of(experiment.pixels),
        validation=experiment.pictures("validation"),
        test=experiment.pictures(),
        config={
            "quantised_from": base.id,
            **key._asdict(),
            "finetune": finetune_config(base, key.epochs).model_dump(mode="json"),
        },
        commit=commit(),
        device=device_name(best_device()),
        wall_s=wall_s,
        root=checkpoints.root_of(base.id),
    )
