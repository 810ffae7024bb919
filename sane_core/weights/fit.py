"""How well each unit of a model fits each place in the reference, kept up to date as units move.

All other groups held, the inner product with the reference is linear in the permutation of one
group. Its coefficients are a sum over the axes that the group touches; each term is a matrix
product of that axis in the reference and in the model, and its rows are all other indices of the
entry, where the other groups have put them. Columns are units of the model as given, so a group's
own permutation changes nothing. When another group moves few units, only the rows they lie on leave
the sum and enter it; terms that no other group touches are computed once.

Every product has a shape that the model alone decides, so that last bits do not depend on which
models are computed beside it: large ones are made model by model, small ones in batches filled up
to `BATCH`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np
import torch

from sane_core.weights.symmetry.groups import Axis, PermutationGroup
from sane_core.weights.symmetry.permute import Permutations, Signs, flip, take

BATCH = 64
"""Models in one product of small matrices."""
LARGE = 2**13
"""Elements of a matrix from which on it is multiplied alone, and only where rows moved."""

Rows = tuple[np.ndarray, np.ndarray]
"""Which row of a model's matrix comes where, int64 [models, rows], and its sign, int8."""


@dataclass(frozen=True)
class Moves:
    """What moves along one factor of a term's rows: an axis, or the blocks of the units.

    Attributes:
        length: Number of indices.
        axes: (group, axis of it), as axes of an array [models, indices along the entry's axis].
        span: Indices along the entry's axis.
        places: Where the factor's indices lie among them.
    """

    length: int
    axes: tuple[tuple[PermutationGroup, Axis], ...]
    span: int
    places: np.ndarray

    def rows(self, permutations: Permutations, signs: Signs) -> Rows:
        """Return where each index comes from, and its sign: [models or 1, length]."""
        index = np.arange(self.span)[None]
        factor = np.ones(index.shape, np.int8)
        for group, axis in self.axes:
            permutation = permutations[group.name]
            index, factor = (
                take(np.broadcast_to(values, (len(permutation), self.span)), axis, permutation)
                for values in (index, factor)
            )
            if group.name in signs and axis.signed:
                factor = flip(factor, axis, signs[group.name])
        number = np.zeros(self.span, np.int64)
        number[self.places] = np.arange(self.length)
        return number[index[:, self.places]], factor[:, self.places]


@dataclass(frozen=True)
class Term:
    """One axis of a group: its entry as a matrix [rows, units].

    Attributes:
        group: The group.
        axis: The axis.
        shape: Shape of the entry.
        groups: All groups.
    """

    group: PermutationGroup
    axis: Axis
    shape: tuple[int, ...]
    groups: Sequence[PermutationGroup] = field(repr=False)

    @cached_property
    def places(self) -> np.ndarray:
        """Indices of the units along the axis, int64 [units, block]."""
        return self.axis.positions(self.group.size)

    @cached_property
    def factors(self) -> tuple[Moves, ...]:
        """What the rows run over: axes behind the units' axis, axes before it, then the blocks."""
        own, count = self.axis.axis, len(self.shape)
        moves = [
            Moves(self.shape[k], self._touching(k), self.shape[k], np.arange(self.shape[k]))
            for k in (*range(own + 1, count), *range(own))
        ]
        # Groups that share this very axis may act within the units' blocks.
        inner = [
            (group, axis)
            for group, axis in self._touching(self.axis.axis)
            if group is not self.group
            and np.intersect1d(axis.positions(group.size), self.places).size
        ]
        block = self.places[0]
        return (*moves, Moves(len(block), tuple(inner), self.shape[self.axis.axis], block))

    @cached_property
    def moved_by(self) -> frozenset[str]:
        """Names of the groups that move rows; the own one is among them if it touches two axes."""
        return frozenset(group.name for moves in self.factors for group, _ in moves.axes)

    def rows(self, permutations: Permutations, signs: Signs) -> Rows:
        """Return which rows the models have now, [models, rows]."""
        models = len(permutations[self.group.name])
        index, factor = np.zeros((models, 1), np.int64), np.ones((models, 1), np.int8)
        for moves in self.factors:
            own, sign = moves.rows(permutations, signs)
            index = (index[:, :, None] * moves.length + own[:, None]).reshape(models, -1)
            factor = (factor[:, :, None] * sign[:, None]).reshape(models, -1)
        return index, factor

    def matrix(self, values: torch.Tensor) -> torch.Tensor:
        """Lay out [models, ...] as [models, rows, units]."""
        length = self.shape[self.axis.axis]
        before = prod(self.shape[: self.axis.axis])
        flat = values.reshape(len(values), before * length, -1)
        if flat[0].numel() < LARGE:
            units = flat.mT.contiguous()
        else:
            units = flat.new_empty(flat.mT.shape)
            for target, source in zip(units, flat, strict=True):
                target.copy_(source.T)  # a transposition of one matrix has a fast path of its own
        units = units.view(len(values), -1, length)
        order = self.places.T.ravel()
        if not np.array_equal(order, np.arange(length)):
            units = units.index_select(-1, torch.from_numpy(order).to(values.device))
        return units.view(len(values), -1, self.group.size)

    def _touching(self, number: int) -> tuple[tuple[PermutationGroup, Axis], ...]:
        return tuple(
            (group, replace(axis, axis=0))
            for group in self.groups
            for axis in group.axes
            if (axis.entry, axis.axis) == (self.axis.entry, number)
        )


class Fit:
    """The matrices of all groups, for one shard of models."""

    def __init__(
        self,
        groups: Sequence[PermutationGroup],
        reference: Mapping[str, torch.Tensor],
        weights: Mapping[str, torch.Tensor],
    ) -> None:
        """Add up what no permutation of another group changes.

        Args:
            groups: All groups; those whose units may not flip have `signs=False`.
            reference: Entry -> tensor [1, ...].
            weights: Entry -> tensor [models, ...], of the same type and on the same device.
        """
        models = len(next(iter(weights.values())))
        self._sums: dict[str, np.ndarray] = {}
        self._moving: dict[str, list[MovingTerm]] = {}
        for group in groups:
            total = np.zeros((models, 1 + group.signs, group.size, group.size))
            self._sums[group.name], self._moving[group.name] = total, []
            for axis in group.axes:
                term = Term(group, axis, tuple(reference[axis.entry].shape[1:]), groups)
                ours, theirs = (term.matrix(side[axis.entry]) for side in (reference, weights))
                moving = MovingTerm(term, ours[0], theirs)
                if term.moved_by:
                    self._moving[group.name].append(moving)
                else:
                    moving.update(np.arange(models), *moving.as_given())
                    total[:, _slot(term)] += moving.products

    def moved_by(self, group: PermutationGroup) -> frozenset[str]:
        """Return the names of the groups that change the matrix of a group."""
        return frozenset[str]().union(
            *(moving.term.moved_by for moving in self._moving[group.name])
        )

    def of(
        self,
        group: PermutationGroup,
        models: np.ndarray,
        permutations: Permutations,
        signs: Signs,
    ) -> np.ndarray:
        """Return the matrix of one group, all others where they are.

        Args:
            group: The group.
            models: Which models, int64 [n].
            permutations: Per group, those of these models, [n, size].
            signs: Per group that may flip, [n, size].

        Returns:
            float64 [n, 1, size, size]: what unit j of the model (columns) adds to the inner product
            at place i of the reference (rows). If units may flip, [n, 2, size, size]: what changes
            its sign with the unit, and what does not.
        """
        total = self._sums[group.name][models]
        for moving in self._moving[group.name]:
            moving.update(models, *moving.term.rows(permutations, signs))
            total[:, _slot(moving.term)] += moving.products[models]
        return total


class MovingTerm:
    """A term, the rows that it was last computed with, and what came out."""

    def __init__(self, term: Term, reference: torch.Tensor, weights: torch.Tensor) -> None:
        """Start without any product.

        Args:
            term: The term.
            reference: [rows, units].
            weights: [models, rows, units].
        """
        self.term, self._reference, self._weights = term, reference, weights
        models, rows, units = weights.shape
        self.products = np.zeros((models, units, units), np.float64)
        self._index = np.zeros((models, rows), np.int64)
        self._factor = np.zeros((models, rows), np.int8)

    def as_given(self) -> Rows:
        """Return the rows of all models before anything has moved."""
        index = np.broadcast_to(np.arange(self._index.shape[1]), self._index.shape)
        return index, np.ones_like(self._factor)

    def update(self, models: np.ndarray, index: np.ndarray, factor: np.ndarray) -> None:
        """Compute the products of these models for these rows, [models, rows]."""
        rows, units = self._reference.shape
        if max(rows, units) * units < LARGE:
            self._multiply_together(models, index, factor)
        else:
            for i, model in enumerate(models):
                self._multiply_alone(model, index[i], factor[i])
        self._index[models], self._factor[models] = index, factor

    def _multiply_alone(self, model: int, index: np.ndarray, factor: np.ndarray) -> None:
        moved = np.flatnonzero((index != self._index[model]) | (factor != self._factor[model]))
        only = np.array([model])
        if len(moved) > len(index) // 2:
            theirs = self._gather(only, index[None], factor[None])[0]
            self.products[model] = (self._reference.T @ theirs).cpu().numpy()
        elif len(moved):
            theirs = self._gather(only, index[None, moved], factor[None, moved])[0]
            old_index, old_factor = self._index[model, moved], self._factor[model, moved]
            theirs -= self._gather(only, old_index[None], old_factor[None])[0]
            chosen = torch.from_numpy(moved).to(theirs.device)
            ours = self._reference.index_select(0, chosen)
            self.products[model] += (ours.T @ theirs).cpu().numpy()

    def _multiply_together(self, models: np.ndarray, index: np.ndarray, factor: np.ndarray) -> None:
        ours = self._reference.T.expand(BATCH, -1, -1)
        for start in range(0, len(models), BATCH):
            filled = np.minimum(np.arange(start, start + BATCH), len(models) - 1)
            product = ours @ self._gather(models[filled], index[filled], factor[filled])
            self.products[models[filled]] = product.cpu().numpy()

    def _gather(self, models: np.ndarray, index: np.ndarray, factor: np.ndarray) -> torch.Tensor:
        """Return rows of these models, times their signs: [models, rows, units]."""
        rows, units = self._weights.shape[1:]
        chosen = torch.from_numpy((models[:, None] * rows + index).ravel()).to(self._weights.device)
        values = self._weights.view(-1, units).index_select(0, chosen).view(*index.shape, units)
        if (factor != 1).any():
            values *= torch.from_numpy(factor).to(values)[:, :, None]
        return values


def _slot(term: Term) -> int:
    return int(term.group.signs and not term.axis.signed)
