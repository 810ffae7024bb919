"""Follow a traced network operation by operation, with the spaces of every tensor."""

import copy
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import fx, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.fx.node import map_arg
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

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
from sane_core.weights.symmetry.picking import TRANSPOSITIONS, picked_axis

INPUT, OUTPUT = "it is an axis of an input", "it is an axis of an output"
CONSTANT = "it is an axis of a constant"
_KNOWN_PLACES = ("torch", "_operator", "math", "builtins", "operator")
_MOVING = (*TRANSPOSITIONS, "squeeze", "unsqueeze", "resize", "resize_as", "set")
"""Operations that, in place, leave a tensor with other axes than it was labelled with."""
_NORMS = (_BatchNorm, _InstanceNorm, nn.RMSNorm)
"""Modules that let parameters keep their signs."""
_MISFIT = (TypeError, ValueError, AttributeError, IndexError, KeyError)
"""What a rule raises where an operation is called in a way that it does not know."""


class Tracer(fx.Tracer):
    """Traces into every module but PyTorch's own and those named.

    Parameters and buffers that a network reaches past the tracer, as by `self.parameters()`, are
    numbers to it; `folded` has the ids of those that were computed with.
    """

    proxy_buffer_attributes = True

    def __init__(self, leaf_modules: Collection[type[nn.Module]]) -> None:
        """Say which modules of others stay whole."""
        super().__init__()
        self._leaves = tuple(leaf_modules)
        self.folded: set[int] = set()

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Trace a network."""
        with _Folding(self.folded):
            return super().trace(root, concrete_args)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return isinstance(m, self._leaves) or super().is_leaf_module(m, module_qualified_name)


class _Folding(TorchFunctionMode):
    """Notes every tensor that is computed with while a network is traced, instead of traced."""

    def __init__(self, folded: set[int]) -> None:
        super().__init__()
        self._folded = folded

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(torch.is_tensor(each) for each in tree_leaves(result)):
            given = tree_leaves((args, kwargs))
            self._folded.update(id(each) for each in given if torch.is_tensor(each))
        return result


class Follower(fx.Interpreter):
    """Runs a network without numbers, for shapes, and labels every tensor on the way."""

    def __init__(
        self,
        traced: fx.GraphModule,
        outline: nn.Module,
        leaf_modules: Collection[type[nn.Module]],
        folded: Collection[int],
    ) -> None:
        """Take a traced network, on PyTorch's meta device.

        Args:
            traced: The network.
            outline: The module that was traced.
            leaf_modules: Modules that nothing is known of.
            folded: Ids of the parameters and buffers that constants were made of.
        """
        super().__init__(traced, garbage_collect_values=False)
        self._leaves = tuple(leaf_modules)
        self._labels: dict[fx.Node, Any] = {}
        self._own: dict[int, Labelled] = {}
        self._stored = {id(own): own for own in outline.state_dict(keep_vars=True).values()}
        self.keeping: set[int] = set()
        """Ids of parameters and buffers whose values stay where their units flip."""
        self._used_plainly: set[int] = set()
        for own in folded:
            if own in self._stored:
                self.label(self._stored[own]).fix(CONSTANT)

    def label(self, tensor: torch.Tensor) -> Labelled:
        """Return the one label of a parameter or buffer; any other tensor is a constant."""
        if id(tensor) not in self._stored:
            return _label(tensor.shape, fresh(tensor.shape, CONSTANT))
        if id(tensor) not in self._own:
            self._own[id(tensor)] = _label(tensor.shape, fresh(tensor.shape))
        return self._own[id(tensor)]

    def settle_signs(self, outline: nn.Module) -> None:
        """Forbid flipped signs where a parameter that keeps its own is also used otherwise."""
        elsewhere = set(self._used_plainly)
        for module in outline.modules():
            if not isinstance(module, _NORMS):
                own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
                elsewhere.update(map(id, own))
        for tensor in self.keeping & elsewhere:
            self._own[tensor].unsign()

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
        elif n.op == "output" or not _says_sizes(result):
            # A dictionary, an object, nothing: what became of the inputs cannot be followed.
            reason = OUTPUT if n.op == "output" else f"operation {n.target} cannot be followed"
            for given in n.all_input_nodes:
                _fix(self._labels.get(given), reason)
        return result

    def _labelled(self, n: fx.Node, result: Any, shape: Any) -> Any:
        if n.op == "placeholder":
            return _nested(shape, lambda each: fresh(each, INPUT))
        if n.op == "get_attr":
            label = self.label(result)
            self._used_plainly.add(id(result))
            if not isinstance(result, nn.Parameter):
                label.fix(CONSTANT)
            return label
        given: Any = map_arg((n.args, n.kwargs), lambda a: self._labels.get(a, self.env[a]))
        args, kwargs = given
        if n.op == "output":
            _fix(args, OUTPUT)
            return None
        if _name(n) == "getitem" and isinstance(args[0], tuple | list):
            return args[0][args[1]]
        return _attach(shape, self._axes(n, result, shape, args, kwargs))

    def _axes(self, n: fx.Node, result: Any, shape: Any, args: Any, kwargs: Any) -> Any:
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
            floating=all(each.is_floating_point() for each in tensors_of(result)),
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
            changed = (
                module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
            )
            if changed or isinstance(module, self._leaves):
                return unknown
            return MODULES.get(type(module), unknown)
        place = getattr(n.target, "__module__", None) or "torch"
        foreign = isinstance(n.target, OpOverload | OpOverloadPacket)
        if n.op == "call_function" and (foreign or place.split(".")[0] not in _KNOWN_PLACES):
            return unknown
        in_place = str(getattr(n.target, "__name__", n.target)).endswith("_")
        if n.kwargs.get("out") is not None or (in_place and name in _MOVING):
            return unknown
        return FUNCTIONS.get(name, unknown)


def tensors_of(result: Any) -> list[torch.Tensor]:
    """Return all tensors in a result, however nested."""
    return [each for each in tree_leaves(result) if torch.is_tensor(each)]


def _says_sizes(result: Any) -> bool:
    """Whether a result without tensors only tells shapes or types."""
    plain = int | str | slice | range | torch.dtype | torch.device | torch.layout
    return all(isinstance(each, plain) for each in tree_leaves(result)) and result is not None


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
