"""Training speed: our loop against the course's, and what a teacher adds to an epoch.

*Our loop against the course's* (HW13 2021 notebook): there every epoch opens each JPEG with PIL,
resizes to 142, turns, crops to 128 and flips it, in the training process (`num_workers=0`);
float32, NCHW, Adam 3e-4. Ours: the uint8 cache, augmentation of whole batches, the number format
and layout measured best. Same network, photographs, batch size and number of threads. Images per
second of each turn: median, quartiles, and the ratio turn by turn.

*What a teacher costs*: three trainings of the same student on the same photographs, an epoch a turn
(steps, validation and all, as `core.training.learner` does them):

    scratch   labels alone
    kept      the teacher's answers to the epoch's view lie on the disk
    (`core.training.teacher_cache`) asked     a view that is new to the teacher: it answers to
    every photograph, and that is kept

A run of E epochs with V views asks in V of them and reads in the others; the next student, or seed,
with the same teacher and views reads in all of them. Keeping changes no result.

Whatever is compared runs in a process each, so that none inherits another's settings, and takes
turns, since a laptop's speed drifts.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core import checkpoints
from core.collection.recipes import PRESETS
from core.data.augment import apply_view, draw_view
from core.data.find import find_food11
from core.data.pixels import Pixels, load_pixels
from core.errors import ConfigError
from core.i18n import _
from core.models import ModelSpec, get
from core.training.config import TrainConfig
from core.training.learner import Learner, adamw
from core.training.photographs import Photographs, generator, learned_from, photographs
from core.training.speed import Compute, best_device, choose_compute, device_name, keep_memory
from core.training.teacher_cache import load_teacher

Work = tuple[Callable[..., None], tuple[Any, ...]]
"""What a process runs: a function that answers every message on the pipe given to it first, and
its further arguments."""


def _in_turns(works: Mapping[str, Work], turns: int) -> dict[str, list[float]]:
    """The number that each work answers with, turn by turn; the first turn warms up, uncounted.

    Raises ConfigError where a process ends early.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for name, (function, arguments) in works.items():
        pipes[name], theirs = context.Pipe()
        workers.append(context.Process(target=function, args=(theirs, *arguments), daemon=True))
        workers[-1].start()
        theirs.close()  # so that a worker's end is noticed as the end of its pipe
    measured: dict[str, list[float]] = {name: [] for name in works}
    try:
        for turn in range(turns + 1):
            for name, pipe in pipes.items():
                pipe.send(turn)
                value = pipe.recv()
                if turn:
                    measured[name].append(value)
    except (EOFError, ConnectionError):
        raise ConfigError(_("A measured training ended early. Is there enough memory?")) from None
    finally:
        for pipe in pipes.values():
            pipe.close()
        for worker in workers:
            worker.join(timeout=10)
    return measured


def _spread(values: list[float], digits: int) -> dict[str, float]:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {
        "median": round(median, digits), "p25": round(low, digits), "p75": round(high, digits)
    }  # fmt: skip


# -- our loop against the course's -----------------------------------------------------------------


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
    compute = choose_compute(spec, px, batch_size, "auto", device)
    work = (model, index.root, px, batch_size, compute, steps)
    speeds = _in_turns({name: (_loop, (name, *work)) for name in ("course", "ours")}, turns)
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
        **{name: {"images_per_s": _spread(speeds[name], 2)} for name in speeds},
        "ratio": _spread(list(ratios), 2),
    }


def _loop(
    pipe: Connection,
    name: str,
    model: str,
    root: Path,
    px: int,
    batch_size: int,
    compute: Compute,
    steps: int,
) -> None:
    """One loop in its process: for every turn, the images per second over `steps` steps."""
    spec, index = get(model), find_food11(root)
    if name == "ours":
        keep_memory()
        training = photographs(load_pixels(index, px=px), "training")
        step = _ours(spec, training, px, batch_size, compute)
    else:
        step = _course(spec, load_pixels(index, px=px), px, batch_size, compute.device)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        began = time.perf_counter()
        seen = sum(step() for _step in range(steps))
        if torch.device(compute.device).type == "cuda":
            torch.cuda.synchronize(compute.device)
        pipe.send(seen / (time.perf_counter() - began))


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


# -- what a teacher costs --------------------------------------------------------------------------


AIM = 1.35
"""A distilled epoch should cost at most so many times the scratch epoch."""
WAYS = ("scratch", "kept", "asked")
_MANY = 10_000


class Training(NamedTuple):
    """One of the trainings that take turns: what its process needs to know."""

    way: str
    config: TrainConfig
    root: Path
    compute: Compute


def bench_distillation(
    model: str = "dwpw_256k",
    teacher: str = "",
    px: int = 128,
    share: float = 1.0,
    turns: int = 3,
    device: str | None = None,
    data: Path | None = None,
) -> dict[str, Any]:
    """Seconds an epoch of each way, and the ratios to scratch, turn by turn.

    `teacher`: a checkpoint; without one the first of the family "teacher". `share` of the training
    photographs. Each way has one epoch more that warms up and is not counted. `run` is arithmetic:
    the mean epoch of a run with the epochs and views of the preset "hour", for the first student of
    a teacher and for every later one. Raises CheckpointError, DataError, ConfigError.
    """
    device = device or best_device()
    hour = PRESETS["hour"] | {"start_px": 0, "px": px, "share": share}
    config = TrainConfig(model=model, teacher=teacher or _any_teacher(), **hour)
    checkpoints.get(config.teacher)
    index = find_food11(data)
    training = learned_from(config, index, px, get(model).crop)
    compute = choose_compute(get(model), px, config.batch_size, config.precision, device)
    works = {way: (_epochs, (Training(way, config, index.root, compute),)) for way in WAYS}
    seconds = _in_turns(works, turns)
    ratios = {
        way: list(np.divide(seconds[way], seconds["scratch"])) for way in WAYS if way != "scratch"
    }
    return {
        "model": model,
        "teacher": config.teacher,
        "px": px,
        "batch_size": config.batch_size,
        "photographs": len(training),
        "turns": turns,
        "device": device_name(device),
        "data": index.name,
        "computes": vars(compute),
        "teacher_runs_on": load_teacher(config.teacher, px, device, get(model).crop).runtime,
        "epoch_s": {way: _spread(seconds[way], 3) for way in WAYS},
        "ratio": {way: _spread(ratios[way], 3) for way in ratios},
        "aim": AIM,
        "run": _run(config, {way: float(np.median(ratios[way])) for way in ratios}),
    }


def _run(config: TrainConfig, ratio: dict[str, float]) -> dict[str, Any]:
    """The mean epoch of a whole run in scratch epochs."""
    new = min(config.views or config.epochs, config.epochs) / config.epochs
    return {
        "epochs": config.epochs,
        "views": config.views,
        "first_student": round(new * ratio["asked"] + (1 - new) * ratio["kept"], 3),
        "later_students": round(ratio["kept"], 3),
    }


def _any_teacher() -> str:
    teachers = [
        checkpoint.id
        for checkpoint in checkpoints.load_manifest().values()
        if checkpoint.family == "teacher" and checkpoint.derived_from is None
    ]
    if not teachers:
        raise ConfigError(_("There is no teacher among the checkpoints: name one."))
    return teachers[0]


def _epochs(pipe: Connection, work: Training) -> None:
    """One training in its process: for every epoch asked for, how long it took."""
    keep_memory()
    index, spec, px = find_food11(work.root), get(work.config.model), work.config.px
    pixels = load_pixels(index, px=px, crop=spec.crop)
    views = {"scratch": 0, "kept": 1, "asked": _MANY}[work.way]
    teacher = "" if work.way == "scratch" else work.config.teacher
    config = work.config.model_copy(update={"views": views, "epochs": _MANY, "teacher": teacher})
    taught = load_teacher(teacher, px, work.compute.device, spec.crop) if teacher else None
    sees_more = taught is not None and taught.crop != spec.crop
    learner = Learner(
        config,
        spec,
        spec.build(),
        work.compute,
        photographs(pixels, "training", config.share, config.seed),
        photographs(pixels, "validation"),
        taught,
        shown=learned_from(config, index, taught.px, taught.crop) if taught and sees_more else None,
    )
    with tempfile.TemporaryDirectory() as answers:
        os.environ["SMALL_PLATES_CACHE"] = answers  # nothing is known before, nothing stays
        while True:
            try:
                epoch = pipe.recv()
            except EOFError:
                return
            pipe.send(learner.epoch(epoch)["seconds"])
