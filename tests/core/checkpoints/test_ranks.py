"""A factored network's ranks: enough to build it again, and no way to build something huge."""

import pytest
import torch
from torch import nn

from core.checkpoints.factored import METHODS, Method
from core.checkpoints.ranks import Factored, found_ranks, set_ranks, whole_shapes
from core.checkpoints.widths import changed_widths, layer_widths, set_widths
from core.errors import CheckpointError
from core.low_rank.method import Decompositions, ranks_for_energy
from core.low_rank.network import factor, layer_shapes, weights_of
from core.pruning.network import find_groups, prune
from tests.core.pruning.networks import KINDS, PX, answers, make


def factored(net: nn.Module, method: Method = "auto", energy: float = 0.5) -> nn.Module:
    shapes, parts = layer_shapes(net, PX), Decompositions(weights_of(net))
    return factor(net, ranks_for_energy(shapes, parts, method, energy), parts)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_these_ranks_loads_the_weights_strictly(kind: str, method: Method) -> None:
    net = factored(make(kind), method)
    ranks = found_ranks(net)
    again = set_ranks(KINDS[kind](), ranks)
    again.load_state_dict(net.state_dict(), strict=True)
    assert torch.equal(answers(again.eval()), answers(net))
    assert found_ranks(again) == ranks and ranks


def test_a_whole_network_has_no_ranks() -> None:
    net = make("residual")
    assert found_ranks(net) == {} and set_ranks(net, {}) is net
    assert layer_widths(whole_shapes(net, net)) == layer_widths(net)


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_and_then_factored_is_built_again_from_both(kind: str) -> None:
    original = make(kind)
    cut = prune(original, "channel_l2", 0.5, "narrow", groups=find_groups(original, PX), px=PX)
    net = factored(cut, energy=0.4)
    assert any(isinstance(module, Factored) for module in net.modules())
    widths = changed_widths(whole_shapes(net, original), original)
    assert widths == changed_widths(cut, original)
    again = set_ranks(set_widths(KINDS[kind](), widths), found_ranks(net))
    again.load_state_dict(net.state_dict(), strict=True)
    assert torch.equal(answers(again.eval()), answers(net))


@pytest.mark.parametrize(
    "ranks",
    [{"nowhere": (1,)}, {"bn": (1,)}, {"": (1,)}, {"wide": (0,)}, {"wide": (10**12,)},
     {"wide": (9, 1)}, {"wide": (-1, 1)}, {"fc": (1, 1)}, {"fc": ()}],
)  # fmt: skip
def test_ranks_that_do_not_fit_are_refused(ranks: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CheckpointError, match="ranks"):
        set_ranks(make("residual"), ranks)


def test_group_convolutions_take_no_ranks() -> None:
    with pytest.raises(CheckpointError, match="ranks"):
        set_ranks(make("grouped"), {"body.3": (1,)})
