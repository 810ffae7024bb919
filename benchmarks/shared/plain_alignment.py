"""Weight matching as one would write it down: what the fast one is measured and tested against."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from sane_core.seeding import rng_for
from sane_core.weights.symmetry.groups import Axis, PermutationGroup
from sane_core.weights.symmetry.permute import Permutations, Signs, permute


def match_plainly(
    reference: Mapping[str, np.ndarray],
    model: Mapping[str, np.ndarray],
    groups: Sequence[PermutationGroup],
    seed: int,
    max_sweeps: int = 100,
    signs: bool = False,
) -> tuple[Permutations, Signs]:
    """Align one model: every step permutes the weights and computes everything anew, in float64."""
    reference = {name: values.astype(np.float64) for name, values in reference.items()}
    start = {name: values.astype(np.float64)[None] for name, values in model.items()}
    current, value = start, inner_product(reference, start)
    found = {group.name: np.arange(group.size) for group in groups}
    flipped = {g.name: np.ones(g.size, np.int8) for g in groups if signs and g.signs}
    for sweep in range(max_sweeps):
        improved = False
        for k in rng_for(seed, "align", sweep).permutation(len(groups)):
            group = groups[k]
            step, sign = best_step(reference, current, group, signs and group.signs)
            flips = {group.name: sign} if group.name in flipped else {}
            proposed = permute(current, [group], {group.name: step}, flips)
            if inner_product(reference, proposed) > value + 1e-13 * abs(value):
                improved, current = True, proposed
                value = inner_product(reference, current)
                found[group.name] = found[group.name][step]
                if flips:
                    flipped[group.name] = flipped[group.name][step] * sign
        if not improved:
            break
    return found, flipped


def inner_product(reference: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> float:
    """Return the inner product of one model, [1, ...] per entry, with the reference."""
    return float(sum(np.vdot(values, weights[name]) for name, values in reference.items()))


def best_step(
    reference: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    group: PermutationGroup,
    signs: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best permutation and signs of one group, all others held."""
    signed, unsigned = np.zeros((2, group.size, group.size))
    for axis in group.axes:
        product = units_of(reference[axis.entry], axis, group.size) @ (
            units_of(weights[axis.entry][0], axis, group.size).T
        )
        if axis.signed or not signs:
            signed += product
        else:
            unsigned += product
    scores = np.abs(signed) + unsigned if signs else signed
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return columns, np.where(signed[rows, columns] < 0, -1, 1).astype(np.int8)


def units_of(values: np.ndarray, axis: Axis, size: int) -> np.ndarray:
    """Return one row per unit."""
    moved = np.moveaxis(values, axis.axis, 0)
    return moved[axis.positions(size)].reshape(size, -1)
