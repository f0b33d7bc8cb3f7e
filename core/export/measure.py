"""Every file a checkpoint ships as, weighed, timed and compared with the original.

The original is the published network: on the test split its stored logits, which ONNX Runtime gave
from the published bytes; on other pictures what it answers now. Each file is opened as a stranger
would open it: safetensors by torch, ONNX by ONNX Runtime, HW7's file decoded to float32 first. All
that can run take turns in one sitting.
"""

import hashlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core import checkpoints
from core.checkpoints import TEST_LOGITS
from core.data.find import find_food11
from core.errors import DataError
from core.export.files import (
    FileRow,
    Parity,
    Shipping,
    calibrate,
    known_ranges,
    obstacle,
    open_file,
    shipped,
)
from core.export.stack import FORMATS, RUNTIMES, Format
from core.inference.predict import Predictor, run_batches
from core.live import Report
from core.provenance import commit, library_versions, processor_name
from core.stats import Labelled
from core.timing import THREADS, Spread, Timing, time_calls
from core.training.experiment import Experiment

OnProgress = Callable[[str, int, int], None]
"""Called with (format, "calibrate" or "time"; how many files are done, of how many)."""

MADE_PICTURES = 64
REPEATS = 60
BUDGET_S = 12.0


def parity_of(
    logits: NDArray[np.float32], original: NDArray[np.float32], labels: NDArray[np.int64] | None
) -> Parity:
    """How far logits (N, 11) of a file are from the original's on the same N > 0 pictures.

    `labels`: (N,) true classes of test photographs; None for made pictures, which have none.
    """
    answers, wanted = logits.argmax(1), original.argmax(1)
    return Parity(
        pictures="made" if labels is None else "testing",
        n=len(logits),
        max_logit_difference=float(np.abs(logits - original).max()),
        agreement=float((answers == wanted).mean()),
        correct=None if labels is None else int((answers == labels).sum()),
        original_correct=None if labels is None else int((wanted == labels).sum()),
    )


def made_pictures(px: int, n: int = MADE_PICTURES) -> NDArray[np.uint8]:
    """Coloured squares (n, 3, px, px) for machines without photographs, the same everywhere."""
    cells = np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
    where = np.arange(px) * 8 // px
    return np.ascontiguousarray(cells[:, :, where][:, :, :, where])


def measure(
    id: str,
    formats: tuple[Format, ...] = FORMATS,
    on_progress: OnProgress | None = None,
    *,
    timed: bool = True,
) -> Shipping:
    """Make each file (or take it from the cache), weigh, run and time it; nothing is written.

    Int8 is calibrated where nobody has and photographs are here; a file that cannot be made
    (`obstacle`) has no row. Raises CheckpointError for a damaged checkpoint.
    """
    experiment = Experiment.open(id)
    if "onnx-int8" in formats and obstacle(id, "onnx-int8"):
        if on_progress:
            on_progress("calibrate", 0, 1)
        calibrate(id)
    can = [format for format in formats if not obstacle(id, format)]
    files = {format: shipped(id, format) for format in can}
    runs = {format: _runner(experiment, format, data) for format, data in files.items()}
    pixels, labels, original = _pictures(experiment)
    rows = []
    for done, (format, data) in enumerate(files.items()):
        if on_progress:
            on_progress(format, done, len(files))
        rows.append(
            FileRow(
                format=format,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                parity=parity_of(runs[format](pixels), original, labels),
            )
        )
    if timed and (timeable := {f: run for f, run in runs.items() if RUNTIMES[f] != "none"}):
        if on_progress:
            on_progress("time", len(files), len(files))
        times = _times(timeable, experiment.px)
        spreads = {format: Spread.of(timing) for format, timing in times.items()}
        rows = [row.model_copy(update={"latency": spreads.get(row.format)}) for row in rows]
    index = (
        experiment.pixels.index if labels is not None and experiment.pixels is not None else None
    )
    return Shipping(
        checkpoint=id,
        weights_sha256=experiment.checkpoint.weights_sha256,
        data=index.name if index else "",
        fingerprint=index.fingerprint if index else "",
        device=processor_name(),
        threads=THREADS,
        versions=library_versions(),
        commit=commit(),
        date=time.strftime("%Y-%m-%d"),
        calibration=(known_ranges(id) or {}) if "onnx-int8" in files else {},
        rows=tuple(rows),
    )


def make_shipping(id: str, log: Callable[[str], None] = print) -> Shipping:
    """Measure a checkpoint's files, if that is not done, and write it down; returns the rows."""
    known = Shipping.load(id)
    if known is not None and not is_missing(id):
        return known
    shipping = measure(id, on_progress=lambda what, _done, _of: log(f"{id}: {what}"))
    shipping.save()
    return shipping


def is_missing(id: str) -> bool:
    """Whether `make_shipping` would measure: no rows, rows of other weights, or too few.

    What was measured on photographs is kept where there are none. Raises CheckpointError if there
    is no such checkpoint.
    """
    checkpoint, known = checkpoints.get(id), Shipping.load(id)
    if known is None or known.weights_sha256 != checkpoint.weights_sha256:
        return True
    fingerprint = _fingerprint()
    wanted = [f for f in FORMATS if f != "onnx-int8" or fingerprint or known_ranges(id)]
    incomplete = any(known.row(format) is None for format in wanted)
    return bool(fingerprint and fingerprint != known.fingerprint) or (
        incomplete and fingerprint == known.fingerprint
    )


def state(id: str) -> str:
    """ "done", or "missing": also where the checkpoint itself is not there yet."""
    return "done" if id in checkpoints.load_manifest() and not is_missing(id) else "missing"


def _fingerprint() -> str:
    """Of the photographs on this machine; empty without."""
    try:
        return find_food11().fingerprint
    except DataError:
        return ""


def _pictures(
    experiment: Experiment,
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, NDArray[np.float32]]:
    """What the files are run on, its classes where it is food, and the original's logits."""
    entry, pictures = experiment.checkpoint, experiment.pictures()
    if pictures is None:
        pixels = made_pictures(experiment.px)
        return pixels, None, Predictor(entry.id).logits(pixels)
    return pictures.pixels, pictures.labels, _original(experiment, pictures)


def _original(experiment: Experiment, pictures: Labelled) -> NDArray[np.float32]:
    """The stored test logits where they are of these photographs, or else computed now."""
    entry = experiment.checkpoint
    same = (
        experiment.pixels is not None
        and experiment.pixels.index.fingerprint == entry.data.fingerprint
    )
    if same and TEST_LOGITS in entry.files:
        logits, labels = checkpoints.test_logits(entry.id)
        if np.array_equal(labels, pictures.labels):
            return logits
    return Predictor(entry.id).logits(pictures.pixels)


def _runner(
    experiment: Experiment, format: Format, data: bytes
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Pixels to logits by what reads this format."""
    if format != "safetensors":
        return partial(run_batches, open_file(experiment.checkpoint.id, format, data))

    def by_torch(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        with torch.inference_mode():
            for at in range(0, len(pixels), 32):
                batch = torch.from_numpy(np.ascontiguousarray(pixels[at : at + 32]).copy())
                parts.append(experiment.net(experiment.spec.normalize(batch)).numpy())
        return np.concatenate(parts)

    return by_torch


def _times(runs: dict[Format, Callable[[Any], Any]], px: int) -> dict[Format, Timing]:
    """Milliseconds of one picture, all runners taking turns; normalising it is part of the work."""
    picture = made_pictures(px, 1)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        calls: dict[str, Callable[[], Any]] = {f: partial(run, picture) for f, run in runs.items()}
        timed = time_calls(calls, repeats=REPEATS, budget_s=BUDGET_S, threads=THREADS)
    finally:
        torch.set_num_threads(before)
    return {format: timed[format] for format in runs}


def measure_live(point: dict[str, Any], report: Report) -> None:
    """Make and measure every file of `point["checkpoint"]`; `report` hears steps, then the rows.

    Raises UserError.
    """

    report({"step": "make"})

    def on_progress(what: str, done: int, of: int) -> None:
        step = what if what in ("calibrate", "time") else "compare"
        report({"step": step, "done": done, "of": of})

    shipping = measure(point["checkpoint"], on_progress=on_progress)
    report({"rows": [row.model_dump(mode="json") for row in shipping.rows]})
