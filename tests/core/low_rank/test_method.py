"""Low rank against plain convolutions, a full search over ranks, and counts made by hooks."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import checkpoints
from core.checkpoints.factored import METHODS, LayerShape, Method, Ranks, forms_for
from core.checkpoints.ranks import Factored, factored_layer, found_ranks
from core.errors import ConfigError, UserError
from core.low_rank.method import (
    Decomposition,
    Decompositions,
    factored_total,
    layer_curve,
    matricized,
    product,
    ranks_for_budget,
    ranks_for_energy,
    separable_energy,
    spectra,
    stored_curve,
    unfoldings,
)
from core.low_rank.network import factor, layer_shapes, weights_of
from core.low_rank.rows import LowRankGrid
from core.models.cost import count_macs, count_params
from core.results import results_dir
from tests.core.pruning.networks import KINDS, PX, answers, make, pictures
from tests.core.pruning.test_network import macs_by_hooks

KERNELS = {
    "plain": nn.Conv2d(6, 8, 3, padding=1),
    "strided": nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
    "uneven": nn.Conv2d(4, 7, (3, 5), stride=(1, 2), padding=(2, 1)),
    "dilated": nn.Conv2d(5, 5, 3, padding=2, dilation=2),
    "wide": nn.Conv2d(20, 2, 3),
    "point": nn.Conv2d(9, 6, 1, stride=2),
    "linear": nn.Linear(12, 7),
}


def shape_of(module: nn.Module, name: str = "x") -> LayerShape:
    """A layer's shape by its own words, without sizes."""
    if isinstance(module, nn.Linear):
        return LayerShape(name, module.in_features, module.out_features)
    assert isinstance(module, nn.Conv2d)
    high, wide = module.kernel_size
    return LayerShape(name, module.in_channels, module.out_channels, (high, wide))


def cases() -> list[tuple[str, str]]:
    return [(name, form) for name, module in KERNELS.items() for form in shape_of(module).forms]


def taken_apart(module: nn.Module, form: str) -> Decomposition:
    weight = module.get_parameter("weight").detach().numpy().astype(np.float64)
    return Decomposition(form, weight)  # type: ignore[arg-type]


def some_ranks(module: nn.Module, form: str, share: float) -> tuple[int, ...]:
    full = shape_of(module).full_ranks(form)  # type: ignore[arg-type]
    return tuple(max(1, round(share * most)) for most in full)


@pytest.mark.parametrize(("name", "form"), cases())
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_factors_do_what_their_product_does(name: str, form: str, share: float) -> None:
    """Layers in a row, against one plain convolution with the product of their weights."""
    module = KERNELS[name]
    ranks = some_ranks(module, form, share)
    factors = taken_apart(module, form).factors(ranks)
    layer = factored_layer(module, form, ranks).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for one, weight in zip(layer, factors, strict=True):
            one.get_parameter("weight").copy_(torch.from_numpy(weight))
        bias = getattr(module, "bias", None)
        if bias is not None:
            layer[-1].get_parameter("bias").copy_(bias)
        made = torch.from_numpy(product(form, factors))  # type: ignore[arg-type]
        if isinstance(module, nn.Linear):
            x = torch.randn(3, 12, dtype=torch.float64)
            expected = x @ made.T + module.bias.double()
        else:
            assert isinstance(module, nn.Conv2d) and not isinstance(module.padding, str)
            x = torch.randn(2, module.in_channels, 11, 10, dtype=torch.float64)
            expected = F.conv2d(
                x, made, None if bias is None else bias.double(), module.stride, module.padding,
                module.dilation,
            )  # fmt: skip
        torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "form"), cases())
def test_energy_is_what_the_product_keeps(name: str, form: str) -> None:
    """Kept energy against the squared distance of the product; all of it at full rank."""
    module = KERNELS[name]
    parts = taken_apart(module, form)
    for share in (0.0, 0.3, 0.7, 1.0):
        ranks = some_ranks(module, form, share)
        made = product(form, parts.factors(ranks))  # type: ignore[arg-type]
        gap = np.subtract(parts.weight, made)
        lost = (gap**2).sum() / (parts.weight**2).sum()
        assert parts.energy(ranks) == pytest.approx(1 - lost, abs=1e-12)
    np.testing.assert_allclose(gap, 0, atol=1e-12)


@pytest.mark.parametrize(("name", "form"), cases())
def test_singular_values_are_numpys(name: str, form: str) -> None:
    parts = taken_apart(KERNELS[name], form)
    matrices = (
        unfoldings(parts.weight) if form == "tucker2" else (matricized(parts.weight, form),)  # type: ignore[arg-type]
    )
    for ours, matrix in zip(parts.singular_values, matrices, strict=True):
        np.testing.assert_allclose(ours, np.linalg.svd(matrix, compute_uv=False), atol=1e-7)


def test_svd_loses_least_of_all_matrices_of_its_rank() -> None:
    """Eckart and Young: what is lost is the sum of the squared singular values left out."""
    parts = taken_apart(KERNELS["linear"], "svd")
    values = np.linalg.svd(parts.weight, compute_uv=False)
    for rank in (1, 3, 6):
        gap = parts.weight - product("svd", parts.factors((rank,)))
        assert (gap**2).sum() == pytest.approx((values[rank:] ** 2).sum(), rel=1e-9)


def test_a_layer_of_rank_3_needs_3() -> None:
    rng = np.random.default_rng(0)
    kernel = product("spatial", (rng.normal(size=(3, 6, 3, 1)), rng.normal(size=(8, 3, 1, 3))))
    parts = Decomposition("spatial", kernel)
    assert parts.energy((3,)) == pytest.approx(1) and parts.energy((2,)) < 0.99
    np.testing.assert_allclose(product("spatial", parts.factors((3,))), kernel, atol=1e-12)
    shape = LayerShape("x", 6, 8, (3, 3))
    found = ranks_for_energy([shape], Decompositions({"x": kernel}), "spatial", 0.999999)
    assert found == {"x": (3,)}


@pytest.mark.parametrize("form", ["spatial", "tucker2"])
def test_a_weight_of_zeros_is_survived(form: str) -> None:
    parts = Decomposition(form, np.zeros((5, 4, 3, 3)))  # type: ignore[arg-type]
    ranks = (2,) if form == "spatial" else (2, 2)
    made = product(form, parts.factors(ranks))  # type: ignore[arg-type]
    assert not made.any() and parts.energy(ranks) == 1


@pytest.mark.parametrize("method", ["spatial", "tucker2", "auto"])
@pytest.mark.parametrize("energy", [0.3, 0.6, 0.9])
def test_ranks_are_the_cheapest_of_all(method: Method, energy: float) -> None:
    """Every rank tried out, with energies from the product itself."""
    module = KERNELS["plain"]
    shape, weight = shape_of(module), weights_of(nn.ModuleDict({"x": module}))["x"]
    least = shape.params
    for form in forms_for(method, shape):
        parts = Decomposition(form, weight.astype(np.float64))
        for ranks in itertools.product(*(range(1, m + 1) for m in shape.full_ranks(form))):
            gap = parts.weight - product(form, parts.factors(ranks))
            if 1 - (gap**2).sum() / (parts.weight**2).sum() >= energy - 1e-9:
                least = min(least, shape.factored_params(ranks))
    found = ranks_for_energy([shape], Decompositions({"x": weight}), method, energy)
    got = shape.factored_params(found["x"]) if found else shape.params
    assert got == least


def full_ranks(net: nn.Module, method: Method) -> Ranks:
    """The highest ranks of every layer that the method touches."""
    shapes = layer_shapes(net, PX)
    return {s.name: s.full_ranks(forms[-1]) for s in shapes if (forms := forms_for(method, s))}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_at_full_rank_the_logits_are_reproduced(kind: str, method: Method) -> None:
    """In double precision to its last digits, so that nothing but rounding can be at work."""
    net = make(kind).double()
    ranks = full_ranks(make(kind), method)
    assert ranks
    made = factor(net, ranks)
    x = pictures().double()
    with torch.inference_mode():
        torch.testing.assert_close(made(x), net(x), rtol=1e-10, atol=1e-10)
    single = factor(make(kind), ranks)
    torch.testing.assert_close(answers(single), answers(make(kind)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_costs_are_those_of_the_network_that_is_made(kind: str, method: Method) -> None:
    net = make(kind)
    shapes, parts = layer_shapes(net, PX), Decompositions(weights_of(net))
    assert sum(s.macs for s in shapes) == macs_by_hooks(net)
    for energy in (0.9, 0.5, 0.2):
        ranks = ranks_for_energy(shapes, parts, method, energy)
        made = factor(net, ranks, parts)
        params = sum(p.numel() for p in made.parameters())
        assert params == count_params(made) == factored_total(shapes, ranks, count_params(net))
        macs = sum(s.factored_macs(ranks[s.name]) if s.name in ranks else s.macs for s in shapes)
        assert macs == macs_by_hooks(made) == count_macs(made, (3, PX, PX))
        assert found_ranks(made) == ranks
    assert ranks and params < count_params(net)


@pytest.mark.parametrize("kind", KINDS)
def test_depthwise_and_group_convolutions_are_left_alone(kind: str) -> None:
    net = make(kind)
    grouped = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    made = factor(net, full_ranks(net, "auto"))
    for name in grouped:
        assert isinstance(made.get_submodule(name), nn.Conv2d)
        with pytest.raises(ConfigError, match="do not fit"):
            factor(net, {name: (1,)})
    assert len(grouped) == {"depthwise": 1, "residual": 0, "grouped": 2}[kind]


def test_what_saves_nothing_stays_whole() -> None:
    net = make("residual")
    shapes, parts = layer_shapes(net, PX), Decompositions(weights_of(net))
    assert ranks_for_energy(shapes, parts, "auto", 1.0) == {}
    for energy in np.linspace(0, 1, 21):
        ranks = ranks_for_energy(shapes, parts, "auto", float(energy))
        by_name = {s.name: s for s in shapes}
        assert all(by_name[n].factored_params(r) < by_name[n].params for n, r in ranks.items())


@pytest.mark.parametrize("method", ["spatial", "tucker2", "auto"])
def test_a_budget_is_met_with_the_most_energy(method: Method) -> None:
    net = make("residual")
    shapes, parts, total = layer_shapes(net, PX), Decompositions(weights_of(net)), count_params(net)
    for budget in (total - 1, total * 3 // 4, total // 2):
        energy, ranks = ranks_for_budget(shapes, parts, method, budget, total)
        assert count_params(factor(net, ranks, parts)) <= budget
        more = ranks_for_energy(shapes, parts, method, min(1.0, energy + 1e-6))
        assert factored_total(shapes, more, total) > budget
    assert ranks_for_budget(shapes, parts, method, total, total) == (1.0, {})


def test_a_budget_that_cannot_be_met_says_what_can() -> None:
    net = make("residual")
    shapes, parts, total = layer_shapes(net, PX), Decompositions(weights_of(net)), count_params(net)
    with pytest.raises(ConfigError, match="rank 1") as said:
        ranks_for_budget(shapes, parts, "spatial", 10, total)
    least = factored_total(shapes, ranks_for_energy(shapes, parts, "spatial", 0), total)
    assert f"{least:,}" in str(said.value)


@pytest.mark.parametrize("training", [True, False])
def test_the_given_network_is_never_touched(training: bool) -> None:
    net = make("residual").train(training)
    before = copy.deepcopy(net.state_dict())
    made = factor(net, full_ranks(net, "auto"))
    assert all(module.training is training for module in (*made.modules(), *net.modules()))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_factored_network_learns() -> None:
    """Gradients reach every factor."""
    net = make("depthwise")
    made = factor(net, full_ranks(net, "tucker2"))
    made(pictures()).square().sum().backward()
    for module in made.modules():
        if isinstance(module, Factored):
            grads = [p.grad for p in module.parameters()]
            assert len(grads) >= 2 and all(g is not None and bool(g.any()) for g in grads)


def test_what_was_factored_is_not_factored_again() -> None:
    net = make("residual")
    made = factor(net, {"wide": (4,)})
    shapes = {shape.name: shape for shape in layer_shapes(made, PX)}
    assert shapes["wide.0"].forms == shapes["wide.1"].forms == () and shapes["inner"].forms
    with pytest.raises(ConfigError):
        factor(made, {"wide.0": (2,)})


@pytest.mark.parametrize(
    "ranks",
    [{"nowhere": (1,)}, {"bn": (1,)}, {"wide": (0,)}, {"wide": (31,)}, {"wide": (1, 2, 3)},
     {"wide": (9, 1)}, {"wide": ()}, {"fc": (11,)}, {"fc": (2, 2)}, {"": (1,)}],
)  # fmt: skip
def test_ranks_that_do_not_fit_are_refused(ranks: Ranks) -> None:
    with pytest.raises(UserError):
        factor(make("residual"), ranks)


@pytest.mark.parametrize("energy", [-0.1, 1.1, float("nan")])
def test_energies_outside_0_to_1_are_refused(energy: float) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        ranks_for_energy([], Decompositions({}), "auto", energy)
    with pytest.raises(ConfigError, match="no low-rank method"):
        ranks_for_energy([], Decompositions({}), "pca", 0.5)  # type: ignore[arg-type]


def test_a_layer_with_a_padding_of_its_own_is_left_alone() -> None:
    class Same(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.pad(x, (1, 1, 1, 1)))

    odd = nn.Sequential(
        Same(3, 4, 3),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        Same(4, 5, 1),
        nn.Conv2d(5, 6, 3),
    )
    able = [shape.name for shape in layer_shapes(odd, PX) if shape.forms]
    assert able == ["3", "4"]


@pytest.mark.parametrize(("name", "form"), cases())
def test_the_curve_is_the_layer_at_every_rank(name: str, form: str) -> None:
    module = KERNELS[name]
    shape, parts = shape_of(module), taken_apart(module, form)
    curve = layer_curve(shape, parts)
    for rank in (1, curve.full // 2, curve.full):
        ranks = curve.ranks(max(rank, 1))
        assert curve.kept[max(rank, 1) - 1] == pytest.approx(parts.energy(ranks))
        made = sum(one.size for one in parts.factors(ranks)) + shape.outputs
        assert curve.params[max(rank, 1) - 1] == made
    even = curve.break_even
    assert all(curve.params[:even] < shape.params) and all(curve.params[even:] >= shape.params)
    enough = curve.rank_for(0.8)
    assert curve.kept[enough - 1] >= 0.8 and (enough == 1 or curve.kept[enough - 2] < 0.8)
    assert curve.rank_for(1.0) == curve.full


def test_a_depthwise_and_pointwise_pair_is_rank_1_in_every_channel() -> None:
    rng = np.random.default_rng(1)
    pair = rng.normal(size=(7, 5))[:, :, None, None] * rng.normal(size=(5, 3, 3))
    assert separable_energy(pair) == pytest.approx(1)
    kernel = rng.normal(size=(7, 5, 3, 3))
    values = [np.linalg.svd(kernel[:, i].reshape(7, 9), compute_uv=False) for i in range(5)]
    by_hand = sum(v[0] ** 2 for v in values) / sum((v**2).sum() for v in values)
    assert separable_energy(kernel) == pytest.approx(by_hand) and by_hand < 0.9


@pytest.mark.parametrize("kind", KERNELS)
def test_a_stored_curve_is_that_of_the_weight(kind: str) -> None:
    module = KERNELS[kind]
    shape, weight = shape_of(module), module.get_parameter("weight").detach().numpy()
    parts = Decompositions({"x": weight})
    stored = spectra([shape], parts)
    assert [one.form for one in stored] == list(shape.forms)
    for spectrum in stored:
        curve = stored_curve(shape, spectrum)
        live = layer_curve(shape, parts.of("x", spectrum.form))
        # five digits: squares are off by 1e-4 of themselves at most, a share by half of that
        assert curve.kept == pytest.approx(live.kept, abs=5e-5)
        assert (curve.params == live.params).all() and (curve.macs == live.macs).all()
        assert curve.break_even == live.break_even and curve.full == live.full
        matrices = (
            unfoldings(weight)
            if spectrum.form == "tucker2"
            else (matricized(weight, spectrum.form),)
        )
        for values, matrix in zip(curve.values, matrices, strict=True):
            expected = np.linalg.svd(matrix, compute_uv=False)
            assert values == pytest.approx(expected[: len(values)], rel=1e-4, abs=1e-6)
        if spectrum.form != "tucker2":
            squares = np.cumsum(expected**2) / (expected**2).sum()
            assert curve.kept == pytest.approx(squares[: curve.full], abs=5e-5)


def test_a_layer_of_zeros_has_a_spectrum_too() -> None:
    shape = LayerShape("x", 4, 4, (3, 3))
    for spectrum in spectra([shape], Decompositions({"x": np.zeros((4, 4, 3, 3), np.float32)})):
        assert np.isfinite(stored_curve(shape, spectrum).kept).all()


def test_the_shipped_spectra_are_those_of_the_shipped_weights() -> None:
    """Every shipped file has them, of these weights; the smaller layers against numpy's SVD."""
    shipped = [path.stem.partition("-")[2] for path in results_dir().glob("lowrank-*.json")]
    assert shipped
    for id in shipped:
        grid = LowRankGrid.of_checkpoint(checkpoints.get(id))
        assert grid is not None, f"{id}: of other weights"
        weights = checkpoints.checkpoint_tensors(id)
        whole = {(shape.name, form) for shape in grid.shapes for form in shape.forms}
        assert {(one.layer, one.form) for one in grid.spectra} == whole
        for shape in grid.shapes:
            for form in shape.forms:
                weight = weights[f"{shape.name}.weight"]
                if weight.size > 80_000 or form == "tucker2":
                    continue
                spectrum = grid.spectrum(shape.name, form)
                expected = np.linalg.svd(matricized(weight, form), compute_uv=False)
                assert spectrum is not None
                assert spectrum.values[0] == pytest.approx(expected, rel=1e-4, abs=1e-6)
                if spectrum.separable is not None:
                    kept = separable_energy(weight)
                    assert spectrum.separable == pytest.approx(kept, abs=1e-6)
