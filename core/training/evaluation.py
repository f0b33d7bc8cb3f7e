"""How often a network in training is right, on photographs seen as serving will see them."""

import torch
from torch import nn

from core.data.augment import centre_crop
from core.models import ModelSpec
from core.training.distributed import ALONE, World
from core.training.photographs import Photographs
from core.training.speed import Compute

BATCH = 128


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    spec: ModelSpec,
    data: Photographs,
    px: int,
    compute: Compute,
    world: World = ALONE,
) -> tuple[float, int]:
    """Mean cross-entropy (nats) and number of right answers; leaves `net` in eval mode.

    Several processes take the batches in turn; the sums are those of one process, to the bit.
    """
    net.eval()
    batches = torch.arange(len(data)).split(BATCH)
    empty = torch.zeros(2, device=compute.device)
    found = [empty] * len(batches)  # loss, right answers of each batch
    for number, rows in enumerate(batches):
        if not world.takes(number):
            continue
        x = spec.normalize(centre_crop(data.take(rows, compute.device), px))
        with compute.autocast():
            logits = net(compute.lay(x)).float()
        y = data.labels[rows].to(compute.device)
        batch_loss = nn.functional.cross_entropy(logits, y, reduction="sum")
        found[number] = torch.stack([batch_loss, (logits.argmax(1) == y).sum().float()])
    loss, correct = 0.0, 0
    # the only wait for a GPU; float64 because losses are added up (`mps` has none)
    for batch_loss, batch_correct in world.add(torch.stack(found).cpu().double()).tolist():
        loss += batch_loss
        correct += int(batch_correct)
    return loss / len(data), correct
