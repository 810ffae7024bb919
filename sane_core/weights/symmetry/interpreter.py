"""Follow a traced network operation by operation, with the spaces of every tensor."""

import copy
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map

import sane_core.weights.symmetry.rules  # noqa: F401  registers what is known of operations
from sane_core.weights.symmetry.labels import (
    FUNCTIONS,
    MODULES,
    Axes,
    Call,
    Labelled,
    Rule,
    fresh,
    unknown,
)
from sane_core.weights.symmetry.picking import picked_axis

INPUT, OUTPUT = "it is an axis of an input", "it is an axis of an output"
CONSTANT = "it is an axis of a constant"
_KNOWN_PLACES = ("torch", "_operator", "math", "builtins", "operator")
_MISFIT = (TypeError, ValueError, AttributeError, IndexError, KeyError)
"""What a rule raises where an operation is called in a way that it does not know."""


class Tracer(fx.Tracer):
    """Traces into every module but PyTorch's own and those named."""

    def __init__(self, leaf_modules: Collection[type[nn.Module]]) -> None:
        """Say which modules of others stay whole."""
        super().__init__()
        self._leaves = tuple(leaf_modules)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return isinstance(m, self._leaves) or super().is_leaf_module(m, module_qualified_name)


class Follower(fx.Interpreter):
    """Runs a network without numbers, for shapes, and labels every tensor on the way."""

    def __init__(self, module: fx.GraphModule, leaf_modules: Collection[type[nn.Module]]) -> None:
        """Take a traced network, on PyTorch's meta device.

        Args:
            module: The network.
            leaf_modules: Modules that nothing is known of.
        """
        super().__init__(module, garbage_collect_values=False)
        self._leaves = tuple(leaf_modules)
        self._labels: dict[fx.Node, Any] = {}
        self._own: dict[int, Labelled] = {}
        self._buffers = {id(buffer) for buffer in module.buffers()}
        self._parameters = {id(parameter) for parameter in module.parameters()}
        self.keeping: set[int] = set()
        """Ids of parameters and buffers whose values stay where their units flip."""

    def label(self, tensor: torch.Tensor) -> Labelled:
        """Return the one label of a parameter or buffer; any other tensor is a constant."""
        known = id(tensor) in self._parameters or id(tensor) in self._buffers
        if not known:
            return _label(tensor.shape, fresh(tensor.shape, CONSTANT))
        if id(tensor) not in self._own:
            self._own[id(tensor)] = _label(tensor.shape, fresh(tensor.shape))
        return self._own[id(tensor)]

    def known_label(self, tensor: torch.Tensor) -> Labelled | None:
        """Return the label of a parameter or buffer, None if no operation has touched it."""
        return self._own.get(id(tensor))

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Return a parameter, a buffer, or a constant without its numbers."""
        value = super().get_attr(target, args, kwargs)
        return value.to("meta") if isinstance(value, torch.Tensor) else value

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Run a module; one that stays whole may look at numbers, so it gets zeros."""
        module = self.fetch_attr(str(target))
        if not isinstance(module, self._leaves):
            return super().call_module(target, args, kwargs)
        with torch.device("cpu"):
            filled = copy.deepcopy(module).to_empty(device="cpu")
            for own in (*filled.parameters(), *filled.buffers()):
                own.zero_()
            result = filled(*tree_map(_zeros, args), **tree_map(_zeros, kwargs))
        return tree_map(lambda each: each.to("meta") if torch.is_tensor(each) else each, result)

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation and label what comes out."""
        result = super().run_node(n)
        shape = _shapes(result)
        if shape is not None:
            self._labels[n] = self._labelled(n, result, shape)
        return result

    def _labelled(self, n: fx.Node, result: Any, shape: Any) -> Any:
        if n.op == "placeholder":
            return _nested(shape, lambda each: fresh(each, INPUT))
        if n.op == "get_attr":
            label = self.label(result)
            if id(result) not in self._parameters:
                label.fix(CONSTANT)
            return label
        given: Any = map_arg((n.args, n.kwargs), lambda a: self._labels.get(a, self.env[a]))
        args, kwargs = given
        if n.op == "output":
            _fix(args, OUTPUT)
            return None
        if _name(n) == "getitem" and isinstance(args[0], tuple | list):
            return args[0][args[1]]
        return _attach(shape, self._axes(n, shape, args, kwargs))

    def _axes(self, n: fx.Node, shape: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        name = _name(n)
        if name == "getattr":
            name, args = args[1], args[:1]
        call = Call(
            name,
            shape,
            module,
            self.label,
            keep_signs=lambda tensor: self.keeping.add(id(tensor)),
            picked=partial(picked_axis, n),
        )
        rule = self._rule(n, name, module)
        try:
            axes = rule(call, *args, **kwargs)
            _attach(shape, axes)
        except _MISFIT:
            return unknown(call, *args, **kwargs)
        return axes

    def _rule(self, n: fx.Node, name: str, module: nn.Module | None) -> Rule:
        if module is not None:
            hooked = module._forward_hooks or module._forward_pre_hooks
            if hooked or isinstance(module, self._leaves):
                return unknown
            return MODULES.get(type(module), unknown)
        place = getattr(n.target, "__module__", None) or "torch"
        if n.op == "call_function" and place.split(".")[0] not in _KNOWN_PLACES:
            return unknown
        return FUNCTIONS.get(name, unknown)


def _zeros(value: Any) -> Any:
    return torch.zeros_like(value, device="cpu") if torch.is_tensor(value) else value


def _name(n: fx.Node) -> str:
    """Return the name of an operation, that of `add_` and `and_` without the underscore."""
    if n.op == "call_function":
        return str(getattr(n.target, "__name__", n.target)).removesuffix("_")
    return str(n.target).removesuffix("_") if n.op == "call_method" else ""


def _shapes(result: Any) -> Any:
    """Return the shape of a tensor, those of a sequence, None where there is no tensor."""
    if isinstance(result, torch.Tensor):
        return result.shape
    if isinstance(result, tuple | list) and not isinstance(result, torch.Size):
        shapes = tuple(_shapes(each) for each in result)
        return shapes if any(shape is not None for shape in shapes) else None
    return None


def _nested(shape: Any, make: Callable[[torch.Size], Axes]) -> Any:
    if isinstance(shape, torch.Size):
        return _label(shape, make(shape))
    return tuple(None if each is None else _nested(each, make) for each in shape)


def _attach(shape: Any, axes: Any) -> Any:
    """Pair shapes with spaces.

    Raises:
        ValueError: If they do not fit each other.
    """
    if shape is None:
        return None
    if isinstance(shape, torch.Size):
        return _label(shape, axes)
    return tuple(_attach(one, own) for one, own in zip(shape, axes, strict=True))


def _label(shape: torch.Size, axes: Axes) -> Labelled:
    if tuple(shape) != tuple(space.size for space in axes):
        raise ValueError(f"axes must have sizes {tuple(shape)}, got {[s.size for s in axes]}")
    return Labelled(tuple(shape), tuple(axes))


def _fix(value: Any, reason: str) -> None:
    if isinstance(value, Labelled):
        value.fix(reason)
    elif isinstance(value, dict):
        _fix(tuple(value.values()), reason)
    elif isinstance(value, tuple | list):
        for each in value:
            _fix(each, reason)
