"""The linear algebra of low rank: a weight decomposed once, its factors at any rank after that.

SVD gives the best approximation of a matrix at every rank (Eckart & Young 1936), and what it loses
is the sum of the squared singular values left out. For Tucker-2 the HOSVD is nearly that good: the
leading singular vectors of both channel unfoldings (De Lathauwer et al. 2000). *Energy* is the
share of the weight's squared entries that the product of the factors keeps. Everything in float64,
in numpy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.checkpoints.factored import Form, LayerShape, Method, Ranks, check_method, forms_for
from core.errors import ConfigError
from core.i18n import _

Floats = NDArray[np.float64]
Weights = NDArray[np.float32] | Floats

_TINY = 1e-12


def matricized(weight: Weights, form: Form) -> Floats:
    """The matrix whose rank is cut, of a weight (out, in, kh, kw) or (out, in).

    svd: (out, in). spatial: (in kh, out kw), row (i, a), column (o, b). tucker2 has two unfoldings
    (see `unfoldings`), no single matrix: ValueError.
    """
    weight = weight.astype(np.float64)
    if form == "svd":
        return weight.reshape(weight.shape[0], weight.shape[1])
    if form == "spatial":
        out, inputs, high, wide = weight.shape
        return weight.transpose(1, 2, 0, 3).reshape(inputs * high, out * wide)
    raise ValueError("Tucker-2 has two unfoldings")


def unfoldings(weight: Weights) -> tuple[Floats, Floats]:
    """The channel unfoldings of a kernel (out, in, kh, kw): (in, out kh kw) and (out, in kh kw)."""
    weight = weight.astype(np.float64)
    out, inputs = weight.shape[:2]
    return weight.transpose(1, 0, 2, 3).reshape(inputs, -1), weight.reshape(out, -1)


def leading(matrix: Floats) -> Floats:
    """The left singular vectors of a matrix (m, n) as columns, the leading ones first: (m, m).

    They are the eigenvectors of the matrix times its transpose, which are several times quicker to
    get than a whole SVD; orthonormal, so at full rank nothing is lost.
    """
    _values, vectors = np.linalg.eigh(matrix @ matrix.T)
    return np.ascontiguousarray(vectors[:, ::-1].astype(np.float64))


def rank_for(kept: Floats, energy: float) -> int:
    """The smallest rank that keeps the share `energy`, given what each rank keeps (R,); 1..R."""
    if energy >= 1:
        return len(kept)
    return int(np.argmax(kept >= energy * (1 - 1e-12))) + 1


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A layer's weight taken apart: factors, and the energy they keep, at every rank."""

    form: Form
    weight: Weights
    """(out, in) for a linear layer, (out, in, kh, kw) for a convolution; computed in float64."""

    @cached_property
    def _pair(self) -> tuple[Floats, Floats]:
        """Orthonormal columns and the rows that they leave: their product is the matrix."""
        matrix = matricized(self.weight, self.form)
        if len(matrix) > matrix.shape[1]:
            right = leading(matrix.T)
            return matrix @ right, right.T
        left = leading(matrix)
        return left, left.T @ matrix

    @cached_property
    def _modes(self) -> tuple[Floats, Floats]:
        """Singular vectors of the in and the out unfolding, as columns."""
        first, last = unfoldings(self.weight)
        return leading(first)[:, : first.shape[1]], leading(last)[:, : last.shape[1]]

    @cached_property
    def singular_values(self) -> tuple[Floats, ...]:
        """Largest first: of the matrix, or for Tucker-2 of the in and of the out unfolding."""
        if self.form == "tucker2":
            pairs = zip(self._modes, unfoldings(self.weight), strict=True)
            return tuple(_lengths(mode.T @ unfolded) for mode, unfolded in pairs)
        left, right = self._pair
        return (_lengths(left.T) * _lengths(right),)

    @cached_property
    def kept(self) -> Floats:
        """Energy kept at rank r, at index r - 1; for Tucker-2 (R_in, R_out), by both ranks.

        The HOSVD's bases are nested, so the core of smaller ranks is a corner of the full core and
        the energy is the sum of its squares.
        """
        if self.form == "tucker2":
            first, last = self._modes
            core = np.einsum("oiab,ir,os->rsab", self.weight, first, last, optimize=True)
            squares = (core**2).sum((2, 3)).cumsum(0).cumsum(1)
        else:
            squares = np.cumsum(self.singular_values[0] ** 2)
        total = (self.weight.astype(np.float64) ** 2).sum()
        return np.minimum(squares / total, 1.0) if total else np.ones_like(squares)

    def energy(self, ranks: tuple[int, ...]) -> float:
        """Share of the squared weights that the factors at these ranks keep, 0..1."""
        return float(self.kept[tuple(rank - 1 for rank in ranks)])

    def factors(self, ranks: tuple[int, ...]) -> tuple[Floats, ...]:
        """The weights of the layers in place of this one, in the shapes torch gives them.

        svd: (r, in, ...), (out, r, ...). spatial: (r, in, kh, 1), (out, r, 1, kw). tucker2:
        (r_in, in, 1, 1), (r_out, r_in, kh, kw), (out, r_out, 1, 1).
        """
        if self.form == "tucker2":
            return self._tucker(ranks[0], ranks[1])
        (rank,) = ranks
        left, right = self._pair
        # both factors get the same lengths: the square root of the singular value
        longer = _lengths(left.T) / np.maximum(_lengths(right), _TINY)
        root = np.sqrt(np.clip(longer, _TINY, 1 / _TINY))[:rank]
        left, right = left[:, :rank] / root, root[:, None] * right[:rank]
        if self.form == "svd":
            tail = (1,) * (self.weight.ndim - 2)
            return right.reshape(*right.shape, *tail), left.reshape(*left.shape, *tail)
        out, inputs, high, wide = self.weight.shape
        vertical = left.reshape(inputs, high, rank).transpose(2, 0, 1)[..., None]
        horizontal = right.reshape(rank, out, wide).transpose(1, 0, 2)[:, :, None]
        return vertical, horizontal

    def _tucker(self, r_in: int, r_out: int) -> tuple[Floats, ...]:
        first, last = (mode[:, :r] for mode, r in zip(self._modes, (r_in, r_out), strict=True))
        core = np.einsum("oiab,ir,os->srab", self.weight, first, last, optimize=True)
        return first.T[..., None, None], core, last[..., None, None]


def separable_energy(weight: Weights) -> float:
    """Share of a kernel (out, in, kh, kw) that its best depthwise + pointwise pair keeps, 0..1.

    Such a pair gives input channel i one filter d_i (kh x kw) and each output its share p_oi of it:
    W[o, i] = p_oi d_i. So the (out, kh kw) slice of every input channel has rank 1, and the best
    such slice keeps its largest squared singular value.
    """
    out, inputs = weight.shape[:2]
    slices = weight.astype(np.float64).transpose(1, 0, 2, 3).reshape(inputs, out, -1)
    grams = slices.transpose(0, 2, 1) @ slices  # (in, kh kw, kh kw)
    total = float((slices**2).sum())
    return float(np.linalg.eigvalsh(grams)[:, -1].sum() / total) if total else 1.0


def _lengths(rows: Floats) -> Floats:
    """Euclidean length of each row."""
    lengths: Floats = np.sqrt((rows**2).sum(1))
    return lengths


def product(form: Form, factors: tuple[Floats, ...]) -> Floats:
    """The weight that the factors stand for, in the shape of the whole layer's."""
    if form == "svd":
        first, last = factors
        made = last.reshape(last.shape[:2]) @ first.reshape(first.shape[:2])
        return made.reshape(*made.shape, *(1,) * (first.ndim - 2))
    if form == "spatial":
        vertical, horizontal = factors
        return np.einsum("ria,orb->oiab", vertical[..., 0], horizontal[:, :, 0], optimize=True)
    first, core, last = (factors[0][..., 0, 0], factors[1], factors[2][..., 0, 0])
    return np.einsum("ri,srab,os->oiab", first, core, last, optimize=True)


# One layer at every rank: what it keeps, and what it costs.
#
# With Tucker-2 one number sets both ranks, each held at its mode's largest; the network's plan
# (`core.low_rank.method`) chooses the two separately. No torch here.


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
    return _curve(shape, parts.form, parts.singular_values, kept)


class Spectrum(NamedTuple):
    """What a layer's weight is like in one form, as results keep it: all that its curve needs."""

    layer: str
    form: Form
    values: tuple[tuple[float, ...], ...]
    """Singular values, largest first, to five digits; two rows for Tucker-2."""
    kept: tuple[float, ...] = ()
    """Share of the squared weights that Tucker-2 keeps at each rank; for the others it follows
    from the values."""
    separable: float | None = None
    """`separable_energy` of a k x k kernel."""


def spectra(shapes: Sequence[LayerShape], parts: "Decompositions") -> tuple[Spectrum, ...]:
    """Every layer that can be factored, in each of its forms. Takes seconds: do it once."""
    all_spectra = []
    for shape in shapes:
        for form in shape.forms:
            curve = layer_curve(shape, parts.of(shape.name, form))
            values = tuple(tuple(_rounded(value) for value in row) for row in curve.values)
            kept = tuple(round(float(share), 6) for share in curve.kept)
            wide = shape.kernel != (1, 1)
            separable = separable_energy(parts.weight(shape.name)) if wide else None
            all_spectra.append(
                Spectrum(shape.name, form, values, kept if form == "tucker2" else (), separable)
            )
    return tuple(all_spectra)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def stored_curve(shape: LayerShape, spectrum: Spectrum) -> LayerCurve:
    """`layer_curve` of a layer whose weight was taken apart before."""
    values = tuple(np.array(row) for row in spectrum.values)
    squares = np.cumsum(values[0] ** 2)
    kept = np.array(spectrum.kept) if spectrum.kept else squares / (squares[-1] or 1)
    return _curve(shape, spectrum.form, values, np.minimum(kept, 1.0))


def _curve(shape: LayerShape, form: Form, values: tuple[Floats, ...], kept: Floats) -> LayerCurve:
    """A curve with its costs; `kept` at every rank."""
    full = shape.full_ranks(form)
    ranks = [tuple(min(rank, most) for most in full) for rank in range(1, max(full) + 1)]
    return LayerCurve(
        shape,
        form,
        values,
        kept,
        np.array([shape.factored_params(each) for each in ranks]),
        np.array([shape.factored_macs(each) for each in ranks]),
    )


# Which ranks: the cheapest that keep a given energy, or the most energy within a budget.
#
# One energy holds for every layer, and each takes the smallest ranks that keep it: layers whose
# singular values fall quickly lose much, the others little. A layer in which that saves no
# parameter stays whole. A budget is turned into the largest energy that meets it. No torch here.

_HALVINGS = 40


class Decompositions:
    """The weights of a network, each taken apart when first asked for, and only once."""

    def __init__(self, weights: Mapping[str, Weights]) -> None:
        """`weights`: module name -> (out, in) or (out, in, kh, kw)."""
        self._weights = weights
        self._known: dict[tuple[str, Form], Decomposition] = {}

    def weight(self, layer: str) -> Weights:
        """The weight itself; KeyError for an unknown layer."""
        return self._weights[layer]

    def of(self, layer: str, form: Form) -> Decomposition:
        """A layer taken apart in a form; KeyError for an unknown layer."""
        key = (layer, form)
        if key not in self._known:
            self._known[key] = Decomposition(form, self._weights[layer])
        return self._known[key]


def ranks_for_energy(
    shapes: Sequence[LayerShape], parts: Decompositions, method: Method, energy: float
) -> Ranks:
    """Per layer the cheapest ranks that keep the share `energy` (0..1) of its squared weights.

    A layer in which they would not save a parameter is left out: it stays whole. Raises
    ConfigError for an unknown method or an energy outside 0..1.
    """
    check_energy(energy)
    check_method(method)
    chosen: Ranks = {}
    for shape in shapes:
        offers = [
            _cheapest(shape, parts.of(shape.name, form), energy)
            for form in forms_for(method, shape)
        ]
        if offers:
            params, ranks = min(offers)
            if params < shape.params:
                chosen[shape.name] = ranks
    return chosen


def ranks_for_budget(
    shapes: Sequence[LayerShape],
    parts: Decompositions,
    method: Method,
    budget: int,
    total: int,
) -> tuple[float, Ranks]:
    """(energy, ranks) with the largest common energy at which at most `budget` parameters remain.

    `total`: parameters of the whole network, those that no method touches included. Raises
    ConfigError, saying how few are possible, for a budget that rank 1 everywhere exceeds.
    """
    if total <= budget:
        return 1.0, {}
    least_energy, most_energy = 0.0, 1.0
    best = ranks_for_energy(shapes, parts, method, least_energy)
    least = factored_total(shapes, best, total)
    if least > budget:
        raise ConfigError(
            _(
                "A budget of {budget:,} parameters cannot be met: with rank 1 in every layer this "
                "network still has {least:,} (method {method})."
            ).format(budget=budget, least=least, method=method)
        )
    for _halving in range(_HALVINGS):
        middle = (least_energy + most_energy) / 2
        ranks = ranks_for_energy(shapes, parts, method, middle)
        if factored_total(shapes, ranks, total) <= budget:
            least_energy, best = middle, ranks
        else:
            most_energy = middle
    return least_energy, best


def factored_total(shapes: Sequence[LayerShape], ranks: Ranks, total: int) -> int:
    """Parameters of a network of `total` once the layers named in `ranks` are factored."""
    by_name = {shape.name: shape for shape in shapes}
    for name, chosen in ranks.items():
        total += by_name[name].factored_params(chosen) - by_name[name].params
    return total


def energy_kept(shapes: Sequence[LayerShape], parts: Decompositions, ranks: Ranks) -> float:
    """Share of all squared weights, of every linear layer and convolution, that is kept.

    Whole layers count with all of theirs, so this is at least the smallest layer's share.
    """
    whole = kept = 0.0
    for shape in shapes:
        squares = float((parts.weight(shape.name).astype(np.float64) ** 2).sum())
        whole += squares
        chosen = ranks.get(shape.name)
        share = 1.0
        if chosen is not None:
            share = parts.of(shape.name, shape.form_of(chosen)).energy(chosen)
        kept += squares * share
    return kept / whole if whole else 1.0


def check_energy(energy: float) -> None:
    """Raises ConfigError unless `energy` is a share, 0..1."""
    if not 0 <= energy <= 1:
        raise ConfigError(
            _("An energy is a share from 0 to 1, not {energy}.").format(energy=energy)
        )


def _cheapest(
    shape: LayerShape, parts: Decomposition, energy: float
) -> tuple[int, tuple[int, ...]]:
    """(parameters, ranks) of the cheapest ranks that keep `energy`; the full ranks for 1."""
    full = shape.full_ranks(parts.form)
    if energy >= 1:
        return shape.factored_params(full), full
    if parts.form != "tucker2":
        ranks: tuple[int, ...] = (rank_for(parts.kept, energy),)
        return shape.factored_params(ranks), ranks
    r_in, r_out = (np.arange(1, most + 1) for most in full)
    area = shape.kernel[0] * shape.kernel[1]
    cost = np.add.outer(shape.inputs * r_in, shape.outputs * r_out)
    cost = cost + area * np.multiply.outer(r_in, r_out)
    enough = parts.kept >= energy * (1 - 1e-12)
    place = np.unravel_index(np.argmin(np.where(enough, cost, cost.max() + 1)), cost.shape)
    ranks = (int(place[0]) + 1, int(place[1]) + 1)
    return shape.factored_params(ranks), ranks
