"""Weight statistics s(W) (Unterthiner et al. 2020; paper §5.1): the baseline to beat."""

import numpy as np

from sane_core.weights.layers import Layer

QUANTILES = (0.01, 0.25, 0.50, 0.75, 0.99)


def weight_statistics(weights: dict[str, np.ndarray], layers: tuple[Layer, ...]) -> np.ndarray:
    """Return per layer mean, variance and the 1, 25, 50, 75 and 99 % quantiles of its weights.

    Args:
        weights: Entry -> array [models, ...], raw (not standardized).
        layers: Layers of the architecture; weight and bias are pooled.

    Returns:
        float64 [models, 7 * L].
    """
    parts = []
    for layer in layers:
        pooled = [weights[name].reshape(len(weights[name]), -1) for name in layer.entries]
        values = np.concatenate(pooled, axis=1).astype(np.float64)
        parts += [values.mean(1, keepdims=True), values.var(1, keepdims=True)]
        parts.append(np.quantile(values, QUANTILES, axis=1).T)
    return np.concatenate(parts, axis=1)
