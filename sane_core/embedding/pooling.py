"""Pool a model's latents into one embedding (paper §2, "Computing SANE Model Embeddings")."""

from collections.abc import Callable

import numpy as np


def mean(latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return the centre of gravity z̄: [models, N, d] -> [models, d]."""
    del layer
    return latents.mean(axis=1)


def layers(latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return per-layer mean and standard deviation over tokens, side by side.

    Args:
        latents: [models, N, d].
        layer: int64 [N], the layer counter l of each token.

    Returns:
        [models, 2 * L * d].
    """
    parts = []
    for l in np.unique(layer):
        tokens = latents[:, layer == l]
        parts += [tokens.mean(axis=1), tokens.std(axis=1)]
    return np.concatenate(parts, axis=1)


POOLINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean,
    "layers": layers,
}


def pool(name: str, latents: np.ndarray, layer: np.ndarray) -> dict[str, np.ndarray]:
    """Apply every pooling to latents [models, N, d]: `<name>_<pooling>` -> [models, d']."""
    return {f"{name}_{pooling}": apply(latents, layer) for pooling, apply in POOLINGS.items()}
