"""The spread of a layer's tokens in the latent space, ẑ_l (paper §4, Eq. 8)."""

import numpy as np


def spread(latents: np.ndarray, layer: np.ndarray, layers: int) -> np.ndarray:
    """Return ẑ_l = std_t(z^t_l): how far apart the latents of one layer's tokens lie.

    Eq. 8 takes a standard deviation of vectors and does not say how it becomes a scalar. Here it is
    the mean over latent dimensions of the (population) standard deviation over the layer's tokens.

    Args:
        latents: [models, N, d_z].
        layer: int64 [N], the layer counter l of each token.
        layers: How many layers there are, L.

    Returns:
        float64 [models, L]; NaN where a layer has fewer than two tokens, which have no spread.

    Raises:
        ValueError: If there is not a latent for every token, as where a model has one for all.
    """
    if latents.shape[1] != len(layer):
        raise ValueError(
            f"the spread of a layer needs a latent per token ({len(layer)}), got "
            f"{latents.shape[1]}; take an autoencoder with bottleneck: token"
        )
    found = np.full((len(latents), layers), np.nan)
    for l in range(layers):
        tokens = latents[:, layer == l]
        if tokens.shape[1] >= 2:
            found[:, l] = tokens.std(axis=1, dtype=np.float64).mean(axis=1)
    return found


def mean_over_layers(values: np.ndarray) -> np.ndarray:
    """Return the mean over the layers that have a value, [models, L] -> [models]; NaN if none."""
    there = np.isfinite(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
