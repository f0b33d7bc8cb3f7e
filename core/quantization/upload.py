"""A stranger's file of a network, HW7's 8-bit one above all: what it holds, and whose it could be.

It is read without unpickling (`core.quantization.read_file`), in a process of its own. A file
that fits a network of ours can be asked about pictures through that network's graph.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from core.checkpoints import GRAPH, Checkpoint, read_files
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import CheckpointError, DataError
from core.inference.graph import weight_shapes
from core.quantization.file import matched
from core.quantization.graph import load_hw7, read_stranger
from core.stats import Labelled, Score, labelled

HOSTILE = b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00echo ran it\x85R."
"""A pickle that would run a program if Python opened it: to show the refusal on."""
PER_CLASS = 30
"""Test photographs of each class that an uploaded network is asked about."""


class Holdings(NamedTuple):
    """What a file holds."""

    n_bytes: int
    shapes: dict[str, tuple[int, ...]]
    """Of its arrays, by name, in its order."""
    counters: int
    """Single numbers kept as they are."""

    @property
    def params(self) -> int:
        """Weights and biases: all numbers in arrays but BatchNorm's statistics."""
        return sum(
            math.prod(shape)
            for name, shape in self.shapes.items()
            if not name.endswith(("running_mean", "running_var"))
        )


class Fit(NamedTuple):
    """A checkpoint whose tensors have the file's shapes in the file's order."""

    checkpoint: Checkpoint
    names: dict[str, str]
    """The checkpoint's names of its tensors -> the file's."""


class Upload(NamedTuple):
    """A stranger's file that was read."""

    held: Holdings
    fits: list[Fit]
    problem: str
    """Why the first of `fits` cannot be asked about pictures; empty where it can."""


def open_upload(data: bytes, checkpoints: Iterable[Checkpoint]) -> Upload:
    """What a file holds, whose it could be, and whether it answers.

    Raises CheckpointError for a file that is not read (`decode8`).
    """
    state = read_stranger(data)
    shapes = {name: array.shape for name, array in state.items() if array.ndim}
    held = Holdings(len(data), shapes, len(state) - len(shapes))
    fitting, problem = fits(held, checkpoints), ""
    try:
        if fitting:
            load_hw7(fitting[0].checkpoint.id, data, read=state)
    except CheckpointError as error:
        problem = str(error)
    return Upload(held, fitting, problem)


def fits(held: Holdings, checkpoints: Iterable[Checkpoint]) -> list[Fit]:
    """The checkpoints that the file could belong to (`matched`); those with its names first."""
    fitting = []
    for checkpoint in checkpoints:
        try:
            ours = shapes_of(checkpoint)
        except CheckpointError:
            continue
        names = matched(held.shapes, ours)
        if names is not None:
            fitting.append(Fit(checkpoint, names))
    return sorted(fitting, key=lambda fit: list(fit.names) != list(fit.names.values()))


def shapes_of(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Its tensors' names and shapes, in the order of its state dict, without the counters.

    Raises CheckpointError where its graph is damaged.
    """
    return _shapes(checkpoint.id, checkpoint.files[GRAPH].sha256)


@lru_cache(maxsize=256)
def _shapes(id: str, sha256: str) -> dict[str, tuple[int, ...]]:
    del sha256  # only the key of the cache
    return weight_shapes(read_files(id, GRAPH)[1][GRAPH])


def some_pictures(checkpoint: Checkpoint, per_class: int = PER_CLASS) -> Labelled | None:
    """The first test photographs of each class here, as the network sees them; None without any."""
    try:
        pixels = load_pixels(
            find_food11(), checkpoint.input_px, progress=False, crop=checkpoint.crop
        )
        pictures = labelled(pixels, "testing", checkpoint.input_px)
    except DataError:
        return None
    labels = pictures.labels
    rows = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    if not rows:
        return None
    chosen = np.sort(np.concatenate(rows))
    return Labelled(pictures.pixels[chosen], labels[chosen])


def score_upload(
    data: bytes, fit: Fit, on_progress: Callable[[int, int], None] | None = None
) -> Score | None:
    """How often the uploaded network is right on `some_pictures`; None where there are none.

    Raises CheckpointError if the file is refused, or answers a picture with
    something that is no number.
    """
    pictures = some_pictures(fit.checkpoint)
    if pictures is None:
        return None
    predictor = load_hw7(fit.checkpoint.id, data)
    return Score.of(predictor.correct(pictures, on_progress), len(pictures.labels))
