"""Quantised checkpoints answer: against torch with the same weights, file against file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import checkpoints
from core.errors import CheckpointError, ConfigError
from core.inference.graph import calibrate, float32_graph, operators, prepared
from core.inference.predict import Predictor, open_session, run_batches
from core.quantization.graph import (
    QuantizedPredictor,
    load_hw7,
    make,
    quantized_file,
    quantized_predictor,
    source,
    version_of,
)
from core.quantization.hw7 import encode8
from core.quantization.method import SCHEMES, dequantise, quantisable, quantise
from core.quantization.rows import FORMS, QuantizationGrid, key_of
from tests.core.conftest import TINY
from tests.tiny_network import pictures, torch_logits

pytestmark = pytest.mark.usefixtures("tiny_checkpoint")
PIXELS = pictures(24, 5).pixels


def with_weights(values: dict[str, Any]) -> torch.nn.Module:
    """The tiny network of the checkpoint with other weights in it."""
    net = checkpoints.load_model(TINY)
    state = net.state_dict() | {name: torch.from_numpy(value) for name, value in values.items()}
    net.load_state_dict(state)
    return net


def test_the_float32_graph_is_the_network_itself() -> None:
    _checkpoint, graph, state = source(TINY)
    plain = float32_graph(graph, state, {})
    assert "float16" not in str(operators(plain))
    np.testing.assert_array_equal(
        run_batches(open_session(plain), PIXELS), Predictor(TINY).logits(PIXELS)
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bits", [16, 3])
def test_what_answers_is_the_network_with_rounded_weights(scheme: Any, bits: int) -> None:
    _checkpoint, _graph, state = source(TINY)
    rounded = {name: dequantise(quantise(state[name], scheme, bits)) for name in quantisable(state)}
    expected = torch_logits(with_weights(rounded), PIXELS)
    key = key_of(scheme, bits)
    one = QuantizedPredictor(TINY, key.scheme, key.bits)
    np.testing.assert_allclose(one.logits(PIXELS), expected, rtol=1e-4, atol=1e-4)
    assert one.size_bytes == len(quantized_file(TINY, key.scheme, key.bits))


def test_fewer_bits_are_fewer_bytes_and_more_noise() -> None:
    made = [version_of(TINY, "channel_symmetric", bits) for bits in (8, 6, 4, 2)]
    sizes = [len(one.file) for one in made]
    noise = [one.error.sqnr_db for one in made if one.error is not None]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4
    assert noise == sorted(noise, key=lambda x: -float(x or 0)) and None not in noise


def test_hw7s_file_goes_round() -> None:
    """Every tensor is rounded in it, BatchNorm's too: the answers are the decoded network's."""
    checkpoint, _graph, state = source(TINY)
    data = quantized_file(TINY, "hw7_8bit")
    assert data == encode8(state)
    one = load_hw7(TINY, data)
    exact = {name: value.astype(np.float64) for name, value in state.items() if value.ndim}
    rounded = {}
    for name, value in exact.items():
        low, high = value.min(), value.max()
        codes = np.round((value - low) / ((high - low) or 1) * 255)
        rounded[name] = (codes / 255 * (high - low) + low).astype(np.float32)
    expected = torch_logits(with_weights(rounded), PIXELS)
    np.testing.assert_allclose(one.logits(PIXELS), expected, rtol=1e-4, atol=1e-4)
    assert one.checkpoint == checkpoint
    np.testing.assert_array_equal(
        one.logits(PIXELS), QuantizedPredictor(TINY, "hw7_8bit").logits(PIXELS)
    )


def test_a_strangers_file_of_another_network_is_refused() -> None:
    state = source(TINY)[2]
    state["fc.weight"] = state["fc.weight"][:, :5]
    with pytest.raises(CheckpointError, match="11 x 5"):
        load_hw7(TINY, encode8(state))
    with pytest.raises(CheckpointError):
        load_hw7(TINY, b"cos\nsystem\n(Vtrue\ntR.")


def test_static_int8_computes_in_integers() -> None:
    _checkpoint, graph, state = source(TINY)
    ranges = calibrate(prepared(float32_graph(graph, state, {})), pictures(32, 1).pixels)
    made = make(graph, state, "ort_int8", 8, ranges)
    found = operators(made.graph)
    assert found["QuantizeLinear"] and found["DequantizeLinear"]
    assert "BatchNormalization" not in found  # folded into the convolutions
    assert made.error is not None and made.error.sqnr_db is not None and made.error.sqnr_db > 30
    logits = run_batches(open_session(made.graph), PIXELS)
    whole = Predictor(TINY).logits(PIXELS)
    spread = whole.max() - whole.min()
    assert 0 < np.abs(logits - whole).max() < 0.1 * spread
    # the ranges alone make it again, bit by bit
    assert make(graph, state, "ort_int8", 8, dict(reversed(ranges.items()))).file == made.file
    with pytest.raises(ConfigError, match="calibrate again"):
        make(graph, state, "ort_int8", 8, {"something": (0.0, 1.0)})


def test_dynamic_int8_touches_the_linear_layer_only() -> None:
    before = operators(prepared(float32_graph(*source(TINY)[1:], {})))
    after = operators(version_of(TINY, "ort_dynamic").graph)
    assert before["Conv"] == after["Conv"] == 3
    assert before["Gemm"] == 1 and "Gemm" not in after and after["MatMulInteger"] == 1
    with_conv = operators(version_of(TINY, "ort_dynamic_conv").graph)
    assert "Conv" not in with_conv and with_conv["ConvInteger"] == 3
    for form in ("ort_dynamic", "ort_dynamic_conv"):
        assert np.isfinite(QuantizedPredictor(TINY, form).logits(PIXELS)).all()


def test_int8_without_ranges_says_how_to_get_them() -> None:
    with pytest.raises(ConfigError, match="quantize-grid"):
        version_of(TINY, "ort_int8")


def test_stored_ranges_are_those_of_these_weights() -> None:
    checkpoint, graph, state = source(TINY)
    ranges = calibrate(prepared(float32_graph(graph, state, {})), pictures(32, 1).pixels)
    grid = QuantizationGrid(
        checkpoint=TINY, weights_sha256=checkpoint.weights_sha256, data="",
        fingerprint="", device="", versions={}, commit="", date="", calibration=ranges,
    )  # fmt: skip
    grid.save()
    assert version_of(TINY, "ort_int8").file == make(graph, state, "ort_int8", 8, ranges).file
    grid.model_copy(update={"weights_sha256": "0" * 64}).save()
    with pytest.raises(ConfigError, match="quantize-grid"):
        version_of(TINY, "ort_int8")


def test_predictors_are_shared() -> None:
    first = quantized_predictor(TINY, "tensor_minmax", 16)
    assert quantized_predictor(TINY, "kmeans", 16) is first  # 16 bits are float16 in any scheme
    assert quantized_predictor(TINY, "tensor_minmax", 4) is not first


@pytest.mark.parametrize(
    ("scheme", "bits", "says"),
    [("magic", 8, "magic"), ("ort_int8", 4, "8 bits, not 4"), ("kmeans", 12, "12")],
)
def test_what_there_is_not_is_said(scheme: Any, bits: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        version_of(TINY, scheme, bits)


def test_narrow_networks_and_the_real_student(pretrained: Path) -> None:
    """256,779 parameters in HW7's format: under 270 KB, as the homework's limit has it."""
    from core.models import registry
    from core.quantization.aware import state_arrays

    torch.manual_seed(0)
    state = state_arrays(registry.get("dwpw_256k").build())
    assert (
        sum(value.size for name, value in state.items() if "running" not in name and value.ndim)
        == 256_779
    )
    data = encode8(state)
    assert 256_779 < len(data) < 270_000
    assert set(quantisable(state)) < set(state)
    assert len(FORMS) == 11
