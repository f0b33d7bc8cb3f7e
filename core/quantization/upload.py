"""A stranger's file of a network, HW7's 8-bit one above all: what it holds, and whose it could be.

It is read without unpickling (`core.quantization.read_file`), in a process of its own. A file
that fits a network of ours can be asked about pictures through that network's graph.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import GRAPH, Checkpoint, read_files
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import CheckpointError, DataError
from core.quantization.file import matched
from core.quantization.graph import load_hw7, read_stranger, weight_shapes
from core.stats import Labelled, Score, labelled

HOSTILE = b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00echo ran it\x85R."
"""A pickle that would run a program if Python opened it: to show the refusal on."""
PER_CLASS = 30
"""Test photographs of each class that an uploaded network is asked about."""


class Tensor(NamedTuple):
    """One array of the file."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float


class Holdings(NamedTuple):
    """What a file holds."""

    n_bytes: int
    tensors: tuple[Tensor, ...]
    counters: int
    """Single numbers kept as they are."""

    @property
    def values(self) -> int:
        """Numbers in the arrays: parameters, and BatchNorm's statistics."""
        return sum(int(np.prod(tensor.shape)) for tensor in self.tensors)

    @property
    def params(self) -> int:
        """Weights and biases."""
        return sum(
            int(np.prod(tensor.shape))
            for tensor in self.tensors
            if not tensor.name.endswith(("running_mean", "running_var"))
        )


class Fit(NamedTuple):
    """A checkpoint whose tensors have the file's shapes in the file's order."""

    checkpoint: Checkpoint
    names: dict[str, str]
    """The checkpoint's names of its tensors -> the file's."""

    @property
    def same_names(self) -> bool:
        """Whether the file uses the same names."""
        return all(ours == theirs for ours, theirs in self.names.items())


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
    held = _held(len(data), state)
    found, problem = fits(held, checkpoints), ""
    try:
        if found:
            load_hw7(found[0].checkpoint.id, data, read=state)
    except CheckpointError as error:
        problem = str(error)
    return Upload(held, found, problem)


def read_upload(data: bytes) -> Holdings:
    """What the file holds. Raises CheckpointError for a file that is not read (`decode8`)."""
    return _held(len(data), read_stranger(data))


def _held(n_bytes: int, state: Mapping[str, NDArray[Any]]) -> Holdings:
    arrays = {name: array for name, array in state.items() if array.ndim}
    return Holdings(
        n_bytes,
        tuple(Tensor(name, array.shape, *_range(array)) for name, array in arrays.items()),
        len(state) - len(arrays),
    )


def _range(array: NDArray[Any]) -> tuple[float, float]:
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def fits(held: Holdings, checkpoints: Iterable[Checkpoint]) -> list[Fit]:
    """The checkpoints that the file could belong to (`matched`); those with its names first."""
    theirs = {tensor.name: tensor.shape for tensor in held.tensors}
    found = []
    for one in checkpoints:
        try:
            ours = _shapes(one.id, one.files[GRAPH].sha256)
        except CheckpointError:
            continue
        names = matched(theirs, ours)
        if names is not None:
            found.append(Fit(one, names))
    return sorted(found, key=lambda fit: not fit.same_names)


@lru_cache(maxsize=256)
def _shapes(id: str, sha256: str) -> dict[str, tuple[int, ...]]:
    del sha256  # only the key of the cache
    return weight_shapes(read_files(id, GRAPH)[1][GRAPH])


def some_pictures(one: Checkpoint, per_class: int = PER_CLASS) -> Labelled | None:
    """The first test photographs of each class here, as `one` sees them; None without any."""
    try:
        pixels = load_pixels(find_food11(), one.input_px, progress=False, crop=one.crop)
        found = labelled(pixels, "testing", one.input_px)
    except DataError:
        return None
    rows = [np.flatnonzero(found.labels == label)[:per_class] for label in np.unique(found.labels)]
    if not rows:
        return None
    chosen = np.sort(np.concatenate(rows))
    return Labelled(found.pixels[chosen], found.labels[chosen])


def score_upload(
    data: bytes, fit: Fit, on_progress: Callable[[int, int], None] | None = None
) -> Score | None:
    """How often the uploaded network is right on `some_pictures`; None where there are none.

    Raises CheckpointError if the file is not what `read_upload` said, or answers a picture with
    something that is no number.
    """
    pictures = some_pictures(fit.checkpoint)
    if pictures is None:
        return None
    predictor = load_hw7(fit.checkpoint.id, data)
    return Score.of(predictor.correct(pictures, on_progress), len(pictures.labels))
