"""The closed form against real layers, and what is said of settings that cannot work."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.convolutions.method import (
    EXAMPLES,
    KINDS,
    LIMITS,
    ConvSetting,
    Cost,
    Problem,
    bottleneck_cost,
    changed_outputs,
    compare,
    layer_cost,
    problems,
    rule_of_thumb,
)
from core.convolutions.timing import build
from core.errors import ConfigError
from core.models import cost as hooks
from core.models import registry


@st.composite
def any_setting(draw: st.DrawFn) -> ConvSetting:
    """Any combination, possible or not."""
    return ConvSetting(
        in_channels=draw(st.integers(1, 24)),
        out_channels=draw(st.integers(1, 24)),
        kernel_size=draw(st.integers(1, 7)),
        stride=draw(st.integers(1, 4)),
        padding=draw(st.integers(0, 4)),
        groups=draw(st.integers(1, 12)),
        bias=draw(st.booleans()),
        map_size=draw(st.integers(1, 14)),
        rank=draw(st.integers(1, 30)),
    )


@st.composite
def possible_setting(draw: st.DrawFn) -> ConvSetting:
    """A combination that PyTorch builds and runs: channels are made multiples of the groups."""
    drawn = draw(any_setting())
    groups = draw(st.integers(1, 8))
    setting = replace(
        drawn,
        groups=groups,
        in_channels=groups * draw(st.integers(1, 4)),
        out_channels=groups * draw(st.integers(1, 4)),
    )
    assume(setting.map_size + 2 * setting.padding >= setting.kernel_size)
    return setting


def check_against_torch(cost: Cost, setting: ConvSetting) -> None:
    """Parameters, MACs, and every value that goes in and out, counted on the real layers."""
    net = build(cost)
    shape = (setting.in_channels, setting.map_size, setting.map_size)
    assert cost.params == sum(p.numel() for p in net.parameters())
    assert cost.macs == hooks.count_macs(net, shape)

    written, moved = 0, 0

    def listen(
        layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        nonlocal written, moved
        written += output.nbytes
        moved += inputs[0].nbytes + output.nbytes + sum(p.nbytes for p in layer.parameters())

    for layer in net:
        layer.register_forward_hook(listen)
    with torch.inference_mode():
        out = net(torch.zeros(2, *shape))
    assert out.shape == (2, setting.out_channels, setting.out_size, setting.out_size)
    assert cost.activation_bytes == written / 2
    assert cost.bytes_moved(2) == moved
    assert cost.intensity(2) == pytest.approx(2 * cost.macs / moved)


@settings(max_examples=100, deadline=None)
@given(possible_setting())
def test_the_closed_form_is_what_torch_builds(setting: ConvSetting) -> None:
    assert not problems(setting)
    for kind in KINDS:
        check_against_torch(layer_cost(kind, setting), setting)
    check_against_torch(bottleneck_cost(setting), setting)


@settings(max_examples=100, deadline=None)
@given(any_setting())
def test_a_problem_is_found_exactly_where_torch_refuses(setting: ConvSetting) -> None:
    try:
        layer = torch.nn.Conv2d(
            setting.in_channels,
            setting.out_channels,
            setting.kernel_size,
            setting.stride,
            setting.padding,
            groups=setting.groups,
        )
        layer(torch.zeros(1, setting.in_channels, setting.map_size, setting.map_size))
    except (ValueError, RuntimeError):
        assert problems(setting)
        with pytest.raises(ConfigError):
            compare(setting)
    else:
        assert not problems(setting)


@settings(max_examples=100, deadline=None)
@given(any_setting())
def test_every_offer_puts_its_problem_right(setting: ConvSetting) -> None:
    for problem in problems(setting):
        assert problem.offers
        for offer in problem.offers:
            low, high = LIMITS[offer.field]
            assert low <= offer.value <= high
            mended = replace(setting, **{offer.field: offer.value})  # type: ignore[arg-type]
            assert same_kind(problem) not in [same_kind(left) for left in problems(mended)]


def same_kind(problem: Problem) -> str:
    """Which of the two checks a problem comes from."""
    return "grouping" if "groups" in problem.message else "emptiness"


def test_offers_are_the_nearest_divisors() -> None:
    (problem,) = problems(ConvSetting(groups=7))
    assert [(offer.field, offer.value) for offer in problem.offers] == [
        ("groups", 4),
        ("groups", 8),
    ]
    (problem,) = problems(ConvSetting(in_channels=30, groups=4))
    assert [(offer.field, offer.value) for offer in problem.offers] == [
        ("groups", 2),
        ("in_channels", 28),
        ("in_channels", 32),
    ]
    assert "30 input channels" in problem.message


def test_an_empty_output_is_explained() -> None:
    (problem,) = problems(ConvSetting(kernel_size=9, padding=1, map_size=4))
    assert "empty" in problem.message
    assert {offer.field for offer in problem.offers} == {"padding", "kernel_size", "map_size"}


@settings(max_examples=100, deadline=None)
@given(possible_setting())
def test_the_rules_of_thumb_are_exact_without_biases(setting: ConvSetting) -> None:
    costs = compare(replace(setting, bias=False))
    for kind in KINDS:
        rule = rule_of_thumb(kind, setting)
        assert costs[kind].params / costs["standard"].params == pytest.approx(rule)
        if kind != "lowrank":
            assert costs[kind].macs / costs["standard"].macs == pytest.approx(rule)


@settings(max_examples=100, deadline=None)
@given(possible_setting())
def test_the_break_even_rank_is_the_last_that_saves(setting: ConvSetting) -> None:
    bare = replace(setting, bias=False)
    standard = layer_cost("standard", bare).params
    even = bare.break_even_rank
    if even:
        assert layer_cost("lowrank", replace(bare, rank=even)).params < standard
    assert layer_cost("lowrank", replace(bare, rank=even + 1)).params >= standard


def test_full_rank_is_enough_for_any_standard_layer() -> None:
    """The pair built from a singular value decomposition at full rank gives the same outputs."""
    setting = ConvSetting(in_channels=3, out_channels=5, map_size=6, bias=False, groups=1)
    setting = replace(setting, rank=setting.full_rank)
    assert setting.rank == 9
    standard, *nothing = build(layer_cost("standard", setting))
    column, row = build(layer_cost("lowrank", setting))
    assert not nothing
    weight = standard.get_parameter("weight").detach()  # (out, in, rows, columns)
    matrix = weight.permute(1, 2, 0, 3).reshape(3 * 3, 5 * 3)  # (in x rows, out x columns)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    with torch.no_grad():
        column.get_parameter("weight").copy_((u * s).T.reshape(9, 3, 3, 1))
        row.get_parameter("weight").copy_(v.reshape(9, 5, 3).permute(1, 0, 2).reshape(5, 9, 1, 3))
    x = torch.rand(1, 3, 6, 6)
    torch.testing.assert_close(row(column(x)), standard(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("example", "model", "layer", "kind"),
    [
        ("plain_2m_4", "plain_2m", 3, "standard"),
        ("plain_2m_8", "plain_2m", 7, "standard"),
        ("plain_2m_8", "group8_277k", 7, "group"),
    ],
)
def test_the_examples_are_layers_of_the_homeworks(
    example: str, model: str, layer: int, kind: str
) -> None:
    spec = registry.get(model)
    px = spec.input_px
    found = hooks.layer_table(spec.build(), (3, px, px))
    convs = [row for row in found if row.layer.startswith("Conv2d")]
    setting = EXAMPLES[example]
    cost = compare(setting)[kind]  # type: ignore[index]
    row = convs[layer]
    assert (row.params, row.macs) == (cost.params, cost.macs)
    assert row.output_shape == (setting.out_channels, setting.out_size, setting.out_size)


def test_the_residual_example_is_a_layer_of_hw13() -> None:
    rows = hooks.layer_table(registry.get("hw13_residual").build(), (3, 224, 224))
    convs = [row for row in rows if row.layer.startswith("Conv2d")]
    steps = compare(EXAMPLES["hw13_residual"])["separable"].steps
    wanted = [(step.params, step.macs) for step in steps]
    found = [(row.params, row.macs) for row in convs]
    assert wanted in [found[i : i + 2] for i in range(len(found) - 1)]


@pytest.mark.parametrize(("channels", "groups"), [(16, 2), (64, 8), (12, 12), (10, 1)])
def test_a_nudge_stays_in_its_group_unless_channels_are_shuffled(
    channels: int, groups: int
) -> None:
    per_group = channels // groups
    assert changed_outputs(channels, groups, 3) == (per_group,) * 3
    reached = tuple(min(per_group ** (depth + 1), channels) for depth in range(3))
    assert changed_outputs(channels, groups, 3, shuffle=True) == reached


def test_a_stack_of_uneven_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="evenly"):
        changed_outputs(10, 4)
