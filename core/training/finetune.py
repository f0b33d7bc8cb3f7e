"""Fine-tuning a pruned network: the one training loop, started from a network that is given.

The recipe is the checkpoint's own (photographs, views, teacher, alpha, T), for a few epochs at a
lower rate, so that pruning is all that differs. A masked network keeps its zeros by itself: the
mask is part of its forward pass. A run is a folder like any other and resumes like any other.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from core.checkpoints import Checkpoint
from core.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from core.training.loop import Report

LR = 5e-4


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
