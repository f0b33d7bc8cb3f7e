"""The number line of a layer: counts add up, levels are the quantiser's."""

import numpy as np
import pytest

from core.compression.quantize import BITS, SCHEMES, dequantise, error_of, quantise
from core.compression.quantize_line import error_by_bits, number_line

WEIGHT = np.random.default_rng(1).normal(0, 0.1, (5, 8, 3, 3)).astype(np.float32)


def test_a_line_shows_all_weights_and_all_levels() -> None:
    line = number_line(WEIGHT, "tensor_minmax", 3)
    assert line.counts.sum() == line.n == WEIGHT.size
    assert line.levels[0] == pytest.approx(WEIGHT.min())
    assert line.levels[-1] == pytest.approx(WEIGHT.max())
    assert len(line.levels) == 8 and line.used <= 8
    assert np.diff(line.levels) == pytest.approx(line.step)
    assert line.error == line.error_all


def test_a_channel_has_a_line_of_its_own() -> None:
    whole = number_line(WEIGHT, "channel_symmetric", 4)
    assert whole.step is None and not len(whole.levels)
    line = number_line(WEIGHT, "channel_symmetric", 4, channel=2)
    assert line.n == WEIGHT[2].size and line.channel == 2
    assert line.levels[-1] == pytest.approx(np.abs(WEIGHT[2]).max())
    restored = dequantise(quantise(WEIGHT, "channel_symmetric", 4))
    assert line.error == error_of(WEIGHT[2], restored[2])
    assert line.error_all == error_of(WEIGHT, restored)


def test_used_levels_are_counted() -> None:
    for scheme in SCHEMES:
        restored = dequantise(quantise(WEIGHT, scheme, 4))
        assert number_line(WEIGHT, scheme, 4).used == len(np.unique(restored))
        assert number_line(WEIGHT, scheme, 4, channel=1).used == len(np.unique(restored[1]))


def test_more_bits_cost_less() -> None:
    errors = error_by_bits(WEIGHT, "kmeans")
    assert [bits for bits, _error in errors] == list(BITS)
    mse = [error.mse for _bits, error in errors]
    assert mse == sorted(mse, reverse=True)
