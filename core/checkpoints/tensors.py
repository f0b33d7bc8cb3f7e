"""What a safetensors file holds, read from its header alone: no torch, nothing executed.

Format: 8 bytes (little-endian) with the length of a JSON header, the header (name -> dtype, shape,
offsets into the rest), then the tensors' bytes. A header is a stranger's word: every offset is
checked before anything is looked up with it.
Source: https://github.com/huggingface/safetensors, section "Format".
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.i18n import _

MAX_HEADER_BYTES = 1_000_000
_ITEM_BYTES = {"F16": 2, "F32": 4, "I64": 8}
DTYPES = {"F16": "<f2", "F32": "<f4", "I64": "<i8"}
"""Number formats as numpy calls them."""
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class TensorEntry(NamedTuple):
    """One tensor's place: bytes `begin` to `end`, counted from the start of the file."""

    dtype: str
    """F16, F32 or I64: all that a checkpoint of ours holds."""
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(data: bytes) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file (`data`: all of its bytes), in the order they are stored.

    Raises CheckpointError if the header is not sound: too long, not JSON, an unknown dtype, or
    tensors that overlap, leave gaps or do not fill the file.
    """
    try:
        entries = _parse(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            _("A weights file is damaged (its header makes no sense: {reason}).").format(
                reason=str(error)[:200]
            )
        ) from error
    return dict(sorted(entries.items(), key=lambda item: item[1].begin))


def stored_tensors(weights: bytes) -> dict[str, NDArray[np.float32]]:
    """The floating-point tensors of a safetensors file by name, as float32."""
    return {
        name: np.frombuffer(weights[entry.begin : entry.end], DTYPES[entry.dtype])
        .reshape(entry.shape)
        .astype(np.float32)
        for name, entry in read_header(weights).items()
        if entry.dtype != "I64"
    }


def count_params(data: bytes) -> int:
    """Weights and biases in a safetensors file; BatchNorm's statistics and counters are neither."""
    return sum(
        math.prod(entry.shape)
        for name, entry in read_header(data).items()
        if name.rsplit(".", 1)[-1] not in _STATISTICS
    )


def _parse(data: bytes) -> dict[str, TensorEntry]:
    length = int.from_bytes(data[:8], "little")
    start = 8 + length
    if len(data) < 8 or length > MAX_HEADER_BYTES or start > len(data):
        raise ValueError("it is longer than the file may be")
    header = json.loads(data[8:start])
    if not isinstance(header, dict):
        raise ValueError("it is no table of tensors")
    header.pop("__metadata__", None)
    entries = {name: _entry(spec, start) for name, spec in header.items()}
    end = start
    for entry in sorted(entries.values(), key=lambda entry: entry.begin):
        if entry.begin != end:
            raise ValueError("tensors overlap or leave a gap")
        end = entry.end
    if end != len(data):
        raise ValueError("the tensors do not fill the file")
    return entries


def _entry(spec: Any, start: int) -> TensorEntry:
    shape, (low, high) = tuple(spec["shape"]), spec["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, low, high)):
        raise ValueError("a size or an offset is no whole number")
    if high - low != math.prod(shape) * _ITEM_BYTES[spec["dtype"]]:
        raise ValueError("a tensor's size does not match its shape")
    return TensorEntry(spec["dtype"], shape, start + low, start + high)
