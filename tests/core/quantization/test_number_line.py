"""The number line's data against numpy written out by hand."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core import checkpoints
from core.errors import CheckpointError
from core.quantization.method import BITS, SCHEMES, quantise
from core.quantization.number_line import (
    LayerRows,
    layer_row,
    middle_layer,
    strip_channels,
)

WEIGHT = np.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(np.float32)
WEIGHT *= np.array([1, 5, 0.1, 2, 3, 4, 0.5, 0.2], np.float32).reshape(8, 1, 1, 1)
ROW = layer_row("conv.weight", WEIGHT)


def test_the_error_of_hw7s_scheme_is_that_of_its_formula() -> None:
    assert {name: len(errors) for name, errors in ROW.errors.items()} == {
        name: len(BITS) for name in SCHEMES
    }
    exact = WEIGHT.astype(np.float64)
    low, step = exact.min(), (exact.max() - exact.min()) / 15
    restored = np.round((exact - low) / step) * step + low
    noise = ((exact - restored) ** 2).mean()
    error = ROW.error("tensor_minmax", 4)
    assert error.mse == pytest.approx(noise, rel=1e-3)
    assert error.sqnr_db == pytest.approx(10 * np.log10((exact**2).mean() / noise), abs=0.01)


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


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_levels_are_those_that_the_weights_are_rounded_to(scheme: str) -> None:
    """Worked out from three figures a channel, or from the codebook kept in whole steps."""
    for bits in (1, 2, 3, 8):
        whole = quantise(WEIGHT, scheme, bits)  # type: ignore[arg-type]
        if scheme.startswith("channel"):
            kept = [channel.levels(scheme, bits) for channel in ROW.channels]  # type: ignore[arg-type]
            wanted = [whole.levels(channel.channel) for channel in ROW.channels]
        else:
            kept, wanted = [ROW.levels(scheme, bits)], [whole.levels()]  # type: ignore[arg-type]
        for mine, theirs in zip(kept, wanted, strict=True):
            assert np.allclose(mine, theirs, atol=ROW.reach / 2000 + 1e-7)


def test_the_histogram_counts_every_weight_once() -> None:
    assert sum(ROW.counts) == WEIGHT.size == ROW.size and ROW.reach > np.abs(WEIGHT).max()
    assert sum(layer_row("flat", np.zeros((2, 2), np.float32)).counts) == 4
    for channel in ROW.channels:
        own = WEIGHT[channel.channel]
        assert (channel.low, channel.high) == pytest.approx((own.min(), own.max()))


def test_what_was_worked_out_belongs_to_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path))

    def network(weights: bytes) -> Any:
        sha256 = checkpoints.FileInfo.of(weights).sha256
        return SimpleNamespace(id="tiny-scratch-s0", weights_sha256=sha256)

    one = network(b"weights")
    assert LayerRows.of_checkpoint(one) is None
    facts = {"device": "a test", "versions": {}, "commit": "none", "date": "2026-11-22"}
    order = [ROW.model_copy(update={"layer": name}) for name in ("b.weight", "a.weight")]
    LayerRows.begin(one, None, lambda: facts).keep(order)
    kept = LayerRows.of_checkpoint(one)
    assert kept is not None and list(kept.rows) == order  # in the order of the network
    assert LayerRows.path(one.id).stat().st_size < 10_000
    assert LayerRows.of_checkpoint(network(b"others")) is None
    content = json.loads(LayerRows.path(one.id).read_text())
    content["rows"][0]["counts"] = "many"
    LayerRows.path(one.id).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="--stages layers"):
        LayerRows.of_checkpoint(one)


def test_the_page_begins_with_a_layer_worth_looking_at() -> None:
    sizes = {str(n): n for n in (10, 2000, 3000, 4000, 20)}
    assert middle_layer(sizes) == "3000"
    assert middle_layer({"10": 10, "20": 20}) == "20"
