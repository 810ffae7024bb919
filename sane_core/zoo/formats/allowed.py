"""The names a pickle may use, and what their calls give on claims in place of tensors.

None of them runs anything of torch's, and none is there that could allocate by a number alone.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sane_core.zoo.formats.claims import TensorClaim, damaged, tensor_claim
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import RESAVE, Refused


class Opaque:
    """Something without a meaning here: a device, a dtype, a counter."""


OPAQUE = Opaque()


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a pickle may call, by its name in `FUNCTIONS`."""

    name: str


def check_keys(keys: list[Any]) -> None:
    """Refuse keys that are no plain values: hashing a tuple goes down its nesting.

    Args:
        keys: Keys of a dictionary.

    Raises:
        Refused: If one is neither a text nor a number.
    """
    if any(type(key) not in (str, int, float, bool) for key in keys):
        raise damaged("a key is neither a text nor a number")


def _rebuild_tensor(arguments: tuple[Any, ...], limits: Limits) -> TensorClaim:
    if len(arguments) != 4:
        raise damaged("a tensor has the wrong number of arguments")
    return tensor_claim(arguments, limits)


def _rebuild_tensor_v2(arguments: tuple[Any, ...], limits: Limits) -> TensorClaim:
    if len(arguments) not in (6, 7) or type(arguments[4]) is not bool:
        raise damaged("a tensor has the wrong number of arguments")
    if type(arguments[5]) is not OrderedDict or arguments[5] or any(arguments[6:]):
        raise Refused("a tensor carries hooks or marks, a state dict's does not", RESAVE)
    return tensor_claim(arguments[:4], limits)


def _rebuild_parameter(arguments: tuple[Any, ...], _: Limits) -> TensorClaim:
    if len(arguments) != 3 or not isinstance(arguments[0], TensorClaim):
        raise damaged("a parameter has no tensor")
    if type(arguments[1]) is not bool or type(arguments[2]) is not OrderedDict or arguments[2]:
        raise Refused("a parameter carries hooks, a state dict's does not", RESAVE)
    return arguments[0]


def _ordered_dict(arguments: tuple[Any, ...], _: Limits) -> OrderedDict[Any, Any]:
    if not arguments:
        return OrderedDict()
    # As Python 2 wrote it: a list of pairs.
    pairs = arguments[0] if len(arguments) == 1 else None
    if type(pairs) is not list or any(type(p) is not list or len(p) != 2 for p in pairs):
        raise damaged("an ordered dictionary is not made of pairs")
    check_keys([key for key, _ in pairs])
    return OrderedDict(pairs)


def _counter(arguments: tuple[Any, ...], _: Limits) -> Opaque:
    if len(arguments) != 1 or type(arguments[0]) is not dict:
        raise damaged("a counter is not made of a dictionary")
    return OPAQUE


def _size(arguments: tuple[Any, ...], _: Limits) -> Opaque:
    sizes = arguments[0] if len(arguments) == 1 else None
    if not isinstance(sizes, tuple | list) or any(type(n) is not int for n in sizes):
        raise damaged("a size is not made of numbers")
    return OPAQUE


def _device(arguments: tuple[Any, ...], _: Limits) -> Opaque:
    if [type(argument) for argument in arguments] not in ([str], [str, int]):
        raise damaged("a device has no name")
    return OPAQUE


FUNCTIONS: dict[str, Callable[[tuple[Any, ...], Limits], Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "torch.Size": _size,
    "torch.device": _device,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}
CONSTANTS = frozenset(
    f"torch.{name}"
    for name in (
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    )
)
