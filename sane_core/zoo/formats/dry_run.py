"""Follow a pickle without building what it describes.

`torch.load(weights_only=True)` keeps a pickle from running code, but not from asking for terabytes
or reading past a storage. So the same operations are followed here first, one after another with
no recursion, on claims in place of tensors. What is not needed for a state dict, an optimizer or a
scheduler beside it is refused, even where PyTorch would allow it.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sane_core.zoo.formats.allowed import CONSTANTS, FUNCTIONS, OPAQUE, Function, check_keys
from sane_core.zoo.formats.claims import (
    ITEM_BYTES,
    StorageClaim,
    StorageClass,
    TensorClaim,
    damaged,
    storage_claim,
)
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import FETCH_AGAIN, RESAVE, Refused, printable


@dataclass(frozen=True)
class Followed:
    """What a pickle would build."""

    value: Any
    """Its result, with claims in place of tensors and storages."""
    storages: dict[str, StorageClaim]
    """Key -> storage, each key with one meaning."""
    tensors: list[TensorClaim]
    """Every tensor, also those that are not in the result."""
    end: int
    """Where the pickle ends in the data."""


def follow(data: bytes, start: int, stop: int, limits: Limits) -> Followed:
    """Follow the pickle at `data[start:stop]`.

    Args:
        data: Bytes that hold it.
        start: Where it starts.
        stop: Where it must have ended.
        limits: Bounds on operations, nesting, names, tensors and sizes.

    Returns:
        What it would build.

    Raises:
        Refused: If it names anything that is not allowed, breaks a bound, or is damaged;
            `incomplete` where the data ends before it does.
    """
    pickle = _Pickle(data, start, stop, limits)
    try:
        value = pickle.run()
    except (IndexError, KeyError, UnicodeDecodeError):
        raise damaged("an operation has nothing to work on") from None
    return Followed(value, pickle.storages, pickle.tensors, pickle.at)


class _Pickle:
    """The pickle machine: a stack, marks, a memo. Every operation is a method."""

    def __init__(self, data: bytes, start: int, stop: int, limits: Limits) -> None:
        self.data, self.at, self.stop, self.limits = data, start, stop, limits
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, StorageClaim] = {}
        self.tensors: list[TensorClaim] = []

    def run(self) -> Any:
        """Follow every operation up to STOP, and return what is on the stack then."""
        for _ in range(self.limits.operations):
            code = self.take(1)[0]
            if code == _STOP:
                return self.stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise Refused(
                    f"the pickle uses the operation {code:#04x}, which no state dict needs", RESAVE
                )
            operation(self)
        raise Refused(f"a pickle must have at most {self.limits.operations} operations", RESAVE)

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > self.stop:
            raise self.cut_off()
        return self.data[start : self.at]

    def cut_off(self) -> Refused:
        at_the_end = self.stop == len(self.data)
        return Refused("the pickle is cut off", FETCH_AGAIN, incomplete=at_the_end)

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, min(self.stop, self.at + self.limits.name_length))
        if end < 0:
            if self.stop - self.at < self.limits.name_length:
                raise self.cut_off()
            raise damaged("a name does not end")
        return self.take(end + 1 - self.at)[:-1].decode("utf-8")

    def number(self, form: struct.Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def protocol(self) -> None:
        found = self.take(1)[0]
        if found != 2:
            raise Refused(f"the pickle's protocol must be 2, got {found}", RESAVE)

    def mark(self) -> None:
        if len(self.marked) >= self.limits.nesting:
            raise Refused(
                f"a pickle must be nested at most {self.limits.nesting} levels, got more", RESAVE
            )
        self.marked.append(self.stack)
        self.stack = []

    def tuple_of_marked(self) -> None:
        items = self.pop_mark()
        self.stack.append(tuple(items))

    def text(self) -> None:
        length = self.number(_UINT32)
        self.stack.append(str(self.take(length), "utf-8", "surrogatepass"))

    def short_text(self) -> None:
        self.stack.append(self.take(self.take(1)[0]).decode("utf-8"))

    def long(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.take(1)[0]), "little", signed=True))

    def append(self) -> None:
        item = self.stack.pop()
        self.appended([item])

    def appended(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise damaged("it appends to what is no list")
        self.stack[-1].extend(items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict) or len(items) % 2:
            raise damaged("it sets items of what is no dictionary")
        check_keys(items[::2])
        target.update(zip(items[::2], items[1::2], strict=True))

    def build(self) -> None:
        state = self.stack.pop()
        # Attributes of a dictionary must not hide its methods: {"items": …} would.
        plain = type(state) is dict and not any(
            type(key) is not str or hasattr(OrderedDict, key) for key in state
        )
        if type(self.stack[-1]) is not OrderedDict or not plain:
            raise Refused("the pickle sets attributes of what is no ordered dictionary", RESAVE)

    def named(self) -> None:
        module, name = self.line(), self.line()
        found = f"{module}.{name}"
        if module == "torch" and name in ITEM_BYTES:
            self.stack.append(StorageClass(name))
        elif found in FUNCTIONS:
            self.stack.append(Function(found))
        elif found in CONSTANTS:
            self.stack.append(OPAQUE)
        else:
            raise Refused(f"the pickle names {printable(found)}, which is not a tensor", RESAVE)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Function) or type(arguments) is not tuple:
            raise damaged("it calls what is no function")
        result = FUNCTIONS[function.name](arguments, self.limits)
        # A parameter is the tensor it is made of, counted already.
        if isinstance(result, TensorClaim) and result is not arguments[0]:
            self.tensors.append(result)
            if len(self.tensors) > self.limits.entries:
                raise Refused(f"a file must hold at most {self.limits.entries} tensors", RESAVE)
        self.stack.append(result)

    def storage(self) -> None:
        claim = storage_claim(self.stack.pop(), self.limits)
        if self.storages.setdefault(claim.key, claim) != claim:
            raise damaged(f"the storage {printable(claim.key)} has two meanings")
        self.stack.append(claim)


_STOP = ord(".")
_UINT16, _UINT32, _INT32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")
_FLOAT64 = struct.Struct(">d")


def _push(value: Any) -> Callable[[_Pickle], None]:
    return lambda p: p.stack.append(value)


def _push_number(form: struct.Struct) -> Callable[[_Pickle], None]:
    return lambda p: p.stack.append(p.number(form))


def _tuple(count: int) -> Callable[[_Pickle], None]:
    def build(p: _Pickle) -> None:
        if len(p.stack) < count:
            raise IndexError
        p.stack[-count:] = [tuple(p.stack[-count:])]

    return build


def _put(p: _Pickle, index: int) -> None:
    p.memo[index] = p.stack[-1]


_OPERATIONS: dict[int, Callable[[_Pickle], None]] = {
    0x80: _Pickle.protocol,
    ord("("): _Pickle.mark,
    ord("t"): _Pickle.tuple_of_marked,
    ord(")"): _push(()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("N"): _push(None),
    0x88: _push(True),
    0x89: _push(False),
    ord("]"): lambda p: p.stack.append([]),
    ord("}"): lambda p: p.stack.append({}),
    ord("J"): _push_number(_INT32),
    ord("M"): _push_number(_UINT16),
    ord("K"): lambda p: p.stack.append(p.take(1)[0]),
    ord("G"): _push_number(_FLOAT64),
    ord("X"): _Pickle.text,
    ord("U"): _Pickle.short_text,
    0x8A: _Pickle.long,
    ord("h"): lambda p: p.stack.append(p.memo[p.take(1)[0]]),
    ord("j"): lambda p: p.stack.append(p.memo[p.number(_UINT32)]),
    ord("q"): lambda p: _put(p, p.take(1)[0]),
    ord("r"): lambda p: _put(p, p.number(_UINT32)),
    ord("a"): _Pickle.append,
    ord("e"): lambda p: p.appended(p.pop_mark()),
    ord("s"): _Pickle.set_item,
    ord("u"): lambda p: p.set_items(p.pop_mark()),
    ord("c"): _Pickle.named,
    ord("R"): _Pickle.call,
    ord("b"): _Pickle.build,
    ord("Q"): _Pickle.storage,
}
