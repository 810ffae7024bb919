"""Weight matching of one shard of models: sweeps over the groups, until nothing improves.

A group is visited again only if something that it depends on has moved since: a model that has
converged takes no further work.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from sane_core.seeding import rng_for
from sane_core.weights.assignment import assign
from sane_core.weights.fit import Fit
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.symmetry.permute import Permutations, Signs, permute

State = tuple[Permutations, Signs]

ROUNDING = 4
"""Gains up to so many units in the last place of the best fits are taken for rounding."""


@dataclass(frozen=True)
class Matching:
    """What aligns models to the reference, for `permute`.

    Attributes:
        permutations: Per group, int64 [models, size].
        signs: Per group whose units may flip, int8 [models, size].
        sweeps: Sweeps in which a model had a group left to visit, int64 [models].
        converged: Whether no group could be improved any more, bool [models].
    """

    permutations: Permutations
    signs: Signs
    sweeps: np.ndarray
    converged: np.ndarray


class Descent:
    """Permutations and signs of a shard of models, on their way."""

    def __init__(
        self,
        groups: Sequence[PermutationGroup],
        reference: Mapping[str, torch.Tensor],
        weights: Mapping[str, torch.Tensor],
        pool: Executor,
    ) -> None:
        """Start from the models as they are.

        Args:
            groups: All groups; those whose units may not flip have `signs=False`.
            reference: Entry -> tensor [1, ...].
            weights: Entry -> tensor [models, ...], of the same type and on the same device.
            pool: Solves the assignments of several models at once.
        """
        self._models = len(next(iter(weights.values())))
        self._groups, self._pool = groups, pool
        self._permutations = {g.name: np.tile(np.arange(g.size), (self._models, 1)) for g in groups}
        self._signs = {g.name: np.ones((self._models, g.size), np.int8) for g in groups if g.signs}
        self._unit = torch.finfo(next(iter(weights.values())).dtype).eps
        self._fit = Fit(groups, reference, weights)
        self._squares = {
            group.name: _Square(group, groups, reference, weights)
            for group in groups
            if group.name in self._fit.moved_by(group)
        }

    def run(self, seed: int, max_sweeps: int) -> Matching:
        """Sweep over the groups, in an order drawn anew for each sweep."""
        depends = np.array(
            [[g.name in self._fit.moved_by(other) for other in self._groups] for g in self._groups]
        )
        unvisited = np.ones((self._models, len(self._groups)), bool)
        sweeps = np.zeros(self._models, np.int64)
        for sweep in range(max_sweeps):
            if not unvisited.any():
                break
            sweeps += unvisited.any(axis=1)
            for k in rng_for(seed, "align", sweep).permutation(len(self._groups)):
                models = np.flatnonzero(unvisited[:, k])
                if len(models):
                    unvisited[models, k] = False
                    unvisited[self._visit(k, models)] |= depends[k]
        converged = np.asarray(~unvisited.any(axis=1))
        return Matching(self._permutations, self._signs, sweeps, converged)

    def _visit(self, k: int, models: np.ndarray) -> np.ndarray:
        """Assign the units of a group anew, and return the models that gained by it."""
        group = self._groups[k]
        now = _chosen(self._permutations, models), _chosen(self._signs, models)
        fit = self._fit.of(group, models, *now)
        then = self._best(group, fit, now)
        if group.name in self._squares:
            value = partial(self._squares[group.name].value, models)
        else:
            value = partial(_value, group, fit)
        largest = np.maximum(fit.max(axis=3), -fit.min(axis=3)).sum(axis=(1, 2))
        better = value(*then) - value(*now) > ROUNDING * self._unit * largest
        permutations, signs = then
        self._permutations[group.name][models[better]] = permutations[group.name][better]
        if group.name in signs:
            self._signs[group.name][models[better]] = signs[group.name][better]
        return models[better]

    def _best(self, group: PermutationGroup, fit: np.ndarray, now: State) -> State:
        """Return the best permutations and signs of a group, all others held."""
        if not group.signs:
            return now[0] | {group.name: assign(fit[:, 0], self._pool)}, now[1]
        permutation = assign(np.abs(fit[:, 0]) + fit[:, 1], self._pool)
        sign = np.where(_at(fit, permutation)[:, 0] < 0, -1, 1).astype(np.int8)
        return now[0] | {group.name: permutation}, now[1] | {group.name: sign}


class _Square:
    """The part of the inner product that a group decides, where it touches two axes of one entry.

    There it is quadratic in the group's permutation, and the assignment solves it only to first
    order: a step must be checked.
    """

    def __init__(
        self,
        group: PermutationGroup,
        groups: Sequence[PermutationGroup],
        reference: Mapping[str, torch.Tensor],
        weights: Mapping[str, torch.Tensor],
    ) -> None:
        entries = {axis.entry for axis in group.axes}
        self._groups = [
            replace(other, axes=tuple(axis for axis in other.axes if axis.entry in entries))
            for other in groups
        ]
        self._reference = {name: reference[name].cpu().numpy() for name in entries}
        self._weights = {name: weights[name].cpu().numpy() for name in entries}

    def value(self, models: np.ndarray, permutations: Permutations, signs: Signs) -> np.ndarray:
        """Return the inner product of these models with the reference, float64 [models]."""
        chosen = _chosen(self._weights, models)
        total = np.zeros(len(models))
        for name, values in permute(chosen, self._groups, permutations, signs).items():
            products = np.multiply(values, self._reference[name], dtype=np.float64)
            total += products.reshape(len(models), -1).sum(axis=1)
        return total


def _chosen(values: dict[str, np.ndarray], models: np.ndarray) -> dict[str, np.ndarray]:
    return {name: own[models] for name, own in values.items()}


def _value(
    group: PermutationGroup, fit: np.ndarray, permutations: Permutations, signs: Signs
) -> np.ndarray:
    """Return what the units of a group add to the inner product, float64 [models]."""
    chosen = _at(fit, permutations[group.name])
    if group.signs:
        chosen[:, 0] *= signs[group.name]
    return np.asarray(chosen.sum(axis=(1, 2)))


def _at(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return one column of every row: [models, kinds, size] of [models, kinds, size, size]."""
    return np.take_along_axis(values, columns[:, None, :, None], axis=3)[..., 0]
