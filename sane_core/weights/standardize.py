"""Standardize weights per layer, and undo it (Algorithm 1, step i).

One mean and one standard deviation per layer over all checkpoints given, weight and bias pooled.
The statistics come from the train split and are reused for every other model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sane_core.weights.layers import Layer


@dataclass(frozen=True)
class Statistics:
    """Per-layer statistics.

    Attributes:
        mean: float64 [layers].
        std: float64 [layers], positive.
    """

    mean: np.ndarray
    std: np.ndarray


def measure(weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...]) -> Statistics:
    """Measure the statistics of train checkpoints.

    Args:
        weights: Entry -> array [checkpoints, ...].
        layers: Layers of the architecture.

    Raises:
        ValueError: If a layer is constant, so that it cannot be scaled to unit variance.
    """
    mean, std = np.empty(len(layers)), np.empty(len(layers))
    for layer in layers:
        pooled = np.concatenate([weights[name].ravel() for name in layer.entries])
        mean[layer.l] = pooled.mean(dtype=np.float64)
        std[layer.l] = pooled.std(dtype=np.float64)
        if not std[layer.l] > 0:
            raise ValueError(f"layer {layer.name} must vary to be standardized, got std 0")
    return Statistics(mean, std)


def identity(layers: tuple[Layer, ...]) -> Statistics:
    """Return the statistics that leave weights as they are (mode `none`)."""
    return Statistics(np.zeros(len(layers)), np.ones(len(layers)))


def standardize(
    weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], statistics: Statistics
) -> dict[str, np.ndarray]:
    """Return (w - mean) / std per layer, float32 as given."""
    return {
        name: _as(weights[name], (weights[name] - statistics.mean[l]) / statistics.std[l])
        for l, layer in enumerate(layers)
        for name in layer.entries
    }


def unstandardize(
    weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], statistics: Statistics
) -> dict[str, np.ndarray]:
    """Return w · std + mean per layer: the inverse of `standardize` up to the last float32 bit."""
    return {
        name: _as(weights[name], weights[name] * statistics.std[l] + statistics.mean[l])
        for l, layer in enumerate(layers)
        for name in layer.entries
    }


def _as(like: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values.astype(like.dtype)
