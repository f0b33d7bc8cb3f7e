"""Pruning against torch's own pruning, and against zeros and multiplications counted by hand."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from core.checkpoints.widths import changed_widths, set_widths
from core.errors import ConfigError, UserError
from core.models import registry
from core.models.cost import count_macs, count_params, state_bytes
from core.models.design.network import build
from core.models.design.spec import Design, read
from core.pruning import network
from core.pruning.measure import count_nonzero, gzip_bytes
from core.pruning.method import (
    CHANNEL_METHODS,
    FORMS,
    METHODS,
    ChannelGroup,
    ChannelMethod,
    Scope,
    channel_scores,
    convolutions,
    dropped_channels,
    kept_weights,
)
from core.pruning.network import arrays, find_groups, forms_of, narrow, prune, without_masks
from tests.core.models.designs import designs
from tests.core.pruning.networks import KINDS, PX, answers, make, settled

RATIOS = (0.0, 0.05, 0.3, 0.5, 0.95, 1.0)


def conv_weights(net: nn.Module) -> list[Tensor]:
    return [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]


def macs_by_hooks(net: nn.Module) -> int:
    """Products counted in the forward pass: for each output value its filter's length."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            kernel = math.prod(module.kernel_size)
            total += output.numel() * kernel * inputs[0].shape[1] // module.groups
        elif isinstance(module, nn.Linear):
            total += output.shape[0] * output.shape[1] * inputs[0].shape[1]

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    net(torch.zeros(1, 3, PX, PX))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("kind", KINDS)
def test_l1_is_torchs_own_on_every_convolution(kind: str, ratio: float) -> None:
    """The homework's loop: `prune.l1_unstructured(module, "weight", amount)` on every Conv2d."""
    net = make(kind)
    homework = copy.deepcopy(net)
    for module in homework.modules():
        if isinstance(module, nn.Conv2d):
            torch_prune.l1_unstructured(module, name="weight", amount=ratio)
    ours = prune(net, "l1", ratio)
    assert all(
        torch.equal(a, b) for a, b in zip(conv_weights(ours), conv_weights(homework), strict=True)
    )
    assert torch.equal(answers(ours), answers(homework))


@pytest.mark.parametrize("ratio", RATIOS)
def test_global_l1_is_torchs_own(ratio: float) -> None:
    net = make("residual")
    theirs = copy.deepcopy(net)
    layers = [(m, "weight") for m in theirs.modules() if isinstance(m, nn.Conv2d)]
    torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=ratio)
    assert torch.equal(answers(prune(net, "global_l1", ratio)), answers(theirs))


@pytest.mark.parametrize("method", ["l1", "global_l1", "random"])
@pytest.mark.parametrize("ratio", RATIOS)
def test_zeros_are_as_many_as_asked_for(method: str, ratio: float) -> None:
    net = make("residual")
    pruned = prune(net, method, ratio, "removed")  # type: ignore[arg-type]
    zeros = [int((weight == 0).sum()) for weight in conv_weights(pruned)]
    sizes = [weight.numel() for weight in conv_weights(net)]
    if method == "global_l1":
        assert sum(zeros) == round(ratio * sum(sizes))
    else:
        assert zeros == [round(ratio * size) for size in sizes]
    others = count_params(net) - sum(sizes)
    assert count_nonzero(pruned) == sum(sizes) - sum(zeros) + others


def test_random_is_nested_and_hangs_on_its_seed_alone() -> None:
    tensors = arrays(make("residual"))
    few, many = (kept_weights(tensors, "random", ratio) for ratio in (0.3, 0.6))
    assert all((few[name] | ~many[name]).all() for name in few)
    again, other = (kept_weights(tensors, "random", 0.3, seed=seed) for seed in (0, 1))
    assert all((again[name] == few[name]).all() for name in few)
    assert any((other[name] != few[name]).any() for name in few)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_ratio_0_answers_bit_for_bit(kind: str, method: str) -> None:
    net = make(kind)
    for form in forms_of(method):  # type: ignore[arg-type]
        pruned = prune(net, method, 0, form, groups=find_groups(net, PX), px=PX)  # type: ignore[arg-type]
        assert torch.equal(answers(pruned), answers(net)), form


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_ratio_1_leaves_a_network_that_answers(kind: str, method: str) -> None:
    net = make(kind)
    for form in forms_of(method):  # type: ignore[arg-type]
        pruned = prune(net, method, 1, form, groups=find_groups(net, PX), px=PX)  # type: ignore[arg-type]
        assert answers(pruned).isfinite().all()
        if method in ("l1", "global_l1", "random"):
            assert not any(weight.any() for weight in conv_weights(pruned))
        elif form == "narrow":
            assert all(weight.shape[0] >= 1 for weight in conv_weights(pruned))


@pytest.mark.parametrize("method", CHANNEL_METHODS)
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_of_a_channel_method_answer_alike(kind: str, ratio: float, method: str) -> None:
    net = make(kind)
    groups = find_groups(net, PX)
    logits = [
        answers(prune(net, method, ratio, form, groups=groups, px=PX))  # type: ignore[arg-type]
        for form in FORMS
    ]
    assert torch.equal(logits[0], logits[1])
    torch.testing.assert_close(logits[2], logits[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits[0], answers(net))


def test_half_the_channels_of_a_depthwise_network_to_the_digit() -> None:
    net = make("depthwise")
    cut = prune(net, "channel_l2", 0.5, "narrow", groups=find_groups(net, PX), px=PX)
    # conv 3-4, BN 4, depthwise 4, BN 4, pointwise 4-6, linear 6-11
    assert count_params(cut) == (3 * 4 * 9 + 4) + 8 + (4 * 9 + 4) + 8 + (4 * 6 + 6) + (66 + 11)
    macs = 256 * 4 * 27 + 64 * 4 * 9 + 64 * 6 * 4 + 66
    assert macs_by_hooks(cut) == macs == count_macs(cut, (3, PX, PX))


def test_groups_name_everything_that_hangs_together() -> None:
    stem, inner, last = find_groups(make("residual"), PX)
    assert (stem.channels, stem.writers, stem.norms) == (8, ("stem", "outer"), ("bn", "bn2"))
    assert (inner.channels, inner.writers, inner.norms) == (6, ("inner",), ("bn1",))
    assert (last.channels, last.writers, last.norms) == (10, ("wide", "short"), ("bn3", "bn4"))
    body, point = find_groups(make("depthwise"), PX)
    assert (body.writers, body.norms) == (("body.0", "body.4"), ("body.1", "body.5"))
    assert (point.writers, point.norms) == (("body.7",), ())


def test_group_convolution_loses_the_same_channels_in_every_group() -> None:
    net = make("grouped")
    groups = find_groups(net, PX)
    assert [(group.channels, group.units) for group in groups] == [(8, 2), (16, 4), (16, 4)]
    dropped = dropped_channels(arrays(net), groups, "channel_l2", 0.5)
    for group, channels in zip(groups, dropped, strict=True):
        places, counts = np.unique(channels % group.units, return_counts=True)
        assert len(places) == group.units // 2 and (counts == 4).all()
    cut = narrow(net, groups, dropped, PX)
    assert [m.groups for m in cut.modules() if isinstance(m, nn.Conv2d)] == [1, 4, 4]


def test_channel_scores_by_hand() -> None:
    net = make("residual")
    tensors, (stem, *_rest) = arrays(net), find_groups(net, PX)
    filters = [tensors["stem.weight"], tensors["outer.weight"]]
    norm = [math.sqrt(sum(float((f[c] ** 2).sum()) for f in filters)) for c in range(8)]
    assert channel_scores(tensors, stem, "channel_l2") == pytest.approx(norm, rel=1e-5)
    gamma = [(abs(tensors["bn.weight"][c]) + abs(tensors["bn2.weight"][c])) / 2 for c in range(8)]
    assert channel_scores(tensors, stem, "bn_gamma") == pytest.approx(gamma, rel=1e-6)


def test_bn_gamma_ranks_over_the_whole_network() -> None:
    net = make("residual")
    groups = find_groups(net, PX)
    with torch.no_grad():
        net.bn1.weight.fill_(0.01)  # type: ignore[union-attr, operator]
    dropped = dropped_channels(arrays(net), groups, "bn_gamma", 6 / 24)
    assert [len(channels) for channels in dropped] == [0, 5, 0]  # the sixth stays: the layer's best
    by_layer = dropped_channels(arrays(net), groups, "bn_gamma", 0.5, "layer")
    assert [len(channels) for channels in by_layer] == [4, 3, 5]


def test_bn_gamma_leaves_alone_what_has_no_batchnorm() -> None:
    net = make("depthwise")
    groups = find_groups(net, PX)
    assert channel_scores(arrays(net), groups[1], "bn_gamma") is None
    assert len(dropped_channels(arrays(net), groups, "bn_gamma", 1.0)[1]) == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_given_network_is_never_touched(method: str) -> None:
    net = make("residual").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    groups = find_groups(net, PX)
    for form in forms_of(method):  # type: ignore[arg-type]
        pruned = prune(net, method, 0.5, form, groups=groups, px=PX)  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in pruned.parameters():
                parameter.zero_()
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training and all(module.training for module in net.modules())


def test_a_mask_doubles_the_state_dict_and_removing_it_gives_it_back() -> None:
    net = make("residual")
    wearing, plain = (prune(net, "l1", 0.5, form) for form in ("masked", "removed"))
    weights = 4 * sum(weight.numel() for weight in conv_weights(net))
    assert state_bytes(wearing) == state_bytes(net) + weights
    assert state_bytes(plain) == state_bytes(net)
    assert set(plain.state_dict()) == set(net.state_dict())
    assert torch.equal(answers(wearing), answers(plain))
    assert gzip_bytes(plain) < gzip_bytes(net)


def test_a_masked_network_is_refused_in_words() -> None:
    wearing = prune(make("depthwise"), "l1", 0.5)
    with pytest.raises(RuntimeError):
        copy.deepcopy(wearing)  # the trap itself
    with pytest.raises(UserError, match="masks"):
        prune(wearing, "l1", 0.9)
    plain = without_masks(wearing)
    assert not torch_prune.is_pruned(plain)
    assert count_nonzero(prune(plain, "l1", 0.9, "removed")) < count_nonzero(plain)


@pytest.mark.parametrize(
    ("method", "ratio", "form"),
    [("l2", 0.5, "masked"), ("l1", 1.1, "masked"), ("l1", -0.1, "masked"),
     ("l1", float("nan"), "masked"), ("l1", 0.5, "narrow")],
)  # fmt: skip
def test_what_cannot_be_is_refused(method: str, ratio: float, form: str) -> None:
    with pytest.raises(ConfigError):
        prune(make("depthwise"), method, ratio, form)  # type: ignore[arg-type]


def test_a_wrong_cut_does_not_pass_for_a_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a group to miss a layer, the narrow network would answer differently: it is refused."""
    net = make("residual")
    groups = find_groups(net, PX)
    lame = [ChannelGroup(channels=8, units=8, writers=("stem",), norms=("bn",)), *groups[1:]]
    dropped = dropped_channels(arrays(net), groups, "channel_l2", 0.5)
    with pytest.raises(ConfigError, match="entangled"):
        network.narrow(net, lame, dropped, PX)


INVERTED = "design:px32-relu6-stem16n-inv24x2d-inv32x2d"
UNEVEN = "design:px32-relu6-stem24-group24g3-resnet24-group24g4-inv24x2"
"""Groups of 3 and of 4 on the same channels, tied to each other by residual sums."""


@pytest.mark.parametrize(
    "key",
    ["dwpw_256k", "group8_277k", "hw13_sample", "hw13_residual", "resnet18", INVERTED, UNEVEN],
)
def test_registered_and_designed_networks_can_be_made_narrower(key: str) -> None:
    net = registry.get(key).build().eval()
    groups = find_groups(net, 32)
    cut = prune(net, "channel_l2", 0.5, "narrow", groups=groups, px=32)
    if key == "dwpw_256k":
        assert count_params(cut) == 68_363  # measured elsewhere, with Torch-Pruning's own pruner
    assert count_params(cut) < 0.32 * count_params(net)
    assert set(convolutions(arrays(net))) == {
        f"{name}.weight" for name, m in net.named_modules() if isinstance(m, nn.Conv2d)
    }


ONE_IN = "px32-relu6-stem16-group32g16-plain24"
"""Group convolution of one input a group and two outputs."""
ONE_OUT = "px32-relu6-stem32-group16g16p-plain32"
"""Of two inputs a group and one output."""
CHAIN = "px32-relu6-stem8-group16g8-group32g16-group16g16-resnet16-plain8"
MIXED = "px32-relu6-stem16-group32g16-group32g8-plain16"
ENTANGLED = "px32-relu6-stem8-group12g4-group12g3-plain8"
"""What 4 groups write, 3 groups read: no share of the 12 can go."""


def designed(line: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return settled(build(read(line)))


@pytest.mark.parametrize("method", CHANNEL_METHODS)
def test_what_cannot_be_cut_is_said_in_a_sentence(method: ChannelMethod) -> None:
    net = designed(ENTANGLED)
    groups = find_groups(net, 32)
    for form in FORMS:
        with pytest.raises(ConfigError, match="No channel of blocks.0.0 can be cut out") as told:
            prune(net, method, 0.5, form, groups=groups, px=32)
        assert "\n" not in str(told.value)
        whole = prune(net, method, 0.0, form, groups=groups, px=32)
        assert whole(torch.zeros(1, 3, 32, 32)).shape == (1, 11)


@settings(max_examples=40, deadline=None)
@given(
    design=designs(widest=16),
    method=st.sampled_from(CHANNEL_METHODS),
    ratio=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 1.0]),
    scope=st.sampled_from([None, "layer", "network"]),
)
@example(read(ONE_IN), "channel_l2", 0.5, None)
@example(read(ONE_OUT), "bn_gamma", 0.5, None)
@example(read(CHAIN), "bn_gamma", 0.9, "network")
@example(read(MIXED), "channel_l2", 0.25, None)
def test_whatever_can_be_designed_is_cut_or_refused_in_a_sentence(
    design: Design, method: ChannelMethod, ratio: float, scope: Scope | None
) -> None:
    """The narrow network answers as the one with zeros, and is as small as the cut says."""
    px = design.input_px
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = settled(build(design))
    groups = find_groups(net, px)
    assert all(1 <= group.units <= group.channels for group in groups)
    try:
        cut = prune(net, method, ratio, "narrow", groups=groups, px=px, scope=scope)
    except UserError as error:
        assert ratio > 0 and any(group.units == 1 for group in groups)
        assert "can be cut out" in str(error) and "\n" not in str(error)
        return
    zeroed = prune(net, method, ratio, "removed", groups=groups, px=px, scope=scope)
    pictures = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, got = zeroed(pictures), cut(pictures)
    torch.testing.assert_close(
        got, expected, rtol=1e-3, atol=1e-3 * (1 + float(expected.abs().max()))
    )

    dropped = dropped_channels(arrays(net), groups, method, ratio, scope)
    lost = {
        layer: len(group.at(layer, channels))
        for group, channels in zip(groups, dropped, strict=True)
        for layer in (*group.writers, *group.norms)
    }
    smaller = 0
    for name, before in net.named_modules():
        after = cut.get_submodule(name)
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.Conv2d):
            assert after.out_channels == before.out_channels - lost.get(name, 0), name
            smaller += after.out_channels < before.out_channels
            assert after.in_channels % after.groups == after.out_channels % after.groups == 0
    assert (count_params(cut) < count_params(net)) == bool(smaller)
    if method == "channel_l2" and scope != "network":
        for group, channels in zip(groups, dropped, strict=True):
            units = np.unique(group.place(group.writers[0])[channels])
            assert len(units) == min(round(ratio * group.units), group.units - 1)

    # as a checkpoint keeps it: widths, and weights that load strictly
    again = set_widths(build(design), changed_widths(cut, build(design)))
    again.load_state_dict(cut.state_dict())
    with torch.inference_mode():
        assert torch.equal(again.eval()(pictures), got)
