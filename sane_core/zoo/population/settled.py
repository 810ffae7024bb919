"""The way to run networks where nothing is measured first: by their size, the same everywhere.

Which way is fastest is measured before a zoo is trained (`choose.py`). Samples are scored in
moments, and what is kept of them must not hang on timing noise: ways agree up to rounding only.
"""

from sane_core.architectures.architecture import Architecture
from sane_core.zoo.population.outputs import activations_of
from sane_core.zoo.population.ways import supported_ways

SCORED_TOGETHER = 2**14
"""Activations per image up to which networks are scored together on a CPU.

Measured, `patches` against `loop`, µs of a core per network and image: digits CNN (1,182
activations) 2 and 5, MNIST CNN (8,430) 16 and 34, CNN3 (37,686) 66 and 50, ResNet-18 of width 8 at
16 pixels (56,906) 222 and 76.
"""

TRAINED_TOGETHER = 3 * 2**14
"""The same for training: CNN3s were trained faster together, those ResNet-18s one by one."""


def way_to_score(architecture: Architecture, device: str = "cpu") -> str:
    """Return the way to run trained networks on a kind of device, and to condition them."""
    return _way(architecture, SCORED_TOGETHER, device)


def way_to_train(architecture: Architecture, device: str = "cpu") -> str:
    """Return the way to train networks on a kind of device: `cpu`, `cuda`."""
    return _way(architecture, TRAINED_TOGETHER, device)


def _way(architecture: Architecture, together: int, device: str) -> str:
    """Return the first way that can run the architecture, or `loop` where networks are large."""
    large = device == "cpu" and activations_of(architecture) > together
    return "loop" if large else supported_ways(architecture)[0]
