"""Permuted views of aligned models as index gathers on tokens (paper §3, augmentations).

Permuting the weights and tokenizing again gives the same tokens, bit for bit, but needs the whole
network. A view knows for each layer where its rows and its columns come from; what it takes to see
a window of a network is worked out for the rows of that window alone.

Rows and columns of a layer are independent, as its axes are. Its bias has rows of its own: those of
a layer whose rows are not its outputs (a transposed convolution) come from another group.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import DTypeLike

from sane_core.weights.layers import Layer, token_count
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.symmetry.permute import (
    Permutations,
    Signs,
    axis_index,
    random_permutations,
    random_signs,
)

Axes = Mapping[int, np.ndarray]
"""What views do to an entry: axis -> gather or factors, [views, length]; other axes stay."""


@dataclass(frozen=True)
class _Span:
    """A layer within the tokens of its network; the first axis is 1 where all views are alike.

    Attributes:
        layer: The layer.
        start: Its first token.
        rows: Where the weight's rows begin among the network's values, [views, c_out].
        columns: Where in these rows the columns are, padding included, [views, padded row].
        bias: Where the bias's values are, [views, c_out]; None without a bias.
        signs: Factors of the weight's rows, of its columns, and of the bias; None for 1.
    """

    layer: Layer
    start: int
    rows: np.ndarray
    columns: np.ndarray
    bias: np.ndarray | None
    signs: tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


class Views:
    """Function-preserving permutations of a network, ready to be seen in its tokens."""

    def __init__(
        self,
        layers: tuple[Layer, ...],
        groups: Sequence[PermutationGroup],
        d_t: int,
        views: int,
        permutations: Permutations,
        signs: Signs | None = None,
    ) -> None:
        """Prepare views.

        Args:
            layers: Layers of the architecture.
            groups: Its permutation groups; entries that are in no layer do not matter.
            d_t: Token size.
            views: How many.
            permutations: Per group, int [views, size], as for `permute`.
            signs: Per group, int8 [views, size], as for `permute`.

        Raises:
            ValueError: If `d_t` is not positive.
        """
        self.views, self.d_t = views, d_t
        self.tokens = token_count(layers, d_t)
        self._dtype = np.int32 if self.tokens * d_t < 2**31 else np.int64
        shapes = {layer.weight: layer.shape for layer in layers}
        shapes |= {layer.bias: layer.shape[:1] for layer in layers if layer.bias is not None}
        indices, factors = _compose(shapes, groups, permutations, signs or {})
        self._flips = any(factors.values())
        starts = accumulate((layer.tokens(d_t) for layer in layers), initial=0)
        self._spans = [
            self._span(layer, start, indices, factors)
            for layer, start in zip(layers, starts, strict=False)
        ]

    def index(self, start: int, stop: int) -> np.ndarray:
        """Return where the tokens [start, stop) come from.

        Returns:
            int32 (int64 for networks of 2^31 values and more) [views, stop - start, d_t]: places in
            the network's flat tokens. Padding comes from padding.

        Raises:
            ValueError: If the network has no such tokens.
        """
        return self._assemble(start, stop, slice(self.views), self._dtype, self._index_of_rows)

    def signs(self, start: int, stop: int) -> np.ndarray | None:
        """Return the factors of the tokens [start, stop), int8 [views, stop - start, d_t].

        None where no group flips signs; 1 at the padding.
        """
        if not self._flips:
            return None
        return self._assemble(start, stop, slice(self.views), np.int8, self._signs_of_rows)

    def see(
        self, tokens: np.ndarray, start: int, stop: int, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the tokens [start, stop) of every view of one model.

        Args:
            tokens: [N, d_t] of the whole model.
            start: First token.
            stop: Last token + 1.
            out: [views, stop - start, d_t] to write into, of the dtype of the tokens.

        Returns:
            [views, stop - start, d_t].

        Raises:
            ValueError: If the network has no such tokens, or the model is not as long.
        """
        if tokens.shape != (self.tokens, self.d_t):
            raise ValueError(
                f"tokens must have shape [{self.tokens}, {self.d_t}], got {list(tokens.shape)}"
            )
        flat, shape = tokens.reshape(-1), (self.views, stop - start, self.d_t)
        seen = np.empty(shape, tokens.dtype) if out is None else out
        for view in range(self.views):
            # View by view, the index is small enough for memory that is used again.
            one = slice(view, view + 1)
            (index,) = self._assemble(start, stop, one, self._dtype, self._index_of_rows)
            # Every place is there; only without that check does NumPy write straight into `out`.
            np.take(flat, index, out=seen[view], mode="clip")
            if self._flips:
                seen[view] *= self._assemble(start, stop, one, np.int8, self._signs_of_rows)[0]
        return seen

    def _span(
        self,
        layer: Layer,
        start: int,
        indices: Mapping[str, Axes],
        factors: Mapping[str, Axes],
    ) -> _Span:
        width = layer.chunks(self.d_t) * self.d_t
        base = start * self.d_t
        moved, flipped = indices.get(layer.weight, {}), factors.get(layer.weight, {})
        straight = np.arange(layer.c_out)[None]
        columns = np.arange(width, dtype=self._dtype)[None]
        if any(axis > 0 for axis in moved):
            columns = np.repeat(columns, self.views, axis=0)
            columns[:, : layer.c_r] = _columns(layer.shape, moved)
        bias, bias_signs = None, None
        if layer.bias is not None:
            bias_rows = indices.get(layer.bias, {}).get(0, straight)
            bias = (base + bias_rows * width + layer.c_r).astype(self._dtype)
            bias_signs = factors.get(layer.bias, {}).get(0)
        rows = (base + moved.get(0, straight) * width).astype(self._dtype)
        column_signs = _column_signs(layer.shape, flipped)
        return _Span(layer, start, rows, columns, bias, (flipped.get(0), column_signs, bias_signs))

    def _assemble(
        self,
        start: int,
        stop: int,
        views: slice,
        dtype: DTypeLike,
        of_rows: Callable[[_Span, slice, slice, np.ndarray], None],
    ) -> np.ndarray:
        """Put together what `of_rows` says of the layers' rows that tokens [start, stop) are in."""
        if not 0 <= start <= stop <= self.tokens:
            raise ValueError(
                f"tokens must lie in [0, {self.tokens}) of the network, got [{start}, {stop})"
            )
        count = views.stop - (views.start or 0)
        found = np.empty((count, stop - start, self.d_t), dtype)
        for span in self._spans:
            chunks = span.layer.chunks(self.d_t)
            first = max(0, start - span.start)
            last = min(stop - span.start, span.layer.c_out * chunks)
            if first >= last:
                continue
            low, high = first // chunks, -(-last // chunks)
            rows = np.empty((count, high - low, chunks * self.d_t), dtype)
            of_rows(span, views, slice(low, high), rows)
            tokens = rows.reshape(count, -1, self.d_t)
            target = found[:, span.start + first - start : span.start + last - start]
            target[...] = tokens[:, first - low * chunks : last - low * chunks]
        return found

    def _index_of_rows(self, span: _Span, views: slice, at: slice, rows: np.ndarray) -> None:
        starts, columns = _some(span.rows, views)[:, at], _some(span.columns, views)
        np.add(starts[..., None], columns[:, None], out=rows)
        if span.bias is not None:
            rows[..., span.layer.c_r] = _some(span.bias, views)[:, at]

    def _signs_of_rows(self, span: _Span, views: slice, at: slice, rows: np.ndarray) -> None:
        of_rows, of_columns, of_bias = span.signs
        rows[...] = 1
        weight = rows[..., : span.layer.c_r]
        if of_rows is not None:
            weight *= _some(of_rows, views)[:, at, None]
        if of_columns is not None:
            weight *= _some(of_columns, views)[:, None]
        if of_bias is not None:
            rows[..., span.layer.c_r] = _some(of_bias, views)[:, at]


def draw_views(
    layers: tuple[Layer, ...],
    groups: Sequence[PermutationGroup],
    d_t: int,
    views: int,
    rng: np.random.Generator,
    signs: bool = False,
) -> Views:
    """Draw random function-preserving permutations.

    Args:
        layers: Layers of the architecture.
        groups: Its permutation groups.
        d_t: Token size.
        views: How many to draw.
        rng: Source of the draw: permutations of every group, then signs.
        signs: Draw signs too, for the groups whose units may flip.
    """
    permutations = random_permutations(groups, views, rng)
    drawn = random_signs(groups, views, rng) if signs else None
    return Views(layers, groups, d_t, views, permutations, drawn)


def _compose(
    shapes: Mapping[str, tuple[int, ...]],
    groups: Sequence[PermutationGroup],
    permutations: Permutations,
    signs: Signs,
) -> tuple[dict[str, dict[int, np.ndarray]], dict[str, dict[int, np.ndarray]]]:
    """Return entry -> axis -> gather, and entry -> axis -> factors, of all groups together."""
    indices: dict[str, dict[int, np.ndarray]] = {}
    factors: dict[str, dict[int, np.ndarray]] = {}
    pairs = [(group, axis) for group in groups for axis in group.axes]
    for group, axis in pairs:
        if axis.entry not in shapes:
            continue
        length = shapes[axis.entry][axis.axis]
        index, flips = indices.setdefault(axis.entry, {}), factors.setdefault(axis.entry, {})
        if group.name in permutations:
            own = axis_index(axis, permutations[group.name], length)
            for moved in (index, flips):
                if axis.axis in moved:
                    moved[axis.axis] = np.take_along_axis(moved[axis.axis], own, axis=1)
            index.setdefault(axis.axis, own)
        if group.name in signs and axis.signed:
            own = np.ones((len(signs[group.name]), length), np.int8)
            own[:, axis.positions(group.size)] = signs[group.name][..., None]
            flips[axis.axis] = own * flips.get(axis.axis, np.int8(1))
    return indices, factors


def _columns(shape: tuple[int, ...], indices: Axes) -> np.ndarray:
    """Return where the columns of a matrix [c_out, c_r] come from, [views, c_r]."""
    columns = np.zeros((1, 1), np.int64)
    for axis, length in enumerate(shape[1:], start=1):
        own = indices.get(axis, np.arange(length)[None])
        columns = columns[:, :, None] * length + own[:, None, :]
        columns = columns.reshape(len(columns), -1)
    return columns


def _column_signs(shape: tuple[int, ...], factors: Axes) -> np.ndarray | None:
    """Return the factors of the columns, int8 [views, c_r]; None for 1."""
    if not any(axis > 0 for axis in factors):
        return None
    signs = np.ones((1, 1), np.int8)
    for axis, length in enumerate(shape[1:], start=1):
        own = factors.get(axis, np.ones((1, length), np.int8))
        signs = (signs[:, :, None] * own[:, None, :]).reshape(max(len(signs), len(own)), -1)
    return signs


def _some(of_views: np.ndarray, views: slice) -> np.ndarray:
    """Return what belongs to these views, where it is not the same for all."""
    return of_views if len(of_views) == 1 else of_views[views]
