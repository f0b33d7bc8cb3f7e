"""The shelf of distillation traps, run on real answers and a real teacher. Imports torch when run.

Logits are the shipped test answers of both networks, evenly spread over the test split. For the
last trap a copy of the teacher looks at photographs of Food-11 where they are on this machine, and
else at made-up pictures, which is said.
"""

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from core.checkpoints import TEST_LOGITS, WEIGHTS, Checkpoint, get, load_model, test_logits
from core.data import find_food11, food11_available
from core.errors import CheckpointError, DataError, PhotoError, UserError
from core.i18n import _
from core.inference.compare import random_dots
from core.photos import prepare, read_photo_file

if TYPE_CHECKING:
    from core.distillation.traps import Drift, Readings


ROWS = 64
PASSES, BATCH, ASKED = 6, 8, 16
MAX_PX = 160
"""Largest side a teacher is shown: bounds the time, whatever was shipped."""
WAIT_S = 20.0

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Trial:
    """What one run of the shelf measured."""

    readings: "Readings"
    drift: "dict[str, Drift] | None"
    """Keys `failing`, `fixed`; None if the teacher has no BatchNorm or could not be run."""
    problem: str
    """Why the teacher could not be run; empty if it was, or has no BatchNorm."""
    data: str | None
    """Name of the data set whose photographs the teacher saw; None for made-up pictures."""
    seconds: float


class TrialBusyError(UserError):
    """Somebody else's trial is running: the machine is shared."""


def run_traps(teacher: Checkpoint, student: Checkpoint | None, temperature: float) -> Trial:
    """Run every cell of `core.distillation.traps` on stored answers of two checkpoints.

    What was run once is kept until a checkpoint is published anew.

    Without a `student`, one that knows nothing yet (all logits 0). Takes a few seconds, and once
    per process the seconds of importing torch. One at a time: TrialBusyError after `WAIT_S`
    seconds. Raises CheckpointError if stored answers are missing, damaged or not to the same
    pictures.
    """
    marks = tuple(
        network.files[name].sha256
        for network in (teacher, student)
        for name in (TEST_LOGITS, WEIGHTS)
        if network is not None and name in network.files
    )
    return _run_traps(teacher.id, student.id if student else None, temperature, marks)


@lru_cache(maxsize=24)
def _run_traps(
    teacher: str, student: str | None, temperature: float, _marks: tuple[str, ...]
) -> Trial:
    logits, labels = test_logits(teacher)
    others = np.zeros_like(logits)
    if student is not None:
        others, same = test_logits(student)
        if not np.array_equal(labels, same):
            raise CheckpointError(_("These two were not measured on the same pictures."))
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise CheckpointError(_("The stored answers have no picture with a known class."))
    rows = _evenly(rows, ROWS)
    if not _ONE_AT_A_TIME.acquire(timeout=WAIT_S):
        raise TrialBusyError(
            _("Somebody else runs the cells on this machine just now. Try again in a few seconds.")
        )
    try:
        import torch

        from core.distillation.traps import measure

        began = time.perf_counter()
        student_logits, teacher_logits, true = (
            torch.from_numpy(each[rows]) for each in (others, logits, labels)
        )
        readings = measure(student_logits, teacher_logits, true, temperature)
        problem, drift, data = "", None, None
        try:
            drift, data = _drift(teacher)
        except CheckpointError as error:
            problem = str(error)
        return Trial(readings, drift, problem, data, time.perf_counter() - began)
    finally:
        _ONE_AT_A_TIME.release()


def _drift(teacher: str) -> "tuple[dict[str, Drift] | None, str | None]":
    import torch

    from core.distillation.traps import measure_teacher
    from core.models import registry

    entry = get(teacher)
    px = min(entry.input_px, MAX_PX)
    spec = registry.get(entry.model)
    images, data = _pictures(PASSES * BATCH + ASKED)
    pixels = torch.from_numpy(np.stack([prepare(image, px, entry.crop) for image in images]))
    x = spec.normalize(pixels.float())  # (64, 3, px, px)
    seen, unseen = x[: PASSES * BATCH], x[PASSES * BATCH :]
    return measure_teacher(load_model(teacher), list(seen.split(BATCH)), unseen), data


def _pictures(n: int) -> tuple[list[Image], str | None]:
    """n photographs of the test split here and their data set's name, or n made-up pictures."""
    try:
        if food11_available():
            index = find_food11()
            rows = _evenly(index.of("testing"), n)
            if len(rows) == n:
                shuffled = np.random.default_rng(n).permutation(rows)  # rows are in class order
                return [read_photo_file(index.root / index.files[row]) for row in shuffled], (
                    index.name
                )
    except (DataError, PhotoError):
        pass  # a damaged photograph or copy: the trap can be shown without
    return [random_dots(seed=seed) for seed in range(n)], None


def _evenly(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most n of the rows, evenly spread over them."""
    if len(rows) <= n:
        return rows
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, n).round().astype(np.int64)]
    return chosen
