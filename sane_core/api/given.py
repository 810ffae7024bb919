"""Networks as users have them: modules, state dicts, checkpoint files; given back as they came.

`given.put_back(given.entries)` is the same kind of thing with the same values: a copy of a module,
or a state dict with all of its entries, dtypes and devices. A file gives a state dict of tensors.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import nn

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import Refused, printable
from sane_core.zoo.formats.state_dict import array_of, with_own_names
from sane_core.zoo.formats.tensors import read_tensors

Weights: TypeAlias = nn.Module | Mapping[str, Any] | str | Path
"""A network: a module, a state dict of tensors or arrays, or the path of a checkpoint file."""


@dataclass(frozen=True)
class Given:
    """One network that was given.

    Attributes:
        label: What messages call it.
        entries: Entry -> array, parameters and buffers; those of floating point are float32.
        parameters: Names of trained entries, where a module says which they are; else none.
        module: The module, if it is one.
        put_back: Entry -> changed float32 array of some entries, to the same kind of thing.
        sha256: Of the file, if it is one.
    """

    label: str
    entries: dict[str, np.ndarray]
    parameters: tuple[str, ...] = ()
    module: nn.Module | None = None
    put_back: Callable[[Mapping[str, np.ndarray]], Any] = field(default=dict, repr=False)
    sha256: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Entry -> shape."""
        return {name: values.shape for name, values in self.entries.items()}


def take_all(models: Weights | Sequence[Weights]) -> tuple[list[Given], bool]:
    """Read one network, or several.

    Args:
        models: A network, or a list or tuple of them.

    Returns:
        The networks, and whether it was one on its own.

    Raises:
        ValueError: If a list is empty, a file cannot be used, something is no network, or a weight
            is not finite.
    """
    if not isinstance(models, list | tuple):
        return [take(cast(Weights, models), "the network")], True
    if not models:
        raise ValueError("models must hold at least one network, got an empty list")
    return [take(each, f"models[{i}]") for i, each in enumerate(models)], False


def take(model: Weights, label: str) -> Given:
    """Read one network.

    Args:
        model: A module, a state dict or a path.
        label: What messages call it, unless it is a file, which has a name.

    Raises:
        ValueError: As `take_all`.
    """
    if isinstance(model, nn.Module):
        given = _from_module(model, label)
    elif isinstance(model, Mapping):
        given = _from_mapping(model, label)
    elif isinstance(model, str | Path):
        given = _from_file(Path(model))
    else:
        raise ValueError(
            f"{label} must be a module, a state dict or the path of a checkpoint file, "
            f"got {type(model).__name__}"
        )
    _check_finite(given)
    return given


def read_file(path: Path) -> Contents:
    """Read a checkpoint file, whatever its format.

    Raises:
        ValueError: If it cannot be read, or is no checkpoint.
    """
    try:
        return read_tensors(path)
    except Refused as refused:
        raise ValueError(f"{path} cannot be read as a checkpoint: {refused}") from refused
    except OSError as error:
        raise ValueError(
            f"{path} must be a checkpoint file, got: {error.strerror or error}"
        ) from error


def _from_module(module: nn.Module, label: str) -> Given:
    stored = module.state_dict()
    parameters = dict(module.named_parameters())
    buffers = {name: value for name, value in module.named_buffers() if name in stored}
    own, arrays = _named(parameters | buffers, label)
    names = {name: original for original, name in own.items()}

    def put_back(changed: Mapping[str, np.ndarray]) -> nn.Module:
        result = copy.deepcopy(module)
        tensors = dict(result.named_parameters()) | dict(result.named_buffers())
        with torch.no_grad():
            for name, values in changed.items():
                tensors[names[name]].copy_(torch.from_numpy(values))
        return result

    return Given(label, arrays, tuple(own[name] for name in parameters), module, put_back)


def _from_mapping(state: Mapping[str, Any], label: str) -> Given:
    for name, value in state.items():
        if not isinstance(value, torch.Tensor | np.ndarray):
            raise ValueError(
                f"entry {printable(str(name))} of {label} must be a tensor or an array, got "
                f"{type(value).__name__}; give the state dict itself"
            )
    own, arrays = _named(state, label)

    def put_back(changed: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {
            name: _like(value, changed[own[name]]) if own[name] in changed else _copied(value)
            for name, value in state.items()
        }

    return Given(label, arrays, put_back=put_back)


def _from_file(path: Path) -> Given:
    contents = read_file(path)
    tensors = {
        name: torch.tensor(values).to(getattr(torch, contents.dtypes[name]))
        for name, values in contents.tensors.items()
    }

    def put_back(changed: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        return {
            name: _like(value, changed[name]) if name in changed else value.clone()
            for name, value in tensors.items()
        }

    arrays = _float32(contents.tensors)
    return Given(str(path), arrays, sha256=contents.sha256, put_back=put_back)


def _named(values: Mapping[str, Any], label: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return name given -> own name, without the prefixes of wrapped modules, and the arrays."""
    try:
        own = dict(zip(values, with_own_names(list(values), Limits()), strict=True))
        arrays = {
            own[name]: (
                array_of(value.detach().cpu())[0] if isinstance(value, torch.Tensor) else value
            )
            for name, value in values.items()
        }
    except Refused as refused:
        raise ValueError(f"{label} cannot be used: {refused}") from refused
    if not arrays:
        raise ValueError(f"{label} must have weights, got none")
    return own, _float32(arrays)


def _float32(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with np.errstate(over="ignore"):  # what is too large for float32 is refused as not finite
        return {
            name: values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values
            for name, values in arrays.items()
        }


def _like(value: Any, changed: np.ndarray) -> Any:
    """Return changed values as what stood there: of its kind, dtype and device."""
    if isinstance(value, torch.Tensor):
        return torch.tensor(changed).to(device=value.device, dtype=value.dtype)
    return changed.astype(value.dtype)


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value.copy()


def _check_finite(given: Given) -> None:
    for name, values in given.entries.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            at = values[~np.isfinite(values)][0]
            raise ValueError(
                f"weights must be finite in float32, got {at} in {name} of {given.label}"
            )
