"""HW7 Q1: one big network brought to the same file size by four methods, and compared.

Each version of the big network learns for the same number of epochs after it was made smaller, on
the same photographs. What is kept of it is a row: its bytes, multiply-adds, time, and which test
photographs it was right about, so that any two can be compared pair by pair. Imports no torch:
`core.export.make_same_size` makes the rows.
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.results import AccuracyRow, CheckpointRows

Way = Literal["distilled", "lowrank", "pruned", "quantised"]
WAYS: tuple[Way, ...] = get_args(Way)
SIZES_BYTES = (1_000_000, 300_000)
"""About what a compressed network is to take, with its weights in float16, or in fewer bits."""
NEAR = 0.35
"""A network counts for a size if it is that much smaller or larger at most (a share of it)."""
BIG = ("plain_2m-scratch-s0", "resnet18-scratch-s0")
"""The networks that are compressed."""
EPOCHS = 10
"""Of training after a network was made smaller; a distilled student begins with random weights."""


class RowKey(NamedTuple):
    """What names a row."""

    way: Way
    target_bytes: int


class SameSizeRow(AccuracyRow):
    """One version of the big network; timed by ONNX Runtime, one picture at a time."""

    way: Way
    target_bytes: int
    setting: str
    """A student's design; the energy that low rank keeps; the share of channels cut; a weight's
    bits."""
    bits: int
    """Of a weight in the file."""
    params: int
    macs: int
    size_bytes: int
    """Of its weights file, as it was on the disk."""
    epochs: int
    right: str = ""
    """Which test photographs it was right about, in their order: bits, as hexadecimal digits."""

    @property
    def key(self) -> RowKey:
        """What names this row."""
        return RowKey(self.way, self.target_bytes)

    def was_right(self) -> NDArray[np.bool_] | None:
        """(n,) true where it was right; None if it was not asked."""
        if not self.n:
            return None
        packed = np.frombuffer(bytes.fromhex(self.right), np.uint8)
        return np.unpackbits(packed, count=self.n).astype(bool)


class SameSize(CheckpointRows[SameSizeRow]):
    """One big network's versions of the same sizes; `whole` is itself."""

    kind = "same_size"
    command = "python -m core reproduce --steps same_size --only {name}"

    smallest_bytes: int = 0
    """What its weights take at one bit each: no rounding makes its file smaller."""

    @staticmethod
    def order(key: RowKey) -> Any:
        """Large first, methods as listed."""
        return -key.target_bytes, WAYS.index(key.way)


def packed(right: NDArray[np.bool_]) -> str:
    """(n,) booleans as `SameSizeRow.right` keeps them."""
    return np.packbits(right).tobytes().hex()
