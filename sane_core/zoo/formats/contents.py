"""What a checkpoint file holds, whatever its format."""

from dataclasses import dataclass

import numpy as np

from sane_core.zoo.formats.refused import Refused

Property = float | int | str


@dataclass(frozen=True)
class Contents:
    """The tensors of a checkpoint and the plain values beside them."""

    tensors: dict[str, np.ndarray]
    """State-dict entry -> array, read-only and contiguous; float16 and bfloat16 are widened to
    float32 (exactly), everything else has its own dtype. Tied entries share one array."""
    dtypes: dict[str, str]
    """State-dict entry -> dtype in the file, by torch's name: "float32", "bfloat16", …"""
    properties: dict[str, Property]
    """Plain values beside the state dict ("epoch", "best_acc1"), or safetensors' metadata."""
    sha256: str
    """Of the file's bytes; of a sharded checkpoint, of the index and then the shards by name."""


def check_values(contents: Contents, threshold: float) -> None:
    """Refuse weights that no training of use ends with.

    Args:
        contents: A checkpoint; entries of integers and booleans are not looked at.
        threshold: Largest magnitude allowed.

    Raises:
        Refused: If a value is NaN, infinite or larger than the threshold; names the entry.
    """
    for name, values in contents.tensors.items():
        if values.dtype.kind != "f" or not values.size:
            continue
        # One pass each and no temporary; NaN wins both, and no comparison with it holds.
        low, high = float(values.min()), float(values.max())
        if not (-threshold <= low and high <= threshold):
            found = low if not -threshold <= low else high
            raise Refused(
                f"the magnitude of every weight must be at most {threshold:g}, "
                f"got {found:g} in {name}",
                "Leave this checkpoint out, or raise the threshold if it is meant to be like this",
            )
