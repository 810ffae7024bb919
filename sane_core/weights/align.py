"""Align models to one reference by weight matching (paper §2, "Model Alignment"; git re-basin).

Coordinate descent: groups are visited in random order; for each, the assignment of units that
maximizes the inner product with the reference, all other groups held, is solved exactly. The inner
product never decreases, so the distance to the reference over the entries that the groups touch
never grows. That over the trained entries does not either if the groups touch only these: running
statistics of a batch norm are of another size and would decide the match.

What is found for a model depends on the reference, the model and the seed, not on the models beside
it. A step is taken only if it gains more than rounding explains.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from sane_core.weights.descent import Descent, Matching
from sane_core.weights.symmetry.groups import Axis, PermutationGroup

SHARD_BYTES = 2**30
"""Memory for the weights of the models that are matched at once."""


def match(
    reference: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    groups: Sequence[PermutationGroup],
    seed: int,
    max_sweeps: int = 100,
    signs: bool = False,
    device: str = "cpu",
) -> Matching:
    """Find the permutations that align models to the reference.

    Args:
        reference: Entry -> array [...] of the one reference model.
        weights: Entry -> array [models, ...]. If any array is float64, products are made in
            float64, else in float32; their sum over entries is float64.
        groups: Groups of the architecture, with the axes that are to be matched.
        seed: Decides the order in which groups are visited, anew for each sweep.
        max_sweeps: Sweeps over all groups at most.
        signs: Whether units of groups with `signs` may flip as well.
        device: Where products are made; assignments are solved on the CPU.

    Raises:
        ValueError: If an entry of a group is missing, has another shape than in the reference, is
            too small for the group, or is not finite.
    """
    groups = [replace(group, signs=group.signs and signs) for group in groups]
    axes = [axis for group in groups for axis in group.axes]
    entries = sorted({axis.entry for axis in axes})
    models = _check(reference, weights, groups)
    if not groups:
        return Matching({}, {}, np.zeros(models, np.int64), np.ones(models, bool))
    double = any(
        side[name].dtype == np.float64 for side in (reference, weights) for name in entries
    )
    dtype = torch.float64 if double else torch.float32
    ours = {
        name: torch.tensor(reference[name][None], dtype=dtype, device=device) for name in entries
    }
    size = 2 * sum(ours[axis.entry].nbytes for axis in axes)
    shard = max(1, SHARD_BYTES // max(1, size))
    found = []
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, models, shard):
            theirs = {
                name: torch.tensor(weights[name][start : start + shard], dtype=dtype, device=device)
                for name in entries
            }
            found.append(Descent(groups, ours, theirs, pool).run(seed, max_sweeps))
    return _joined(found)


def squared_distance(
    reference: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return each model's squared distance to the reference, float64 [models]."""
    return np.sum(
        [
            ((weights[name] - values).astype(np.float64) ** 2)
            .reshape(len(weights[name]), -1)
            .sum(1)
            for name, values in reference.items()
        ],
        axis=0,
    )


def _joined(found: Sequence[Matching]) -> Matching:
    def all_of(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return Matching(
        all_of([part.permutations for part in found]),
        all_of([part.signs for part in found]),
        np.concatenate([part.sweeps for part in found]),
        np.concatenate([part.converged for part in found]),
    )


def _check(
    reference: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    groups: Sequence[PermutationGroup],
) -> int:
    """Return the number of models.

    Raises:
        ValueError: If the models, the reference or the groups do not fit together.
    """
    counts = {name: len(values) for name, values in weights.items()}
    for group in groups:
        for axis in group.axes:
            for side, entries in (("the reference", reference), ("the models", weights)):
                if axis.entry not in entries:
                    raise ValueError(
                        f"{side} must have every entry of group {group.name}, got no {axis.entry}"
                    )
            _check_shape(group, axis, reference[axis.entry].shape, weights[axis.entry].shape)
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"every entry must have equally many models, 1 or more, got {counts}")
    for name in sorted({axis.entry for group in groups for axis in group.axes}):
        _check_finite(name, reference[name], weights[name])
    return next(iter(counts.values()))


def _check_shape(
    group: PermutationGroup, axis: Axis, ours: tuple[int, ...], theirs: tuple[int, ...]
) -> None:
    if theirs[1:] != ours:
        raise ValueError(
            f"{axis.entry} of the models must have the reference's shape {ours} behind the number "
            f"of models, got {theirs}"
        )
    needed = int(axis.positions(group.size).max()) + 1
    length = ours[axis.axis] if axis.axis < len(ours) else 0
    if length < needed:
        raise ValueError(
            f"axis {axis.axis} of {axis.entry} must have {needed} or more indices for group "
            f"{group.name}, got shape {ours}"
        )


def _check_finite(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    if not np.isfinite(ours).all():
        raise ValueError(f"the reference must be finite, got NaN or infinity in {name}")
    finite = np.isfinite(theirs).reshape(len(theirs), -1).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)[:5].tolist()
        raise ValueError(f"models must be finite, got NaN or infinity in {name} of models {bad}")
