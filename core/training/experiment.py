"""An experiment on a checkpoint: its network, its photographs, and its own recipe for fine-tuning.

The recipe is the checkpoint's own (photographs, views, teacher, alpha, T), for a few epochs at a
lower rate, so that the change to the network is all that differs. A masked network keeps its zeros
by itself: the mask is part of its forward pass. A run is a folder like any other and resumes like
any other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from core import checkpoints
from core.checkpoints import Checkpoint, DataInfo, DerivedFrom
from core.checkpoints.entry import Derivation
from core.data.pixels import Pixels, pixels_here
from core.models import ModelSpec, registry
from core.provenance import commit
from core.stats import Labelled, labelled
from core.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from core.training.loop import Report

LR = 5e-4


@dataclass
class Experiment:
    """A checkpoint and the photographs that experiments on it use."""

    checkpoint: Checkpoint
    net: "nn.Module"
    """Its network, never changed."""
    pixels: Pixels | None
    threads: int = 1
    """Computing threads while measuring accuracy; times always use one."""

    @classmethod
    def open(cls, id: str, threads: int = 1) -> Self:
        """A checkpoint and the photographs on this machine, if any. Raises CheckpointError."""
        checkpoint = checkpoints.get(id)
        net = checkpoints.load_model(id)
        return cls(
            checkpoint,
            net,
            pixels_here(checkpoint.input_px, checkpoint.crop),
            threads,
        )

    @property
    def spec(self) -> ModelSpec:
        """The registered model it is a version of."""
        return registry.get(self.checkpoint.model)

    @property
    def px(self) -> int:
        """Side of the pictures it takes."""
        return self.checkpoint.input_px

    def pictures(self, split: str = "testing") -> Labelled | None:
        """The labelled pictures of a split, or None where there are none."""
        if self.pixels is None:
            return None
        pictures = labelled(self.pixels, split, self.px)
        return pictures if len(pictures.labels) else None

    def publish(
        self,
        net: "nn.Module",
        kind: Derivation,
        recipe: str,
        title: str,
        config: dict[str, Any],
        *,
        epochs: int = 0,
        wall_s: float = 0,
        own: bool = False,
    ) -> Checkpoint:
        """Publish `net`, a version of the checkpoint fine-tuned for `epochs`; beside it, or in
        `own_dir()` if `own`. Raises CheckpointError as `core.training.publish.publish` does.
        """
        from core.training.publish import publish
        from core.training.speed import best_device, device_name

        base = self.checkpoint
        return publish(
            net,
            id=base.version_id(recipe, own),
            spec=self.spec,
            recipe=recipe,
            title=title,
            teacher=base.teacher,
            derived_from=DerivedFrom(id=base.id, kind=kind),
            seed=base.seed,
            epochs=epochs,
            input_px=self.px,
            data=base.data if self.pixels is None else DataInfo.of(self.pixels),
            validation=self.pictures("validation"),
            test=self.pictures(),
            config=config,
            commit=commit(),
            device=device_name(best_device()),
            wall_s=wall_s,
            root=checkpoints.own_dir() if own else checkpoints.root_of(base.id),
        )

    def right_answers(self, net: "nn.Module", split: str = "testing") -> int | None:
        """How many pictures of a split a network is right about; None without photographs."""
        import torch

        pictures = self.pictures(split)
        if pictures is None:
            return None
        net.eval()
        right = 0
        with torch.inference_mode():
            for at in range(0, len(pictures.labels), 64):
                pixels = torch.from_numpy(pictures.pixels[at : at + 64].copy())
                answers = net(self.spec.normalize(pixels)).argmax(1).numpy()
                right += int((answers == pictures.labels[at : at + 64]).sum())
        return right


def finetune_config(checkpoint: Checkpoint, epochs: int, lr: float = LR) -> TrainConfig:
    """The settings under which versions of a checkpoint are fine-tuned.

    What was never trained by a `TrainConfig` gets its defaults. No moving average (it could not
    copy a masked network), the last epoch, full-size pictures from the start.
    """
    try:
        own = TrainConfig.model_validate(checkpoint.config)
    except ValidationError:
        own = TrainConfig()
    return TrainConfig.model_validate(
        own.model_dump()
        | {
            "model": checkpoint.model,
            "px": checkpoint.input_px,
            "epochs": epochs,
            "lr": lr,
            "warmup_epochs": 0,
            "ema_decay": 0,
            "pretrained": False,
            "start_from": "",
            "start_px": 0,
            "more_data": "",  # versions are made where these may not be
            "more_share": 1.0,
            "select": "last",
        }
    )


def finetune(
    net: "nn.Module",
    config: TrainConfig,
    folder: Path,
    report: "Report | None" = None,
    device: str | None = None,
) -> "nn.Module":
    """Train `net`, which is yours to change, and return it in eval mode on the CPU.

    A finished run in `folder` is not repeated: its weights are loaded. `report` hears every epoch.
    Raises what `core.training.loop.train` raises.
    """
    import torch

    from core.training.loop import _Run
    from core.training.runs import RunFolder
    from core.training.speed import best_device, keep_memory

    class FineTuning(_Run):
        """A run whose network is not built but given."""

        def _initial(self) -> "nn.Module":
            return net

    run = RunFolder(folder)
    with run.locked():
        if run.result() is None or run.config() != config:
            keep_memory()
            FineTuning(config, run, device or best_device()).go(report)
        net.cpu().load_state_dict(run.load_weights())
    return net.to(memory_format=torch.contiguous_format).eval()
