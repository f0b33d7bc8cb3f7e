"""A narrowed network's widths: enough to build it again, and no way to build something larger."""

import pytest
import torch

from core.checkpoints.widths import changed_widths, layer_widths, set_widths
from core.errors import CheckpointError
from core.models.cost import count_params
from core.pruning.network import find_groups, prune
from tests.core.pruning.networks import KINDS, PX, answers, make


@pytest.mark.parametrize("ratio", [0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_these_widths_loads_the_weights_strictly(kind: str, ratio: float) -> None:
    net = make(kind)
    cut = prune(net, "channel_l2", ratio, "narrow", groups=find_groups(net, PX), px=PX)
    widths = changed_widths(cut, net)
    again = set_widths(KINDS[kind](), widths)
    again.load_state_dict(cut.state_dict(), strict=True)
    assert torch.equal(answers(again.eval()), answers(cut))
    assert count_params(again) == count_params(cut) < count_params(net)
    assert layer_widths(again) == layer_widths(cut)


def test_an_untouched_network_has_no_changed_widths() -> None:
    assert changed_widths(prune(make("residual"), "l1", 0.5, "removed"), make("residual")) == {}


@pytest.mark.parametrize(
    "widths",
    [
        {"nowhere": (1,)},
        {"fc": (10, 11, 1)},
        {"fc": (10**9, 11)},
        {"stem": (3, 0, 1)},
        {"stem": (3, -8, 1)},
        {"": (1,)},
    ],
)
def test_widths_that_do_not_fit_are_refused(widths: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CheckpointError, match="widths"):
        set_widths(make("residual"), widths)


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(CheckpointError, match="divide"):
        set_widths(make("grouped"), {"body.3": (8, 15, 4)})
