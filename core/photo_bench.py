"""How long a visitor waits: from a photo's bytes to what every checkpoint says of it.

The photo is read anew each time, the sessions are open, as they are for every visitor but the
first. Timed by `core.measure.latency` (warm-up, interleaved rounds, median and 95th percentile).
"""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.checkpoints import load_manifest
from core.errors import CheckpointError
from core.measure.latency import time_calls
from core.photos import prepare, read_photo, read_photo_file
from core.serving.predict import THREADS, predict_photo, predictor
from core.words import _

PHONE = (4000, 3000)
"""Width and height of the made-up photo: what a phone's 12 megapixels are."""


def phone_photo(size: tuple[int, int] = PHONE) -> bytes:
    """A JPEG of that size in pixels, soft shapes under sensor-like noise: a few megabytes."""
    rng = np.random.default_rng(0)
    shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    soft = np.asarray(shapes.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = soft + rng.integers(-6, 7, soft.shape, dtype=np.int16)
    written = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(written, "JPEG", quality=90)
    return written.getvalue()


def bench_photo(
    photo: Path | None = None, ids: Sequence[str] = (), repeats: int = 30
) -> dict[str, Any]:
    """Time the way from `photo` (else a made-up one) to the answers of `ids` (else all).

    Returns {"photo", "megapixels", "bytes", "checkpoints": [id], "threads", "steps": {step: Timing
    as a dict, milliseconds}}. Steps: `read` (bytes to RGB), `answer` (read, cut, one run of every
    checkpoint) and `compare` (what the Compare page does: as `answer`, each run timed repeatedly).
    Raises CheckpointError where there is no checkpoint, PhotoError for a bad photo.
    """
    chosen = list(ids) or list(load_manifest())
    if not chosen:
        raise CheckpointError(
            _("There are no checkpoints yet. Make them with: python -m core reproduce")
        )
    if photo is not None:
        read_photo_file(photo)  # refuses what is no photo, and too large a file, before it is read
    data = phone_photo() if photo is None else photo.read_bytes()
    with Image.open(io.BytesIO(data)) as header:
        megapixels = header.width * header.height / 1e6
    steps = time_calls(
        {
            "read": partial(read_photo, data),
            "answer": lambda: _answer(data, chosen),
            "compare": lambda: predict_photo(read_photo(data), chosen),
        },
        repeats=repeats,
        threads=THREADS,
    )
    return {
        "photo": photo.name if photo else _("made up, {w} x {h}").format(w=PHONE[0], h=PHONE[1]),
        "megapixels": round(megapixels, 1),
        "bytes": len(data),
        "checkpoints": chosen,
        "threads": THREADS,
        "steps": {name: timing.model_dump() for name, timing in steps.items()},
    }


def _answer(data: bytes, ids: Sequence[str]) -> None:
    image = read_photo(data)
    ready = [predictor(id) for id in ids]
    seen = [(one.checkpoint.input_px, one.checkpoint.crop) for one in ready]
    squares = {view: prepare(image, *view)[None] for view in set(seen)}
    for one, view in zip(ready, seen, strict=True):
        one.logits(squares[view])
