"""The head of a network, and a new one for other classes (paper §5.2, transfer to a new task).

A head is what changes its shape with the number of classes. It is drawn anew *after* weights are
de-standardized; all other entries stay as they are, bit for bit.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.options import parse_specification
from sane_core.architectures.registry import architecture_named
from sane_core.generation.candidates import Weights
from sane_core.zoo.population.outputs import classes_of


def with_classes(architecture: Architecture, classes: int) -> Architecture:
    """Return the architecture with another number of classes.

    Raises:
        ValueError: If it has no option `classes`.
    """
    name, options = parse_specification(architecture.name)
    given = ",".join(f"{key}={value}" for key, value in (options | {"classes": classes}).items())
    try:
        return architecture_named(f"{name}[{given}]")
    except ValueError as error:
        raise ValueError(
            f"architecture {architecture.name} must have an option classes to get a head for "
            f"{classes} classes; name the target's architecture instead ({error})"
        ) from error


def head_of(architecture: Architecture) -> tuple[str, ...]:
    """Return the trained entries whose shape follows the number of classes.

    Raises:
        ValueError: If the architecture has no option `classes`.
    """
    wider = with_classes(architecture, classes_of(architecture) + 1).shapes()
    return tuple(name for name, shape in architecture.shapes().items() if wider[name] != shape)


def require_same_body(zoo: Architecture, target: Architecture) -> None:
    """Make sure that a zoo's networks are the target's but for the head.

    Raises:
        ValueError: If an entry differs.
    """
    if zoo.shapes() == target.shapes():
        return
    head = head_of(zoo)
    ours, theirs = (
        {name: shape for name, shape in each.shapes().items() if name not in head}
        for each in (zoo, target)
    )
    if ours == theirs:
        return
    name = next(n for n in (*ours, *theirs) if ours.get(n) != theirs.get(n))
    raise ValueError(
        f"prompts from the zoo ({zoo.name}) must be of the target's architecture but for the "
        f"head, got {target.name}, of which {name} differs; take prompts: target"
    )


def with_new_head(
    weights: Mapping[str, np.ndarray], head: Sequence[str], fresh: Mapping[str, np.ndarray]
) -> Weights:
    """Return networks with other heads, all else untouched.

    Args:
        weights: Entry -> [models, ...], de-standardized.
        head: Entries of the head.
        fresh: Entry -> [at least as many models, ...]: model i gets the head of network i.
    """
    count = len(next(iter(weights.values())))
    return dict(weights) | {name: fresh[name][:count] for name in head}
