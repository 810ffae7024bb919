"""Whole networks through the autoencoder, wherever it runs; arrays in, arrays out."""

import numpy as np

from sane_core.api.prepare import Prepared
from sane_core.embedding.embed import decode, encode, has_one_latent, whole_models
from sane_core.embedding.pooling import GLOBAL, POOLINGS
from sane_core.pretraining.autoencoder import Autoencoder
from schemas.config.embed import EmbedConfig


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
        return (GLOBAL,) if self.one_latent else ("layers", *sorted(set(POOLINGS) - {"layers"}))

    def encode(self, prepared: Prepared) -> np.ndarray:
        """Return latents float32 [models, N, d_z]; N is 1 where there is one for all tokens."""
        place = (prepared.positions, prepared.lengths)
        return encode(self._model, prepared.tokens, *place, self._config)

    def embed(self, prepared: Prepared, pooling: str) -> np.ndarray:
        """Return pooled latents float32 [models, d]."""
        latents = self.encode(prepared)
        if self.one_latent:
            return latents[:, 0]
        return POOLINGS[pooling](latents, prepared.positions[:, 1])

    def reconstruct(self, prepared: Prepared) -> np.ndarray:
        """Return encoded and decoded tokens float32 [models, N, d_t]."""
        place = (prepared.positions, prepared.lengths)
        return decode(self._model, self.encode(prepared), *place, self._config)
