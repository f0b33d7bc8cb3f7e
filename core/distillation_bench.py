"""What a teacher costs: the epoch of a distilled student against that of one from scratch.

Three trainings of the same student on the same photographs, each in a process of its own, take
turns, an epoch each (steps, validation and all, as `core.training.learner` does them):

    scratch   labels alone
    kept      the teacher's answers to the epoch's view lie on the disk (`core.training.teaching`)
    asked     a view that is new to the teacher: it answers to every photograph, and that is kept

A run of E epochs with V views asks in V of them and reads in the others; the next student, or seed,
with the same teacher and views reads in all of them. Keeping changes no result.
"""

import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core import checkpoints
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import ConfigError
from core.models import get
from core.recipes import PRESETS
from core.training.config import TrainConfig
from core.training.learner import Learner
from core.training.photographs import learned_from, photographs
from core.training.speed import Compute, best_device, choose, device_name, keep_memory
from core.training.teaching import load_teacher
from core.words import _

AIM = 1.35
"""A distilled epoch should cost at most so many times the scratch epoch."""
WAYS = ("scratch", "kept", "asked")
_MANY = 10_000


class _Work(NamedTuple):
    """What a process needs to know."""

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
    compute = choose(get(model), px, config.batch_size, config.precision, device)
    seconds = _measure([_Work(way, config, index.root, compute) for way in WAYS], turns)
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
        "epoch_s": {way: _spread(seconds[way]) for way in WAYS},
        "ratio": {way: _spread(ratios[way]) for way in ratios},
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
    found = [one.id for one in checkpoints.load_manifest().values() if one.family == "teacher"]
    if not found:
        raise ConfigError(_("There is no teacher among the checkpoints: name one."))
    return found[0]


def _measure(works: list[_Work], turns: int) -> dict[str, list[float]]:
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for work in works:
        pipes[work.way], theirs = context.Pipe()
        workers.append(context.Process(target=_work, args=(theirs, work), daemon=True))
        workers[-1].start()
        theirs.close()  # so that a worker's end is noticed as the end of its pipe
    seconds: dict[str, list[float]] = {work.way: [] for work in works}
    try:
        for turn in range(turns + 1):
            for way, pipe in pipes.items():
                pipe.send(turn)
                took = pipe.recv()
                if turn:
                    seconds[way].append(took)
    except (EOFError, ConnectionError):
        raise ConfigError(_("A measured training ended early: see above.")) from None
    finally:
        for pipe in pipes.values():
            pipe.close()
        for worker in workers:
            worker.join(timeout=10)
    return seconds


def _work(pipe: Connection, work: _Work) -> None:
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


def _spread(values: list[float]) -> dict[str, float]:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": round(median, 3), "p25": round(low, 3), "p75": round(high, 3)}
