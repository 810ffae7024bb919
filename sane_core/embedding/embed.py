"""Run the encoder or the decoder over whole models (Algorithm 2, steps iii to v).

Always in float32, whatever pretraining used, in chunks with halo, batched over models of any
lengths (`packing.py`), on the device that the autoencoder is on. An autoencoder with one latent for
the whole sequence (`bottleneck = "model"`) takes whole models only: they are one chunk, padded to
the length of pretraining.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch.nn import functional

from sane_core.embedding.device import device_of
from sane_core.embedding.packing import Sequence, Step, packed
from sane_core.pretraining.autoencoder import Autoencoder
from schemas.config.embed import EmbedConfig

WHOLE = 2**31 - 1
"""Tokens per chunk that no model reaches: every model is one chunk."""

IN_CACHE, FEWEST = 2 * 2**20, 256
"""Bytes of the widest values inside a block that a pass on a CPU has at most, unless these are
fewer tokens than `FEWEST`: they stay in the cache, and the memory of a pass does not depend on the
batch. A GPU takes a batch at once.
"""


def encode(
    model: Autoencoder,
    tokens: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    """Encode whole models of one architecture.

    Args:
        model: Trained autoencoder.
        tokens: float32 [models, N, d_t].
        positions: int64 [N, 3].
        lengths: int64 [N].
        config: Chunk, halo and batch sizes.

    Returns:
        Latents float32 [models, N, d_z]; [models, 1, d_z] if there is one for the whole sequence.

    Raises:
        ValueError: As `encode_each`; if there are no models.
    """
    return _stacked(encode_each(model, _alike(tokens, positions, lengths), config))


def decode(
    model: Autoencoder,
    latents: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    config: EmbedConfig,
) -> np.ndarray:
    """Decode latents, as `encode` returns them, to tokens [models, N, d_t]; else as `encode`."""
    return _stacked(decode_each(model, _alike(latents, positions, lengths), config))


def encode_each(
    model: Autoencoder, models: Iterable[Sequence], config: EmbedConfig
) -> Iterator[np.ndarray]:
    """Encode models of any lengths, as if each were on its own.

    Models are taken one by one; in memory is a batch of chunks beside what is not complete.

    Args:
        model: Trained autoencoder.
        models: Tokens of each.
        config: Chunk, halo and batch sizes.

    Yields:
        Latents float32 [N, d_z] of each model, in their order; [1, d_z] if there is one for the
        whole sequence.

    Raises:
        ValueError: If a model has no tokens, tokens of another size than the autoencoder's, or
            values that are not finite; if a position is unknown to it; if there is one latent for
            the whole sequence, and a chunk or the length of pretraining does not hold it.
    """
    taken = _checked(models, model.shape.d_t, "d_t", "weights")
    if has_one_latent(model):
        return _each_whole(model, model.encode, taken, model.shape.window, config)
    return _each(model, model.encode, taken, config)


def decode_each(
    model: Autoencoder, models: Iterable[Sequence], config: EmbedConfig
) -> Iterator[np.ndarray]:
    """Decode latents, as `encode_each` yields them, to tokens [N, d_t]; else as `encode_each`."""
    taken = _checked(models, model.config.d_z, "d_z", "latents")
    if has_one_latent(model):
        return _each_whole(model, model.decode, taken, 1, config)
    return _each(model, model.decode, taken, config)


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
    """Return the sizes with which every model is one chunk; there are no latents of tokens then."""
    return config.model_copy(update={"chunk": WHOLE, "halo": 0, "tokens": False})


def _alike(values: np.ndarray, positions: np.ndarray, lengths: np.ndarray) -> Iterator[Sequence]:
    return (
        Sequence(each, positions, lengths, f"model {i} of {len(values)}")
        for i, each in enumerate(values)
    )


def _stacked(each: Iterator[np.ndarray]) -> np.ndarray:
    results = list(each)
    if not results:
        raise ValueError("there must be at least one model to pass, got none")
    return np.stack(results)


def _checked(models: Iterable[Sequence], wanted: int, size: str, what: str) -> Iterator[Sequence]:
    """Let through what can be passed: `what` (weights or latents) of width `size`."""
    for each in models:
        if not len(each.positions):
            raise ValueError(f"{each.label} must have at least one token, got none")
        if each.values.shape[-1] != wanted:
            raise ValueError(
                f"{each.label} must have {size} = {wanted}, as this autoencoder was trained, got "
                f"{each.values.shape[-1]}; make tokens and autoencoder with one preprocess.d_t, "
                "latents by this autoencoder"
            )
        finite = np.isfinite(each.values)
        if not finite.all():
            n = int(np.flatnonzero(~finite.all(axis=1))[0])
            raise ValueError(
                f"{each.label} must have finite {what}, got {each.values[n][~finite[n]][0]} in "
                f"token {n} (layer {each.positions[n, 1]}); leave that model out"
            )
        yield each


def _each(
    model: Autoencoder, step: Step, models: Iterable[Sequence], config: EmbedConfig
) -> Iterator[np.ndarray]:
    device = device_of(model)
    largest = None
    if device.type == "cpu":
        largest = max(FEWEST, IN_CACHE // (4 * 4 * model.config.d_model))
    return packed(step, models, config, device, largest)


@torch.inference_mode()
def _pass_whole(
    model: Autoencoder, step: Step, models: list[Sequence], rows: int
) -> Iterator[np.ndarray]:
    """Pass models at once, their values padded to so many rows, all else to the window."""
    window, device = model.shape.window, device_of(model)
    values = np.zeros((len(models), rows, models[0].values.shape[1]), np.float32)
    positions = np.zeros((len(models), window, 3), np.int64)
    lengths = np.zeros((len(models), window), np.int64)
    for i, each in enumerate(models):
        values[i, : len(each.values)] = each.values
        positions[i, : len(each.positions)] = each.positions
        lengths[i, : len(each.lengths)] = each.lengths
    passed = step(*(torch.from_numpy(part).to(device) for part in (values, positions, lengths)))
    kept = zip(models, passed.cpu().numpy(), strict=True)
    return iter([own[: len(each.positions)] for each, own in kept])


def _each_whole(
    model: Autoencoder, step: Step, models: Iterator[Sequence], rows: int, config: EmbedConfig
) -> Iterator[np.ndarray]:
    owned = (each._replace(values=each.values.copy()) for each in models)
    while some := list(islice(owned, config.batch)):
        for each in some:
            _check_whole(model, len(each.positions), config)
        yield from _pass_whole(model, step, some, rows)


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
