"""Pool a model's latents into one embedding (paper §2, "Computing SANE Model Embeddings").

The paper's is `mean`, the centre of gravity. `mean`, `mean_std` and `quantiles` have one length
whatever the model; `layers` has one per number of layers, `full` one per number of tokens.
"""

from collections.abc import Callable, Sequence

import numpy as np

from schemas.config.embed import POOLINGS, Pooling

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
"""Shares of the tokens that lie below; those of s(W)."""

LARGEST_FULL = 16_384
"""Values of an embedding `full` at most: 48 tokens of 128 latents are 6,144, those of a CNN3 11,904
and those of a ResNet-18 five million, which no linear probe could be fitted to.
"""

GLOBAL = "global"
"""Name of the only pooling where a model has one latent: that latent."""


def mean(latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return the centre of gravity z̄: [models, N, d] -> [models, d]."""
    del layer
    return latents.mean(axis=1)


def mean_std(latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation over all tokens: [models, N, d] -> [models, 2 * d]."""
    del layer
    return np.concatenate([latents.mean(axis=1), latents.std(axis=1)], axis=1)


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


def quantiles(latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return the quantiles `QUANTILES` over tokens of each latent dimension, side by side.

    Between two tokens they are interpolated linearly.

    Args:
        latents: [models, N, d].
        layer: int64 [N]; not looked at.

    Returns:
        [models, 5 * d].
    """
    del layer
    ordered = np.sort(latents, axis=1)
    last = latents.shape[1] - 1
    parts = []
    for share in QUANTILES:
        below, beyond = divmod(share * last, 1)
        low, high = ordered[:, int(below)], ordered[:, min(int(below) + 1, last)]
        parts.append(low + np.float32(beyond) * (high - low))
    return np.concatenate(parts, axis=1)


def full(latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return all latents, token after token: [models, N, d] -> [models, N * d].

    Raises:
        ValueError: If these are more than `LARGEST_FULL` values.
    """
    del layer
    if reason := not_available("full", *latents.shape[1:]):
        raise ValueError(f"pooling full is {reason}")
    return latents.reshape(len(latents), -1)


_APPLY: dict[Pooling, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean,
    "mean_std": mean_std,
    "layers": layers,
    "quantiles": quantiles,
    "full": full,
}


def not_available(pooling: Pooling, tokens: int, latents: int) -> str:
    """Return why models of so many tokens and latents have no such embedding; "" if they do."""
    if pooling != "full" or tokens * latents <= LARGEST_FULL:
        return ""
    return (
        f"not available: {tokens} tokens of {latents} latents are {tokens * latents} values, more "
        f"than {LARGEST_FULL}"
    )


def pool_by(pooling: Pooling, latents: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Pool latents [models, N, d] in one way, with the layer counter int64 [N] of the tokens.

    Raises:
        ValueError: If there is no such embedding of so long models.
    """
    return _APPLY[pooling](latents, layer)


def pool(
    name: str,
    latents: np.ndarray,
    layer: np.ndarray,
    poolings: Sequence[Pooling] = POOLINGS,
) -> dict[str, np.ndarray]:
    """Apply poolings, or none where there is nothing to pool; leave out those not available.

    Args:
        name: Prefix of the names.
        latents: [models, N, d], or [models, 1, d] of models with one latent each.
        layer: int64 [N], the layer counter l of each token.
        poolings: Which.

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
    return {
        f"{name}_{pooling}": pool_by(pooling, latents, layer)
        for pooling in poolings
        if not not_available(pooling, *latents.shape[1:])
    }
