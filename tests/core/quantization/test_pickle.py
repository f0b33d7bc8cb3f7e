"""Hostile pickles: none runs, none takes memory that the file does not have, each is refused."""

import contextlib
import pickletools
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CheckpointError
from core.quantization import hw7, read_file
from core.quantization.hw7 import decode8, encode8
from core.quantization.read_file import read_pickle

GOOD = encode8({"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3)})
EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
MINUS_ONE = b"J\xff\xff\xff\xff"
MOST = b"J\xff\xff\xff\x7f"
UINT8 = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tR"
    b"(K\x03X\x01\x00\x00\x00|NNN" + MINUS_ONE * 2 + b"K\x00tb"
)


def table(value: bytes) -> bytes:
    """A pickle of {"w": value}."""
    return b"\x80\x03}X\x01\x00\x00\x00w" + value + b"s."


def an_array(shape: bytes, content: bytes, dtype: bytes = UINT8) -> bytes:
    """The instructions of an array with this shape and these bytes."""
    raw = b"B" + struct.pack("<I", len(content)) + content
    return EMPTY_ARRAY + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"


def test_a_plain_array_is_read() -> None:
    found = read_pickle(table(an_array(b"(K\x02K\x02t", b"\x01\x02\x03\x04")))["w"]
    np.testing.assert_array_equal(found, np.array([[1, 2], [3, 4]], np.uint8))


def test_columns_first_is_understood() -> None:
    value = an_array(b"(K\x02K\x03t", bytes(range(6))).replace(b"\x89B", b"\x88B")
    np.testing.assert_array_equal(
        read_pickle(table(value))["w"], np.arange(6).reshape((2, 3), order="F")
    )


def hostile(marker: Path) -> dict[str, bytes]:
    """Programs that would make the file `marker`, in the ways that a pickle can call something."""
    touch = f"open({str(marker)!r}, 'w').close()".encode()
    text = b"X" + struct.pack("<I", len(touch)) + touch
    return {
        "reduce": b"\x80\x03cbuiltins\nexec\n" + text + b"\x85R.",
        "in a table": table(b"cbuiltins\nexec\n" + text + b"\x85R"),
        "stack global": b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93" + text + b"\x85R.",
        "inst": b"(" + text + b"ibuiltins\nexec\n.",
        "obj": b"(cbuiltins\nexec\n" + text + b"o.",
        "newobj": b"\x80\x02cbuiltins\nexec\n" + text + b"\x85\x81.",
        "newobj_ex": b"\x80\x04cbuiltins\nexec\n" + text + b"\x85}\x92.",
        "persistent": b"Psomewhere\n.",
        "extension": b"\x80\x02\x82\x01.",
        "system": b"cos\nsystem\n(V" + b"touch " + str(marker).encode() + b"\ntR.",
        "numpy's own": b"cnumpy\nload\n(V" + str(marker).encode() + b"\ntR.",
        "getattr": table(b"cbuiltins\ngetattr\ncnumpy\nndarray\nX\x05\x00\x00\x00dumps\x86R"),
        "named like an attribute": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
    }


@pytest.mark.parametrize("way", sorted(hostile(Path("marker"))))
def test_nothing_is_run(way: str, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    data = hostile(marker)[way]
    with pytest.raises(CheckpointError):
        read_pickle(data)
    with pytest.raises(CheckpointError):
        decode8(data)
    assert not marker.exists()


def test_the_hostile_programs_are_real(tmp_path: Path) -> None:
    """What is refused above must be a pickle, or the test would prove nothing."""
    for way, data in hostile(tmp_path / "x").items():
        assert [step.name for step, _argument, _at in pickletools.genops(data)][-1] == "STOP", way


def test_every_cut_is_noticed() -> None:
    for end in range(len(GOOD)):
        with pytest.raises(CheckpointError):
            read_pickle(GOOD[:end])
    with pytest.raises(CheckpointError, match="follows"):
        read_pickle(GOOD + b"x")


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_noise_is_refused_in_words(noise: bytes) -> None:
    try:
        assert isinstance(read_pickle(noise), dict)
    except CheckpointError as error:
        assert len(str(error)) < 300


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_read_or_refused_never_worse(at: int, value: int) -> None:
    changed = bytearray(GOOD)
    changed[at] = value
    with contextlib.suppress(CheckpointError):
        assert np.isfinite(decode8(bytes(changed), {"a.weight": (2, 3)})["a.weight"]).all()


BOMBS = {
    "a shape larger than its bytes": table(an_array(b"(" + MOST * 2 + b"t", b"1234")),
    "a shape that is no number": table(an_array(b"(X\x01\x00\x00\x00at", b"1234")),
    "a negative shape": table(an_array(b"(" + MINUS_ONE + b"J\xfc\xff\xff\xfft", b"1234")),
    "too many dimensions": table(an_array(b"(" + b"K\x01" * 40 + b"t", b"1")),
    "objects": table(an_array(b"(K\x01t", b"12345678", UINT8.replace(b"u1", b"O8"))),
    "a dtype with fields": table(an_array(b"(K\x01t", b"1", UINT8.replace(b"NNN", b"N}}"))),
    "a list for content": table(EMPTY_ARRAY + b"(K\x01(K\x01t" + UINT8 + b"\x89]tb"),
    "an array that was never filled": table(EMPTY_ARRAY),
    "bytes that are said to be there": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
    "a long number": table(b"\x8b" + struct.pack("<i", 5000) + b"\x7f" * 5000),
    "deep nesting": table(b"(" * 30_000 + b"t" * 30_000),
    "a key that is no name": b"\x80\x03}K\x01K\x01s.",
    "nested tables": table(b"}"),
    "text": table(b"X\x02\x00\x00\x00hi"),
    "no table": b"\x80\x03K\x01.",
    "two results": b"\x80\x03}}.",
    "a table within itself": b"\x80\x03}q\x00X\x01\x00\x00\x00wh\x00s.",
    "a name that was not kept": b"\x80\x03h\x05.",
    # each tuple holds the one before ten times: 10^60 entries if anyone walked through them
    "laughs": table(b"K\x01" + b"".join(
        b"q" + bytes([i]) + b"0(" + (b"h" + bytes([i])) * 10 + b"t" for i in range(60))),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_are_refused_without_their_memory(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read_pickle(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_file, "MAX_STEPS", 20)
    with pytest.raises(CheckpointError, match="steps"):
        read_pickle(GOOD)
    monkeypatch.setattr(read_file, "MAX_FILE_BYTES", 20)
    with pytest.raises(CheckpointError, match="larger"):
        read_pickle(GOOD)


def test_one_array_under_many_names_is_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hw7, "MAX_VALUES", 1000)
    array = an_array(b"(J\x90\x01\x00\x00t", b"\0" * 400)
    names = [b"X\x01\x00\x00\x00" + bytes([65 + i]) for i in range(3)]
    data = b"\x80\x03}(" + names[0] + array + b"q\x09" + names[1] + b"h\x09" + names[2] + b"h\x09u."
    assert len(read_pickle(data)) == 3
    with pytest.raises(CheckpointError, match="unfold"):
        decode8(data)


@pytest.mark.parametrize(
    "end",
    [
        b"G\x7f\xf0\x00\x00\x00\x00\x00\x00",  # infinity
        b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",  # no number
        b"G\x47\xe0\x00\x00\x00\x00\x00\x00",  # 2^127
        *(b"N", b"X\x01\x00\x00\x00a"),
    ],
)
def test_minimum_and_maximum_are_numbers(end: bytes) -> None:
    one, codes = b"G?\xf0\x00\x00\x00\x00\x00\x00", an_array(b"(K\x02t", b"\x00\x01")
    for triple in (end + one + codes, one + end + codes):
        with pytest.raises(CheckpointError):
            decode8(table(triple + b"\x87"))
    np.testing.assert_array_equal(decode8(table(one + one + codes + b"\x87"))["w"], [1, 1])
