"""Whole networks from latents as `decode` makes them, in the same chunks with halo, with gradient.

Where a network has several chunks, what is inside a pass is not kept but computed again on the way
back, so that memory grows with the decoded tokens and not with the transformer's width.
"""

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from sane_core.embedding.embed import has_one_latent
from sane_core.embedding.halo import split_with_halo, stitch
from sane_core.pretraining.autoencoder import Autoencoder, visible_keys
from schemas.config.embed import EmbedConfig


def decode_with_gradient(
    model: Autoencoder, latents: torch.Tensor, positions: torch.Tensor, config: EmbedConfig
) -> torch.Tensor:
    """Decode whole networks of one architecture.

    Args:
        model: Autoencoder; `model.check_positions` knows the positions.
        latents: float [models, N, d_z]; [models, 1, d_z] if there is one for the whole sequence.
        positions: int64 [N, 3], where the autoencoder is.
        config: Chunk and halo.

    Returns:
        Tokens float [models, N, d_t], in the dtype of the caller's autocast.
    """
    if has_one_latent(model):
        return _decode_whole(model, latents, positions)
    chunks = split_with_halo(len(positions), config.chunk, config.halo)
    passes = []
    for chunk in chunks:
        given = latents[:, chunk.low : chunk.high], positions[None, chunk.low : chunk.high], None
        if len(chunks) == 1:
            passes.append(model.decode_checked(*given))
        else:
            passes.append(checkpoint(model.decode_checked, *given, use_reentrant=False))
    return stitch(chunks, passes)


def _decode_whole(
    model: Autoencoder, latents: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Decode networks that have one latent each, padded to the length of pretraining."""
    count = len(positions)
    missing = model.shape.window - count
    padded = functional.pad(positions, (0, 0, 0, missing))[None]
    lengths = functional.pad(torch.ones_like(positions[:, 0]), (0, missing))[None]
    return model.decode_checked(latents, padded, visible_keys(lengths))[:, :count]
