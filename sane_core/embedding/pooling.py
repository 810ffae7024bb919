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


GLOBAL = "global"
"""Name of the only pooling where a model has one latent: that latent."""


def pool(name: str, latents: np.ndarray, layer: np.ndarray) -> dict[str, np.ndarray]:
    """Apply every pooling, or none where there is nothing to pool.

    Args:
        name: Prefix of the names.
        latents: [models, N, d], or [models, 1, d] of models with one latent each.
        layer: int64 [N], the layer counter l of each token.

    Returns:
        `<name>_<pooling>` -> [models, d']; `<name>_global` alone for one latent per model.

    Raises:
        ValueError: If there are neither as many latents as tokens nor one.
    """
    if latents.shape[1] != len(layer):
        if latents.shape[1] != 1:
            raise ValueError(
                f"latents must be one per token ({len(layer)}) or one per model, got "
                f"{latents.shape[1]}"
            )
        return {f"{name}_{GLOBAL}": latents[:, 0]}
    return {f"{name}_{pooling}": apply(latents, layer) for pooling, apply in POOLINGS.items()}
