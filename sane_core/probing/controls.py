"""Controls that an embedding must beat: an untrained encoder, and a PCA of the tokens.

Both go through the same pooling as the trained encoder's latents.
"""

import numpy as np


def fit_token_pca(tokens: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit a PCA to the tokens of train models.

    Args:
        tokens: float32 [models, N, d_t].
        components: Directions to keep; d_t at most.

    Returns:
        (mean [d_t], directions [d_t, min(components, d_t)]), float64, of falling variance.
    """
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    centre = flat.mean(0)
    covariance = (flat - centre).T @ (flat - centre) / len(flat)
    _, vectors = np.linalg.eigh(covariance)
    return centre, vectors[:, ::-1][:, :components]


def project_tokens(tokens: np.ndarray, centre: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Project tokens [models, N, d_t] to float32 [models, N, components]."""
    return ((tokens - centre) @ directions).astype(np.float32)
