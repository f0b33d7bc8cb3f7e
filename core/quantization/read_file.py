"""Networks that strangers bring, read to arrays by name: nothing is unpickled, nor torch needed.

A file is known by its first bytes. Read are pickles of numpy arrays or torch tensors, torch's own
files, .npz, .npy and safetensors, and such a file compressed (gzip, bz2, xz, a zip of one file),
which is unpacked up to `MAX_FILE_BYTES` and no further. Other formats that networks come in are
called by their names.

A pickle is a program; `pickle.load` calls whatever functions it names. `pickletools.genops` splits
it into instructions and runs none. A small machine here follows those that numpy 1 and 2 write
arrays with, in protocols 0 to 5; functions of our own stand for those that such a file names. All
else is refused.

Why not a restricted `pickle.Unpickler`, some 60 lines shorter: numpy's `dtype.__setstate__` and
`scalar` would get a stranger's arguments in C code that was not written for them, BUILD can set
attributes of whatever is let in, and "nothing is ever unpickled" would be untrue.

Memory is bounded by the file's length: an array is a view of its bytes, all text and bytes given to
functions are at most twice as long as the file, and the steps are counted.
"""

import bz2
import io
import json
import lzma
import math
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.i18n import _
from core.quantization.file import (
    FORMAT,
    LAST_WORDS,
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    Refused,
    refusals,
    unpack,
)

MAX_STEPS = 100_000
"""Instructions in a pickle: a tensor takes about thirty."""
MAX_DIMENSIONS = 8
MAX_NAME = 500

Value = NDArray[Any] | float | tuple[NDArray[Any] | float, ...]
"""What may stand under a name: an array, a number, or a tuple of these."""

_KINDS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights", "params")


def read_pickle(data: bytes, names: Mapping[str, Any] | None = None) -> dict[str, Value]:
    """The arrays and numbers by name in a pickle; its arrays must not be written to.

    Raises CheckpointError for anything else: a program that would call a function, a file cut off
    or too long, an array whose size is not that of its bytes.
    """
    with refusals(_("pickle")):
        if len(data) > MAX_FILE_BYTES:
            raise Refused(_("it is larger than any network of ours"))
        stream = io.BytesIO(data)
        result = _run(stream, names or NAMES)
        if stream.read(1):
            raise ValueError(_("something follows its end"))
        return _table(result)


class _Array:
    """An array in the making: its content may come in a later step."""

    def __init__(self, content: Any = None) -> None:
        self.content = content

    def build(self, state: Any) -> None:
        """numpy's `ndarray.__setstate__`; an array of objects becomes those objects."""
        _version, shape, dtype, columns_first, content = state
        if type(content) is list and _only(_DType, dtype).kind == "O8":
            self.content = content[0] if shape == () else tuple(content)
        else:
            self.content = _array(content, dtype, shape, "F" if columns_first else "C")

    def finished(self) -> Any:
        """An array, or what an array of objects held; None before it was built."""
        return self.content


class _DType:
    """A dtype in the making: its byte order comes in a later step."""

    def __init__(self, kind: Any, order: str = "<") -> None:
        self.kind, self.order = _only(str, kind), order
        if kind not in _KINDS | {"O8"}:
            raise Refused(_("it has the dtype {name}").format(name=repr(kind[:20])))

    def build(self, state: Any) -> None:
        """numpy's `dtype.__setstate__`."""
        if state[1] not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
            raise Refused(_("it has a dtype with fields"))
        self.order = state[1]


def _ndarray() -> None:
    raise Refused(_("it would call a function"))


def _reconstruct(kind: Any, *_rest: Any) -> _Array:  # (ndarray, (0,), b"b")
    if kind is not _ndarray:
        raise Refused(_("it makes an array of another class"))
    return _Array()


def _encode(text: Any, codec: Any) -> bytes:  # how protocols 0 to 2 write bytes
    if type(text) is not str or codec != "latin1":
        raise Refused(_("it would call a function"))
    return text.encode("latin1")


def _dict() -> dict[Any, Any]:
    return {}


class _Remark:
    """An object that training scripts save beside the arrays: nothing of it is kept."""

    def build(self, _state: Any) -> None:
        """Its attributes."""


def _remark(*_arguments: Any) -> _Remark:
    return _Remark()


NAMES: dict[str, Any] = {
    "numpy ndarray": _ndarray,
    "numpy dtype": lambda kind, *_rest: _DType(kind),  # ("f4", False, True)
    "_codecs encode": _encode,
    "collections OrderedDict": _dict,
    "__builtin__ bytes": lambda: b"",
    "builtins bytes": lambda: b"",
}
"""What a pickle may name -> what stands for it here: a function of ours, or a label."""
for _core in ("numpy.core", "numpy._core"):
    NAMES[f"{_core}.multiarray _reconstruct"] = _reconstruct
    NAMES[f"{_core}.multiarray scalar"] = lambda dtype, data: _array(data, dtype, (), "C").item()
    NAMES[f"{_core}.numeric _frombuffer"] = lambda *arguments: _Array(_array(*arguments))

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CLOSING = {"TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"}
_PUSHED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip


def _run(
    stream: io.BytesIO, names: Mapping[str, Any], stored: Callable[..., Any] | None = None
) -> Any:
    """What the next pickle in `stream` describes: containers of numbers, text, bytes, arrays.

    `stored`: gives what a persistent id stands for. Raises Refused, or nearly anything (`refusals`)
    where the instructions are broken.
    """
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under the open marks
    memo: dict[Any, Any] = {}
    spare = 2 * len(stream.getbuffer())  # text and bytes that functions may still be given

    for count, (step, argument, _at) in enumerate(pickletools.genops(stream)):
        if count > MAX_STEPS:
            raise Refused(_("it has too many steps"))
        items: list[Any] = []
        if step.name in _CLOSING:
            items, stack = stack, below.pop()
        match step.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                (result,) = stack
                return result
            case "MARK":
                below.append(stack)
                stack = []
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case name if name in _PUSHED:
                if type(argument) is int and not -(2**63) <= argument < 2**64:
                    raise Refused(_("a number is too long"))
                stack.append(argument)
            case name if name in _TUPLES:
                stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
            case "TUPLE":
                stack.append(tuple(items))
            case "LIST" | "EMPTY_LIST":
                stack.append(items)
            case "DICT" | "EMPTY_DICT":
                stack.append(_fill({}, items))
            case "APPENDS" | "SETITEMS":
                _fill(stack[-1], items)
            case "APPEND":
                _fill(stack[-2], [stack.pop()])
            case "SETITEM":
                _fill(stack[-3], [stack.pop(-2), stack.pop()])
            case "POP":
                stack.pop()
            case "MEMOIZE" | "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[len(memo) if argument is None else argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL" | "STACK_GLOBAL":
                called = argument or " ".join([stack.pop(-2), stack.pop()])
                if called not in names:
                    called = repr(called.replace(" ", ".")[:80])
                    raise Refused(_("it would call {function}").format(function=called))
                stack.append(names[called])
            case "BINPERSID" if stored is not None:
                stack.append(stored(*_only(tuple, stack.pop())))
            case "REDUCE":
                arguments, function = _only(tuple, stack.pop()), _only(FunctionType, stack.pop())
                spare -= sum(len(part) for part in arguments if type(part) in (str, bytes))
                if spare < 0:
                    raise Refused(_("it would grow to more than its length"))
                stack.append(function(*arguments))  # functions come from `names` alone
            case "NEWOBJ" if stack[-2] is _remark:
                stack[-2:] = [_Remark()]
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], _DType | _Array | _Remark):
                    stack[-1].build(state)
                else:
                    _only(dict, stack[-1])  # torch's dicts keep versions in an attribute
            case name:
                raise Refused(_("it has the step {name}").format(name=name))
    raise ValueError(_("it has no end"))


def _fill(target: Any, items: list[Any]) -> Any:
    """`target` with `items` at its end: a list, or a dict that takes names and values in turn."""
    if type(target) is list:
        target.extend(items)
    elif type(target) is not _Remark:
        for name, value in zip(items[::2], items[1::2], strict=True):
            _only(dict, target)[name if type(name) is int else _only(str, name)] = value
    return target


def _only(kind: type, value: Any) -> Any:
    """`value`, if it is of just this kind; else it is refused."""
    if type(value) is not kind:
        raise Refused(_("it puts things together as no array is"))
    return value


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """A view of `content`, once its length is known to be that of the shape."""
    if type(content) not in (bytes, bytearray) or _only(_DType, dtype).kind not in _KINDS:
        raise Refused(_("it has an array of objects"))
    if math.prod(_sides(shape)) * int(dtype.kind[1]) != len(content):
        raise ValueError(_("an array is not as long as its shape says"))
    kind = np.dtype(dtype.order + dtype.kind)
    row = np.frombuffer(content, kind) if len(content) else np.empty(0, kind)
    return row.reshape(shape, order=order)


def _sides(shape: Any) -> tuple[int, ...]:
    """`shape`, if it is a few whole numbers."""
    numbers: tuple[int, ...] = _only(tuple, shape)
    if len(numbers) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(_("an array has no shape"))
    return numbers


def _table(result: Any) -> dict[str, Value]:
    """The arrays and numbers by name in what `_run` gave; out of `{"state_dict": {...}}`, too.

    One array may stand under many names. Raises Refused or ValueError.
    """
    values: dict[str, Value] = {}
    for name, value in _unwrapped(result).items():
        if type(name) is not str or len(name) > MAX_NAME or not name.isprintable():
            raise Refused(_("one of its names cannot be printed"))
        if value is not None and type(value) not in (str, _Remark):  # remarks beside the arrays
            values[name] = _value(value)
    if not values:
        raise Refused(_("there is no array in it"))
    return values


def _unwrapped(result: Any) -> dict[Any, Any]:
    """`{"state_dict": {...}, "epoch": 3}` or `{"anything": {...}}` -> {...}, once."""
    outer: dict[Any, Any] = _only(dict, _finished(result))
    for name in _WRAPPERS if len(outer) > 1 else outer:
        inner = _finished(outer.get(name))
        if type(inner) is dict:
            return inner
    return outer


def _finished(value: Any) -> Any:
    return value.finished() if isinstance(value, _Array) else value


def _value(value: Any, inside: bool = False) -> Any:
    value = _finished(value)
    if isinstance(value, np.ndarray | bool | int | float):
        return value
    if type(value) in (tuple, list) and not inside:
        if len(value) > MAX_DIMENSIONS:
            raise Refused(_("a tuple is too long"))
        return tuple(_value(part, inside=True) for part in value)
    raise Refused(_("something in it is neither array nor number"))


# torch's files, whose pickle has tensors: views (offset, shape, steps) of storages beside it. The
# zip of today and the stream of before 1.6 (torch/serialization.py, torch/_utils.py). torch's own
# `load(weights_only=True)` would cost each file 3.6 s and 680 MB for its import, and it refuses
# numpy arrays that went through `torch.save`.

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""What a file of before torch 1.6 begins with: a pickle of one number."""
_TORCH_KINDS = {
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
        self.row = _flat(content, self.kind)


class _Tensor(_Array):
    """A view of a storage; steps count items, as torch counts them."""

    def __init__(self, storage: Any, offset: Any, shape: Any, steps: Any, *_rest: Any) -> None:
        self._storage: _Storage = _only(_Storage, storage)
        self._offset: int = _only(int, offset)
        self._shape, self._steps = _sides(shape), _sides(steps)

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
    made: _Tensor = _only(_Tensor, tensor)
    return made


def _load_from_bytes(data: Any) -> Any:
    """How `pickle.dump` writes a tensor's storage: as a whole old file, in which no other lies."""
    return _torch_stream(_only(bytes, data))


class _StorageType(str):
    """The kind of number in a storage, as a label on the machine's stack."""


_PATHS = ["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"]
_OWN_NAMES = NAMES | {
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    **{f"torch {name}Storage": _StorageType(kind) for name, kind in _TORCH_KINDS.items()},
    **{
        f"{module} {name}": _remark
        for module, names in {
            "argparse": ["Namespace"],
            "pathlib": _PATHS,
            "pathlib._local": _PATHS,
            "torch": ["device", "Size"],
            "pytorch_lightning.utilities.parsing": ["AttributeDict"],
            "lightning_fabric.utilities.data": ["AttributeDict"],
            "lightning.fabric.utilities.data": ["AttributeDict"],
        }.items()
        for name in names
    },
}
TORCH_NAMES = _OWN_NAMES | {"torch.storage _load_from_bytes": _load_from_bytes}
"""What a pickle with torch's tensors in it may name -> what stands for it here."""


def _flat(content: bytes, kind: str) -> NDArray[Any]:
    """The numbers in `content` in one row. `kind`: numpy's, or bf16, which becomes float32."""
    if kind == "bf16":
        wide = np.frombuffer(content, "<u2").astype("<u4")
        wide <<= 16  # a bfloat16 is the upper half of a float32
        return wide.view("<f4")
    return np.frombuffer(content, kind) if content else np.empty(0, kind)


def _torch_zip(members: Mapping[str, bytes], folder: str) -> Any:
    """What the pickle in a zip of torch's describes; its files lie in `folder`, "" or "<name>/".

    Raises as `_run` does.
    """
    if members.get(f"{folder}byteorder", b"little") != b"little":
        raise Refused(_("it was written on a big-endian machine"))
    storages: dict[str, _Storage] = {}
    program = io.BytesIO(members[f"{folder}data.pkl"])
    result = _run(program, _OWN_NAMES, _collector(storages))
    for key, storage in storages.items():
        storage.fill(members[f"{folder}data/{key}"])
    return result


def _torch_stream(data: bytes) -> Any:
    """What a file of before torch 1.6 describes. Raises as `_run` does."""
    if not data.startswith(MAGIC):
        raise ValueError(_("it is no file of torch's"))
    stream = io.BytesIO(data)
    stream.seek(len(MAGIC))
    storages: dict[str, _Storage] = {}
    collect = _collector(storages)
    _version, system, result, keys = (_run(stream, _OWN_NAMES, collect) for _part in range(4))
    if not _only(dict, system).get("little_endian", True):
        raise Refused(_("it was written on a big-endian machine"))
    for key in _only(list, keys):
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
        made = _Storage(str(_only(_StorageType, kind)), _only(int, items))
        return storages.setdefault(_only(str, key), made)

    return stored


# all files of networks

MAX_MEMBERS = 5_000
"""Files in a zip: torch and numpy write one for each tensor."""
_LZMA_MEMORY = 100_000_000
_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16", "BOOL": "|b1", "I64": "<i8",
    "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip

_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=])([a-z]\d|O)', 'fortran_order': (True|False), "
    rb"'shape': \((\d{0,12}(?:, \d{1,12}){0,8},?)\), \} *\n"
)


def read_network(data: bytes) -> dict[str, Value]:
    """The arrays and numbers by name in a network's file; its arrays must not be written to.

    Raises CheckpointError for a file that is hostile, damaged, too long, or in a format that is not
    read: it says which.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CheckpointError(_("The file is larger than any network of ours."))
    for start, what, opened in _compressed():
        if data.startswith(start):
            with refusals(what):
                return _read(opened(data))
    return _read(data)


def _compressed() -> list[tuple[bytes, str, Callable[[bytes], bytes]]]:
    """First bytes, name and opener of each compression."""

    def xz(data: bytes) -> bytes:
        return _whole(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), data)

    return [
        (b"\x1f\x8b", _("gzip file"), lambda data: _whole(zlib.decompressobj(31), data)),
        (b"BZh", _("bz2 file"), lambda data: _whole(bz2.BZ2Decompressor(), data)),
        (b"\xfd7zXZ\0", _("xz file"), xz),
        (b"\x5d\0\0", _("lzma file"), xz),
    ]


def _whole(decompressor: Any, data: bytes) -> bytes:
    """The content of a compressed file, up to MAX_FILE_BYTES."""
    try:
        content: bytes = decompressor.decompress(data, MAX_FILE_BYTES)
    except (zlib.error, lzma.LZMAError) as error:  # their own classes, unlike bz2's OSError
        raise ValueError(str(error)) from error
    if not decompressor.eof or decompressor.unused_data:
        if len(content) == MAX_FILE_BYTES:
            raise Refused(_("it unfolds to more than any network of ours"))
        raise ValueError(_("it has no end, or something follows it"))
    return content


def _read(data: bytes) -> dict[str, Value]:
    """`read_network` of what is not compressed, or not any more."""
    if data.startswith(b"PK"):
        with refusals(_("zip file")):
            return _zip(data)
    if data.startswith(b"\x93NUMPY"):
        with refusals(_("NumPy file")):
            return _table({"array": _npy(data)})
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        with refusals(_("safetensors file")):
            return _safetensors(data)
    if data.startswith(MAGIC):
        with refusals(_("PyTorch file")):
            return _table(_torch_stream(data))
    _refuse_named(data)
    return read_pickle(data, TORCH_NAMES)


def _zip(data: bytes) -> dict[str, Value]:
    """torch's zip, numpy's (.npz), or one file of any kind in a zip."""
    if data.count(b"PK\1\2") > MAX_MEMBERS:  # before zipfile makes an object of each
        raise Refused(_("it has too many files in it"))
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {
            entry.filename: entry
            for entry in archive.infolist()
            if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
        }
        if any(it.compress_type not in (0, zipfile.ZIP_DEFLATED) for it in members.values()):
            raise Refused(_("it is compressed in an unusual way"))
        total = sum(entry.file_size for entry in members.values())
        if total > MAX_FILE_BYTES:  # a member is never read beyond the size that it says
            raise Refused(_("it unfolds to more than any network of ours"))
        content = {name: archive.read(entry) for name, entry in members.items()}
    except (zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise ValueError(str(error)) from error
    (program, *more) = [name for name in content if name.rpartition("/")[2] == "data.pkl"] or [""]
    folder = program.removesuffix("data.pkl")
    if f"{folder}constants.pkl" in content:
        raise CheckpointError(_not_read(_("a TorchScript program")))
    if "model.weights.h5" in content:
        raise CheckpointError(_not_read(_("a Keras model")))
    if program and not more:
        with refusals(_("PyTorch file")):
            return _table(_torch_zip(content, folder))
    if content and all(name.endswith(".npy") for name in content):
        return _table({name[:-4]: _npy(array) for name, array in content.items()})
    if len(content) == 1:
        (inner,) = content.values()
        if inner.startswith(b"PK"):
            raise Refused(_("it is a zip in a zip"))
        return _read(inner)
    raise Refused(_("it has {n} files in it, none of them a network").format(n=len(content)))


def _npy(data: bytes) -> Any:
    """The array in a .npy, or what an array of objects in it holds."""
    start = 10 if data[6] == 1 else 12  # the header's length takes two bytes, later four
    header = _NPY_HEADER.match(data, start, int.from_bytes(data[8:start], "little") + start)
    if header is None:
        raise Refused(_("its header is not one that numpy writes"))
    order, kind, columns_first, numbers = (part.decode() for part in header.groups())
    stream = io.BytesIO(data)
    stream.seek(header.end())
    if kind == "O":
        return _run(stream, TORCH_NAMES)
    shape = tuple(int(n) for n in numbers.split(",") if n.strip())
    return _array(
        stream.read(), _DType(kind, order), shape, "F" if columns_first == "True" else "C"
    )


def _safetensors(data: bytes) -> dict[str, Value]:
    import safetensors

    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise Refused(_("its header is too long"))
    about = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    if about.get("format") == FORMAT:  # fewer bits, as the app writes them
        return dict(unpack(data))
    try:
        stored = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    arrays = {}
    for name, tensor in sorted(stored, key=lambda item: _in_order(item[0])):
        if tensor["dtype"] not in _SAFETENSORS:
            raise Refused(_("it has the dtype {name}").format(name=tensor["dtype"][:20]))
        row = _flat(bytes(tensor["data"]), _SAFETENSORS[tensor["dtype"]])
        arrays[name] = row.reshape(_sides(tuple(tensor["shape"])))
    return _table(arrays)


def _in_order(name: str) -> tuple[list[tuple[int, str]], int]:
    """Sorts names as in a state dict, where they were sorted as text: `cnn.2` before `cnn.10`."""
    module, _dot, last = name.rpartition(".")
    parts = [(int(part), "") if part.isdecimal() else (-1, part) for part in module.split(".")]
    return parts, LAST_WORDS.index(last) if last in LAST_WORDS else -1


def _refuse_named(data: bytes) -> None:
    """Raises CheckpointError for a format that is known by its first bytes and not read."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for at, signature, name in (
        (0, b"\x89HDF\r\n\x1a\n", _("an HDF5 file, as Keras saves networks")),
        (4, b"TFL3", _("a TensorFlow Lite model")),
        (257, b"ustar", _("a tar archive")),
        (0, b"GGUF", _("a GGUF file")),
        (0, b"7z\xbc\xaf\x27\x1c", _("a 7-Zip archive")),
        (0, b"Rar!", _("a RAR archive")),
        (0, b"\x28\xb5\x2f\xfd", _("a Zstandard file")),
        (0, b"%PDF", _("a PDF")),
        (0, b"\x89PNG", _("a picture")),
        (0, b"\xff\xd8\xff", _("a picture")),
        (0, b"version https://git-lfs", _("a Git LFS pointer, not the file it stands for")),
    ):
        if data[at : at + len(signature)] == signature:
            raise CheckpointError(_not_read(name))
    if is_onnx(data):
        raise CheckpointError(_not_read(_("an ONNX graph")))
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        raise CheckpointError(_not_read(_("a web page")))
    if start.startswith((b"{\n", b"{\r", b'{"', b"[{", b"{ ")):
        raise CheckpointError(_not_read(_("a text file (JSON or a notebook)")))


def is_onnx(data: bytes) -> bool:
    """Whether a file begins as an ONNX graph does: its version, then another of its fields."""
    return data[:1] == b"\x08" and data[1:2] < b"\x40" and data[2:3] in (b"\x12", b"\x1a", b"\x3a")


def _not_read(what: str) -> str:
    return _(
        "This is {what}. Read here are pickles of arrays, PyTorch's state dicts, .npz and "
        "safetensors."
    ).format(what=what)
