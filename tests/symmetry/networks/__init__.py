"""Networks by kind; importing a module lists its networks among the cases."""

from tests.symmetry.networks import (  # noqa: F401
    attention,
    convolutions,
    normalized,
    parts,
    perceptrons,
    shared,
    traps,
)
from tests.symmetry.networks.case import CASES, Case

__all__ = ["CASES", "Case"]
