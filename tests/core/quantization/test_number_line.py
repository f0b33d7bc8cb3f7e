"""The number line's data against numpy written out by hand."""

import numpy as np
import pytest

from core.quantization.method import BITS, SCHEMES
from core.quantization.number_line import layer_errors, line, middle_layer, strip_channels

WEIGHT = np.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(np.float32)
WEIGHT *= np.array([1, 5, 0.1, 2, 3, 4, 0.5, 0.2], np.float32).reshape(8, 1, 1, 1)


def test_the_error_of_hw7s_scheme_is_that_of_its_formula() -> None:
    found = {(one.scheme, one.bits): one for one in layer_errors(WEIGHT)}
    assert set(found) == {(scheme, bits) for scheme in SCHEMES for bits in BITS}
    exact = WEIGHT.astype(np.float64)
    low, step = exact.min(), (exact.max() - exact.min()) / 15
    restored = np.round((exact - low) / step) * step + low
    noise = ((exact - restored) ** 2).mean()
    error = found["tensor_minmax", 4].error
    assert error.mse == pytest.approx(noise, rel=1e-4)
    assert error.sqnr_db == pytest.approx(10 * np.log10((exact**2).mean() / noise), abs=1e-3)
    assert found["tensor_minmax", 4].levels == 16 and found["tensor_symmetric", 4].levels == 15
    assert found["kmeans", 16].levels == 65536


def test_the_strips_are_the_widest_the_middle_and_the_narrowest_channel() -> None:
    reach = np.abs(WEIGHT.reshape(8, -1)).max(1)
    order = np.argsort(-reach)
    assert list(strip_channels(WEIGHT).values()) == [order[0], order[4], order[-1]]
    silent = WEIGHT.copy()
    silent[order[-1]] = 0  # a channel of zeros shows nothing
    assert strip_channels(silent)["narrowest"] == order[-2]
    assert list(strip_channels(np.zeros((5, 2), np.float32))) == ["widest", "middle", "narrowest"]
    assert strip_channels(WEIGHT[:1]) == {"widest": 0}
    assert list(strip_channels(WEIGHT[:2])) == ["widest", "narrowest"]


def test_each_channel_has_levels_of_its_own_where_the_scheme_says_so() -> None:
    drawn = line(WEIGHT, "channel_minmax", layer_errors(WEIGHT))
    assert (drawn.levels["strip"] >= 0).all()
    for strip in drawn.strips.to_dict("records"):
        mine = drawn.levels[(drawn.levels["strip"] == strip["strip"]) & (drawn.levels["bits"] == 3)]
        channel = WEIGHT[int(strip["channel"])]
        assert np.allclose(mine["value"], np.linspace(channel.min(), channel.max(), 8), atol=1e-6)
        assert (strip["low"], strip["high"]) == pytest.approx((channel.min(), channel.max()))


def test_the_histogram_counts_every_weight_once() -> None:
    drawn = line(WEIGHT, "kmeans", layer_errors(WEIGHT))
    assert drawn.bins["n"].sum() == WEIGHT.size
    assert drawn.bins["high"].max() == pytest.approx(drawn.reach)
    assert drawn.reach > np.abs(WEIGHT).max()
    flat = line(np.zeros((2, 2), np.float32), "kmeans", layer_errors(np.zeros((2, 2), np.float32)))
    assert flat.bins["n"].sum() == 4


def test_the_page_begins_with_a_layer_worth_looking_at() -> None:
    tensors = {f"{n}": np.zeros(n, np.float32) for n in (10, 2000, 3000, 4000, 20)}
    assert middle_layer(tensors, list(tensors)) == "3000"
    assert middle_layer(tensors, ["10", "20"]) == "20"
