"""Align models to one reference by weight matching (paper §2, "Model Alignment"; git re-basin).

Coordinate descent: groups are visited in random order; for each, the assignment of units that
maximizes the inner product with the reference, all other groups held, is solved exactly. The inner
product never decreases, and the distance to the reference never grows.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.symmetry.permute import Permutations, permute, take


def match(
    reference: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    groups: tuple[PermutationGroup, ...],
    rng: np.random.Generator,
    max_sweeps: int = 100,
) -> Permutations:
    """Find the permutations that align models to the reference.

    Args:
        reference: Entry -> array [...] of the one reference model.
        weights: Entry -> array [models, ...].
        groups: Groups of the architecture.
        rng: Draws the order in which groups are visited, anew for each sweep.
        max_sweeps: Sweeps over all groups at most.

    Returns:
        Per group, permutations int64 [models, size] for `permute`.
    """
    models = len(next(iter(weights.values())))
    target = {name: np.asarray(values, np.float64) for name, values in reference.items()}
    current = {name: np.asarray(values, np.float64) for name, values in weights.items()}
    found = {group.name: np.tile(np.arange(group.size), (models, 1)) for group in groups}
    for _ in range(max_sweeps):
        improved = False
        for i in rng.permutation(len(groups)):
            group = groups[i]
            step = _best_step(group, similarity(group, target, current))
            if step is None:
                continue
            improved = True
            found[group.name] = np.take_along_axis(found[group.name], step, axis=1)
            for axis in group.axes:
                current[axis.entry] = take(current[axis.entry], axis, step)
        if not improved:
            break
    return found


def align(
    weights: Mapping[str, np.ndarray],
    groups: tuple[PermutationGroup, ...],
    permutations: Permutations,
) -> dict[str, np.ndarray]:
    """Apply each run's permutations to all its epochs.

    Args:
        weights: Entry -> array [runs, epochs, ...].
        groups: Groups of the architecture.
        permutations: Per group [runs, size], found at the runs' last epoch.

    Returns:
        Entry -> array [runs, epochs, ...].
    """
    runs, epochs = next(iter(weights.values())).shape[:2]
    flat = {
        name: values.reshape(runs * epochs, *values.shape[2:]) for name, values in weights.items()
    }
    repeated = {name: np.repeat(values, epochs, axis=0) for name, values in permutations.items()}
    aligned = permute(flat, groups, repeated)
    return {
        name: values.reshape(runs, epochs, *values.shape[1:]) for name, values in aligned.items()
    }


def similarity(
    group: PermutationGroup, reference: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return how well each unit of the models fits each unit of the reference.

    Returns:
        float64 [models, size, size]: inner product of unit i of the reference (rows) and unit j of
        the model (columns), summed over every axis the group touches.
    """
    total = 0.0
    for axis in group.axes:
        ours = np.moveaxis(reference[axis.entry], axis.axis, 0).reshape(group.size, -1)
        theirs = np.moveaxis(weights[axis.entry], axis.axis + 1, 1)
        total = total + ours @ theirs.reshape(len(theirs), group.size, -1).transpose(0, 2, 1)
    return np.asarray(total)


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


def _best_step(group: PermutationGroup, scores: np.ndarray) -> np.ndarray | None:
    identity = np.arange(group.size)
    step = np.tile(identity, (len(scores), 1))
    for m, score in enumerate(scores):
        _, columns = linear_sum_assignment(score, maximize=True)
        gain = score[identity, columns].sum() - score.trace()
        if gain > 1e-12 * np.abs(score).sum():
            step[m] = columns
    return None if np.array_equal(step, np.tile(identity, (len(scores), 1))) else step
