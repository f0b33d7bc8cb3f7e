"""How often a network in training is right, on photographs seen as serving will see them."""

import torch
from torch import nn

from core.data.augment import centre_crop
from core.models import ModelSpec
from core.training.photographs import Photographs
from core.training.speed import Compute


@torch.inference_mode()
def evaluate(
    net: nn.Module, spec: ModelSpec, data: Photographs, px: int, compute: Compute
) -> tuple[float, int]:
    """Mean cross-entropy (nats) and number of right answers; leaves `net` in eval mode."""
    net.eval()
    loss, correct = 0.0, 0
    for rows in torch.arange(len(data)).split(128):
        x = spec.normalize(centre_crop(data.take(rows, compute.device), px))
        with compute.autocast():
            logits = net(compute.lay(x)).float()
        y = data.labels[rows].to(compute.device)
        loss += float(nn.functional.cross_entropy(logits, y, reduction="sum"))
        correct += int((logits.argmax(1) == y).sum())
    return loss / len(data), correct
