"""Networks' files as people have them: each is read, or named; none takes memory or time."""

import bz2
import gzip
import io
import json
import lzma
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from core.errors import CheckpointError
from core.quantization import read_file
from core.quantization.file import matched, pack
from core.quantization.hw7 import decode8, encode8
from core.quantization.read_file import read_network
from tests import homework

ID = "hw13_sample-scratch_10ep-s0"
STATE: dict[str, Any] = {
    "a.weight": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2),
    "b.running_var": np.ones(4, np.float32),
    "b.num_batches_tracked": np.asarray(7, np.int64),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped network in every form, under the homework's names."""
    folder = tmp_path_factory.mktemp("homework")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SMALL_PLATES_PRETRAINED", raising=False)
        homework.write(folder, ID, renamed=True)
    return folder


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def saved(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def test_every_form_of_a_network_is_read(folder: Path) -> None:
    wanted = {n: v for n, v in np.load(folder / f"{ID}-expected.npz").items() if v.ndim}
    files = [path for path in folder.iterdir() if path.suffix != ".refused"]
    assert len(files) > 45
    for path in files:
        state = {n: v for n, v in decode8(path.read_bytes()).items() if v.ndim}
        names = matched(
            {n: v.shape for n, v in state.items()}, {n: v.shape for n, v in wanted.items()}
        )
        assert names is not None, path.name
        form = path.name.removeprefix(f"{ID}-")
        for name, exact in wanted.items():
            value = state[names[name]]
            assert value.dtype == np.float32 and value.shape == exact.shape, path.name
            off = np.abs(value - exact).max()
            size = np.abs(exact).max()
            if "8bit" in form or form.endswith(
                (".module.pkl", "net.pkl", "module.pkl", "model.pkl")
            ):
                assert off <= (exact.max() - exact.min()) / 510 * 1.001 + 1e-6, path.name
            elif "16bit" in form or "half" in form:
                assert off <= size * 2.0**-11 + 6e-8, path.name  # float16: 11 bits
            elif "bfloat16" in form:
                assert off <= size * 2.0**-8, path.name
            else:
                assert off == 0, path.name


def test_counters_come_back_as_whole_numbers(folder: Path) -> None:
    wanted = {n: v for n, v in np.load(folder / f"{ID}-expected.npz").items() if not v.ndim}
    for form in ("8bit.pkl", "state.pth", "state-legacy.pth", "state.safetensors"):
        state = decode8((folder / f"{ID}-{form}").read_bytes())
        assert {n: int(state[n]) for n in wanted} == {n: int(v) for n, v in wanted.items()}
    bare = decode8(saved(np.savez, **{**STATE, "b.num_batches_tracked": np.array([7])}))
    assert bare["b.num_batches_tracked"].ndim == 0


def test_a_whole_model_is_refused_and_says_what_to_save(folder: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"PyTorch file.*would call 'core\.models.*state dict"
    ):
        decode8((folder / f"{ID}-whole-model.refused").read_bytes())


def test_numpys_and_safetensors_files_of_every_kind_of_number() -> None:
    kinds = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4", ">i2")
    arrays = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}
    for data in (saved(np.savez, **arrays), saved(np.savez_compressed, **arrays)):
        found = read_network(data)
        assert list(found) == list(arrays)
        for kind, array in arrays.items():
            np.testing.assert_array_equal(found[kind], array)
    small = {kind: array for kind, array in arrays.items() if kind[0] not in ">?"}
    for name, value in read_network(safetensors.numpy.save(small)).items():
        np.testing.assert_array_equal(value, arrays[name])
    columns = saved(np.save, np.asfortranarray(arrays["f4"]))
    np.testing.assert_array_equal(read_network(columns)["array"], arrays["f4"])
    np.testing.assert_array_equal(
        read_network(saved(np.save, np.zeros((0, 3))))["array"], np.zeros((0, 3))
    )
    assert read_network(saved(np.save, np.float32(3)))["array"] == 3


def test_the_apps_own_file_of_fewer_bits_is_read() -> None:
    state = decode8(pack(STATE, "channel_symmetric", 4))
    step = np.abs(STATE["a.weight"]).max(axis=(1, 2, 3)).max() / 7
    assert np.abs(state["a.weight"] - STATE["a.weight"]).max() <= step / 2 + 1e-6
    assert int(state["b.num_batches_tracked"]) == 7


def test_safetensors_are_put_in_the_order_of_a_state_dict() -> None:
    names = [f"cnn.{i}.{last}" for i in range(12)
             for last in ("weight", "bias", "running_mean", "running_var")]  # fmt: skip
    data = safetensors.numpy.save({name: np.ones(2, np.float32) for name in names})
    assert list(read_network(data)) == names


NAMED = {
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "TensorFlow Lite": b"\x1c\x00\x00\x00TFL3" + bytes(100),
    "ONNX": b"\x08\x0a\x12\x07pytorch" + bytes(50),
    "GGUF": b"GGUF\x03\x00\x00\x00",
    "tar archive": b"model.pth".ljust(257, b"\0") + b"ustar\x0000" + bytes(300),
    "TorchScript": zipped({"m/data.pkl": b"}.", "m/constants.pkl": b").", "m/code/x.py": b""}),
    "Keras": zipped({"config.json": b"{}", "model.weights.h5": b"\x89HDF"}),
    "web page": b"\n<!DOCTYPE html><html>",
    "JSON": b'{"cells": []}',
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(9),
    "7-Zip": b"7z\xbc\xaf\x27\x1c" + bytes(9),
    "RAR": b"Rar!\x1a\x07" + bytes(9),
    "Zstandard": b"\x28\xb5\x2f\xfd" + bytes(9),
}


def test_what_is_not_read_is_called_by_its_name() -> None:
    for name, data in NAMED.items():
        with pytest.raises(CheckpointError, match=name):
            read_network(data)


KEY = b"X\x01\x00\x00\x00k"


def storage(kind: bytes = b"Float") -> bytes:
    """The instructions of a storage of four numbers."""
    return b"(X\x07\x00\x00\x00storagectorch\n" + kind + b"Storage\n" + KEY + b"NK\x04tQ"


def program(numbers: bytes = storage(), offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85",
            steps: bytes = b"K\x01\x85") -> bytes:  # fmt: skip
    """The pickle of one tensor, a view of a storage."""
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + numbers + offset + shape + steps + b"\x89NtR"
    return b"\x80\x02}X\x01\x00\x00\x00w" + tensor + b"s."


def stored_in(data: bytes) -> bytes:
    """The instructions of a storage that is an old file of torch's, as `pickle.dump` has it."""
    return b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(data)) + data + b"\x85R"


def legacy(numel: int = 4, content: bytes = bytes(16), what: bytes = b"", **view: bytes) -> bytes:
    """A file of before torch 1.6 with that tensor, or with `what`."""
    return (
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."
        + (what or program(**view)) + b"\x80\x02]" + KEY + b"a."
        + struct.pack("<Q", numel) + content
    )  # fmt: skip


EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin1").ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def sound() -> dict[str, bytes]:
    """Small files of every kind that is read."""
    return {
        "pickle": encode8(STATE),
        "gzip": gzip.compress(encode8(STATE)),
        "bz2": bz2.compress(encode8(STATE)),
        "xz": lzma.compress(encode8(STATE)),
        "zip": zipped({"net.pkl": encode8(STATE)}),
        "npz": saved(np.savez, **STATE),
        "npz compressed": saved(np.savez_compressed, **STATE),
        "npy": saved(np.save, STATE["a.weight"]),
        "safetensors": safetensors.numpy.save(STATE),
        "few bits": pack(STATE, "channel_symmetric", 4),
        "torch's zip": zipped({"m/data.pkl": program(), "m/data/k": bytes(16)}, 0),
        "torch's stream": legacy(),
        "torch's bfloat16": zipped(
            {"m/data.pkl": program(storage(b"BFloat16")), "m/data/k": bytes(8)}, 0
        ),
        "torch's parameter": legacy(what=program().replace(
            b"ctorch", b"ctorch._utils\n_rebuild_parameter\n(ctorch", 1).replace(b"Rs.", b"RtRs.")),
        "torch's storage": program(stored_in(legacy(what=b"\x80\x02" + storage() + b"."))),
        "npy of a dict": npy("{'descr': '|O', 'fortran_order': False, 'shape': (), }",
            encode8(STATE)[:-1].replace(b"}(", EMPTY + b"(K\x01)cnumpy\ndtype\n(X\x02\x00\x00\x00"
                b"O8\x89\x88tR(K\x03X\x01\x00\x00\x00|NNNtb\x89]}(", 1) + b"atb."),
    }  # fmt: skip


def test_the_smallest_file_of_every_kind_is_read() -> None:
    for name, data in sound().items():
        assert decode8(data), name


ZEROS = bytes(3_000_000)
HEADER = "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}"
BROKEN = {
    "gzip cut off": gzip.compress(encode8(STATE))[:-9],
    "gzip with a tail": gzip.compress(encode8(STATE)) + b"x",
    "bz2 cut off": bz2.compress(encode8(STATE))[:-9],
    "xz changed": lzma.compress(encode8(STATE)).replace(b"YZ", b"YY"),
    "gzip of nothing": gzip.compress(b""),
    "gzip of gzip": gzip.compress(gzip.compress(encode8(STATE))),
    "zip of zip": zipped({"a.zip": zipped({"b.pkl": encode8(STATE)})}),
    "zip of two": zipped({"a.pkl": encode8(STATE), "b.pkl": encode8(STATE)}),
    "zip of nothing": zipped({}),
    "zip cut off": zipped({"a.pkl": encode8(STATE)})[:-30],
    "zip changed": zipped({"a.pkl": encode8(STATE)}, 0).replace(b"weight", b"weighT", 1),
    "zip in another way": zipped({"a.pkl": encode8(STATE)}, zipfile.ZIP_BZIP2),
    "npy of text": saved(np.save, np.array(["a", "b"])),
    "npy of fields": saved(np.save, np.zeros(2, [("a", "f4")])),
    "npy of dates": saved(np.save, np.array(["2020-01-01"], "M8[D]")),
    "npy longer than its bytes": npy(HEADER.format("9, 9")),
    "npy of a negative shape": npy(HEADER.format("-1,"), bytes(4)),
    "npy of an expression": npy(HEADER.format("2**3,"), bytes(32)),
    "npy that would run": npy("{'descr': '|O', 'fortran_order': False, 'shape': (), }",
                              b"\x80\x03cos\nsystem\nX\x04\x00\x00\x00true\x85R."),
    "npy without a header": b"\x93NUMPY\x01\x00",
    "npy whose header is all nesting": npy("(" * 118),
    "safetensors with a hole": safetensors.numpy.save({"a": np.zeros(4, np.float32)})[:-4],
    "safetensors without a table": struct.pack("<Q", 2) + b"[]",
    "safetensors that is nested": struct.pack("<Q", 90_000) + b'{"a":' * 18_000,
    "safetensors of half a byte": struct.pack("<Q", 66) + json.dumps(
        {"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode().ljust(66) + b"\0",
    "torch without its bytes": zipped({"m/data.pkl": program()}),
    "torch whose bytes are cut off": zipped({"m/data.pkl": program(), "m/data/k": bytes(15)}),
    "torch of a big-endian machine": zipped(
        {"m/data.pkl": program(), "m/data/k": bytes(16), "m/byteorder": b"big"}),
    "torch cut off": legacy()[:-1],
    "torch with another length": legacy(numel=5),
    "torch with no length": legacy(numel=2**63),
    "torch beyond its bytes": legacy(offset=b"K\x01"),
    "torch before its bytes": legacy(offset=b"J\xff\xff\xff\xff"),
    "torch with a stride beyond": legacy(shape=b"K\x02K\x02\x86", steps=b"K\x03K\x01\x86"),
    "torch with a negative stride": legacy(steps=b"J\xff\xff\xff\xff\x85"),
    "torch with a stride too few": legacy(steps=b")"),
    "torch of endless zeros": legacy(shape=b"J\x00\x00\x00\x10K\x20\x86", steps=b"K\x00K\x00\x86"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_files_are_refused_in_words(name: str) -> None:
    with pytest.raises(CheckpointError) as refused:
        decode8(BROKEN[name])
    assert 20 < len(str(refused.value)) < 400


def overlapping(n: int) -> bytes:
    """A zip of n members that are all the same compressed zeros."""
    whole = zipped({"a.npy": ZEROS})
    at = whole.index(b"PK\x01\x02")
    entry, rest = whole[at : whole.index(b"PK\x05\x06")], whole[whole.index(b"PK\x05\x06") :]
    entries = b"".join(entry.replace(b"a.npy", f"{i:05}"[-5:].encode()) for i in range(n))
    head = struct.pack("<HHII", n, n, len(entries), at)
    return whole[:at] + entries + rest[:8] + head + rest[20:]


def text_bomb(repeats: int, length: int = 1_000_000) -> bytes:
    """One text, recalled from the memo and encoded again and again."""
    text = ("\xff" * length).encode()
    return (
        b"\x80\x02}(X\x01\x00\x00\x00wc_codecs\nencode\nq\x01X"
        + struct.pack("<I", len(text)) + text + b"q\x02X\x06\x00\x00\x00latin1q\x03("
        + b"h\x01h\x02h\x03\x86R" * repeats + b"tu."
    )  # fmt: skip


def nested_storages(repeats: int) -> bytes:
    """A pickle that opens one old file of torch's, recalled from the memo, again and again."""
    inner = legacy(content=bytes(16)) + bytes(500_000)
    return (
        b"\x80\x03}(X\x01\x00\x00\x00wctorch.storage\n_load_from_bytes\nq\x01B"
        + struct.pack("<I", len(inner)) + inner + b"q\x02(" + b"h\x01h\x02\x85R" * repeats + b"tu."
    )  # fmt: skip


def storages_in_storages(depth: int) -> bytes:
    """An old file of torch's in an old file of torch's, and so on."""
    magic = legacy()[: legacy().index(b"\x80\x02}X")]
    data = b""
    for _level in range(depth):
        call = b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(data))
        data = magic + call + data + b"\x85R.\x80\x02]."
    return data


BOMBS: dict[str, Callable[[], bytes]] = {
    "text recalled and encoded": lambda: text_bomb(250),
    "text recalled and encoded, 60,000 times": lambda: text_bomb(16_000),
    "storages recalled": lambda: nested_storages(10_000),
    "storages in storages": lambda: storages_in_storages(2_000),
    "gzip": lambda: gzip.compress(bytes(400_000_000), 1),
    "bz2": lambda: bz2.compress(bytes(400_000_000), 1),
    "xz": lambda: lzma.compress(bytes(400_000_000), preset=0),
    "xz with a dictionary of gigabytes": lambda: lzma.compress(
        b"a", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1_500_000_000}]),
    "zip": lambda: zipped({"a.npy": bytes(400_000_000)}),
    "zip of overlapping members": lambda: overlapping(3_000),
    "zip of very many members": lambda: overlapping(60_000),
    "zip of bz2": lambda: zipped({"a.npy": bytes(100_000_000)}, zipfile.ZIP_BZIP2),
    "marks": lambda: b"\x80\x02" + b"(" * 10_000_000,
    "lists": lambda: b"\x80\x02" + b"]" * 10_000_000,
    "tuples in tuples as a dtype": lambda: b"\x80\x02cnumpy\ndtype\n)" + b"\x85" * 90_000 + b"R.",
    "a tuple of tuples as a dtype": lambda: b"\x80\x02cnumpy\ndtype\nK\x01" + b"".join(
        b"q" + bytes([i]) + b"0(" + (b"h" + bytes([i])) * 10 + b"t" for i in range(60)) + b"\x85R.",
    "a long digit": lambda: b"L" + b"9" * 5_000_000 + b"L\n.",
    "a line without end": lambda: b"c" + b"a" * 5_000_000,
    "one array under very many names": lambda: b"\x80\x03}(" + _entry(0, _array(1_000_000))
        + b"q\x00" + b"".join(_entry(i, b"h\x00") for i in range(1, 9_000)) + b"u.",
}  # fmt: skip


def _entry(number: int, value: bytes) -> bytes:
    return b"X\x05\x00\x00\x00" + f"{number:05}".encode() + value


def _array(n: int) -> bytes:
    shape = b"(K\x01J" + struct.pack("<i", n) + b"\x85"
    content = b"B" + struct.pack("<I", n) + bytes(n)
    return EMPTY + shape + b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tR\x89" + content + b"tb"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_take_neither_memory_nor_time(name: str) -> None:
    data = BOMBS[name]()
    began = time.process_time()
    with pytest.raises(CheckpointError):
        decode8(data)
    assert time.process_time() - began < 2
    if len(data) < 6_000_000:
        tracemalloc.start()
        try:
            with pytest.raises(CheckpointError):
                decode8(data)
            assert tracemalloc.get_traced_memory()[1] < 150_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "a\nb", "a\u202eb", "", "x" * 501])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    text = name.encode("utf-8", "surrogatepass")
    value = _array(4)
    data = b"\x80\x03}X" + struct.pack("<I", len(text)) + text + value + b"s."
    if name == "":
        assert list(read_network(data)) == [""]
        return
    with pytest.raises(CheckpointError, match="name") as refused:
        decode8(data)
    str(refused.value).encode()


def test_half_a_character_in_any_place_can_be_shown() -> None:
    half = b"X\x03\x00\x00\x00\xed\xa0\x80"  # a lone surrogate, as pickle writes it
    for data in (
        b"\x80\x03cnumpy\ndtype\n" + half + b"\x85R.",
        b"\x80\x04" + half + half + b"\x93.",
        b"\x80\x03c_codecs\nencode\n" + half + b"X\x06\x00\x00\x00latin1\x86R.",
        b"\x80\x03}" + half + b"}s.",
    ):
        with pytest.raises(CheckpointError) as refused:
            decode8(data)
        str(refused.value).encode()  # what a page, or a terminal, has to do


def test_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_file, "MAX_FILE_BYTES", 100)
    for data in (encode8(STATE), gzip.compress(bytes(200)), zipped({"a": bytes(200)})):
        with pytest.raises(CheckpointError, match="larger|more than"):
            read_network(data)


OURS = {"f.0.weight": (4, 3, 3, 3), "f.0.bias": (4,), "f.1.weight": (4,), "f.1.bias": (4,),
        "f.1.running_mean": (4,), "f.1.running_var": (4,),
        "c.weight": (11, 4), "c.bias": (11,)}  # fmt: skip


def test_a_file_belongs_to_the_network_of_its_names_or_of_its_shapes_in_order() -> None:
    for prefix in ("", "module.", "module.net."):  # with its names, in any order
        theirs = {f"{prefix}{name}": shape for name, shape in reversed(OURS.items())}
        assert matched(theirs, OURS) == {name: f"{prefix}{name}" for name in OURS}
    theirs = {name.replace("f.", "cnn.").replace("c.", "fc.0."): s for name, s in OURS.items()}
    assert matched(theirs, OURS) == dict(zip(OURS, theirs, strict=True))
    plain = {f"w{i}": shape for i, shape in enumerate(OURS.values())}
    assert matched(plain, OURS) == dict(zip(OURS, plain, strict=True))
    turned = dict(reversed(theirs.items()))
    assert sorted(turned.values()) == sorted(OURS.values()) and matched(turned, OURS) is None
    by_name = dict(sorted(theirs.items()))  # the shapes agree, but bias comes before weight
    assert [s for n, s in by_name.items() if "1." in n] == [(4,)] * 4
    assert matched(by_name, OURS) is None
    theirs = {f"x.{name}": shape for name, shape in OURS.items()}
    less = {name: shape for name, shape in theirs.items() if name != "x.c.bias"}
    for other in (less, theirs | {"x.d.bias": (4,)}, theirs | {"x.c.weight": (11, 5)}, {}):
        assert matched(other, OURS) is None
