"""Cut a network into equal tokens, and put it back (paper §2, "To tokenize weights").

`detokenize(tokenize(weights)) == weights`, bit for bit. `mask` is True where a real weight is;
`positions` are 0-based `[n, l, k]`: in the sequence, of the layer, within the layer.
"""

from collections.abc import Mapping

import numpy as np

from sane_core.weights.layers import Layer


def tokenize(weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], d_t: int) -> np.ndarray:
    """Cut checkpoints of one architecture into tokens.

    Args:
        weights: Entry -> array [checkpoints, ...], any dtype.
        layers: Layers of the architecture.
        d_t: Token size.

    Returns:
        Tokens [checkpoints, N, d_t] in the dtype of the weights, zero where padded.

    Raises:
        ValueError: If `d_t` is not positive.
    """
    if d_t < 1:
        raise ValueError(f"d_t must be >= 1, got {d_t}")
    parts = []
    for layer in layers:
        weight = weights[f"{layer.name}.weight"]
        rows = weight.reshape(len(weight), layer.c_out, layer.c_r)
        if layer.has_bias:
            rows = np.concatenate([rows, weights[f"{layer.name}.bias"][..., None]], axis=2)
        padding = layer.chunks(d_t) * d_t - layer.row
        rows = np.pad(rows, ((0, 0), (0, 0), (0, padding)))
        parts.append(rows.reshape(len(weight), layer.tokens(d_t), d_t))
    return np.concatenate(parts, axis=1)


def detokenize(tokens: np.ndarray, layers: tuple[Layer, ...]) -> dict[str, np.ndarray]:
    """Put tokens back into weights.

    Args:
        tokens: [checkpoints, N, d_t]; what stands in the padding is dropped.
        layers: Layers of the architecture the tokens are for.

    Returns:
        Entry -> array [checkpoints, ...].

    Raises:
        ValueError: If the number of tokens is not the architecture's.
    """
    count, length, d_t = tokens.shape
    expected = sum(layer.tokens(d_t) for layer in layers)
    if length != expected:
        raise ValueError(f"tokens must have shape [_, {expected}, {d_t}], got {list(tokens.shape)}")
    weights, start = {}, 0
    for layer in layers:
        stop = start + layer.tokens(d_t)
        rows = tokens[:, start:stop].reshape(count, layer.c_out, -1)
        weights[f"{layer.name}.weight"] = rows[..., : layer.c_r].reshape(count, *layer.shape)
        if layer.has_bias:
            weights[f"{layer.name}.bias"] = rows[..., layer.c_r].copy()
        start = stop
    return weights


def positions_of(layers: tuple[Layer, ...], d_t: int) -> np.ndarray:
    """Return the positions int64 [N, 3] of a network's tokens.

    Differs from the published code, which repeats the output channel for every chunk of it: k is
    the token within the layer, as the paper says.
    """
    within = [np.arange(layer.tokens(d_t)) for layer in layers]
    counters = [np.full(len(k), layer.l) for layer, k in zip(layers, within, strict=True)]
    l, k = np.concatenate(counters), np.concatenate(within)
    return np.stack([np.arange(len(l)), l, k], axis=1)


def lengths_of(layers: tuple[Layer, ...], d_t: int) -> np.ndarray:
    """Return how many real weights each token holds, int64 [N]; they stand at its left."""
    parts = []
    for layer in layers:
        chunk_lengths = np.clip(layer.row - np.arange(layer.chunks(d_t)) * d_t, 0, d_t)
        parts.append(np.tile(chunk_lengths, layer.c_out))
    return np.concatenate(parts)


def mask_of(lengths: np.ndarray, d_t: int) -> np.ndarray:
    """Return the mask bool [..., d_t] of tokens with these lengths [...]: True at real weights."""
    return np.arange(d_t) < np.asarray(lengths)[..., None]
