"""The ways to run all members of a population at once; every one gives the same numbers.

`patches` multiplies members' kernels and patches as one batched matrix product (`graph.py`), `vmap`
lets `torch.func` batch the plain module (a convolution becomes a grouped one), `loop` runs the
plain module member by member. Which one is fastest depends on the network and the device.
"""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from sane_core.architectures.activations import FUNCTIONS, MODULES
from sane_core.architectures.architecture import Architecture
from sane_core.zoo.population.graph import Graph
from sane_core.zoo.population.initialize import build
from sane_core.zoo.population.operations import Pass, Unsupported

Way = Callable[[Pass, torch.Tensor], torch.Tensor]
"""(pass, pixels [members, batch, channels, height, width]) -> logits [members, batch, classes]."""

KINDS = tuple(FUNCTIONS)


class _Plain:
    """The plain module, with places for what members may have of their own.

    Its state is put in for every call, so one object serves one thread.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.templates = _templates(architecture)
        self.affine = _batch_norms(self.templates.plain)
        self.own: dict[str, nn.Module] = {}

    def state(self, given: Pass) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """Return the module to call and every entry of its state, [members, ...]."""
        state = {**given.weights, **given.buffers}
        for name, statistics in self.affine.items():
            # As PyTorch has it: in full precision whatever the images are.
            state[name] = state[name].to(state[statistics].dtype)
        which = "varied" if given.activations else "dropping" if given.kept else "plain"
        if which not in self.own:
            self.own[which] = copy.deepcopy(getattr(self.templates, which))
        module = self.own[which].train(given.training)
        return module, state if which == "plain" else state | _places(module, given)


class Loop(_Plain):
    """Member by member."""

    def __call__(self, given: Pass, pixels: torch.Tensor) -> torch.Tensor:
        """Run every member on its own images."""
        module, state = self.state(given)
        return torch.stack(
            [
                functional_call(module, {name: values[i] for name, values in state.items()}, (x,))
                for i, x in enumerate(map(_channels_last, pixels))
            ]
        )


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    """Lay images out as oneDNN's convolutions like them: a ResNet's step takes 0.7 of the time."""
    if images.device.type != "cpu" or images.dim() != 4:
        return images
    return images.contiguous(memory_format=torch.channels_last)


class Vmap(_Plain):
    """All members by `torch.func.vmap`."""

    def __call__(self, given: Pass, pixels: torch.Tensor) -> torch.Tensor:
        """Run every member on its own images."""
        module, state = self.state(given)
        run = vmap(lambda state, x: functional_call(module, state, (x,)))
        return run(state, pixels)


@cache
def graph_of(architecture: Architecture) -> Graph:
    """Return the traced graph; it has no state, so one serves all threads."""
    return Graph(architecture)


Maker = Callable[[Architecture], Way]

WAYS: dict[str, Maker] = {"patches": graph_of, "vmap": Vmap, "loop": Loop}
"""Name -> makes the way; in the main thread, for tracing is not safe in others."""


def supported_ways(architecture: Architecture) -> list[str]:
    """Return the ways that can run an architecture: `patches` knows only some operations."""
    return [way for way in WAYS if way != "patches" or _has_graph(architecture)]


@cache
def _has_graph(architecture: Architecture) -> bool:
    try:
        graph_of(architecture)
    except Unsupported:
        return False
    return True


class _Kept(nn.Module):
    """Dropout by given factors."""

    kept: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.empty(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.kept


class _Chosen(nn.Module):
    """The non-linearity of a given number."""

    kind: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kind", torch.empty(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = FUNCTIONS[KINDS[0]](x)
        for number, kind in enumerate(KINDS[1:], 1):
            out = torch.where(self.kind == number, FUNCTIONS[kind](x), out)
        return out


def _places(module: nn.Module, given: Pass) -> dict[str, torch.Tensor]:
    """Return what members have of their own, as entries of the module's places for it."""
    one = next(iter(given.weights.values()))
    members = len(one)
    kinds = torch.empty(members, dtype=torch.int64, device=one.device)
    for kind, chosen in given.activations.items():
        kinds[chosen] = KINDS.index(kind)
    own = {}
    for name, place in module.named_modules():
        if isinstance(place, _Kept):
            own[f"{name}.kept"] = given.kept.get(name, one.new_ones(members))
        elif isinstance(place, _Chosen):
            own[f"{name}.kind"] = kinds
    return own


class _Templates(NamedTuple):
    """Modules without weights of their own.

    Attributes:
        plain: Drops nothing.
        dropping: Is given what it drops.
        varied: Is also given its non-linearities.
    """

    plain: nn.Module
    dropping: nn.Module
    varied: nn.Module


@cache
def _templates(architecture: Architecture) -> _Templates:
    module = _emptied(build(architecture))
    return _Templates(
        _replaced(module, {nn.Dropout: nn.Identity}),
        _replaced(module, {nn.Dropout: _Kept}),
        _replaced(module, {nn.Dropout: _Kept} | dict.fromkeys(MODULES.values(), _Chosen)),
    )


def _batch_norms(module: nn.Module) -> dict[str, str]:
    """Return scale or shift of a batch norm -> its running mean."""
    return {
        f"{name}.{entry}": f"{name}.running_mean"
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm) and layer.affine and layer.track_running_stats
        for entry in ("weight", "bias")
    }


def _emptied(module: nn.Module) -> nn.Module:
    """Take the memory of its weights from a module that is only called with others'."""
    for layer in module.modules():
        for name, parameter in list(layer.named_parameters(recurse=False)):
            setattr(layer, name, nn.Parameter(parameter.to("meta")))
    return module


def _replaced(
    module: nn.Module, places: Mapping[type[nn.Module], Callable[[], nn.Module]]
) -> nn.Module:
    """Return a copy in which layers of some types are others."""
    module = copy.deepcopy(module)
    for name, child in list(module.named_modules()):
        if type(child) in places:
            module.set_submodule(name, places[type(child)]())
    return module
