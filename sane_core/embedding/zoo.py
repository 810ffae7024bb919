"""Embed a whole zoo: every checkpoint that windows were cut from, of every split."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode
from sane_core.embedding.files import Embeddings
from sane_core.embedding.pooling import pool
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.files import read_tokens
from schemas.config.embed import EmbedConfig

SPLITS = ("train", "validation", "test")


def embed_zoo(
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    name: str = "sane",
    on_split: Callable[[], None] | None = None,
) -> Embeddings:
    """Encode and pool checkpoints (Algorithm 2).

    Args:
        model: Encoder; it is moved to a GPU, where there is one.
        tokens: The `tokens/` folder of the preprocess stage.
        epochs: Epochs to embed.
        config: Chunk, halo and batch sizes.
        name: Prefix of the vectors' names.
        on_split: Called after each split.
    """
    model = on_gpu(model)
    parts: list[Embeddings] = []
    for split in SPLITS:
        part = read_tokens(tokens, split, epochs)
        latents = encode(model, part.values, part.positions, part.lengths, config)
        vectors = pool(name, latents, part.positions[:, 1])
        parts.append(Embeddings(vectors, part.runs, part.epochs, np.full(len(part), split)))
        if on_split:
            on_split()
    return Embeddings(
        vectors={key: np.concatenate([p.vectors[key] for p in parts]) for key in parts[0].vectors},
        runs=np.concatenate([p.runs for p in parts]),
        epochs=np.concatenate([p.epochs for p in parts]),
        split=np.concatenate([p.split for p in parts]),
    )
