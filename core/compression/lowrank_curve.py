"""One layer at every rank: what it keeps, and what it costs.

With Tucker-2 one number sets both ranks, each held at its mode's largest; the network's plan
(`core.compression.lowrank_plan`) chooses the two separately. No torch here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.compression.lowrank_factors import Decomposition, Floats, rank_for
from core.compression.lowrank_shapes import Form, LayerShape


@dataclass(frozen=True, eq=False)
class LayerCurve:
    """Arrays over rank 1, 2, ... R, at index rank - 1."""

    shape: LayerShape
    form: Form
    values: tuple[Floats, ...]
    """Singular values, largest first: (R,) for svd and spatial; (R_in,), (R_out,) for tucker2."""
    kept: Floats
    """Share of the squared weights kept."""
    params: NDArray[np.int64]
    macs: NDArray[np.int64]

    @property
    def full(self) -> int:
        """The largest rank: nothing is lost."""
        return len(self.kept)

    def ranks(self, rank: int) -> tuple[int, ...]:
        """The ranks that the one number stands for."""
        return tuple(min(rank, most) for most in self.shape.full_ranks(self.form))

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps this share."""
        return rank_for(self.kept, energy)

    @property
    def break_even(self) -> int:
        """The largest rank at which factoring saves parameters; 0 if none does."""
        return int((self.params < self.shape.params).sum())


def layer_curve(shape: LayerShape, parts: Decomposition) -> LayerCurve:
    """The curve of one layer, taken apart. Raises ConfigError if it cannot be factored so."""
    full = shape.full_ranks(parts.form)
    ranks = [tuple(min(rank, most) for most in full) for rank in range(1, max(full) + 1)]
    kept = parts.kept[tuple(np.array(ranks).T - 1)]
    return LayerCurve(
        shape,
        parts.form,
        parts.singular_values,
        kept,
        np.array([shape.factored_params(each) for each in ranks]),
        np.array([shape.factored_macs(each) for each in ranks]),
    )
