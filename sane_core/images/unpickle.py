"""Read the few pickles that hold plain values and byte arrays, without running any.

A pickle is a program; `pickle.load` carries it out. Here it is read by an interpreter that knows
containers, numbers, text, bytes and one thing to build: an array of bytes. No name in the file is
ever imported or called, so there is nothing to exploit; everything else is refused by a sentence.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from schemas.errors import UserError

_ARRAY = "numpy.ndarray"
_NAMES = {
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy ndarray": _ARRAY,
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}
_MARK = object()


@dataclass(frozen=True)
class _Name:
    name: str


@dataclass
class _Dtype:
    code: object


@dataclass
class _Array:
    values: np.ndarray | None = field(default=None)


class _Refused(Exception):
    pass


def unpickle(data: bytes, source: str) -> object:
    """Return the value of a pickle of plain values and arrays of bytes.

    Args:
        data: The pickle.
        source: Its file, for the sentence of an error.

    Returns:
        Containers, numbers, text and bytes; arrays as uint8. Text of Python 2 is bytes.

    Raises:
        UserError: If it holds anything else or is damaged.
    """
    try:
        return _plain(_run(data))
    except _Refused as error:
        raise UserError(
            f"{source} must be a pickle of plain values and byte arrays, got {error}; "
            "get the file again from its publisher"
        ) from None
    except Exception as error:  # whatever a damaged program does to this interpreter
        raise UserError(
            f"{source} must be a whole pickle, got {type(error).__name__}: {error}; "
            "get the file again"
        ) from error


def _run(data: bytes) -> object:
    stack: list[object] = []
    memo: dict[int, object] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name == "STOP":
            break
        if name in ("PROTO", "FRAME"):
            continue
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name](argument))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else int(argument or 0)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif name in _ACTIONS:
            _ACTIONS[name](stack)
        else:
            raise _Refused(f"the instruction {name}")
    (value,) = stack
    return value


def _named(argument: str) -> _Name:
    if argument not in _NAMES:
        raise _Refused(f"the name {argument[:80].replace(' ', '.')}")
    return _Name(_NAMES[argument])


def _stack_named(stack: list[object]) -> None:
    name, module = stack.pop(), stack.pop()
    stack.append(_named(f"{module} {name}"))


_CONSTANTS: dict[str, Callable[[object], object]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "MARK": lambda _: _MARK,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "EMPTY_TUPLE": lambda _: (),
    "GLOBAL": lambda argument: _named(str(argument)),
    **{
        name: lambda argument: argument
        for name in ("INT", "BININT", "BININT1", "BININT2", "LONG1", "LONG", "FLOAT", "BINFLOAT")
        + ("BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
    },
    **{  # the text of Python 2
        name: lambda argument: str(argument).encode("latin-1")
        for name in ("STRING", "BINSTRING", "SHORT_BINSTRING")
    },
}


def _from_mark(stack: list[object]) -> list[object]:
    start = max(place for place, value in enumerate(stack) if value is _MARK)
    values = stack[start + 1 :]
    del stack[start:]
    return values


def _make_tuple(count: int) -> Callable[[list[object]], None]:
    def act(stack: list[object]) -> None:
        values = tuple(stack[-count:])
        del stack[-count:]
        stack.append(values)

    return act


def _append(stack: list[object], values: list[object]) -> None:
    target = stack[-1]
    if not isinstance(target, list):
        raise _Refused(f"an append to {type(target).__name__}")
    target.extend(values)


def _set_items(stack: list[object], values: list[object]) -> None:
    target = stack[-1]
    if not isinstance(target, dict):
        raise _Refused(f"items for {type(target).__name__}")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | bytes):
            raise _Refused(f"a key of type {type(key).__name__}")
        target[key] = value


def _make_dict(stack: list[object]) -> None:
    values = _from_mark(stack)
    stack.append({})
    _set_items(stack, values)


def _reduce(stack: list[object]) -> None:
    arguments, function = stack.pop(), stack.pop()
    if function == _Name("reconstruct") and _first(arguments) == _Name(_ARRAY):
        stack.append(_Array())
    elif function == _Name("dtype"):
        stack.append(_Dtype(_first(arguments)))
    elif function == _Name("encode"):  # bytes, as Python 3 writes them for Python 2
        stack.append(str(_first(arguments)).encode("latin-1"))
    else:
        raise _Refused("a call")


def _first(arguments: object) -> object:
    return arguments[0] if isinstance(arguments, tuple) and arguments else None


def _build(stack: list[object]) -> None:
    state, target = stack.pop(), stack[-1]
    if isinstance(target, _Array) and isinstance(state, tuple) and len(state) == 5:
        _, shape, dtype, by_columns, data = state
        if not isinstance(dtype, _Dtype) or dtype.code not in ("u1", b"u1"):
            raise _Refused("an array of something else than bytes")
        if not isinstance(data, bytes) or len(data) != math.prod(shape):
            raise _Refused("an array whose size is not its shape's")
        values = np.frombuffer(data, np.uint8)
        target.values = values.reshape(shape, order="F" if by_columns else "C")
    elif not isinstance(target, _Dtype):
        raise _Refused(f"a state for {type(target).__name__}")


_ACTIONS: dict[str, Callable[[list[object]], None]] = {
    "LIST": lambda stack: stack.append(_from_mark(stack)),
    "DICT": _make_dict,
    "TUPLE": lambda stack: stack.append(tuple(_from_mark(stack))),
    "TUPLE1": _make_tuple(1),
    "TUPLE2": _make_tuple(2),
    "TUPLE3": _make_tuple(3),
    "APPEND": lambda stack: _append(stack, [stack.pop()]),
    "APPENDS": lambda stack: _append(*_target_and_values(stack)),
    "SETITEM": lambda stack: _set_items(stack, [stack.pop(), stack.pop()][::-1]),
    "SETITEMS": lambda stack: _set_items(*_target_and_values(stack)),
    "STACK_GLOBAL": _stack_named,
    "REDUCE": _reduce,
    "BUILD": _build,
}


def _target_and_values(stack: list[object]) -> tuple[list[object], list[object]]:
    values = _from_mark(stack)
    return stack, values


def _plain(value: object) -> object:
    """Return a dictionary's values with arrays in place; nothing else needs to hold one."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, _Array):
        if value.values is None:
            raise _Refused("an array without values")
        return value.values
    if isinstance(value, _Dtype | _Name):
        raise _Refused("a name as a value")
    return value
