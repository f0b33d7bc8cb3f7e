"""A quantised network as a file: codes packed without a gap, in safetensors.

Eight codes of b bits take b bytes. Per quantised tensor there are `<name>.codes` (uint8, packed
little end first) and, in float32, what its scheme needs: `.scale` and `.offset` (one, or one per
output channel), or `.codebook`. At 16 bits the tensor itself is float16. Biases, BatchNorm and its
counters are stored as they are: they are few, and rounding them is another experiment. Scheme,
bits and shapes stand in the metadata.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.i18n import _
from core.quantization.method import BITS, Quantised, Scheme, dequantise, quantisable, quantise

FORMAT, VERSION = "small-plates-quantised", "1"
MAX_FILE_BYTES = 50_000_000
"""The most bytes read, decompressed ones too: our largest network has 45 MB in float32."""
MAX_VALUES = 20_000_000
"""Weights that a file may unfold to: nearly twice our largest network's."""
MAX_HEADER_BYTES = 1_000_000
LAST_WORDS = ("weight", "bias", "running_mean", "running_var")
"""What torch's names of a layer's tensors end with, in its order."""
_PARTS = ("codes", "scale", "offset", "codebook")

_BROKEN = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, TypeError, ValueError),
)

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[int, ...]]


class Refused(Exception):
    """Why a file is refused that may well be sound: one clause, for the person at the screen."""


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """All that a hostile file makes Python raise, as a CheckpointError; `what` names the format."""
    try:
        yield
        return
    except Refused as error:
        text = _(
            "This {what} is refused: {reason}. Only arrays and numbers by name are read, such as a "
            "network's state dict."
        )
        cause: Exception = error
    except _BROKEN as error:
        text, cause = _("This {what} is damaged or cut off ({reason})."), error
    # half a character (a lone surrogate) in the reason could not be sent to a page
    reason = str(cause)[:150].encode(errors="backslashreplace").decode()
    raise CheckpointError(text.format(what=what, reason=reason)) from cause


def pack_codes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes of any shape, each in 0..2^bits - 1, as ceil(n * bits / 8) bytes."""
    planes = np.unpackbits(codes.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(planes.ravel(), bitorder="little")


def unpack_codes(packed: NDArray[np.uint8], bits: int, n: int) -> NDArray[np.uint8]:
    """The n codes again; ValueError if there are not ceil(n * bits / 8) bytes."""
    if packed.ndim != 1 or len(packed) != -(-n * bits // 8):
        raise ValueError("the codes do not fill the tensor")
    planes = np.unpackbits(packed, count=n * bits, bitorder="little").reshape(n, bits)
    codes: NDArray[np.uint8] = np.packbits(planes, axis=1, bitorder="little")[:, 0]
    return codes


def pack(state: Arrays, scheme: Scheme, bits: int) -> bytes:
    """The file of a network quantised so. `state`: its whole state dict as arrays.

    Raises ConfigError as `quantise` does.
    """
    import safetensors.numpy

    stored: dict[str, NDArray[Any]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    chosen = set(quantisable(state))
    for name, tensor in state.items():
        if name not in chosen:
            stored[name] = np.array(tensor, order="C")
            continue
        codes = quantise(tensor, scheme, bits)
        if bits == 16:
            stored[name] = codes.codes
            continue
        shapes[name] = codes.shape
        stored[f"{name}.codes"] = pack_codes(codes.codes, bits)
        floats = (codes.scale, codes.offset, codes.codebook)
        for part, values in zip(_PARTS[1:], floats, strict=True):
            if values is not None:
                stored[f"{name}.{part}"] = values
    about = {
        "format": FORMAT,
        "version": VERSION,
        "scheme": scheme,
        "bits": str(bits),
        "shapes": json.dumps(shapes, separators=(",", ":")),
    }
    return bytes(safetensors.numpy.save(stored, about))


def unpack(data: bytes, expected: Shapes | None = None) -> dict[str, NDArray[Any]]:
    """The network in such a file: its state dict, weights restored to float32.

    `expected`: the tensors' names and shapes in the network it is for. Raises CheckpointError for
    a file that is damaged, is not of this format, would unfold to more than a network of ours
    could be, or does not fit `expected`.
    """
    try:
        state = _unpacked(data, expected)
    except CheckpointError:
        raise
    except Exception as error:  # safetensors' own errors share no public base class
        raise CheckpointError(
            _("This is no sound file of a quantised network ({reason}).").format(
                reason=str(error)[:200]
            )
        ) from error
    if expected is not None:
        check_shapes(state, expected)
    return state


def check_shapes(state: Arrays, expected: Shapes) -> None:
    """Raises CheckpointError unless the names and shapes are those of `expected`."""
    for name in sorted(set(state) ^ set(expected)):
        message = (
            _("The file has a tensor {name} that the network does not have.")
            if name in state
            else _("The file has no tensor {name}, which the network needs.")
        )
        raise CheckpointError(message.format(name=repr(name[:100])))
    for name, shape in expected.items():
        _check_shape(name, tuple(state[name].shape), shape)


def matched(in_file: Shapes, wanted: Shapes) -> dict[str, str] | None:
    """For each name in `wanted` the one in `in_file` that is the same tensor; None if they differ.

    Both are in the order of their state dicts. They are the same if the names are, but for a prefix
    such as `module.`; or if the shapes are the same in the same order, whatever the names. A name's
    last part (`weight`, `running_mean`) is not only a name: where both have one, it must agree.
    """
    first = next(iter(in_file), "").split(".")
    for n in range(len(first)):
        prefix = "".join(f"{part}." for part in first[:n])
        if {f"{prefix}{name}": tuple(shape) for name, shape in wanted.items()} == dict(in_file):
            return {name: f"{prefix}{name}" for name in wanted}
    for ours, theirs in zip(wanted, in_file, strict=False):
        last = {name.rpartition(".")[2] for name in (ours, theirs)}
        if tuple(in_file[theirs]) != tuple(wanted[ours]) or (
            len(last) > 1 and last <= set(LAST_WORDS)
        ):
            return None
    return dict(zip(wanted, in_file, strict=True)) if len(in_file) == len(wanted) else None


def _check_shape(name: str, stored: tuple[int, ...], wanted: tuple[int, ...] | None) -> None:
    if wanted is not None and stored != tuple(wanted):
        raise CheckpointError(
            _("The tensor {name} is {stored} in the file and {wanted} in the network.").format(
                name=name, stored=_sides(stored), wanted=_sides(wanted)
            )
        )


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _unpacked(data: bytes, expected: Shapes | None) -> dict[str, NDArray[Any]]:
    import safetensors.numpy

    if len(data) > MAX_FILE_BYTES:
        raise CheckpointError(_("The file is larger than any network of ours."))
    scheme, bits, shapes = _settings(_metadata(data))
    if expected is not None:  # before anything is unfolded
        for name, shape in shapes.items():
            _check_shape(name, shape, expected.get(name))
    if sum(math.prod(shape) for shape in shapes.values()) > MAX_VALUES:
        raise CheckpointError(_("The file would unfold to more than any network of ours."))
    stored = safetensors.numpy.load(data)
    taken = {f"{name}.{part}" for name in shapes for part in _PARTS}
    state = {
        name: tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor
        for name, tensor in stored.items()
        if name not in taken
    }
    for name, shape in shapes.items():
        codes = unpack_codes(stored[f"{name}.codes"], bits, math.prod(shape)).reshape(shape)
        floats = [stored.get(f"{name}.{part}") for part in _PARTS[1:]]
        state[name] = dequantise(_sound(Quantised(scheme, bits, shape, codes, *floats)))
    if not all(np.isfinite(tensor).all() for tensor in state.values()):
        raise ValueError(_("its weights are not finite numbers"))
    return state


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(_("its header is cut off"))
    about = json.loads(data[8 : 8 + length])["__metadata__"]
    if about["format"] != FORMAT or about["version"] != VERSION:
        raise ValueError(_("it is another format"))
    settings: dict[str, str] = about
    return settings


def _settings(about: dict[str, str]) -> tuple[Scheme, int, dict[str, tuple[int, ...]]]:
    known = {scheme: scheme for scheme in get_args(Scheme)}
    scheme, bits = known[about["scheme"]], int(about["bits"])
    shapes = {name: tuple(shape) for name, shape in json.loads(about["shapes"]).items()}
    sides = [side for shape in shapes.values() for side in shape]
    if (
        bits not in BITS
        or (bits == 16 and shapes)
        or not all(type(side) is int and side >= 0 for side in sides)
    ):
        raise ValueError(_("its settings make no sense"))
    return scheme, bits, shapes


def _sound(quantised: Quantised) -> Quantised:
    """Raises ValueError unless the floats are those that the scheme needs."""
    if quantised.scheme == "kmeans":
        book = quantised.codebook
        if book is None or book.dtype != np.float32 or book.ndim != 1:
            raise ValueError(_("a codebook is missing"))
        if quantised.codes.size and int(quantised.codes.max()) >= len(book):
            raise ValueError(_("a code is not in its codebook"))
        return quantised
    groups = quantised.shape[0] if quantised.scheme.startswith("channel") and quantised.shape else 1
    wanted = {"scale": quantised.scale}
    if quantised.scheme.endswith("minmax"):
        wanted["offset"] = quantised.offset
    for values in wanted.values():
        if values is None or values.dtype != np.float32 or values.shape != (groups,):
            raise ValueError(_("a scale or a minimum is missing"))
    return quantised
