"""A pickle of numpy arrays read without unpickling: a small machine that can only make arrays.

A pickle is a program; `pickle.load` runs whatever functions it names. Networks of HW7 are handed
around as such files. This reader walks the program's instructions (`pickletools.genops`, which runs
nothing) with a machine of its own, for which the few names that numpy writes are labels: nothing is
ever imported or called. It knows numbers, text, bytes, tuples, lists, dicts, and numpy's arrays,
scalars and dtypes as numpy 1 and 2 write them in protocols 2 to 5. All else is refused.

Every array is a view of bytes that are in the file, so memory is bounded by the file's length.
"""

import math
import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError
from core.words import _

MAX_FILE_BYTES = 200_000_000
MAX_STEPS = 200_000
MAX_DIMENSIONS = 8

Number = float | int
Value = NDArray[Any] | Number | tuple[NDArray[Any] | Number, ...]
"""What may stand under a name: an array, a number, or a tuple of these."""

_NUMPY = ("numpy.core", "numpy._core")
_NAMES: dict[tuple[str, str], str] = {
    **{(f"{np_}.multiarray", "_reconstruct"): "empty array" for np_ in _NUMPY},
    **{(f"{np_}.multiarray", "scalar"): "scalar" for np_ in _NUMPY},
    **{(f"{np_}.numeric", "_frombuffer"): "array" for np_ in _NUMPY},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "dict",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytes"): "bytes",
}
_DTYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


class _No(Exception):
    """What the machine says to a step that it does not know."""


@dataclass(frozen=True)
class _Name:
    """One of `_NAMES`, standing for itself."""

    means: str


@dataclass
class _DType:
    """A dtype; its byte order comes in a second step."""

    kind: str
    order: str = "<"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.kind)


@dataclass
class _Array:
    """An array; its content comes in a second step."""

    content: NDArray[Any] | None = None


_MARK = object()


def read_pickle(data: bytes) -> dict[str, Value]:
    """The dict of names and arrays or numbers in a pickle; its arrays must not be written to.

    Raises CheckpointError for anything else: a program that would call a function, a file cut off
    or too long, an array whose size is not that of its bytes, a compressed file.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CheckpointError(_("The file is larger than any network of ours."))
    if data[:2] in (b"PK", b"\x1f\x8b"):
        raise CheckpointError(_("This is a compressed archive, not a pickle of arrays."))
    try:
        return _finished(_Machine().run(data))
    except _No as no:
        raise CheckpointError(
            _("This pickle is refused: {reason}. Only numpy arrays and numbers by name are read.")
            .format(reason=no)
        ) from None  # fmt: skip
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            _("This is no sound pickle: it is damaged or cut off ({reason}).").format(
                reason=str(error)[:100]
            )
        ) from error


class _Machine:
    """A stack, a memo, and one method per kind of step."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (step, argument, at) in enumerate(pickletools.genops(data)):
            if count > MAX_STEPS:
                raise _No(_("it has too many steps"))
            if step.name == "STOP":
                if at is None or at + 1 != len(data):
                    raise ValueError(_("something follows its end"))
                (result,) = self.stack
                return result
            self.step(step.name, argument)
        raise ValueError(_("it has no end"))

    def step(self, name: str, argument: Any) -> None:
        if name in ("PROTO", "FRAME"):
            return
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self.stack[-_TUPLES[name] :] = [tuple(self.stack[-_TUPLES[name] :])]
        elif name in _PUSHED:
            if type(argument) is int and not -(2**63) <= argument < 2**64:
                raise _No(_("a number is too long"))
            self.stack.append(argument)
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self.named(argument)
        else:
            build = getattr(self, f"do_{name.lower()}", None)
            if build is None:
                raise _No(_("it has the step {name}").format(name=name))
            build()

    def named(self, argument: str | None) -> None:
        if argument is None:
            name, module = self.stack.pop(), self.stack.pop()
        else:
            module, name = argument.split(" ", 1)
        if (module, name) not in _NAMES:
            full = f"{module}.{name}"[:80]
            raise _No(_("it would call {function}").format(function=repr(full)))
        self.stack.append(_Name(_NAMES[module, name]))

    def marked(self) -> list[Any]:
        """What was pushed since the last mark, taken off."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError(_("a mark is missing"))
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def do_pop(self) -> None:
        self.stack.pop()

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.marked()))

    def do_list(self) -> None:
        self.stack.append(self.marked())

    def do_dict(self) -> None:
        pairs = self.marked()
        self.stack.append({})
        self.put(pairs)

    def do_append(self) -> None:
        one = self.stack.pop()
        _a(list, self.stack[-1]).append(one)

    def do_appends(self) -> None:
        many = self.marked()
        _a(list, self.stack[-1]).extend(many)

    def do_setitem(self) -> None:
        pair = self.stack[-2:]
        del self.stack[-2:]
        self.put(pair)

    def do_setitems(self) -> None:
        self.put(self.marked())

    def put(self, pairs: list[Any]) -> None:
        target = _a(dict, self.stack[-1])
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_a(str, name)] = value

    def do_reduce(self) -> None:
        arguments, function = _a(tuple, self.stack.pop()), _a(_Name, self.stack.pop())
        self.stack.append(_called(function.means, arguments))

    def do_build(self) -> None:
        state, made = _a(tuple, self.stack.pop()), self.stack[-1]
        if isinstance(made, _DType):
            if state[1] not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
                raise _No(_("it has a dtype with fields"))
            made.order = state[1]
        elif isinstance(made, _Array):
            _version, shape, dtype, columns_first, content = state
            made.content = _array(content, dtype, shape, "F" if columns_first else "C")
        else:
            raise _No(_("it builds something that is no array"))


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUSHED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip


def _a(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise _No(_("it puts things together as no array is"))
    return value


def _called(means: str, arguments: tuple[Any, ...]) -> Any:
    """What numpy's own function would give, made here."""
    if means == "empty array":  # _reconstruct(ndarray, (0,), b"b")
        if arguments[0] != _Name("ndarray"):
            raise _No(_("it makes an array of another class"))
        return _Array()
    if means == "dtype":  # dtype("f4", False, True)
        kind = _a(str, arguments[0])
        if kind not in _DTYPES:
            raise _No(_("it has the dtype {name}").format(name=repr(kind[:20])))
        return _DType(kind)
    if means == "array":  # _frombuffer(bytes, dtype, shape, "C")
        return _Array(_array(*arguments))
    if means == "scalar":  # scalar(dtype, bytes)
        return _array(arguments[1], arguments[0], (), "C")[()]
    if means == "encode" and arguments[1:] == ("latin1",):  # bytes, as protocol 2 writes them
        return _a(str, arguments[0]).encode("latin1")
    if means in ("bytes", "dict") and arguments == ():
        return b"" if means == "bytes" else {}
    raise _No(_("it would call a function"))


def _array(content: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    """A view of `content`, once its length is known to be that of the shape."""
    kind = _a(_DType, dtype).numpy
    sides = _a(tuple, shape)
    if type(content) not in (bytes, bytearray):
        raise _No(_("it has an array of objects"))
    if len(sides) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in sides):
        raise ValueError(_("an array has no shape"))
    if math.prod(sides) * kind.itemsize != len(content):
        raise ValueError(_("an array is not as long as its shape says"))
    if order not in ("C", "F"):
        raise ValueError(_("an array has no order"))
    flat = np.frombuffer(content, kind) if len(content) else np.empty(0, kind)
    return flat.reshape(sides, order="F" if order == "F" else "C")


def _finished(result: Any) -> dict[str, Value]:
    """The dict with arrays in place of their stand-ins; nothing deeper than a tuple in it."""
    if type(result) is not dict:
        raise _No(_("it is no table of names"))
    return {name: _value(value) for name, value in result.items()}


def _value(value: Any, *, inside: bool = False) -> Any:
    if isinstance(value, _Array):
        if value.content is None:
            raise ValueError(_("an array has no content"))
        return value.content
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float):
        return value
    if type(value) in (tuple, list) and not inside:
        if len(value) > MAX_DIMENSIONS:
            raise _No(_("a tuple is too long"))
        return tuple(_value(one, inside=True) for one in value)
    raise _No(_("something in it is neither array nor number"))
