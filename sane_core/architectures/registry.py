"""The registered architectures, found by name or by the names and shapes of a state dict.

`match_shapes(architecture_named(text).shapes())` has the same shapes, whatever the order.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from sane_core.architectures.architecture import Architecture, Family, Shapes
from sane_core.architectures.cifar_resnet import CIFAR_RESNETS
from sane_core.architectures.cnn import CNN, CNN3, DIGITS_CNN
from sane_core.architectures.factories import users_architecture
from sane_core.architectures.minialexnet import MINIALEXNET
from sane_core.architectures.mismatch import describe_mismatch
from sane_core.architectures.mlp import MLP
from sane_core.architectures.options import parse_specification
from sane_core.architectures.resnet import RESNETS
from sane_core.architectures.vgg import VGGS
from sane_core.architectures.vit import VIT

_ALL = (CNN, CNN3, DIGITS_CNN, MLP, *RESNETS, *CIFAR_RESNETS, *VGGS, MINIALEXNET, VIT)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})
"""Every family by name; no state dict is of more than one."""


@lru_cache(maxsize=1024)
def architecture_named(text: str) -> Architecture:
    """Return the architecture of a specification: `resnet18[width=8]`, `package.module:factory`.

    Raises:
        ValueError: If the name, an option or a value is wrong, or a factory cannot be used.
    """
    name, options = parse_specification(text)
    if ":" in name:
        return users_architecture(name, options)
    if name not in FAMILIES:
        raise ValueError(
            f"architecture must be one of {sorted(FAMILIES)} or package.module:factory, "
            f"got {name!r}"
        )
    architecture = FAMILIES[name].member(options)
    architecture.shapes()  # what cannot be built is refused here, not in the middle of a run
    return architecture


def match_shapes(shapes: Shapes) -> Architecture | None:
    """Return the registered architecture whose state dict has these entries, or None.

    What shapes cannot tell (the activation, dropout, most image sizes) is the family's default.

    Args:
        shapes: Entry -> shape, in any order; buffers may be among them.
    """
    return _match(frozenset((name, tuple(shape)) for name, shape in shapes.items()))


@lru_cache(maxsize=1024)
def _match(entries: frozenset[tuple[str, tuple[int, ...]]]) -> Architecture | None:
    """Match once for the thousands of checkpoints that have the same shapes."""
    shapes = dict(entries)
    buffers = (".running_mean", ".running_var", ".num_batches_tracked")
    parameters = {name: shape for name, shape in shapes.items() if not name.endswith(buffers)}
    if any(0 in shape for shape in parameters.values()):
        return None
    for family in FAMILIES.values():
        found = _member(family, parameters)
        if found and not describe_mismatch(shapes, found):
            return found
    return None


def _member(family: Family, parameters: Shapes) -> Architecture | None:
    """Return the member that the shapes suggest, if it can be built."""
    options = family.options_of(parameters)
    if options is None:
        return None
    try:
        architecture = family.member(options)
        architecture.shapes()
    except (ValueError, RuntimeError):  # shapes that no network of the family can have
        return None
    return architecture
