"""Training speed: this project's loop against one written the way the course's notebook is.

The course's way (HW13 2021 notebook): every epoch opens each JPEG with PIL, resizes to 142, turns,
crops to 128 and flips it, in the training process (`num_workers=0`); float32, NCHW, Adam 3e-4.
Ours: the uint8 cache, augmentation of whole batches, the number format and layout measured best.
Same network, photographs, batch size and number of threads. Each loop lives in a process of its
own, so that neither inherits the other's settings; they take turns, since a laptop's speed drifts.
Images per second of each turn: median, quartiles, and the ratio turn by turn.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core.data.augment import apply_view, draw_view
from core.data.find import find_food11
from core.data.pixels import Pixels, load_pixels
from core.errors import ConfigError
from core.models import ModelSpec, get
from core.training.photographs import Photographs, photographs
from core.training.schedule import adamw
from core.training.seeds import generator
from core.training.speed import Compute, best_device, choose, device_name, keep_memory
from core.words import _

Step = Callable[[], int]
"""Trains on one batch; returns the number of photographs."""


def bench_training(
    model: str = "dwpw_256k",
    px: int = 128,
    batch_size: int = 64,
    turns: int = 5,
    steps: int = 4,
    device: str | None = None,
    data: Path | None = None,
) -> dict[str, Any]:
    """Images per second of both loops: `{"ours", "course", "ratio", ...}`.

    Each of `turns` turns times `steps` steps of one loop, then of the other; one turn of each
    warms up and is not counted. Raises DataError without photographs, ConfigError if there are
    fewer than one batch.
    """
    spec, device = get(model), device or best_device()
    index = find_food11(data)
    training = photographs(load_pixels(index, px=px), "training")
    if len(training) < batch_size:
        raise ConfigError(
            _("There are {n} training photographs: too few for a batch of {batch}.").format(
                n=len(training), batch=batch_size
            )
        )
    compute = choose(spec, px, batch_size, "auto", device)
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for name in ("course", "ours"):
        pipes[name], theirs = context.Pipe()
        work = (theirs, name, model, index.root, px, batch_size, compute)
        workers.append(context.Process(target=_work, args=work, daemon=True))
        workers[-1].start()
        theirs.close()  # so that a worker's end is noticed as the end of its pipe
    try:
        speeds = _take_turns(pipes, turns, steps)
    except EOFError:
        raise ConfigError(_("A measured loop ended early. Is there enough memory?")) from None
    finally:
        for pipe in pipes.values():
            pipe.close()
        for worker in workers:
            worker.join(timeout=10)
    ratios = np.divide(speeds["ours"], speeds["course"])
    return {
        "model": model,
        "px": px,
        "batch_size": batch_size,
        "turns": turns,
        "steps": steps,
        "device": device_name(device),
        "data": index.name,
        "ours_computes": vars(compute),
        **{name: {"images_per_s": _spread(speeds[name])} for name in speeds},
        "ratio": _spread(list(ratios)),
    }


def _take_turns(pipes: dict[str, Connection], turns: int, steps: int) -> dict[str, list[float]]:
    speeds: dict[str, list[float]] = {name: [] for name in pipes}
    for turn in range(turns + 1):
        for name, pipe in pipes.items():
            pipe.send(steps)
            images_per_s = pipe.recv()
            if turn:
                speeds[name].append(images_per_s)
    return speeds


def _work(
    pipe: Connection, name: str, model: str, root: Path, px: int, batch_size: int, compute: Compute
) -> None:
    """One loop in its process: for every number of steps asked, the images per second."""
    spec, index = get(model), find_food11(root)
    if name == "ours":
        keep_memory()
        training = photographs(load_pixels(index, px=px), "training")
        step = _ours(spec, training, px, batch_size, compute)
    else:
        step = _course(spec, load_pixels(index, px=px), px, batch_size, compute.device)
    while True:
        try:
            steps = pipe.recv()
        except EOFError:
            return
        began = time.perf_counter()
        seen = sum(step() for _step in range(steps))
        if torch.device(compute.device).type == "cuda":
            torch.cuda.synchronize(compute.device)
        pipe.send(seen / (time.perf_counter() - began))


def _spread(values: list[float]) -> dict[str, float]:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": round(median, 2), "p25": round(low, 2), "p75": round(high, 2)}


def _ours(
    spec: ModelSpec, training: Photographs, px: int, batch_size: int, compute: Compute
) -> Step:
    """The steps of `core.training.loop`, without its validation and bookkeeping."""
    net = compute.place(spec.build()).train()
    optimizer = adamw(net, 1e-3, 0.02)
    crop = px / training.stored.shape[-1]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for epoch in range(10**6):
            view = draw_view(len(training), "standard", generator(epoch), crop=crop)
            order = torch.randperm(len(training), generator=generator(epoch, "order"))
            for rows in order.split(batch_size)[: len(order) // batch_size]:
                stored = training.take(rows, compute.device)
                seen = apply_view(stored, view[rows].to(compute.device), px)
                yield seen, training.labels[rows].to(compute.device)

    return _steps(batches(), net, optimizer, compute, spec.normalize)


def _course(spec: ModelSpec, pixels: Pixels, px: int, batch_size: int, device: str) -> Step:
    """The notebook's DataLoader and step, with its transforms at `px` instead of 128.

    Of `pixels` it uses only the list of the photographs that can be read, not the cache.
    """
    from torchvision import transforms

    index = pixels.index

    augment = transforms.Compose(
        [
            transforms.Resize((round(px * 142 / 128),) * 2),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(15),
            transforms.RandomCrop(px),
            transforms.ToTensor(),
        ]
    )

    class Notebook(torch.utils.data.Dataset[tuple[Tensor, int]]):
        rows = pixels.rows[pixels.split("training")]

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            row = self.rows[i]
            picture = Image.open(index.root / index.files[row]).convert("RGB")
            return augment(picture), int(index.labels[row])

    loader = torch.utils.data.DataLoader(
        Notebook(), batch_size, shuffle=True, num_workers=0, drop_last=True
    )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for x, y in loader:
                yield x.to(device), y.to(device)

    net = spec.build().to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4, weight_decay=1e-5)
    plain = Compute(device, bfloat16=False, channels_last=False)
    return _steps(batches(), net, optimizer, plain, lambda x: x)


def _steps(
    batches: Iterator[tuple[Tensor, Tensor]],
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    compute: Compute,
    normalize: Callable[[Tensor], Tensor],
) -> Step:
    def step() -> int:
        x, y = next(batches)
        with compute.autocast():
            logits = net(compute.lay(normalize(x)))
        loss = nn.functional.cross_entropy(logits.float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        return len(y)

    return step
