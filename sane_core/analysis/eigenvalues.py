"""The eigenvalues of a layer's weights, as WeightWatcher's defaults take them (paper §4).

A matrix W has the eigenvalues of WᵀW, the squares of its singular values. A convolution is a matrix
[c_out, c_in] per position of its kernel; their eigenvalues are halved and put together. Biases do
not take part, and vectors have no spectrum.

Differs from WeightWatcher: an entry of three or more axes always counts as a convolution with its
channels in front. WeightWatcher takes a kernel that is larger than its channels for one with the
channels behind, and the matrix of a 1-d convolution as it stands.
"""

from math import prod

import numpy as np

CONVOLUTION = 0.5
"""What WeightWatcher multiplies the eigenvalues of convolutions by."""


def eigenvalue_count(shape: tuple[int, ...]) -> int:
    """Return how many eigenvalues a weight of this shape has; 0 for vectors."""
    return min(shape[:2]) * prod(shape[2:]) if len(shape) >= 2 else 0


def eigenvalues_of(weights: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of a layer in each of some networks.

    They are those of the smaller Gram matrix in float64: exact to about 1e-15 of the largest.

    Args:
        weights: [networks, c_out, c_in] or [networks, c_out, c_in, height, width], and so on.

    Returns:
        float64 [networks, positions · min(c_out, c_in)], ascending, none below 0; NaN for a network
        whose weights are not finite.
    """
    count, c_out, c_in = weights.shape[:3]
    matrices = np.moveaxis(weights.reshape(count, c_out, c_in, -1), 3, 1).astype(np.float64)
    finite = np.asarray(np.isfinite(matrices).all(axis=(1, 2, 3)))
    matrices = np.where(finite[:, None, None, None], matrices, 0.0)
    if c_out < c_in:
        matrices = matrices.swapaxes(2, 3)
    found = np.linalg.eigvalsh(matrices.swapaxes(2, 3) @ matrices).reshape(count, -1)
    found = np.sort(np.maximum(found, 0.0), axis=1)
    found *= CONVOLUTION if weights.ndim > 3 else 1.0
    return np.where(finite[:, None], found, np.nan)


def random_edge(weight: np.ndarray) -> float:
    """Return where the eigenvalues of random weights would end (Marchenko and Pastur 1967).

    A matrix [c_out, c_in] of independent entries of mean square s has eigenvalues up to
    s · (√c_out + √c_in)², in the limit of large matrices. Those beyond are *spikes*.

    Args:
        weight: [c_out, c_in, ...], of one network.

    Returns:
        In the units of `eigenvalues_of`; NaN for weights that are not finite.
    """
    square = float(np.square(weight.astype(np.float64)).mean())
    c_out, c_in = weight.shape[:2]
    scale = CONVOLUTION if weight.ndim > 2 else 1.0
    return scale * square * float(np.sqrt(c_out) + np.sqrt(c_in)) ** 2
