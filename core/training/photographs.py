"""Random numbers that depend on what they are for, not on what ran before.

Each epoch's order, view and dropout come from a generator seeded by (run seed, purpose, epoch).
A resumed run therefore needs no saved generator state: it continues exactly as if never stopped.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.data.find import Index, find_food11
from core.data.named import data_root
from core.data.pixels import Pixels, load_pixels
from core.errors import DataError
from core.i18n import _
from core.training.config import TrainConfig


def derive(*parts: object) -> int:
    """A 63-bit seed from its parts, the same on every machine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(*parts))


_COPIED = 1024  # squares copied to a device at a time


class Joined:
    """Two caches of equal squares as if they were one array, without copying either."""

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.first, self.second = first, second
        self.shape = (len(first) + len(second), *first.shape[1:])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(B,) row numbers -> (B, 3, S, S)."""
        squares = np.empty((len(rows), *self.shape[1:]), self.first.dtype)
        is_first = rows < len(self.first)
        squares[is_first] = self.first[rows[is_first]]
        squares[~is_first] = self.second[rows[~is_first] - len(self.first)]
        return squares


@dataclass
class Photographs:
    """One split as the loop wants it: stored squares, labels, and where they came from."""

    stored: "np.ndarray | Joined"
    """(N, 3, S, S) uint8, the whole cache, memory-mapped."""
    rows: np.ndarray
    """Rows of the cache that belong to this split."""
    labels: Tensor
    """(n,) int64."""
    fingerprint: str
    """The data set's; `+` and the other's where photographs of another set were added."""
    added: int = 0
    """How many of them, the last ones, come from another data set."""
    kept: Tensor | None = None
    """(n, 3, S, S) uint8, this split's squares on a GPU, once `keep` has put them there."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Tensor, device: str) -> Tensor:
        """Stored squares of these positions of the split: (B, 3, S, S) uint8 on the device."""
        if self.kept is not None:
            return self.kept[positions.to(self.kept.device)]
        squares = torch.from_numpy(self.stored[self.rows[positions.cpu().numpy()]])
        if torch.device(device).type == "cuda":  # pinned memory is copied while the GPU computes
            return squares.pin_memory().to(device, non_blocking=True)
        return squares.to(device)

    def keep(self, device: str, room: int) -> bool:
        """Put all squares on the device, if they need no more than `room` bytes there.

        Then no step waits for a copy from the processor's memory. Returns whether it was done.
        """
        size = len(self) * int(np.prod(self.stored.shape[1:]))
        if size > room:
            return False
        kept = torch.empty((len(self), *self.stored.shape[1:]), dtype=torch.uint8, device=device)
        for rows in torch.arange(len(self)).split(_COPIED):
            kept[rows[0] : rows[-1] + 1] = self.take(rows, device)
        self.kept = kept
        return True


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


def learned_from(
    config: TrainConfig, index: Index, px: int, crop: float, progress: bool = False
) -> Photographs:
    """What a run learns from: the training split of `index`, and its further photographs, if any.

    As a network sees them that is given `px` by `px`, `crop` of the square's side. Raises DataError
    where there are none, ConfigError where a variable that names them is not set.
    """

    def split(index: Index) -> Photographs:
        pixels = load_pixels(index, px, progress, crop)
        return photographs(pixels, "training", config.share, config.seed)

    own = split(index)
    if not config.more_data:
        return own
    return joined(own, split(find_food11(data_root(config.more_data))))


def joined(own: Photographs, more: Photographs) -> Photographs:
    """`own`, then `more`, which are counted as added. Raises ValueError for unequal squares."""
    if own.stored.shape[1:] != more.stored.shape[1:]:
        raise ValueError(f"squares of {own.stored.shape[1:]} and {more.stored.shape[1:]}")
    assert isinstance(own.stored, np.ndarray) and isinstance(more.stored, np.ndarray)
    return Photographs(
        Joined(own.stored, more.stored),
        np.concatenate([own.rows, more.rows + len(own.stored)]),
        torch.cat([own.labels, more.labels]),
        f"{own.fingerprint}+{more.fingerprint}",
        added=len(more),
    )
