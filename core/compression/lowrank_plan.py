"""Which ranks: the cheapest that keep a given energy, or the most energy within a budget.

One energy holds for every layer, and each takes the smallest ranks that keep it: layers whose
singular values fall quickly lose much, the others little. A layer in which that saves no parameter
stays whole. A budget is turned into the largest energy that meets it. No torch here.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from core.compression.lowrank_factors import Decomposition, Weights, rank_for
from core.compression.lowrank_shapes import Form, LayerShape, Method, Ranks, check_method, forms_for
from core.errors import ConfigError
from core.words import _

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
            self._known[key] = Decomposition(form, self._weights[layer].astype(np.float64))
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
    found: Ranks = {}
    for shape in shapes:
        offers = [
            _cheapest(shape, parts.of(shape.name, form), energy)
            for form in forms_for(method, shape)
        ]
        if offers:
            params, ranks = min(offers)
            if params < shape.params:
                found[shape.name] = ranks
    return found


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
    low, high = 0.0, 1.0
    found = ranks_for_energy(shapes, parts, method, low)
    least = factored_total(shapes, found, total)
    if least > budget:
        raise ConfigError(
            _(
                "A budget of {budget:,} parameters cannot be met: with rank 1 in every layer this "
                "network still has {least:,} (method {method})."
            ).format(budget=budget, least=least, method=method)
        )
    for _halving in range(_HALVINGS):
        middle = (low + high) / 2
        ranks = ranks_for_energy(shapes, parts, method, middle)
        if factored_total(shapes, ranks, total) <= budget:
            low, found = middle, ranks
        else:
            high = middle
    return low, found


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
