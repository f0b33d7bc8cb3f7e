"""The files in which networks are handed on: known by their first bytes, read to arrays by name.

Read are pickles of numpy arrays or torch tensors, torch's own files, .npz, .npy and safetensors,
and such a file compressed (gzip, bz2, xz, a zip of one file). Nothing is unpickled, torch is not
needed, and nothing is decompressed beyond `MAX_FILE_BYTES`. Other formats that networks come in are
called by their names.
"""

import bz2
import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from core.compression import torch_files
from core.compression.quantize_file import (
    FORMAT,
    LAST_WORDS,
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    Refused,
    refusals,
    unpack,
)
from core.compression.quantize_pickle import DType, Value, array, read_pickle, run, sides, table
from core.errors import CheckpointError
from core.words import _

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
            return table({"array": _npy(data)})
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        with refusals(_("safetensors file")):
            return _safetensors(data)
    if data.startswith(torch_files.MAGIC):
        with refusals(_("PyTorch file")):
            return table(torch_files.read_legacy(data))
    _refuse_named(data)
    return read_pickle(data, torch_files.TORCH_NAMES)


def _zip(data: bytes) -> dict[str, Value]:
    """torch's zip, numpy's (.npz), or one file of any kind in a zip."""
    if data.count(b"PK\1\2") > MAX_MEMBERS:  # before zipfile makes an object of each
        raise Refused(_("it has too many files in it"))
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {
            one.filename: one
            for one in archive.infolist()
            if not one.is_dir() and not one.filename.startswith("__MACOSX/")
        }
        if any(one.compress_type not in (0, zipfile.ZIP_DEFLATED) for one in members.values()):
            raise Refused(_("it is compressed in an unusual way"))
        total = sum(one.file_size for one in members.values())
        if total > MAX_FILE_BYTES:  # a member is never read beyond the size that it says
            raise Refused(_("it unfolds to more than any network of ours"))
        content = {name: archive.read(one) for name, one in members.items()}
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
            return table(torch_files.read_zip(content, folder))
    if content and all(name.endswith(".npy") for name in content):
        return table({name[:-4]: _npy(one) for name, one in content.items()})
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
        return run(stream, torch_files.TORCH_NAMES)
    shape = tuple(int(n) for n in numbers.split(",") if n.strip())
    return array(stream.read(), DType(kind, order), shape, "F" if columns_first == "True" else "C")


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
    for name, one in sorted(stored, key=lambda item: _in_order(item[0])):
        if one["dtype"] not in _SAFETENSORS:
            raise Refused(_("it has the dtype {name}").format(name=one["dtype"][:20]))
        row = torch_files.flat(bytes(one["data"]), _SAFETENSORS[one["dtype"]])
        arrays[name] = row.reshape(sides(tuple(one["shape"])))
    return table(arrays)


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
        (0, b"GGUF", _("a GGUF file")),
        (257, b"ustar", _("a tar archive")),
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
    if data[:1] == b"\x08" and data[1:2] < b"\x40" and data[2:3] in (b"\x12", b"\x1a", b"\x3a"):
        raise CheckpointError(_not_read(_("an ONNX graph")))
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        raise CheckpointError(_not_read(_("a web page")))
    if start.startswith((b"{\n", b"{\r", b'{"', b"[{", b"{ ")):
        raise CheckpointError(_not_read(_("a text file (JSON or a notebook)")))


def _not_read(what: str) -> str:
    return _(
        "This is {what}. Read here are pickles of arrays, PyTorch's state dicts, .npz and "
        "safetensors."
    ).format(what=what)
