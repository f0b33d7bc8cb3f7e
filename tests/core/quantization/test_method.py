"""Quantising and back: errors in exact fractions, k-means against dynamic programming."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from core.errors import ConfigError
from core.quantization.method import (
    BITS,
    SCHEMES,
    Quantised,
    dequantise,
    error_of,
    network_error,
    quantisable,
    quantise,
)

UNIFORM = tuple(scheme for scheme in SCHEMES if scheme != "kmeans")
WEIGHTS = arrays_of.arrays(
    np.float16,
    arrays_of.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-1000, 1000, width=16),
)
"""float16, as checkpoints store them: then every step of the arithmetic can be exact."""


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.2, shape).astype(np.float32)


def stands_for(one: Quantised, at: tuple[int, ...]) -> Fraction:
    """What a code means, by the formula of the module, in fractions."""
    assert one.scale is not None
    row = at[0] if len(one.scale) > 1 else 0
    offset = Fraction(0) if one.offset is None else Fraction(float(one.offset[row]))
    steps = Fraction(int(one.codes[at])) - Fraction(one.zero)
    return steps * Fraction(float(one.scale[row])) + offset


@pytest.mark.parametrize("scheme", UNIFORM)
@given(weight=WEIGHTS, bits=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_a_weight_comes_back_within_half_a_step_exactly(
    scheme: Any, weight: NDArray[np.float16], bits: int
) -> None:
    if bits == 1 and scheme.endswith("symmetric"):
        bits = 2  # sign times mean is another rule, tested below
    one = quantise(weight.astype(np.float32), scheme, bits)
    assert one.scale is not None and one.codes.dtype == np.uint8
    assert int(one.codes.max()) < 2**bits
    values = one.values()
    for at in np.ndindex(weight.shape):
        exact = stands_for(one, at)
        row = at[0] if len(one.scale) > 1 else 0
        assert abs(Fraction(float(weight[at])) - exact) <= Fraction(float(one.scale[row])) / 2
        assert float(exact) == values[at]


@given(
    weight=arrays_of.arrays(np.float32, (3, 7), elements=st.floats(-(2.0**99), 2.0**99, width=32)),
    bits=st.integers(2, 8),
    scheme=st.sampled_from(UNIFORM),
)
@settings(max_examples=100, deadline=None)
def test_any_float32_comes_back_within_half_a_step(
    weight: NDArray[np.float32], bits: int, scheme: Any
) -> None:
    one = quantise(weight, scheme, bits)
    assert one.scale is not None
    gap = np.abs(weight.astype(np.float64) - one.values()).max(1)
    assert (gap <= one.scale.astype(np.float64) / 2 * (1 + 1e-9)).all()


@pytest.mark.parametrize("bits", [b for b in BITS if b > 1 and b != 16])
def test_scales_are_those_of_the_papers(bits: int) -> None:
    weight = normal(6, 4, 3, 3)
    rows = weight.astype(np.float64).reshape(6, -1)
    tensor = quantise(weight, "tensor_minmax", bits)
    assert tensor.scale is not None and tensor.offset is not None
    assert tensor.scale[0] == np.float32((rows.max() - rows.min()) / (2**bits - 1))
    assert tensor.offset[0] == weight.min()
    assert {int(tensor.codes.min()), int(tensor.codes.max())} == {0, 2**bits - 1}
    channel = quantise(weight, "channel_symmetric", bits)
    assert channel.scale is not None and channel.offset is None
    expected = (np.abs(rows).max(1) / (2 ** (bits - 1) - 1)).astype(np.float32)
    np.testing.assert_array_equal(channel.scale, expected)
    assert len(quantise(weight, "channel_minmax", bits).offset) == 6  # type: ignore[arg-type]


def test_zero_stays_zero_in_symmetric_schemes() -> None:
    weight = normal(4, 9)
    weight[:, ::3] = 0
    for scheme in ("tensor_symmetric", "channel_symmetric"):
        assert (dequantise(quantise(weight, scheme, 3))[:, ::3] == 0).all()
    assert (dequantise(quantise(weight, "tensor_minmax", 3))[:, ::3] != 0).any()


def test_one_symmetric_bit_has_the_least_squared_error_of_its_kind() -> None:
    """Rastegari et al. 2016: of all a, sign(w) * a is nearest for a = mean |w|."""
    weight = normal(3, 50)
    restored = dequantise(quantise(weight, "channel_symmetric", 1))
    assert (np.sign(restored) == np.sign(weight)).all()
    best = ((weight - restored) ** 2).sum(1)
    for a in np.linspace(0.01, 0.5, 50):
        assert (((weight - np.sign(weight) * a) ** 2).sum(1) >= best - 1e-6).all()


def test_sixteen_bits_are_float16() -> None:
    weight = normal(5, 8)
    for scheme in SCHEMES:
        restored = dequantise(quantise(weight, scheme, 16))
        np.testing.assert_array_equal(restored, weight.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_equal_weights_and_empty_tensors_lose_nothing(scheme: Any) -> None:
    for weight in (np.full((3, 4), 0.25, np.float32), np.zeros((2, 2), np.float32)):
        for bits in (1, 4, 8):
            np.testing.assert_array_equal(dequantise(quantise(weight, scheme, bits)), weight)
    empty = np.empty((0, 4), np.float32)
    assert dequantise(quantise(empty, scheme, 4)).shape == (0, 4)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_levels_are_all_that_comes_back(scheme: Any) -> None:
    weight = normal(4, 200)
    for bits in (1, 2, 5):
        one = quantise(weight, scheme, bits)
        back = dequantise(one)
        for channel in range(4):
            levels = one.levels(channel)
            assert (np.diff(levels) > 0).all() and len(levels) <= 2**bits
            assert set(back[channel]) <= set(levels.astype(np.float32))


def test_errors_are_what_the_formulas_say() -> None:
    weight = np.array([[3.0, -4.0]], np.float32)
    error = error_of(weight, np.array([[3.0, -3.0]], np.float32))
    assert error.mse == 0.5
    assert error.sqnr_db == pytest.approx(10 * np.log10(25.0))
    assert error_of(weight, weight).sqnr_db is None


def test_a_bit_is_worth_six_decibels() -> None:
    weight = np.random.default_rng(0).uniform(-1, 1, (64, 64)).astype(np.float32)
    sqnr = [error_of(weight, dequantise(quantise(weight, "tensor_minmax", b))).sqnr_db
            for b in (4, 5, 6, 7, 8)]  # fmt: skip
    assert np.diff(np.array(sqnr, float)) == pytest.approx(20 * np.log10(2), abs=0.35)


def test_a_network_keeps_its_biases_and_norms() -> None:
    tensors = {
        "conv.weight": normal(4, 3, 3, 3),
        "conv.bias": normal(4),
        "norm.weight": normal(4),
        "fc.weight": normal(11, 4),
    }
    assert quantisable(tensors) == ["conv.weight", "fc.weight"]
    restored = {
        name: dequantise(quantise(tensors[name], "channel_symmetric", 4))
        for name in quantisable(tensors)
    }
    gaps = np.concatenate([(tensors[n] - restored[n]).ravel() for n in restored])
    error = network_error(tensors, restored)
    assert error.mse == pytest.approx(float((gaps.astype(np.float64) ** 2).mean()), rel=1e-4)


@pytest.mark.parametrize(
    ("weight", "scheme", "bits", "says"),
    [
        (normal(2, 2), "magic", 8, "magic"),
        (normal(2, 2), "kmeans", 9, "9"),
        (normal(2, 2), "kmeans", 0, "0"),
        (np.array([[np.nan]], np.float32), "tensor_minmax", 8, "finite"),
        (np.array([[np.inf]], np.float32), "kmeans", 8, "finite"),
        (np.array([[1e6]], np.float32), "kmeans", 16, "too large"),
        (np.array([[-3e38, 3e38]], np.float32), "tensor_minmax", 1, "span"),
    ],
)
def test_what_cannot_be_is_said(weight: Any, scheme: Any, bits: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        quantise(weight, scheme, bits)
