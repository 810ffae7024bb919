"""Run the encoder or the decoder over whole models (Algorithm 2, steps iii to v).

Always in float32, whatever pretraining used, in chunks with halo, batched over models, on the
device that the autoencoder is on. An autoencoder with one latent for the whole sequence
(`bottleneck = "model"`) takes whole models only: they are one chunk, padded to the length of
pretraining.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from sane_core.embedding.device import device_of
from sane_core.embedding.halo import split_with_halo, stitch
from sane_core.pretraining.autoencoder import Autoencoder
from schemas.config.embed import EmbedConfig

WHOLE = 2**31 - 1
"""Tokens per chunk that no model reaches: every model is one chunk."""


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
        Latents float32 [models, N, d_z]; [models, 1, d_z] if there is one for the whole sequence.

    Raises:
        ValueError: If there is one latent for the whole sequence, and a chunk or the length of
            pretraining does not hold it.
    """
    if has_one_latent(model):
        _check_whole(model, len(positions), config)
        return _run_whole(model, _encode_padded, tokens, positions, lengths, config)
    return _run(model, model.encode, tokens, positions, lengths, config)


def decode(
    model: Autoencoder,
    latents: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    """Decode latents, as `encode` returns them, to tokens [models, N, d_t]; else as `encode`."""
    if has_one_latent(model):
        _check_whole(model, len(positions), config)
        return _run_whole(model, _decode_padded, latents, positions, lengths, config)
    return _run(model, model.decode, latents, positions, lengths, config)


@torch.no_grad()
def reconstruct(
    model: Autoencoder, tokens: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Encode and decode sequences in one pass each.

    Args:
        model: Trained autoencoder.
        tokens: float32 [batch, n, d_t].
        positions: int64 [batch, n, 3].
        lengths: int64 [batch, n].

    Returns:
        Tokens [batch, n, d_t].
    """
    device = device_of(model)
    tokens, positions, lengths = (each.to(device) for each in (tokens, positions, lengths))
    if has_one_latent(model):
        latents = _encode_padded(model, tokens, positions, lengths)
        return _decode_padded(model, latents, positions, lengths).cpu()
    return model.decode(model.encode(tokens, positions, lengths), positions, lengths).cpu()


def has_one_latent(model: Autoencoder) -> bool:
    """Return whether a model has one latent for its whole sequence, rather than one per token."""
    return model.config.bottleneck == "model"


def whole_models(config: EmbedConfig) -> EmbedConfig:
    """Return the sizes with which every model is one chunk."""
    return config.model_copy(update={"chunk": WHOLE, "halo": 0})


@torch.no_grad()
def _run(
    model: Autoencoder,
    step: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    sequences: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    device = device_of(model)
    place, real = torch.from_numpy(positions).to(device), torch.from_numpy(lengths).to(device)
    chunks = split_with_halo(sequences.shape[1], config.chunk, config.halo)
    results = []
    for start in range(0, len(sequences), config.batch):
        part = torch.tensor(sequences[start : start + config.batch], device=device)
        passes = [
            step(
                part[:, c.low : c.high],
                place[c.low : c.high].expand(len(part), -1, -1),
                real[c.low : c.high].expand(len(part), -1),
            )
            for c in chunks
        ]
        results.append(stitch(chunks, passes).cpu().numpy())
    return np.concatenate(results)


@torch.no_grad()
def _run_whole(
    model: Autoencoder,
    step: Callable[[Autoencoder, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    sequences: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    device = device_of(model)
    place, real = torch.from_numpy(positions).to(device), torch.from_numpy(lengths).to(device)
    results = []
    for start in range(0, len(sequences), config.batch):
        part = torch.tensor(sequences[start : start + config.batch], device=device)
        count = len(part)
        passed = step(model, part, place.expand(count, -1, -1), real.expand(count, -1))
        results.append(passed.cpu().numpy())
    return np.concatenate(results)


def _encode_padded(
    model: Autoencoder, tokens: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    missing = model.shape.window - tokens.shape[1]
    tokens = functional.pad(tokens, (0, 0, 0, missing))
    return model.encode(tokens, *_padded(positions, lengths, missing))


def _decode_padded(
    model: Autoencoder, latents: torch.Tensor, positions: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    count = positions.shape[1]
    missing = model.shape.window - count
    return model.decode(latents, *_padded(positions, lengths, missing))[:, :count]


def _padded(
    positions: torch.Tensor, lengths: torch.Tensor, missing: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add tokens of length 0 at the end; their positions are those of the first token."""
    return functional.pad(positions, (0, 0, 0, missing)), functional.pad(lengths, (0, missing))


def _check_whole(model: Autoencoder, tokens: int, config: EmbedConfig) -> None:
    if tokens > config.chunk:
        raise ValueError(
            f"a chunk must hold the whole model where it has one latent (bottleneck: model): chunk "
            f"must be >= {tokens}, got {config.chunk}"
        )
    if tokens > model.shape.window:
        raise ValueError(
            f"a model must have at most {model.shape.window} tokens, as in pretraining, where it "
            f"has one latent (bottleneck: model), got {tokens}"
        )
