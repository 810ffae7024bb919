"""Controls that an embedding must beat: an untrained encoder, and a PCA of the tokens.

Both go through the same pooling as the trained encoder's latents.
"""

from collections.abc import Callable, Iterable

import numpy as np


def fit_token_pca(
    pieces: Callable[[], Iterable[np.ndarray]], components: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a PCA to the tokens of train models, which are gone through twice.

    Args:
        pieces: Returns the tokens, float32 [models, N, d_t] a piece.
        components: Directions to keep; d_t at most.

    Returns:
        (mean [d_t], directions [d_t, min(components, d_t)]), float64, of falling variance.
    """
    total, count = np.zeros(1), 0
    for piece in pieces():
        flat = piece.reshape(-1, piece.shape[-1])
        total, count = total + flat.sum(0, dtype=np.float64), count + len(flat)
    centre = total / count
    covariance = np.zeros((1, 1))
    for piece in pieces():
        apart = piece.reshape(-1, piece.shape[-1]) - centre
        covariance = covariance + apart.T @ apart
    _, vectors = np.linalg.eigh(covariance / count)
    return centre, vectors[:, ::-1][:, :components]


def project_tokens(tokens: np.ndarray, centre: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Project tokens [..., d_t] to float32 [..., components]."""
    return ((tokens - centre) @ directions).astype(np.float32)
