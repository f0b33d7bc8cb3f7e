"""The shipped dreams made: batch by batch, resumable, then judged by two networks and packed.

A folder `dreams-<key>` among this machine's runs:

    128-000.npy ...    a finished batch (B, 3, px, px) uint8, one of each class in turn
    spent.json         seconds of work of each batch

The key stands for the teacher's weights and every setting: with another teacher it is another
folder. Killing the process loses the running batch and nothing else; a batch's random numbers
hang on its seed and number alone, so it comes out the same whatever ran before.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import nn

from core import checkpoints
from core.checkpoints import WEIGHTS, Checkpoint
from core.course import CLASSES
from core.data.dreams import SHOW_PX, TRAIN_PX, load_dreams
from core.errors import CheckpointError, DataError
from core.models.registry import ModelSpec, get
from core.places import read_json, runs_dir, write_atomic, write_json
from core.training.dreams import DreamSettings, dream
from core.training.seeds import derive, generator
from core.training.speed import best_device, keep_memory
from core.words import _

Plan = tuple[DreamSettings, ...]
PLAN: Plan = (
    DreamSettings(
        px=SHOW_PX, per_class=4, validation=0, batch_per_class=2, steps=120, finer=1.0, tv=0.5
    ),
    DreamSettings(
        px=TRAIN_PX,
        seen_px=96,
        per_class=96,
        batch_per_class=8,
        steps=40,
        lr=0.06,
        finer=0.8,
        tv=1.5,
    ),
)
"""Those to look at first: they are few, and show at once whether the teacher dreams of food."""
RECIPE = 1
"""Raise it when `core.training.dreams` changes what comes out: older batches are then not used."""


def state(teacher: str, plan: Plan | None = None) -> str:
    """`done` if these very dreams are shipped, `started` if a batch of them is there, `missing`."""
    plan = plan or PLAN
    entry = checkpoints.load_manifest().get(teacher)
    if entry is None:
        return "missing"
    try:
        shipped = load_dreams()
    except DataError:
        shipped = None
    if (
        shipped is not None
        and shipped.teacher_sha256 == entry.files[WEIGHTS].sha256
        and [one.settings for one in shipped.sets] == [one.model_dump() for one in plan]
    ):
        return "done"
    return "started" if any(run_folder(entry, plan).glob("*.npy")) else "missing"


def run_folder(teacher: Checkpoint, plan: Plan) -> Path:
    """Where the batches of these dreams wait to be packed."""
    said = [teacher.files[WEIGHTS].sha256, RECIPE, *(one.model_dump(mode="json") for one in plan)]
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
    return runs_dir() / f"dreams-{key}"


def make_dreams(
    teacher: str,
    say: Callable[[str], None],
    plan: Plan | None = None,
    device: str | None = None,
) -> None:
    """Dream what is missing of `plan` (`PLAN`), then pack and judge it all (`dreams_packing`).

    `say` hears every batch. Raises CheckpointError where the teacher is missing or damaged or
    another process is dreaming the same, OSError for a full disk; finished batches are kept.
    """
    from core.training.dreams_packing import pack

    plan = plan or PLAN
    entry = checkpoints.get(teacher)
    if state(teacher, plan) == "done":
        return
    folder = run_folder(entry, plan)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=1):
            _dream_all(entry, plan, folder, device or best_device(), say)
            made = [gathered(settings, folder) for settings in plan]
            pack(entry, plan, made, sum(_spent(folder).values()))
    except Timeout as error:
        raise CheckpointError(_("Another process is dreaming these right now.")) from error
    say(_("The dreams are in {folder}.").format(folder="pretrained/dreams"))


def batches(settings: DreamSettings) -> int:
    """How many batches a set takes; the last one may hold more dreams than are kept."""
    return -(-settings.per_class // settings.batch_per_class)


def batch_file(folder: Path, settings: DreamSettings, number: int) -> Path:
    """Where batch `number` (from 0) of a set is kept."""
    return folder / f"{settings.px}-{number:03}.npy"


def gathered(settings: DreamSettings, folder: Path) -> NDArray[np.uint8]:
    """All batches of a set, class by class: (11, per_class, 3, px, px) uint8."""
    parts = [_read(batch_file(folder, settings, i), settings) for i in range(batches(settings))]
    whole = [part for part in parts if part is not None]
    assert len(whole) == len(parts)  # they have just been made
    per = settings.batch_per_class
    shaped = [part.reshape(per, len(CLASSES), *part.shape[1:]) for part in whole]
    return np.concatenate(shaped).swapaxes(0, 1)[:, : settings.per_class]


def _dream_all(
    entry: Checkpoint,
    plan: Plan,
    folder: Path,
    device: str,
    say: Callable[[str], None],
) -> None:
    todo = [
        (settings, number)
        for settings in plan
        for number in range(batches(settings))
        if _read(batch_file(folder, settings, number), settings) is None
    ]
    if not todo:
        return
    keep_memory()
    net, spec = checkpoints.load_model(entry.id).to(device), get(entry.model)
    for settings, number in todo:
        began = time.perf_counter()
        pictures, terms = _dream_batch(net, spec, settings, number)
        seconds = time.perf_counter() - began
        buffer = io.BytesIO()
        np.save(buffer, pictures, allow_pickle=False)
        write_atomic(batch_file(folder, settings, number), buffer.getvalue())
        write_json(folder / "spent.json", _spent(folder) | {f"{settings.px}-{number}": seconds})
        say(
            _(
                "{px} px, batch {number} of {of}: {rate:.1f} pictures x steps/s, "
                "cross-entropy {ce:.3f}, BatchNorm distance {bn:.2f}"
            ).format(
                px=settings.px, number=number + 1, of=batches(settings),
                rate=len(pictures) * settings.steps / seconds, ce=terms["ce"], bn=terms["bn"],
            )
        )  # fmt: skip


def _dream_batch(
    net: nn.Module, spec: ModelSpec, settings: DreamSettings, number: int
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """One batch and the terms of its last step."""
    labels = torch.arange(len(CLASSES)).repeat(settings.batch_per_class)
    random = generator(derive(settings.seed, "dreams", settings.px), number)
    last: dict[str, float] = {}
    pictures = dream(net, spec, labels, settings, random, lambda step, told: last.update(told))
    return pictures.numpy(), last


def _read(file: Path, settings: DreamSettings) -> NDArray[np.uint8] | None:
    """A finished batch; None where there is none or it is not one of these settings."""
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    n = settings.batch_per_class * len(CLASSES)
    fits = found.shape == (n, 3, settings.px, settings.px) and found.dtype == np.uint8
    return found if fits else None


def _spent(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / "spent.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
