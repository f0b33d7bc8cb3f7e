"""Packed files: sizes to the byte, a way back, and refusals."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.quantization.file import pack, pack_codes, unpack, unpack_codes
from core.quantization.method import SCHEMES, dequantise, quantisable, quantise

RNG = np.random.default_rng(0)
STATE: dict[str, NDArray[Any]] = {
    "conv.weight": RNG.normal(0, 0.1, (7, 3, 3, 3)).astype(np.float32),
    "conv.bias": RNG.normal(0, 0.1, 7).astype(np.float32),
    "norm.running_var": np.ones(7, np.float32),
    "norm.num_batches_tracked": np.asarray(42, np.int64),
    "fc.weight": RNG.normal(0, 0.1, (11, 7)).astype(np.float32),
}
SHAPES = {name: tensor.shape for name, tensor in STATE.items()}


def header_bytes(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def changed(data: bytes, **about: str) -> bytes:
    """The file with other metadata."""
    end = header_bytes(data)
    header = json.loads(data[8:end])
    header["__metadata__"] |= about
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


@given(st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_codes_are_packed_without_a_gap(bits: int, data: st.DataObject) -> None:
    codes = np.array(data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=40)), np.uint8)
    packed = pack_codes(codes, bits)
    assert len(packed) == (len(codes) * bits + 7) // 8
    number = int.from_bytes(packed.tobytes(), "little")  # the definition: little end first
    assert [(number >> (bits * i)) & (2**bits - 1) for i in range(len(codes))] == codes.tolist()
    np.testing.assert_array_equal(unpack_codes(packed, bits, len(codes)), codes)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bits", [16, 8, 6, 5, 4, 3, 2, 1])
def test_a_file_is_as_long_as_the_closed_form_and_reads_back(scheme: Any, bits: int) -> None:
    data = pack(STATE, scheme, bits)
    rest = sum(
        STATE[name].nbytes for name in STATE if not name.endswith(("conv.weight", "fc.weight"))
    )
    weights = 7 * 27, 11 * 7
    if bits == 16:
        expected = sum(2 * n for n in weights)
    else:
        codes = sum((n * bits + 7) // 8 for n in weights)
        floats = {
            "tensor_minmax": 2 + 2,
            "tensor_symmetric": 1 + 1,
            "channel_symmetric": 7 + 11,
            "channel_minmax": 2 * (7 + 11),
            "kmeans": sum(min(2**bits, n) for n in weights),
        }[scheme]
        expected = codes + 4 * floats
    assert len(data) - header_bytes(data) == rest + expected
    state = unpack(data, SHAPES)
    assert set(state) == set(STATE)
    for name, tensor in STATE.items():
        wanted = (
            dequantise(quantise(tensor, scheme, bits)) if name in quantisable(STATE) else tensor
        )
        np.testing.assert_array_equal(state[name], wanted)
        assert state[name].dtype == tensor.dtype and state[name].shape == tensor.shape


@pytest.mark.parametrize(
    "about",
    [
        {"format": "something"},
        {"bits": "9"},
        {"bits": "four"},
        {"scheme": "magic"},
        {"scheme": "kmeans"},
        {"scheme": "channel_symmetric"},
        {"shapes": '{"conv.weight": [7, 3, 3, 4]}'},
        {"shapes": '{"conv.weight": [-7, -27]}'},
        {"shapes": '{"conv.weight": [1000000, 1000000]}'},
        {"shapes": "[" * 5000},
    ],
    ids=str,
)
def test_files_that_lie_are_refused(about: dict[str, str]) -> None:
    with pytest.raises(CheckpointError):
        unpack(changed(pack(STATE, "tensor_minmax", 4), **about))


def test_damaged_files_and_those_of_other_networks_are_refused() -> None:
    data = pack(STATE, "channel_minmax", 4)
    for damaged in (b"", b"\xff" * 40, data[:-1], data[:100], data + b"x"):
        with pytest.raises(CheckpointError):
            unpack(damaged)
    with pytest.raises(CheckpointError, match="7 x 3 x 3 x 3"):
        unpack(data, SHAPES | {"conv.weight": (8, 3, 3, 3)})
    with pytest.raises(CheckpointError, match="no tensor 'head.bias'"):
        unpack(data, SHAPES | {"head.bias": (11,)})
    with pytest.raises(CheckpointError, match="'fc.weight'"):
        unpack(data, {name: shape for name, shape in SHAPES.items() if name != "fc.weight"})


def test_weights_that_are_no_numbers_are_refused() -> None:
    import safetensors.numpy

    data = pack(STATE, "tensor_minmax", 2)
    about = json.loads(data[8 : header_bytes(data)])["__metadata__"]
    tensors = safetensors.numpy.load(data)
    for name in ("fc.weight.scale", "conv.bias"):
        changed_tensors = tensors | {name: np.full_like(tensors[name], np.nan)}
        with pytest.raises(CheckpointError, match="finite"):
            unpack(bytes(safetensors.numpy.save(changed_tensors, about)))


def test_a_codebook_has_an_entry_for_every_code() -> None:
    import safetensors.numpy

    data = pack(STATE, "kmeans", 2)
    about = json.loads(data[8 : header_bytes(data)])["__metadata__"]
    tensors = safetensors.numpy.load(data)
    tensors["fc.weight.codebook"] = tensors["fc.weight.codebook"][:2]
    with pytest.raises(CheckpointError, match="codebook"):
        unpack(bytes(safetensors.numpy.save(tensors, about)))
