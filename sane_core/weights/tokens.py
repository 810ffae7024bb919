"""Cut a network into equal tokens, and put it back (paper §2, "To tokenize weights").

`detokenize(tokenize(weights)) == weights`, bit for bit. `mask` is True where a real weight is;
`positions` are 0-based `[n, l, k]`: in the sequence, of the layer, within the layer.

Weights are written straight into views of the tokens, and zeros into the padding alone, so that
cutting costs little more than a copy.
"""

from collections.abc import Mapping

import numpy as np

from sane_core.weights.layers import Layer, token_count
from sane_core.weights.standardize import Statistics, entry_of, standardize_into


def tokenize(
    weights: Mapping[str, np.ndarray],
    layers: tuple[Layer, ...],
    d_t: int,
    statistics: Statistics | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Cut checkpoints of one architecture into tokens.

    Args:
        weights: Entry -> array [checkpoints, ...], any dtype.
        layers: Layers of the architecture.
        d_t: Token size.
        statistics: Standardize on the way: the same tokens as those of `standardize(weights)`.
        out: [checkpoints, N, d_t] to write into, contiguous; fresh memory costs about as much
            as the cutting. Values are rounded to its dtype.

    Returns:
        Tokens [checkpoints, N, d_t], zero where padded, in the dtype of the weights: that which
        holds all of them exactly, if they differ.

    Raises:
        ValueError: If `d_t` is not positive, an entry is missing, `out` does not fit, or, with
            statistics, an entry is not of floating point or in a layer that they do not know.
    """
    length = token_count(layers, d_t)
    entry = entry_of if statistics else _entry
    entries = [entry(weights, name) for layer in layers for name in layer.entries]
    shape = (len(entries[0]), length, d_t)
    if out is None:
        out = np.empty(shape, np.result_type(*{values.dtype for values in entries}))
    elif out.shape != shape or not out.flags.c_contiguous:
        raise ValueError(f"out must be contiguous of shape {list(shape)}, got {list(out.shape)}")
    start = 0
    for layer in layers:
        stop = start + layer.tokens(d_t)
        rows = _rows(out, layer, start, stop)
        offset, scale = statistics.scaling(layer) if statistics else (0.0, 1.0)
        for name, part in _parts(rows, layer).items():
            standardize_into(weights[name].reshape(part.shape), offset, scale, part)
        rows[..., layer.row :] = 0
        start = stop
    return out


def detokenize(
    tokens: np.ndarray,
    layers: tuple[Layer, ...],
    out: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Put tokens back into weights.

    Args:
        tokens: [checkpoints, N, d_t]; what stands in the padding is dropped.
        layers: Layers of the architecture the tokens are for.
        out: Entry -> array [checkpoints, ...] to write into, contiguous.

    Returns:
        Entry -> array [checkpoints, ...], those of `out` if given; never a view of the tokens.

    Raises:
        ValueError: If the number of tokens is not the architecture's, or `out` does not fit.
    """
    count, length, d_t = tokens.shape
    expected = token_count(layers, d_t)
    if length != expected:
        raise ValueError(f"tokens must have shape [_, {expected}, {d_t}], got {list(tokens.shape)}")
    weights, start = {}, 0
    for layer in layers:
        stop = start + layer.tokens(d_t)
        rows = _rows(tokens, layer, start, stop)
        for name, part in _parts(rows, layer).items():
            shape = (count, *(layer.shape if name == layer.weight else layer.shape[:1]))
            weights[name] = np.empty(shape, tokens.dtype) if out is None else out[name]
            if weights[name].shape != shape or not weights[name].flags.c_contiguous:
                raise ValueError(
                    f"out must hold {name} contiguous of shape {list(shape)}, "
                    f"got {list(weights[name].shape)}"
                )
            weights[name].reshape(part.shape)[...] = part
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


def _rows(tokens: np.ndarray, layer: Layer, start: int, stop: int) -> np.ndarray:
    """Return the tokens of a layer as a view [checkpoints, c_out, padded row]."""
    width = layer.chunks(tokens.shape[2]) * tokens.shape[2]
    return tokens[:, start:stop].reshape(len(tokens), layer.c_out, width)


def _parts(rows: np.ndarray, layer: Layer) -> dict[str, np.ndarray]:
    """Return a layer's entries as views [checkpoints, c_out, columns] of its rows."""
    parts = {layer.weight: rows[..., : layer.c_r]}
    if layer.bias is not None:
        parts[layer.bias] = rows[..., layer.c_r : layer.row]
    return parts


def _entry(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in weights:
        raise ValueError(f"weights must hold entry {name}, got {sorted(weights)}")
    return weights[name]
