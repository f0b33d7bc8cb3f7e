"""A state dict saved by torch, read without torch: the zip of today and the stream of before 1.6.

Both hold a pickle in which a tensor is a view (offset, shape, steps) of a storage, and the
storages' bytes beside it. The pickle is read by the machine of `quantize_pickle`, with four more
names; the views are made here. `torch.load(weights_only=True)` would cost each file 3.6 s and
680 MB for its import, and it refuses a pickle of numpy arrays that went through `torch.save`.
Source: torch/serialization.py, torch/_utils.py.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compression.quantize_file import Refused
from core.compression.quantize_pickle import NAMES, Array, only, run, sides
from core.words import _

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""What a file of before torch 1.6 begins with: a pickle of one number."""
_KINDS = {
    "Float": "<f4", "Half": "<f2", "Double": "<f8", "BFloat16": "bf16", "Bool": "|b1",
    "Byte": "|u1", "Char": "|i1", "Short": "<i2", "Int": "<i4", "Long": "<i8",
}  # fmt: skip


class _Storage:
    """One row of numbers that tensors are views of; its bytes may come after the pickle."""

    def __init__(self, kind: str, items: int) -> None:
        self.kind, self.items = kind, items
        self.row: NDArray[Any] | None = None

    @property
    def n_bytes(self) -> int:
        return self.items * (2 if self.kind == "bf16" else np.dtype(self.kind).itemsize)

    def fill(self, content: bytes) -> None:
        if len(content) != self.n_bytes:
            raise ValueError(_("a tensor's bytes are cut off"))
        self.row = flat(content, self.kind)


class _Tensor(Array):
    """A view of a storage; steps count items, as torch counts them."""

    def __init__(self, storage: Any, offset: Any, shape: Any, steps: Any, *_rest: Any) -> None:
        self._storage: _Storage = only(_Storage, storage)
        self._offset: int = only(int, offset)
        self._shape, self._steps = sides(shape), sides(steps)

    def finished(self) -> Any:
        row = self._storage.row
        reach = sum((n - 1) * step for n, step in zip(self._shape, self._steps, strict=True))
        if row is None or self._offset < 0:
            raise ValueError(_("a tensor has no bytes"))
        if 0 in self._shape:
            return np.empty(self._shape, row.dtype)
        if self._offset + reach >= len(row):
            raise ValueError(_("a tensor reaches beyond its bytes"))
        strides = [step * row.itemsize for step in self._steps]
        start = row[self._offset :]
        return np.lib.stride_tricks.as_strided(start, self._shape, strides, writeable=False)


def _rebuild_tensor(*arguments: Any) -> _Tensor:
    return _Tensor(*arguments)


def _rebuild_parameter(tensor: Any, *_rest: Any) -> _Tensor:
    made: _Tensor = only(_Tensor, tensor)
    return made


def _load_from_bytes(data: Any) -> Any:
    """How `pickle.dump` writes a tensor's storage: as a whole old file, in which no other lies."""
    return read_legacy(only(bytes, data))


class _StorageType(str):
    """The kind of number in a storage, as a label on the machine's stack."""


_OWN_NAMES = NAMES | {
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    **{f"torch {name}Storage": _StorageType(kind) for name, kind in _KINDS.items()},
}
TORCH_NAMES = _OWN_NAMES | {"torch.storage _load_from_bytes": _load_from_bytes}
"""What a pickle with torch's tensors in it may name -> what stands for it here."""


def flat(content: bytes, kind: str) -> NDArray[Any]:
    """The numbers in `content` in one row. `kind`: numpy's, or bf16, which becomes float32."""
    if kind == "bf16":
        wide = np.frombuffer(content, "<u2").astype("<u4")
        wide <<= 16  # a bfloat16 is the upper half of a float32
        return wide.view("<f4")
    return np.frombuffer(content, kind) if content else np.empty(0, kind)


def read_zip(members: Mapping[str, bytes], folder: str) -> Any:
    """What the pickle in a zip of torch's describes; its files lie in `folder`, "" or "<name>/".

    Raises as `quantize_pickle.run` does.
    """
    if members.get(f"{folder}byteorder", b"little") != b"little":
        raise Refused(_("it was written on a big-endian machine"))
    storages: dict[str, _Storage] = {}
    program = io.BytesIO(members[f"{folder}data.pkl"])
    result = run(program, _OWN_NAMES, _collector(storages))
    for key, storage in storages.items():
        storage.fill(members[f"{folder}data/{key}"])
    return result


def read_legacy(data: bytes) -> Any:
    """What a file of before torch 1.6 describes. Raises as `quantize_pickle.run` does."""
    if not data.startswith(MAGIC):
        raise ValueError(_("it is no file of torch's"))
    stream = io.BytesIO(data)
    stream.seek(len(MAGIC))
    storages: dict[str, _Storage] = {}
    collect = _collector(storages)
    _version, system, result, keys = (run(stream, _OWN_NAMES, collect) for _part in range(4))
    if not only(dict, system).get("little_endian", True):
        raise Refused(_("it was written on a big-endian machine"))
    for key in only(list, keys):
        storage = storages[key]
        if int.from_bytes(stream.read(8), "little") != storage.items:
            raise ValueError(_("a tensor's bytes are cut off"))
        storage.fill(stream.read(storage.n_bytes))
    return result


def _collector(storages: dict[str, _Storage]) -> Callable[..., _Storage]:
    """Gives the storage that a persistent id names, the same one each time it is named."""

    def stored(word: Any, kind: Any, key: Any, _place: Any, items: Any, view: Any = None) -> Any:
        if word != "storage" or view is not None:
            raise Refused(_("it refers to something that is no tensor"))
        made = _Storage(str(only(_StorageType, kind)), only(int, items))
        return storages.setdefault(only(str, key), made)

    return stored
