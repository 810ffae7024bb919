"""Find the state dict in what was saved, and give its entries their own names.

Training scripts wrap state dicts ({"state_dict": …, "epoch": 3}) and modules (DataParallel adds
"module.", torch.compile "_orig_mod."); both are undone. Optimizers and lists are left alone.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import RESAVE, Refused, is_plain_name, printable

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params")
PREFIXES = ("module.", "_orig_mod.")
_NESTED_AT_MOST = 2


def unwrap(saved: Any, limits: Limits) -> tuple[dict[str, torch.Tensor], dict[str, Property]]:
    """Return the state dict in what `torch.load` gave, and the plain values around it.

    Args:
        saved: Object loaded.
        limits: Bounds on the number and length of names.

    Returns:
        Entry -> tensor under its name in the file, and name -> value.

    Raises:
        Refused: If there is no state dict, or more than one.
    """
    properties: dict[str, Property] = {}
    for _ in range(_NESTED_AT_MOST + 1):
        if not isinstance(saved, Mapping):
            break
        for name, value in saved.items():
            _add_property(properties, name, value, limits)
        inside = [key for key in WRAPPERS if _leads_on(saved.get(key))]
        if len(inside) > 1:
            raise Refused(f"a file must hold one state dict, got {', '.join(inside)}", RESAVE)
        if not inside:
            tensors = {k: v for k, v in saved.items() if isinstance(v, torch.Tensor)}
            if not tensors:
                break
            for name in tensors:
                properties.pop(name, None)
            return tensors, properties
        saved = saved[inside[0]]
    raise Refused("the file must hold a state dict, got none with tensors in it", RESAVE)


def with_own_names(names: list[Any], limits: Limits) -> list[str]:
    """Return the entries' names without the prefixes that wrapped modules give all of them.

    Args:
        names: Names in the file.
        limits: Bounds on the number and length of names.

    Returns:
        A name per entry, all different.

    Raises:
        Refused: If a name is not plain text, or two become equal.
    """
    if len(names) > limits.entries:
        raise Refused(f"a file must hold at most {limits.entries} tensors", RESAVE)
    for name in names:
        if not is_plain_name(name, limits.name_length):
            raise Refused(
                f"the name of an entry must be 1 to {limits.name_length} printable characters, "
                f"got {printable(str(name), 80)}",
                RESAVE,
            )
    while names and all(name.startswith(PREFIXES) and name not in PREFIXES for name in names):
        names = [name.split(".", 1)[1] for name in names]
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise Refused(f"two entries are called {twice} once their prefixes are gone", RESAVE)
    return names


def array_of(tensor: torch.Tensor) -> tuple[np.ndarray, str]:
    """Return a tensor's values, read-only and contiguous, and the name of its dtype.

    Args:
        tensor: A plain tensor on the CPU.

    Raises:
        Refused: If it is sparse, quantized, complex or without values.
    """
    dtype = str(tensor.dtype).removeprefix("torch.")
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
    if not plain or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise Refused(f"a tensor must be plain and dense, got {dtype}, {tensor.layout}", RESAVE)
    tensor = tensor.detach()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    if tensor.dtype == torch.bool:
        # A byte of the file may be neither 0 nor 1.
        tensor = tensor.view(torch.uint8) != 0
    array = tensor.contiguous().numpy()
    array.flags.writeable = False
    return array, dtype


def arrays_of(
    tensors: dict[str, torch.Tensor], limits: Limits
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and dtypes of a state dict; tied tensors become one array.

    Args:
        tensors: Entry -> tensor under its name in the file.
        limits: Bounds on the number and length of names.

    Returns:
        Entry -> array and entry -> dtype's name, under the entries' own names.

    Raises:
        Refused: If a name or a tensor cannot be used.
    """
    arrays, dtypes = {}, {}
    known: dict[tuple[Any, ...], tuple[np.ndarray, str]] = {}
    names = with_own_names(list(tensors), limits)
    for name, tensor in zip(names, tensors.values(), strict=True):
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if place not in known:
            known[place] = array_of(tensor)
        arrays[name], dtypes[name] = known[place]
    return arrays, dtypes


def _leads_on(value: Any, levels: int = _NESTED_AT_MOST) -> bool:
    """Say whether a value is a state dict, or wraps one."""
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(inner, torch.Tensor) for inner in value.values()):
        return True
    return levels > 1 and any(_leads_on(value.get(key), levels - 1) for key in WRAPPERS)


def _add_property(found: dict[str, Property], name: Any, value: Any, limits: Limits) -> None:
    """Keep a plain value, unless an outer one has its name."""
    if isinstance(value, torch.Tensor) and value.ndim == 0 and type(value) is torch.Tensor:
        value = value.item()
    if isinstance(value, str):
        value = printable(value, limits.name_length)
    plain = isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**63)
    if plain and is_plain_name(name, limits.name_length):
        found.setdefault(name, value)
