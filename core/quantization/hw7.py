"""HW7's own 8-bit file: min-max per tensor, every tensor of the state dict, written as a pickle.

The homework's `encode8` puts each tensor w with dimensions as (min, max, uint8 codes),

    code = round((w - min) / (max - min) * 255),    w' = code / 255 * (max - min) + min,

and keeps the rest (BatchNorm's `num_batches_tracked`) as it is; its `encode16` keeps float16
arrays. The file is `pickle.dump` of that dict. Here it is written instruction by instruction and
read by `core.quantization.read_file`, so nothing is pickled or unpickled by Python. What else
people make of a state dict (torch.save, .npz, gzip) `core.quantization.read_file` reads.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError, ConfigError
from core.i18n import _
from core.limited import task
from core.quantization.file import MAX_VALUES, Shapes, check_shapes
from core.quantization.read_file import Value, read_network

LEVELS = 255
LARGEST = float(np.sqrt(np.finfo(np.float32).max))
"""The largest weight read, 1.8e19: a product of two such is still a float32."""
COUNTER = "num_batches_tracked"

State = Mapping[str, NDArray[Any]]


def encode8(state: State) -> bytes:
    """The file of a network: its state dict (arrays by name) in HW7's format.

    Raises ConfigError for weights that are not finite numbers.
    """
    out = _Writer()
    for name, tensor in state.items():
        if tensor.ndim == 0:
            out.entry(name, tensor.item())
            continue
        exact = tensor.astype(np.float64)
        if not np.isfinite(exact).all():
            raise ConfigError(_("A weight is not a finite number: it cannot be quantised."))
        low, high = float(exact.min()), float(exact.max())
        span = high - low or 1.0  # equal values: code 0, which stands for the minimum
        codes = np.rint((exact - low) / span * LEVELS).astype(np.uint8)
        out.entry(name, (low, high, codes))
    return out.finished()


@task
def decode8(data: bytes, expected: Shapes | None = None) -> dict[str, NDArray[Any]]:
    """The state dict in such a file, or in any that `read_network` reads: float32 arrays, numbers.

    `expected`: the tensors' names and shapes in the network it is for; counters may be missing.
    Raises CheckpointError for a file that is not of this format (see `read_network`), that would
    unfold to more than a network of ours, has a weight above `LARGEST` or that is no number, or
    that does not fit `expected`.
    """
    values = read_network(data)
    codes = {name: _codes(name, value) for name, value in values.items()}
    if not any(array.ndim for array in codes.values()):
        raise CheckpointError(_("There are no arrays in this file."))
    if sum(array.size for array in codes.values()) > MAX_VALUES:
        raise CheckpointError(_("The file would unfold to more than any network of ours."))
    if expected is not None:
        counters = {name for name in expected if name.endswith(COUNTER)}
        check_shapes(codes, {n: s for n, s in expected.items() if n not in counters - set(codes)})
    return {name: _restored(name, array, values[name]) for name, array in codes.items()}


def _codes(name: str, value: Value) -> NDArray[Any]:
    """The array that gives an entry its shape, whatever way it is stored."""
    if not isinstance(value, tuple):
        array = np.asarray(value)
        return array.reshape(()) if name.endswith(COUNTER) and array.size == 1 else array
    if (
        len(value) == 3
        and isinstance(value[2], np.ndarray)
        and value[2].dtype == np.uint8
        and all(np.size(end) == 1 for end in value[:2])  # a number, or an array of one
    ):
        return value[2]
    raise CheckpointError(
        _("The entry {name} is not (minimum, maximum, codes).").format(name=repr(name[:100]))
    )


def _restored(name: str, array: NDArray[Any], value: Value) -> NDArray[Any]:
    if not isinstance(value, tuple) and array.ndim == 0:
        number = array.item()
        return np.asarray(int(number) if float(number).is_integer() else number)
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(value, tuple):
            low, high = ends = [float(np.asarray(end).item()) for end in value[:2]]
            steps = np.arange(LEVELS + 1) / LEVELS * (high - low) + low  # what each code stands for
            restored = steps.astype(np.float32)[array]
        else:
            restored = np.asarray(array, np.float32)
            ends = [float(restored.min(initial=0)), float(restored.max(initial=0))]
    if not all(abs(end) <= LARGEST for end in ends):  # nor NaN
        raise CheckpointError(
            _(
                "The file has weights that are not finite numbers, or too large to compute with: "
                "{name}."
            ).format(name=repr(name[:100]))
        )
    return restored


class _Writer:
    """The instructions of a dict of names, protocol 3; what repeats is written once and recalled.

    numpy's names are those of numpy 1, which numpy 2 still answers to.
    """

    RECONSTRUCT, NDARRAY, SCALAR, FLOAT64, UINT8 = range(5)

    def __init__(self) -> None:
        names = (
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "scalar"),
        )
        parts = [b"\x80\x03"]
        for at, (module, name) in enumerate(names):  # GLOBAL, BINPUT, POP
            parts.append(f"c{module}\n{name}\n".encode() + b"q" + bytes([at]) + b"0")
        for at, kind, order in ((self.FLOAT64, "f8", "<"), (self.UINT8, "u1", "|")):
            parts.append(
                b"cnumpy\ndtype\n" + _text(kind) + b"\x89\x88\x87R"  # dtype(kind, False, True)
                + b"(K\x03" + _text(order) + b"NNN" + _int(-1) + _int(-1) + b"K\x00tb"
                + b"q" + bytes([at]) + b"0"
            )  # fmt: skip
        parts.append(b"}(")
        self._parts = parts

    def entry(self, name: str, value: float | tuple[float, float, NDArray[np.uint8]]) -> None:
        self._parts.append(_text(name))
        if isinstance(value, tuple):
            low, high, codes = value
            self._parts += [self._scalar(low), self._scalar(high), self._array(codes), b"\x87"]
        else:
            self._parts.append(_int(value) if isinstance(value, int) else self._scalar(value))

    def finished(self) -> bytes:
        return b"".join([*self._parts, b"u."])

    def _scalar(self, value: float) -> bytes:
        number = struct.pack("<d", value)
        return _get(self.SCALAR) + _get(self.FLOAT64) + b"C\x08" + number + b"\x86R"

    def _array(self, codes: NDArray[np.uint8]) -> bytes:
        empty = _get(self.RECONSTRUCT) + _get(self.NDARRAY) + b"K\x00\x85C\x01b\x87R"
        shape = b"(" + b"".join(map(_int, codes.shape)) + b"t"
        content = b"B" + struct.pack("<I", codes.size) + codes.tobytes()
        return empty + b"(K\x01" + shape + _get(self.UINT8) + b"\x89" + content + b"tb"


def _get(at: int) -> bytes:
    return b"h" + bytes([at])


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _int(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)
