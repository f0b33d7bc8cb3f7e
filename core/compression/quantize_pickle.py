"""Arrays out of a pickle without unpickling it: a small machine that can only make arrays.

A pickle is a program; `pickle.load` calls whatever functions it names. `pickletools.genops` splits
it into instructions and runs none. The machine here follows those that numpy 1 and 2 write arrays
with, in protocols 0 to 5; functions of our own stand for those that such a file names. All else is
refused.

Why not a restricted `pickle.Unpickler`, some 60 lines shorter: numpy's `dtype.__setstate__` and
`scalar` would get a stranger's arguments in C code that was not written for them, BUILD can set
attributes of whatever is let in, and "nothing is ever unpickled" would be untrue.

Memory is bounded by the file's length: an array is a view of its bytes, all text and bytes given to
functions are at most twice as long as the file, and the steps are counted.
"""

import io
import math
import pickletools
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compression.quantize_file import MAX_FILE_BYTES, Refused, refusals
from core.words import _

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
        result = run(stream, names or NAMES)
        if stream.read(1):
            raise ValueError(_("something follows its end"))
        return table(result)


class Array:
    """An array in the making: its content may come in a later step."""

    def __init__(self, content: Any = None) -> None:
        self.content = content

    def build(self, state: Any) -> None:
        """numpy's `ndarray.__setstate__`; an array of objects becomes those objects."""
        _version, shape, dtype, columns_first, content = state
        if type(content) is list and only(DType, dtype).kind == "O8":
            self.content = content[0] if shape == () else tuple(content)
        else:
            self.content = array(content, dtype, shape, "F" if columns_first else "C")

    def finished(self) -> Any:
        """An array, or what an array of objects held; None before it was built."""
        return self.content


class DType:
    """A dtype in the making: its byte order comes in a later step."""

    def __init__(self, kind: Any, order: str = "<") -> None:
        self.kind, self.order = only(str, kind), order
        if kind not in _KINDS | {"O8"}:
            raise Refused(_("it has the dtype {name}").format(name=repr(kind[:20])))

    def build(self, state: Any) -> None:
        """numpy's `dtype.__setstate__`."""
        if state[1] not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
            raise Refused(_("it has a dtype with fields"))
        self.order = state[1]


def _ndarray() -> None:
    raise Refused(_("it would call a function"))


def _reconstruct(kind: Any, *_rest: Any) -> Array:  # (ndarray, (0,), b"b")
    if kind is not _ndarray:
        raise Refused(_("it makes an array of another class"))
    return Array()


def _encode(text: Any, codec: Any) -> bytes:  # how protocols 0 to 2 write bytes
    if type(text) is not str or codec != "latin1":
        raise Refused(_("it would call a function"))
    return text.encode("latin1")


def _dict() -> dict[Any, Any]:
    return {}


NAMES: dict[str, Any] = {
    "numpy ndarray": _ndarray,
    "numpy dtype": lambda kind, *_rest: DType(kind),  # ("f4", False, True)
    "_codecs encode": _encode,
    "collections OrderedDict": _dict,
    "__builtin__ bytes": lambda: b"",
    "builtins bytes": lambda: b"",
}
"""What a pickle may name -> what stands for it here: a function of ours, or a label."""
for _core in ("numpy.core", "numpy._core"):
    NAMES[f"{_core}.multiarray _reconstruct"] = _reconstruct
    NAMES[f"{_core}.multiarray scalar"] = lambda dtype, data: array(data, dtype, (), "C").item()
    NAMES[f"{_core}.numeric _frombuffer"] = lambda *arguments: Array(array(*arguments))

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CLOSING = {"TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"}
_PUSHED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip


def run(
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
                stack.append(stored(*only(tuple, stack.pop())))
            case "REDUCE":
                arguments, function = only(tuple, stack.pop()), only(FunctionType, stack.pop())
                spare -= sum(len(one) for one in arguments if type(one) in (str, bytes))
                if spare < 0:
                    raise Refused(_("it would grow to more than its length"))
                stack.append(function(*arguments))  # functions come from `names` alone
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], DType | Array):
                    stack[-1].build(state)
                else:
                    only(dict, stack[-1])  # torch's dicts keep versions in an attribute
            case name:
                raise Refused(_("it has the step {name}").format(name=name))
    raise ValueError(_("it has no end"))


def _fill(target: Any, items: list[Any]) -> Any:
    """`target` with `items` at its end: a list, or a dict that takes names and values in turn."""
    if type(target) is list:
        target.extend(items)
    else:
        for name, value in zip(items[::2], items[1::2], strict=True):
            only(dict, target)[name if type(name) is int else only(str, name)] = value
    return target


def only(kind: type, value: Any) -> Any:
    """`value`, if it is of just this kind; else it is refused."""
    if type(value) is not kind:
        raise Refused(_("it puts things together as no array is"))
    return value


def array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """A view of `content`, once its length is known to be that of the shape."""
    if type(content) not in (bytes, bytearray) or only(DType, dtype).kind not in _KINDS:
        raise Refused(_("it has an array of objects"))
    if math.prod(sides(shape)) * int(dtype.kind[1]) != len(content):
        raise ValueError(_("an array is not as long as its shape says"))
    kind = np.dtype(dtype.order + dtype.kind)
    row = np.frombuffer(content, kind) if len(content) else np.empty(0, kind)
    return row.reshape(shape, order=order)


def sides(shape: Any) -> tuple[int, ...]:
    """`shape`, if it is a few whole numbers."""
    numbers: tuple[int, ...] = only(tuple, shape)
    if len(numbers) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(_("an array has no shape"))
    return numbers


def table(result: Any) -> dict[str, Value]:
    """The arrays and numbers by name in what `run` gave; out of `{"state_dict": {...}}`, too.

    One array may stand under many names. Raises Refused or ValueError.
    """
    values: dict[str, Value] = {}
    for name, value in _unwrapped(result).items():
        if type(name) is not str or len(name) > MAX_NAME or not name.isprintable():
            raise Refused(_("one of its names cannot be printed"))
        if value is not None and type(value) is not str:  # those are remarks beside the arrays
            values[name] = _value(value)
    if not values:
        raise Refused(_("there is no array in it"))
    return values


def _unwrapped(result: Any) -> dict[Any, Any]:
    """`{"state_dict": {...}, "epoch": 3}` or `{"anything": {...}}` -> {...}, once."""
    found: dict[Any, Any] = only(dict, _finished(result))
    for name in _WRAPPERS if len(found) > 1 else found:
        inner = _finished(found.get(name))
        if type(inner) is dict:
            return inner
    return found


def _finished(value: Any) -> Any:
    return value.finished() if isinstance(value, Array) else value


def _value(value: Any, inside: bool = False) -> Any:
    value = _finished(value)
    if isinstance(value, np.ndarray | bool | int | float):
        return value
    if type(value) in (tuple, list) and not inside:
        if len(value) > MAX_DIMENSIONS:
            raise Refused(_("a tuple is too long"))
        return tuple(_value(part, inside=True) for part in value)
    raise Refused(_("something in it is neither array nor number"))
