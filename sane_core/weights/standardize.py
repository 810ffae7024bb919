"""Standardize weights per layer, and undo it (Algorithm 1, step i).

A layer has one offset and one scale over all checkpoints measured, weight and bias pooled:

- `per_layer` (default, paper): its mean and standard deviation;
- `minmax`: the middle and half the width of its range, so that its weights fill [-1, 1], with the
  padding's 0 in the middle;
- `none`: 0 and 1.

Statistics come from the train split and are reused for every other model. They are measured
checkpoint by checkpoint (`moments_of`) and put together in the order of runs and epochs
(`statistics_of`): the result is the same, bit for bit, however the checkpoints were dealt out.

A layer that is constant in the train split (untrained biases of their own, layer norms of ones) has
scale 1: its weights become 0 and come back exactly, and a model that does move it is measured in
units of the weights themselves. `Statistics.constant` names such layers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from sane_core.weights.layers import Layer

Mode = Literal["per_layer", "minmax", "none"]
"""What a layer is measured in."""

SMALLEST = 1e-30
"""Spread up to which a layer counts as constant: divided by less, other weights would overflow."""
_BLOCK = 2**15
"""Values handled at a time: their float64 copies stay in the cache."""


@dataclass(frozen=True)
class Statistics:
    """Per-layer statistics of the train split, and what weights are standardized with.

    Attributes:
        names: Layer names.
        mean: float64 [layers].
        std: float64 [layers], 0 where the layer is constant.
        minimum: float64 [layers].
        maximum: float64 [layers].
        offset: float64 [layers], subtracted first.
        scale: float64 [layers], positive, divided by.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    offset: np.ndarray
    scale: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """Variance of the standardized weights, float64 [layers], to normalize a loss by.

        0 where the layer is constant.
        """
        return np.asarray((self.std / self.scale) ** 2)

    @property
    def constant(self) -> tuple[str, ...]:
        """Names of the layers that all checkpoints measured agree on."""
        return tuple(name for name, std in zip(self.names, self.std, strict=True) if std == 0)

    def scaling(self, layer: Layer) -> tuple[float, float]:
        """Return a layer's offset and scale.

        Raises:
            ValueError: If the layer is not among those measured.
        """
        if layer.name not in self.names:
            raise ValueError(
                f"layer {layer.name} must be among the zoo's layers {list(self.names)}: the model "
                "does not fit the zoo's statistics; measure statistics that hold its layers"
            )
        at = self.names.index(layer.name)
        return float(self.offset[at]), float(self.scale[at])


@dataclass(frozen=True)
class Moments:
    """What was measured of some checkpoints.

    Attributes:
        runs: int64 [checkpoints].
        epochs: int64 [checkpoints].
        mean: float64 [checkpoints, layers].
        squares: Summed squares of the distances to that mean, float64 [checkpoints, layers].
        minimum: float64 [checkpoints, layers].
        maximum: float64 [checkpoints, layers].
    """

    runs: np.ndarray
    epochs: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray


def moments_of(
    weights: Mapping[str, np.ndarray],
    layers: tuple[Layer, ...],
    runs: np.ndarray,
    epochs: np.ndarray,
) -> Moments:
    """Measure checkpoints, each on its own.

    Args:
        weights: Entry -> array [checkpoints, ...].
        layers: Layers of the architecture.
        runs: int64 [checkpoints].
        epochs: int64 [checkpoints].

    Raises:
        ValueError: If an entry is missing or not of floating point.
    """
    found = np.zeros((4, len(runs), len(layers)))
    buffer = np.empty(max(_BLOCK, *(layer.size for layer in layers)))
    for l, layer in enumerate(layers):
        if not layer.size:
            continue
        parts = [entry_of(weights, name) for name in layer.entries]
        inner = layer.c_out * layer.c_r
        many = max(1, _BLOCK // layer.size)
        for start in range(0, len(runs), many):
            stop = min(start + many, len(runs))
            pooled = buffer[: (stop - start) * layer.size].reshape(stop - start, layer.size)
            pooled[:, :inner] = parts[0][start:stop].reshape(stop - start, inner)
            if layer.has_bias:
                pooled[:, inner:] = parts[1][start:stop].reshape(stop - start, layer.c_out)
            found[:, start:stop, l] = _measured(pooled)
    return Moments(np.asarray(runs), np.asarray(epochs), *found)


def statistics_of(
    parts: Sequence[Moments], layers: tuple[Layer, ...], mode: Mode = "per_layer"
) -> Statistics:
    """Put together what was measured of all train checkpoints.

    Args:
        parts: Moments of the checkpoints, in any order and of any number each.
        layers: Layers of the architecture.
        mode: What a layer is measured in.

    Raises:
        ValueError: If there is no checkpoint, one is there twice, or one holds a weight that is
            not finite.
    """
    runs, epochs = (np.concatenate([getattr(p, key) for p in parts]) for key in ("runs", "epochs"))
    order = np.lexsort((epochs, runs))
    mean, squares, minimum, maximum = (
        np.concatenate([getattr(part, key) for part in parts])[order]
        for key in ("mean", "squares", "minimum", "maximum")
    )
    _check_measured(runs[order], epochs[order], mean, layers)
    middle = mean.mean(axis=0)
    sizes = np.array([max(1, layer.size) for layer in layers])
    spread = np.sqrt((squares / sizes + (mean - middle) ** 2).mean(axis=0))
    low, high = minimum.min(axis=0), maximum.max(axis=0)
    # Rounding gives equal values a mean beside them, and a spread above 0.
    constant = low == high
    middle, spread = np.where(constant, low, middle), np.where(constant, 0, spread)
    offset, scale = np.zeros(len(layers)), np.ones(len(layers))
    if mode == "per_layer":
        offset, scale = middle, spread
    elif mode == "minmax":
        offset, scale = low / 2 + high / 2, high / 2 - low / 2
    scale = np.where(scale > SMALLEST, scale, 1)
    return Statistics(_names(layers), middle, spread, low, high, offset, scale)


def measure(
    weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], mode: Mode = "per_layer"
) -> Statistics:
    """Measure the statistics of train checkpoints that are in memory at once.

    Args:
        weights: Entry -> array [checkpoints, ...].
        layers: Layers of the architecture.
        mode: What a layer is measured in.

    Raises:
        ValueError: As `moments_of` and `statistics_of`.
    """
    numbers = np.arange(len(entry_of(weights, layers[0].weight)))
    return statistics_of([moments_of(weights, layers, numbers, 0 * numbers)], layers, mode)


def identity(layers: tuple[Layer, ...]) -> Statistics:
    """Return statistics that leave weights as they are, without having measured any.

    They claim mean 0 and standard deviation 1.
    """
    zeros, ones = np.zeros(len(layers)), np.ones(len(layers))
    return Statistics(_names(layers), zeros, ones, -ones, ones, zeros, ones)


def standardize(
    weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], statistics: Statistics
) -> dict[str, np.ndarray]:
    """Return (w - offset) / scale per layer, computed in float64, rounded to the dtype given.

    Args:
        weights: Entry -> array [checkpoints, ...]; what is in no layer is left out.
        layers: Layers of the architecture.
        statistics: Statistics that know them.

    Raises:
        ValueError: If the statistics do not know a layer, or an entry is missing or not of floating
            point.
    """
    return _each(weights, layers, statistics, standardize_into)


def unstandardize(
    weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], statistics: Statistics
) -> dict[str, np.ndarray]:
    """Return w · scale + offset per layer: the inverse of `standardize` up to the last bit.

    Either way rounds once, so that a weight w comes back within ε · (|w - offset| + |w|), with
    ε = 2⁻²⁴ for float32: half of its last bit, and half the last bit of its distance to the offset.

    Raises:
        ValueError: As `standardize`.
    """
    return _each(weights, layers, statistics, unstandardize_into)


def standardize_into(values: np.ndarray, offset: float, scale: float, target: np.ndarray) -> None:
    """Write (values - offset) / scale into an array of the same shape.

    Args:
        values: float [checkpoints, rows, columns].
        offset: Subtracted first.
        scale: Divided by.
        target: float [checkpoints, rows, columns]; may lie apart in memory, or be `values`.
    """
    if (offset, scale) == (0, 1):
        target[...] = values
    else:
        _in_blocks(values, target, (np.subtract, offset), (np.divide, scale))


def unstandardize_into(values: np.ndarray, offset: float, scale: float, target: np.ndarray) -> None:
    """Write values · scale + offset; the arguments are those of `standardize_into`."""
    if (offset, scale) == (0, 1):
        target[...] = values
    else:
        _in_blocks(values, target, (np.multiply, scale), (np.add, offset))


def entry_of(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Return an entry that can be standardized.

    Raises:
        ValueError: If it is missing or not of floating point.
    """
    if name not in weights:
        raise ValueError(f"weights must hold entry {name}, got {sorted(weights)}")
    values = weights[name]
    if values.dtype.kind != "f":
        raise ValueError(f"entry {name} must be of floating point, got {values.dtype}")
    return values


def _each(
    weights: Mapping[str, np.ndarray],
    layers: tuple[Layer, ...],
    statistics: Statistics,
    write: Callable[[np.ndarray, float, float, np.ndarray], None],
) -> dict[str, np.ndarray]:
    found = {}
    for layer in layers:
        offset, scale = statistics.scaling(layer)
        for name in layer.entries:
            values = entry_of(weights, name)
            found[name] = np.empty(values.shape, values.dtype)
            write(values.reshape(1, 1, -1), offset, scale, found[name].reshape(1, 1, -1))
    return found


def _in_blocks(values: np.ndarray, target: np.ndarray, *steps: tuple[np.ufunc, float]) -> None:
    """Do two steps of arithmetic in float64 and round once, a block in the cache at a time."""
    (first, a), (second, b) = steps
    buffer = np.empty(_BLOCK)
    for at in _blocks(values.shape):
        part = values[at]
        between = _room(buffer, part.shape)
        first(part, a, out=between, dtype=np.float64)
        second(between, b, out=target[at], casting="same_kind")


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice, slice]]:
    """Cut an array of three axes into blocks of at most `_BLOCK` values."""
    if 0 in shape:
        return
    count, rows, columns = shape
    wide = min(columns, _BLOCK)
    tall = min(rows, _BLOCK // wide)
    many = _BLOCK // (tall * wide)
    for i in range(0, count, many):
        for j in range(0, rows, tall):
            for k in range(0, columns, wide):
                yield slice(i, i + many), slice(j, j + tall), slice(k, k + wide)


def _room(buffer: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return buffer[: prod(shape)].reshape(shape)


def _measured(pooled: np.ndarray) -> list[np.ndarray]:
    """Return mean, squares, minimum and maximum of each row, whose values are used up."""
    low, high = pooled.min(axis=1), pooled.max(axis=1)
    mean = pooled.mean(axis=1)
    np.subtract(pooled, mean[:, None], out=pooled)
    np.multiply(pooled, pooled, out=pooled)
    return [mean, pooled.sum(axis=1), low, high]


def _check_measured(
    runs: np.ndarray, epochs: np.ndarray, mean: np.ndarray, layers: tuple[Layer, ...]
) -> None:
    if not len(runs):
        raise ValueError("statistics must be measured on at least one train checkpoint, got none")
    twice = (np.diff(runs) == 0) & (np.diff(epochs) == 0)
    if twice.any():
        at = int(twice.argmax())
        raise ValueError(
            "a checkpoint must be measured once, got more of "
            f"run {int(runs[at])}, epoch {int(epochs[at])}"
        )
    if not np.isfinite(mean).all():
        row, l = (int(at[0]) for at in np.nonzero(~np.isfinite(mean)))
        raise ValueError(
            f"weights must be finite to be measured, got others in layer {layers[l].name} of "
            f"run {int(runs[row])}, epoch {int(epochs[row])}; leave this run out"
        )


def _names(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    return tuple(layer.name for layer in layers)
