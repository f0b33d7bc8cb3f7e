"""The photographs of one split, as the training loop and the benchmark take them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.data.pixels import Pixels
from core.errors import DataError
from core.training.seeds import derive
from core.words import _


@dataclass
class Photographs:
    """One split as the loop wants it: stored squares, labels, and where they came from."""

    stored: np.ndarray
    """(N, 3, S, S) uint8, the whole cache, memory-mapped."""
    rows: np.ndarray
    """Rows of the cache that belong to this split."""
    labels: Tensor
    """(n,) int64."""
    fingerprint: str

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Tensor, device: str) -> Tensor:
        """Stored squares of these positions of the split: (B, 3, S, S) uint8 on the device."""
        return torch.from_numpy(self.stored[self.rows[positions.numpy()]]).to(device)


def photographs(pixels: Pixels, split: str, share: float = 1.0, seed: int = 0) -> Photographs:
    """A split, or the same share of each of its classes (at least one photograph).

    Raises DataError if the split has no labelled photograph.
    """
    rows = np.asarray(pixels.split(split))
    rows = rows[pixels.labels[rows] >= 0]
    if not len(rows):
        raise DataError(
            _("There is no labelled photograph in the {split} split.").format(split=split)
        )
    if share < 1:
        rng = np.random.default_rng(derive(seed, "share"))
        kept = []
        for label in np.unique(pixels.labels[rows]):
            of_class = rng.permutation(rows[pixels.labels[rows] == label])
            kept.append(of_class[: max(1, round(share * len(of_class)))])
        rows = np.sort(np.concatenate(kept))
    labels = torch.from_numpy(np.asarray(pixels.labels[rows], dtype=np.int64))
    return Photographs(pixels.pixels, rows, labels, pixels.index.fingerprint)
