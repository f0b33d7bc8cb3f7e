"""The header of a safetensors file, against the safetensors library and against hostile bytes."""

import json
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from core.checkpoints.tensors import count_params, read_header
from core.errors import CheckpointError
from tests.tiny_network import trained

TENSORS: dict[str, np.ndarray[Any, Any]] = {
    "conv.weight": np.arange(24, dtype=np.float16).reshape(2, 3, 2, 2),
    "bn.running_mean": np.linspace(-1, 1, 5, dtype=np.float32),
    "bn.num_batches_tracked": np.array(7, dtype=np.int64),
    "fc.bias": np.ones(3, dtype=np.float32),
}
DTYPES = {"F16": np.float16, "F32": np.float32, "I64": np.int64}


def test_the_bytes_at_each_entry_are_the_tensor() -> None:
    data = safetensors.numpy.save(TENSORS, {"note": "metadata is no tensor"})
    header = read_header(data)
    assert set(header) == set(TENSORS)
    for name, entry in header.items():
        found = np.frombuffer(data[entry.begin : entry.end], DTYPES[entry.dtype])
        assert np.array_equal(found.reshape(entry.shape), TENSORS[name])


def test_params_are_those_of_the_network() -> None:
    net = trained()
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    expected = sum(parameter.numel() for parameter in net.parameters())
    assert count_params(safetensors.numpy.save(arrays)) == expected


def file_of(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(low: int, high: int, shape: Any = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [low, high]}


HOSTILE = {
    "empty": b"",
    "three bytes": b"abc",
    "header longer than the file": (2**63).to_bytes(8, "little") + b"{}",
    "header of a gigabyte": (2**30).to_bytes(8, "little") + b" " * 2**21,
    "not JSON": file_of(b"\x80\x04}."),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "a list": file_of([1, 2]),
    "nested without end": file_of(b"[" * 100_000),
    "entry without fields": file_of({"a": {}}),
    "entry is a number": file_of({"a": 3}),
    "unknown dtype": file_of({"a": entry(0, 4, dtype="F8_E5M2")}, b"1234"),
    "negative offset": file_of({"a": entry(-4, 0)}, b""),
    "negative shape": file_of({"a": entry(0, 4, (-1, -1))}, b"1234"),
    "shape of floats": file_of({"a": entry(0, 4, (1.0,))}, b"1234"),
    "shape of booleans": file_of({"a": entry(0, 4, (True,))}, b"1234"),
    "beyond the file": file_of({"a": entry(0, 4)}, b"12"),
    "shape larger than its bytes": file_of({"a": entry(0, 4, (2**62, 2**62))}, b"1234"),
    "overlapping": file_of({"a": entry(0, 4), "b": entry(0, 4)}, b"1234"),
    "a gap": file_of({"a": entry(4, 8)}, b"12345678"),
    "bytes left over": file_of({"a": entry(0, 4)}, b"12345678"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        read_header(data)


@given(st.binary(max_size=300), st.integers(0, 200))
def test_damaged_bytes_are_refused_or_harmless(junk: bytes, at: int) -> None:
    data = safetensors.numpy.save(TENSORS)
    data = data[:at] + junk + data[at + len(junk) :]
    try:
        header = read_header(data)
    except CheckpointError:
        return
    assert all(8 <= found.begin <= found.end <= len(data) for found in header.values())
