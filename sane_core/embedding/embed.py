"""Run the encoder or the decoder over whole models (Algorithm 2, steps iii to v).

Always in float32, whatever pretraining used, in chunks with halo, batched over models.
"""

from collections.abc import Callable

import numpy as np
import torch

from sane_core.embedding.halo import split_with_halo, stitch
from sane_core.pretraining.autoencoder import Autoencoder
from schemas.config.embed import EmbedConfig


def encode(
    model: Autoencoder,
    tokens: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    """Encode whole models.

    Args:
        model: Trained autoencoder.
        tokens: float32 [models, N, d_t].
        positions: int64 [N, 3].
        lengths: int64 [N].
        config: Chunk, halo and batch sizes.

    Returns:
        Latents float32 [models, N, d_z].
    """
    return _run(model.encode, tokens, positions, lengths, config)


def decode(
    model: Autoencoder,
    latents: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    """Decode latents float32 [models, N, d_z] to tokens [models, N, d_t]; arguments as `encode`."""
    return _run(model.decode, latents, positions, lengths, config)


@torch.no_grad()
def _run(
    step: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    sequences: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    place, real = torch.from_numpy(positions), torch.from_numpy(lengths)
    chunks = split_with_halo(sequences.shape[1], config.chunk, config.halo)
    results = []
    for start in range(0, len(sequences), config.batch):
        part = torch.tensor(sequences[start : start + config.batch])
        passes = [
            step(
                part[:, c.low : c.high],
                place[c.low : c.high].expand(len(part), -1, -1),
                real[c.low : c.high].expand(len(part), -1),
            )
            for c in chunks
        ]
        results.append(stitch(chunks, passes).numpy())
    return np.concatenate(results)
