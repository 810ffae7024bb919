"""Whole networks through the autoencoder, wherever it runs; arrays in, arrays out."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import numpy as np

from sane_core.api.prepare import Prepared
from sane_core.embedding.embed import decode_each, encode_each, has_one_latent, whole_models
from sane_core.embedding.frames import Frames
from sane_core.embedding.packing import Sequence as Tokens
from sane_core.embedding.pooling import GLOBAL, pool_by
from sane_core.pretraining.autoencoder import Autoencoder
from schemas.config.embed import POOLINGS, EmbedConfig, Pooling

DEFAULT: Pooling = "layers"
"""What tokens are pooled by where nothing is said."""


class Passes:
    """An autoencoder with its chunk sizes."""

    def __init__(self, model: Autoencoder, config: EmbedConfig, device: str, seed: int = 0) -> None:
        """Move the autoencoder to a device.

        Args:
            model: The autoencoder.
            config: Chunk, halo and batch sizes, and views.
            device: Where it runs.
            seed: Of the views.

        Raises:
            ValueError: If the device is not there.
        """
        try:
            self._model = model.to(device).eval()
        except (RuntimeError, AssertionError) as error:  # torch says it in either way
            raise ValueError(
                f"device must be there, got {device!r}: {str(error).splitlines()[0]}"
            ) from error
        self.one_latent = has_one_latent(model)
        self._seed = seed
        self._config = whole_models(config) if self.one_latent else config

    @property
    def poolings(self) -> tuple[str, ...]:
        """What tokens can be pooled by, the default first."""
        return (GLOBAL,) if self.one_latent else (DEFAULT, *(p for p in POOLINGS if p != DEFAULT))

    def encode(self, groups: Sequence[Prepared]) -> list[np.ndarray]:
        """Encode networks of several architectures together, as they are aligned.

        Returns:
            Latents of each group, float32 [models, N, d_z]; N is 1 where there is one for all
            tokens.
        """
        return _by_group(groups, encode_each(self._model, _each_of(groups), self._config))

    def embed(self, groups: Sequence[Prepared], pooling: str) -> list[np.ndarray]:
        """Return pooled latents of each group, float32 [models, d], averaged over views.

        Raises:
            ValueError: If there is no such embedding of networks so long, or there are views and a
                network without units that may be permuted.
        """
        frames = [self._frames(group) for group in groups]
        encoded = encode_each(self._model, _in_frames(groups, frames), self._config)
        counts = [own.count * len(group.tokens) for own, group in zip(frames, groups, strict=True)]
        return [
            own.average(self._pool(np.stack(list(islice(encoded, count))), pooling, group))
            for own, count, group in zip(frames, counts, groups, strict=True)
        ]

    def _frames(self, group: Prepared) -> Frames:
        d_t = group.tokens.shape[2]
        return Frames(group.layers, group.groups, d_t, self._config.views, self._seed)

    def _pool(self, latents: np.ndarray, pooling: str, group: Prepared) -> np.ndarray:
        if self.one_latent:
            return latents[:, 0]
        return pool_by(cast(Pooling, pooling), latents, group.positions[:, 1])

    def reconstruct(self, groups: Sequence[Prepared]) -> list[np.ndarray]:
        """Return encoded and decoded tokens of each group, float32 [models, N, d_t]."""
        latents = [each for part in self.encode(groups) for each in part]
        given = (
            each._replace(values=values)
            for each, values in zip(_each_of(groups), latents, strict=True)
        )
        return _by_group(groups, decode_each(self._model, given, self._config))


def _each_of(groups: Sequence[Prepared]) -> Iterator[Tokens]:
    for group in groups:
        for i, tokens in enumerate(group.tokens):
            yield Tokens(tokens, group.positions, group.lengths, f"network {i} of its architecture")


def _in_frames(groups: Sequence[Prepared], frames: Sequence[Frames]) -> Iterator[Tokens]:
    for group, own in zip(groups, frames, strict=True):
        for each in _each_of([group]):
            for tokens in own.of(each.values):
                yield each._replace(values=tokens)


def _by_group(groups: Sequence[Prepared], each: Iterator[np.ndarray]) -> list[np.ndarray]:
    return [np.stack(list(islice(each, len(group.tokens)))) for group in groups]
