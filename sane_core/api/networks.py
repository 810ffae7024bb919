"""Which network weights are of: what its layers are, and which of its units may be permuted.

The zoos that a SANE was trained on go first: their layers and groups stand in the bundle. Another
network is *unseen*: an architecture that is named or known by its shapes, or a module, which is
traced. A module that cannot be traced goes unaligned, and `note` says why.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sane_core.api.description import Description, ZooRecord, zoo_names
from sane_core.api.given import Given
from sane_core.architectures.architecture import Architecture
from sane_core.architectures.mismatch import describe_mismatch, differences
from sane_core.architectures.registry import architecture_named, match_shapes
from sane_core.weights.layers import BatchNorm, Layer, layers_of, layers_of_architecture
from sane_core.weights.shards import within
from sane_core.weights.symmetry.derive import Inputs, derive, symmetries_of
from sane_core.weights.symmetry.groups import PermutationGroup, Symmetries, check_groups

_NAMED = 4
"""Entries that a message names."""


@dataclass(frozen=True)
class Network:
    """What weights are cut and aligned by; equal ones are worked on together.

    Attributes:
        name: Architecture, or the class of a module.
        zoo: Which zoo of the SANE it is of; None for an unseen network.
        layers: What tokens are cut from.
        groups: Units that may be permuted.
        trained: Entries that alignment looks at.
        note: Why it is not aligned; "" where it is.
    """

    name: str
    zoo: int | None
    layers: tuple[Layer, ...]
    groups: tuple[PermutationGroup, ...] = field(repr=False)
    trained: tuple[str, ...] = field(repr=False)
    note: str = ""


@dataclass(frozen=True)
class Said:
    """What a caller says of the networks given.

    Attributes:
        architecture: Their architecture, or its specification.
        zoo: Name of the zoo whose statistics and reference they take.
        inputs: Examples to trace modules on, for shapes and dtypes.
    """

    architecture: str | Architecture | None = None
    zoo: str | None = None
    inputs: Inputs | None = None


def network_of(given: Given, description: Description, said: Said) -> Network:
    """Find out which network weights are of.

    Raises:
        ValueError: If they fit nothing that is known or said, or more than one zoo.
    """
    architecture = said.architecture
    if isinstance(architecture, str) and all(
        zoo.architecture != architecture for zoo in description.zoos
    ):
        architecture = architecture_named(architecture)
    at = _zoo_of(given, description, said, architecture)
    if at is not None:
        return _known(at, description.zoos[at])
    batch_norm = description.preprocess.batch_norm
    if isinstance(architecture, Architecture):
        if mismatch := describe_mismatch(given.shapes, architecture):
            raise ValueError(f"{given.label} is {mismatch}")
        return _of_architecture(architecture, batch_norm)
    if given.module is not None:
        return _of_module(given, given.module, said.inputs, batch_norm)
    found = match_shapes(given.shapes)
    if found is None:
        listed = ", ".join(f"{k} {list(s)}" for k, s in list(given.shapes.items())[:_NAMED])
        more = ", …" if len(given.shapes) > _NAMED else ""
        raise ValueError(
            f"{given.label} must be of an architecture that this SANE knows, "
            f"{zoo_names(description.zoos)}, or of a registered one, got {listed}{more}; name it "
            "(architecture=), as package.module:factory if it is your own, or give the module"
        )
    return _of_architecture(found, batch_norm)


def _zoo_of(
    given: Given, description: Description, said: Said, architecture: str | Architecture | None
) -> int | None:
    """Return the one zoo whose networks have these entries, if there is one."""
    zoos = description.zoos
    if said.zoo is not None and said.zoo not in {zoo.name for zoo in zoos}:
        raise ValueError(f"zoo must be one of {zoo_names(zoos)}, got {said.zoo!r}")
    named = architecture.name if isinstance(architecture, Architecture) else architecture
    fitting = [
        i
        for i, zoo in enumerate(zoos)
        if zoo.fits(given.shapes)
        and said.zoo in (None, zoo.name)
        and named in (None, zoo.architecture)
    ]
    if len(fitting) > 1:
        several = zoo_names([zoos[i] for i in fitting])
        raise ValueError(
            f"{given.label} fits several zoos of this SANE, {several}: say whose statistics it "
            "takes (zoo=)"
        )
    asked = said.zoo or (named if isinstance(architecture, str) else None)
    if not fitting and asked is not None:
        meant = next(zoo for zoo in zoos if asked in (zoo.name, zoo.architecture))
        found = differences(given.shapes, meant.parameters, meant.buffers)
        raise ValueError(
            f"{given.label} must have the entries of {zoo_names([meant])}, got "
            f"{found or f'architecture {named}'}"
        )
    return fitting[0] if fitting else None


def _known(at: int, zoo: ZooRecord) -> Network:
    return Network(zoo.architecture, at, zoo.layers, zoo.groups, tuple(zoo.parameters))


def _of_architecture(architecture: Architecture, batch_norm: BatchNorm) -> Network:
    layers = layers_of_architecture(architecture, batch_norm)
    entries = architecture.shapes() | architecture.buffers()
    groups, note = _traced(lambda: symmetries_of(architecture))
    groups = within(groups, entries)
    return Network(architecture.name, None, layers, groups, tuple(architecture.shapes()), note)


def _of_module(
    given: Given, module: nn.Module, inputs: Inputs | None, batch_norm: BatchNorm
) -> Network:
    """Trace a module; its own attributes count as they do in `symmetries_of`."""
    shapes = given.shapes
    trained = {name: shapes[name] for name in given.parameters}
    layers = layers_of(trained, shapes.keys() - trained.keys(), batch_norm)
    if inputs is None:
        found = match_shapes(shapes)
        shape: Any = getattr(module, "input_shape", found.input_shape if found else None)
        inputs = torch.zeros(2, *shape) if shape is not None else None

    def symmetries() -> Symmetries:
        by_hand = getattr(module, "permutation_groups", None)
        if by_hand is not None:
            check_groups(by_hand, shapes)
            return Symmetries(tuple(by_hand))
        if inputs is None:
            raise ValueError(
                "it is not known what its inputs are; give examples (inputs=), or give the module "
                "an attribute input_shape = (channels, height, width)"
            )
        return derive(module, inputs, getattr(module, "leaf_modules", ()))

    groups, note = _traced(symmetries)
    name = type(module).__name__
    return Network(name, None, layers, within(groups, shapes), tuple(trained), note)


def _traced(find: Callable[[], Symmetries]) -> tuple[tuple[PermutationGroup, ...], str]:
    try:
        return find().groups, ""
    except ValueError as error:
        return (), f"not aligned: {error}"
