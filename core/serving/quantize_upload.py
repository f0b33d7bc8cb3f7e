"""A stranger's file in HW7's 8-bit format: what it holds, and which network of ours it would fit.

Nothing is unpickled (`core.compression.quantize_pickle`). A file that fits can be asked about
pictures through that network's graph.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.checkpoints import WEIGHTS, Checkpoint, read_files
from core.checkpoints.tensors import read_header
from core.compression.quantize_hw7 import COUNTER, decode8
from core.data.find import find_food11
from core.data.pixels import load_pixels
from core.errors import CheckpointError, DataError
from core.measure.accuracy import Labelled, Score, labelled
from core.serving.quantized import load_hw7

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
    same_names: bool
    """Whether the names agree, too: only then can it be asked about pictures."""


def read_upload(data: bytes) -> Holdings:
    """What the file holds. Raises CheckpointError for anything but an 8-bit file of HW7's kind."""
    state = decode8(data)
    arrays = {name: array for name, array in state.items() if array.ndim}
    return Holdings(
        len(data),
        tuple(Tensor(name, array.shape, *_range(array)) for name, array in arrays.items()),
        len(state) - len(arrays),
    )


def _range(array: NDArray[np.float32]) -> tuple[float, float]:
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def fits(held: Holdings, checkpoints: Iterable[Checkpoint]) -> list[Fit]:
    """The checkpoints that the file could belong to; those with the same names first."""
    found = []
    for one in checkpoints:
        try:
            header = read_header(read_files(one.id, WEIGHTS)[1][WEIGHTS])
        except CheckpointError:
            continue
        ours = {name: entry.shape for name, entry in header.items() if not name.endswith(COUNTER)}
        theirs = {tensor.name: tensor.shape for tensor in held.tensors}
        if ours == theirs:
            found.append(Fit(one, True))
        elif sorted(ours.values()) == sorted(theirs.values()):
            found.append(Fit(one, False))
    return sorted(found, key=lambda fit: not fit.same_names)


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
    data: bytes, fit: Fit, heard: Callable[[int, int], None] | None = None
) -> Score | None:
    """How often the uploaded network is right on `some_pictures`; None where there are none.

    Raises CheckpointError if the file is not what `read_upload` said.
    """
    pictures = some_pictures(fit.checkpoint)
    if pictures is None:
        return None
    predictor = load_hw7(fit.checkpoint.id, data)
    return Score.of(predictor.correct(pictures, heard), len(pictures.labels))
