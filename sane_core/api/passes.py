"""Whole networks through the autoencoder, wherever it runs; arrays in, arrays out."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import numpy as np

from sane_core.api.prepare import Prepared
from sane_core.embedding.embed import decode_each, encode_each, has_one_latent, whole_models
from sane_core.embedding.packing import Sequence as Tokens
from sane_core.embedding.pooling import GLOBAL, pool_by
from sane_core.pretraining.autoencoder import Autoencoder
from schemas.config.embed import POOLINGS, EmbedConfig, Pooling

DEFAULT: Pooling = "layers"
"""What tokens are pooled by where nothing is said."""


class Passes:
    """An autoencoder with its chunk sizes."""

    def __init__(self, model: Autoencoder, config: EmbedConfig, device: str) -> None:
        """Move the autoencoder to a device.

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
        self._config = whole_models(config) if self.one_latent else config

    @property
    def poolings(self) -> tuple[str, ...]:
        """What tokens can be pooled by, the default first."""
        return (GLOBAL,) if self.one_latent else (DEFAULT, *(p for p in POOLINGS if p != DEFAULT))

    def encode(self, groups: Sequence[Prepared]) -> list[np.ndarray]:
        """Encode networks of several architectures together.

        Returns:
            Latents of each group, float32 [models, N, d_z]; N is 1 where there is one for all
            tokens.
        """
        return _by_group(groups, encode_each(self._model, _each_of(groups), self._config))

    def embed(self, groups: Sequence[Prepared], pooling: str) -> list[np.ndarray]:
        """Return pooled latents of each group, float32 [models, d].

        Raises:
            ValueError: If there is no such embedding of networks so long.
        """
        latents = self.encode(groups)
        if self.one_latent:
            return [each[:, 0] for each in latents]
        return [
            pool_by(cast(Pooling, pooling), each, group.positions[:, 1])
            for each, group in zip(latents, groups, strict=True)
        ]

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


def _by_group(groups: Sequence[Prepared], each: Iterator[np.ndarray]) -> list[np.ndarray]:
    return [np.stack(list(islice(each, len(group.tokens)))) for group in groups]
