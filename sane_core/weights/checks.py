"""Nothing that is done to a zoo's networks changes what they compute: tried on random images.

Networks run as plain modules: other ways to run many of them would trace them, which must not
happen in several threads at once.
"""

from collections.abc import Mapping

import numpy as np
import torch

from sane_core.seeding import rng_for
from sane_core.weights.shards import Shard, Whole
from sane_core.weights.symmetry.groups import Symmetries
from sane_core.weights.symmetry.verify import changes_of_models, verify
from sane_core.zoo.population.initialize import build

IMAGES = 16
"""Random images that every aligned network must answer as before."""

TOLERANCE = 1e-4
"""Largest change of a logit that rounding explains, relative to the network's largest."""


def check_symmetries(whole: Whole, symmetries: Symmetries) -> None:
    """Try out on the reference, in float64, what may be permuted.

    Raises:
        ValueError: If a group does not keep what it computes.
    """
    module = build(whole.network)
    entries = {name: torch.tensor(values) for name, values in whole.read_reference().items()}
    module.load_state_dict(entries, strict=False)  # counters, second names of shared weights
    try:
        verify(
            module.double(),
            symmetries,
            _images(whole).double(),
            seed=whole.seed,
            tolerance=TOLERANCE,
            signs=whole.config.signs,
            together=True,
        )
    except ValueError as error:
        raise ValueError(
            f"the symmetries of {whole.architecture} must keep what run {whole.reference[0]} "
            f"computes, got {error}; correct the module's permutation_groups if it has any, else "
            "name the types of its modules that are not understood as its leaf_modules"
        ) from error


def largest_change(
    shard: Shard, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> float:
    """Return the largest |Δ logit| on random images, relative to the same network's largest.

    Where rounding to float32 seems to change more than it may (numbers that cancel), the network is
    tried again in float64.

    Raises:
        ValueError: If that is more than rounding explains.
    """
    whole, images = shard.whole, _images(shard.whole)
    module = build(whole.network)
    changes = changes_of_models(module, before, after, images)
    suspects = np.flatnonzero(~(changes <= TOLERANCE))
    if len(suspects):
        was, is_now = (
            {name: values[suspects].astype(np.float64) for name, values in each.items()}
            for each in (before, after)
        )
        changes[suspects] = changes_of_models(module.double(), was, is_now, images.double())
    change = float(changes.max())
    if not change <= TOLERANCE:
        raise ValueError(
            f"alignment must keep the function, but a logit of {whole.architecture} changed by "
            f"{change} of the largest of its network, run {shard.runs[int(changes.argmax())]}"
        )
    return change


def _images(whole: Whole) -> torch.Tensor:
    rng = rng_for(whole.seed, "verify")
    return torch.from_numpy(rng.random((IMAGES, *whole.network.input_shape), np.float32))
