"""Which architecture is sampled, as a plain module that can be built, run and scored.

Nothing that a bundle says is ever imported: only what the caller names, or what is registered.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sane_core.api.bundle import Bundle
from sane_core.api.description import Description, ZooRecord, zoo_names
from sane_core.api.given import Given
from sane_core.api.groups import UNASKED, UNTRAINED
from sane_core.api.networks import Network, Said, network_of
from sane_core.api.prepare import check_positions
from sane_core.architectures.architecture import Architecture
from sane_core.architectures.mismatch import differences
from sane_core.architectures.registry import architecture_named, match_shapes
from sane_core.weights.tokens import positions_of


@dataclass(frozen=True)
class Target:
    """What is sampled.

    Attributes:
        network: What tokens are cut from, and which units may be permuted.
        architecture: How it is built and run.
        zoo: Whose statistics and reference are taken; None: the prompts'.
        note: Why prompts are not aligned; "" where they are.
    """

    network: Network
    architecture: Architecture
    zoo: ZooRecord | None
    note: str


def target_for(
    given: Sequence[Given],
    bundle: Bundle,
    said: Said,
    images: tuple[int, int, int] | None,
    align: bool,
) -> Target:
    """Find out what is sampled.

    Args:
        given: The prompts; none, if the architecture alone says it.
        bundle: The SANE.
        said: What the caller says.
        images: Shape of the images that there are, for modules that do not say what they take.
        align: Whether prompts are to be aligned.

    Raises:
        ValueError: As `network_for` and `architecture_of`; if the SANE has no positions for so
            many tokens.
    """
    description = bundle.description
    network = network_for(given, description, said)
    zoo = None if network.zoo is None else description.zoos[network.zoo]
    architecture = architecture_of(network, zoo, given, said, images)
    check_positions(network, positions_of(network.layers, description.shape.d_t), bundle)
    note = network.note if description.preprocess.align else UNTRAINED
    return Target(network, architecture, zoo, note if align else UNASKED)


def network_for(given: Sequence[Given], description: Description, said: Said) -> Network:
    """Find out which network is sampled.

    Args:
        given: The prompts; none, if the architecture alone says it.
        description: Of the SANE.
        said: What the caller says.

    Raises:
        ValueError: If prompts are of several architectures, or not of the one that is asked for; or
            without prompts it is not one of a zoo of the SANE.
    """
    if not given:
        return _without_prompts(description, said)
    if said.architecture is not None:
        _check_prompts_are_of(said.architecture, given, description)
    found = [network_of(each, description, said) for each in given]
    if others := [i for i, network in enumerate(found) if network != found[0]]:
        other = others[0]
        raise ValueError(
            f"prompts must be of one architecture, got {given[0].label} of {found[0].name} and "
            f"{given[other].label} of {found[other].name}"
        )
    return found[0]


def architecture_of(
    network: Network,
    zoo: ZooRecord | None,
    given: Sequence[Given],
    said: Said,
    images: tuple[int, int, int] | None,
) -> Architecture:
    """Return the architecture that is sampled.

    Args:
        network: What the prompts are.
        zoo: Which zoo of the SANE they are of, if any.
        given: The prompts.
        said: What the caller says: it goes first.
        images: Shape of the images that there are, for modules that do not say what they take.

    Raises:
        ValueError: If it cannot be built here, or a module's inputs are not known.
    """
    if isinstance(said.architecture, Architecture):
        return said.architecture
    if said.architecture is not None:
        return architecture_named(said.architecture)
    module = next((each.module for each in given if each.module is not None), None)
    if module is not None:
        known = zoo.input_shape if zoo else None
        return _of_module(_unwrapped(module), network.name, known, said, images)
    if zoo is None:
        found = match_shapes(given[0].shapes)
        if found is None:
            raise ValueError(f"architecture of {given[0].label} must be named (architecture=)")
        return found
    if ":" in zoo.architecture:
        raise ValueError(
            f"{zoo.architecture} must be named by you (architecture=) to be imported, or prompts "
            "be modules of it: names in a bundle are never imported"
        )
    return architecture_named(zoo.architecture)


def _check_prompts_are_of(
    asked: str | Architecture, given: Sequence[Given], description: Description
) -> None:
    """Refuse prompts of one architecture where samples of another are asked for."""
    zoo = next((zoo for zoo in description.zoos if zoo.architecture == asked), None)
    if zoo is not None:
        name, parameters, buffers = zoo.architecture, zoo.parameters, zoo.buffers
    else:
        own = architecture_named(asked) if isinstance(asked, str) else asked
        name, parameters, buffers = own.name, own.shapes(), own.buffers()
    for each in given:
        if found := differences(each.shapes, parameters, buffers):
            raise ValueError(
                f"prompts must be networks of the architecture that is sampled, {name}, got "
                f"{each.label}, which is not ({found}): train one or a few of {name} for some "
                "epochs and give those, which need not be of the SANE's zoo, or run the experiment "
                "transfer with prompts: target, which trains them"
            )


def _without_prompts(description: Description, said: Said) -> Network:
    named = said.architecture
    zoos = [zoo for zoo in description.zoos if said.zoo in (None, zoo.name)]
    if isinstance(named, str) and all(zoo.architecture != named for zoo in zoos):
        named = architecture_named(named)
    if isinstance(named, Architecture):
        shapes = named.shapes()
        zoos = [zoo for zoo in zoos if zoo.fits(shapes) and named.name == zoo.architecture]
    elif named is not None:
        zoos = [zoo for zoo in zoos if zoo.architecture == named]
    if len(zoos) != 1:
        got = said.zoo or (named.name if isinstance(named, Architecture) else named) or "none named"
        raise ValueError(
            "without prompts, architecture (or zoo) must name one zoo of this SANE, "
            f"{zoo_names(description.zoos)}, got {got}; networks of others need prompts, which "
            "their statistics come from"
        )
    nothing = np.float32(0)
    entries = {name: np.broadcast_to(nothing, shape) for name, shape in zoos[0].parameters.items()}
    return network_of(Given("nothing", entries), description, Said(zoo=zoos[0].name))


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return what is inside wrappers for several devices and of `torch.compile`."""
    while True:
        parallel = isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = module.module if parallel else getattr(module, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _of_module(
    module: nn.Module,
    name: str,
    known: tuple[int, int, int] | None,
    said: Said,
    images: tuple[int, int, int] | None,
) -> Architecture:
    """Return a module's own architecture; its name tells it from others of its class."""
    shape = getattr(module, "input_shape", None) or known
    if shape is None and isinstance(said.inputs, torch.Tensor):
        shape = tuple(said.inputs.shape[1:])
    shape = shape or images
    if shape is None:
        raise ValueError(
            f"{name} must say what its inputs are: give data, examples (inputs=), or give the "
            "module an attribute input_shape = (channels, height, width)"
        )

    def build() -> nn.Module:
        return copy.deepcopy(module).to(torch.get_default_device())

    structure = f"{type(module)!r}{id(type(module))}{module!r}"
    structure += repr([(k, tuple(v.shape)) for k, v in module.state_dict().items()])
    digest = hashlib.sha256(structure.encode()).hexdigest()[:8]
    architecture = Architecture(f"{name}@{digest}", shape, build)
    architecture.check()
    return architecture
