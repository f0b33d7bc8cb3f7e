"""How long a run will take on this machine: a few real steps, timed, before it starts.

The steps are those of the loop (views, forward, `loss_fn_kd`, backward, optimiser) on made-up
squares: pixels do not change the time. The first time a network is met, choosing its number format
takes longer; the run itself then reads that note.
"""

import time
from typing import Any

import numpy as np
import torch

from core.compression.distill import loss_fn_kd
from core.data.augment import apply_view, centre_crop, draw_view
from core.models import get
from core.photos import STORED
from core.training.config import TrainConfig
from core.training.schedule import adamw
from core.training.seeds import derive, generator
from core.training.speed import best_device, choose, device_name, keep_memory
from core.training.teaching import load_teacher

STEPS = 4
START_S = 15.0
"""Starting the process, and testing and exporting the network at the end."""


def forecast(
    config: TrainConfig, training: int, validation: int, device: str | None = None
) -> dict[str, Any]:
    """Predicted seconds of a run on `training` photographs (before `share`) and `validation` ones.

    Protocol: one warm-up step, then `STEPS` steps with the optimiser; the median counts. The
    teacher is timed on one batch, and asked `views` times for every photograph, or every epoch.
    Returns images_per_s, epoch_s, teacher_s, total_s, device.
    """
    keep_memory()
    device = device or best_device()
    n = max(1, round(training * config.share))
    spec, batch = get(config.model), config.batch_size
    compute = choose(spec, config.px, batch, config.precision, device)
    torch.manual_seed(derive(config.seed, "forecast"))
    net = compute.place(spec.build()).train()
    optimizer = adamw(net, 1e-6, config.weight_decay)
    teacher = load_teacher(config.teacher, config.px, device, spec.crop) if config.teacher else None
    side = STORED(config.px, spec.crop)
    stored = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    ).to(device)
    labels = torch.randint(11, (batch,), device=device)
    view = draw_view(
        batch, config.augment, generator(0, "forecast"), config.mixup, config.px / side
    ).to(device)
    partners = stored if config.mixup > 0 else None

    def step() -> None:
        x = apply_view(stored, view, config.px, partners).round_()
        with compute.autocast():
            logits = net(compute.lay(spec.normalize(x))).float()
        taught = torch.zeros_like(logits) if teacher else None
        loss = loss_fn_kd(logits, labels, taught, config.alpha, config.temperature).total
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a GPU

    def look() -> None:
        x = spec.normalize(centre_crop(stored, config.px))
        with torch.inference_mode(), compute.autocast():
            net(compute.lay(x)).float().sum().item()

    step()
    step_s = float(np.median([_seconds(step) for _ in range(STEPS)]))
    net.eval()
    look()
    look_s = min(_seconds(look) for _ in range(2))
    asked_s = 0.0
    if teacher is not None:
        x = apply_view(stored, view, teacher.px, partners).round_()
        teacher.logits(x[:2])
        asked_s = _seconds(lambda: teacher.logits(x).sum().item()) / batch
    views = min(config.views, config.epochs) if config.views else config.epochs
    epoch_s = max(1, n // batch) * step_s + validation * look_s / batch
    teacher_s = asked_s * n * views
    return {
        "images_per_s": round(batch / step_s, 1),
        "epoch_s": round(epoch_s, 3),
        "teacher_s": round(teacher_s, 1),
        "total_s": round(START_S + config.epochs * epoch_s + teacher_s, 1),
        "device": device_name(device),
    }


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
