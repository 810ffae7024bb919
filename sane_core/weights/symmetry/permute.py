"""Apply permutations of units to weights, and undo them.

`permute(permute(weights, groups, p), groups, inverse(p)) == weights`, bit for bit.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sane_core.weights.symmetry.groups import Axis, PermutationGroup

Permutations = dict[str, np.ndarray]
"""Group name -> permutation, int64 [size] for one model or [models, size] for each of many."""

Signs = dict[str, np.ndarray]
"""Group name -> 1 or -1 per unit, int8 [size] or [models, size]; others keep their signs."""


def permute(
    weights: Mapping[str, np.ndarray],
    groups: Sequence[PermutationGroup],
    permutations: Permutations,
    signs: Signs | None = None,
) -> dict[str, np.ndarray]:
    """Reorder units: unit i of the result is unit permutation[i] of the original, times its sign.

    Args:
        weights: Entry -> array [models, ...].
        groups: Groups of the architecture.
        permutations: Per group [size], the same for all models, or [models, size]; a group left
            out stays.
        signs: Per group, by unit of the result; all 1 if not given.

    Returns:
        The reordered weights; the input is not modified.
    """
    result = dict(weights)
    for group in groups:
        permutation = permutations.get(group.name)
        own_signs = (signs or {}).get(group.name)
        for axis in group.axes:
            if permutation is not None:
                result[axis.entry] = take(result[axis.entry], axis, permutation)
            if own_signs is not None and axis.signed:
                result[axis.entry] = flip(result[axis.entry], axis, own_signs)
    return result


def take(values: np.ndarray, axis: Axis, permutation: np.ndarray) -> np.ndarray:
    """Reorder one axis of [models, ...] by permutation [size] or [models, size]."""
    index = axis_index(axis, permutation, values.shape[axis.axis + 1])
    if index.ndim == 1:
        return np.take(values, index, axis=axis.axis + 1)
    return np.take_along_axis(values, _along(index, axis, values.ndim), axis=axis.axis + 1)


def flip(values: np.ndarray, axis: Axis, signs: np.ndarray) -> np.ndarray:
    """Multiply units along one axis of [models, ...] by signs [size] or [models, size]."""
    factors = np.ones((*signs.shape[:-1], values.shape[axis.axis + 1]), values.dtype)
    factors[..., axis.positions(signs.shape[-1])] = signs[..., None]
    return values * _along(np.atleast_2d(factors), axis, values.ndim)


def axis_index(axis: Axis, permutation: np.ndarray, length: int) -> np.ndarray:
    """Return the gather along an axis of this length: int64 [length] or [models, length]."""
    places = axis.positions(permutation.shape[-1])
    index = np.tile(np.arange(length), (*permutation.shape[:-1], 1))
    index[..., places] = places[permutation]
    return index


def inverse(permutations: Permutations) -> Permutations:
    """Return the permutations that take a permuted model back."""
    return {name: np.argsort(permutation, axis=-1) for name, permutation in permutations.items()}


def inverse_signs(permutations: Permutations, signs: Signs) -> Signs:
    """Return the signs that, with `inverse(permutations)`, take a permuted model back."""
    back = inverse(permutations)
    return {
        name: np.take_along_axis(own, back[name], axis=-1) if name in back else own
        for name, own in signs.items()
    }


def random_permutations(
    groups: Sequence[PermutationGroup], models: int, rng: np.random.Generator
) -> Permutations:
    """Draw independent uniform permutations, [models, size] per group."""
    return {
        group.name: rng.permuted(np.tile(np.arange(group.size), (models, 1)), axis=1)
        for group in groups
    }


def random_signs(
    groups: Sequence[PermutationGroup], models: int, rng: np.random.Generator
) -> Signs:
    """Draw independent signs, int8 [models, size] per group whose units may flip."""
    return {
        group.name: rng.choice(np.array([-1, 1], np.int8), (models, group.size))
        for group in groups
        if group.signs
    }


def _along(per_index: np.ndarray, axis: Axis, ndim: int) -> np.ndarray:
    """Reshape [models or 1, length] so that it broadcasts along the axis."""
    shape = [1] * ndim
    shape[0], shape[axis.axis + 1] = per_index.shape
    return per_index.reshape(shape)
