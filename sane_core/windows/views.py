"""Permuted views of aligned models as index gathers on tokens (paper §3, augmentations).

Permuting the weights and tokenizing again gives the same tokens, but needs the network; the gather
does not.
"""

import numpy as np

from sane_core.weights.layers import Layer
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.tokens import detokenize, lengths_of, mask_of, tokenize


def view_indices(
    layers: tuple[Layer, ...],
    groups: tuple[PermutationGroup, ...],
    d_t: int,
    views: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw random function-preserving permutations as gathers on flattened tokens.

    Args:
        layers: Layers of the architecture.
        groups: Its permutation groups.
        d_t: Token size.
        views: How many to draw.
        rng: Source of the draw.

    Returns:
        int64 [views, N * d_t]: element i of the view's flat tokens is element index[i] of the
        model's; padding maps onto itself.
    """
    lengths = lengths_of(layers, d_t)
    places = np.arange(len(lengths) * d_t)
    weights = detokenize(np.tile(places.reshape(1, -1, d_t), (views, 1, 1)), layers)
    permuted = permute(weights, groups, random_permutations(groups, views, rng))
    tokens = tokenize(permuted, layers, d_t).reshape(views, -1)
    return np.where(mask_of(lengths, d_t).ravel(), tokens, places)


def gather(tokens: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Apply one gather [N * d_t] to tokens [..., N, d_t]."""
    return tokens.reshape(*tokens.shape[:-2], -1)[..., index].reshape(tokens.shape)
