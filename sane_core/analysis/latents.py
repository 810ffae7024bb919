"""The latents of a zoo's checkpoints one batch after another, and what is taken from them (§4)."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist

from sane_core.embedding.embed import encode
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.layers import Layer
from sane_core.weights.shards import SPLITS
from sane_core.weights.streaming import Place, each_checkpoint, places_of, token_size
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.embed import EmbedConfig

_BYTES = 64 * 2**20
"""Of tokens encoded at a time."""


def latents_of(
    model: Autoencoder,
    tokens: Path,
    layers: tuple[Layer, ...],
    checkpoints: Collection[tuple[int, int]],
    config: EmbedConfig,
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Encode checkpoints (Algorithm 2).

    Args:
        model: Trained autoencoder.
        tokens: Folder of the preprocess stage.
        layers: Layers of the architecture.
        checkpoints: (run, epoch) of each.
        config: Chunk, halo and batch sizes.

    Yields:
        Every checkpoint that there is, and its latents, float32 [N, d_z].
    """
    d_t = token_size(tokens / "tokens")
    place = (positions_of(layers, d_t), lengths_of(layers, d_t))
    most = max(1, _BYTES // (4 * d_t * len(place[1])))
    for split in SPLITS:
        found = places_of(tokens / "checkpoints.parquet", split)
        chosen = [each for each in found if (each.run, each.epoch) in checkpoints]
        waiting: list[tuple[Place, np.ndarray]] = []
        for each, values in each_checkpoint(tokens / "tokens", split, chosen):
            waiting.append((each, values.copy()))
            if len(waiting) == most or each == chosen[-1]:
                batch = np.stack([values for _, values in waiting])
                for (one, _), latents in zip(
                    waiting, encode(model, batch, *place, config), strict=True
                ):
                    yield (one.run, one.epoch), latents
                waiting = []


def token_distances(latents: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the distances between every two of some latents (Figure 7).

    Args:
        latents: [tokens, d_z], of one layer.
        most: Tokens that take part, drawn if there are more.
        rng: Draws them.

    Returns:
        float32 [pairs]; none for a single token.
    """
    if len(latents) > most:
        latents = latents[np.sort(rng.choice(len(latents), most, replace=False))]
    return pdist(latents.astype(np.float64)).astype(np.float32)
