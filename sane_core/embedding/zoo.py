"""Embed a whole zoo: every checkpoint that windows were cut from, of every split (Algorithm 2).

Checkpoints are read, encoded and pooled one after another. In memory are a batch of chunks and
what is in progress, whatever the zoo's size and its networks' length; and the vectors, where they
are returned rather than written.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode_each
from sane_core.embedding.files import Embeddings, EmbeddingsWriter, joined
from sane_core.embedding.packing import Sequence as Tokens
from sane_core.embedding.pooling import not_available, pool
from sane_core.embedding.token_files import Latents, LatentsWriter
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.files import read_layers
from sane_core.weights.streaming import Place, each_checkpoint, places_of, token_size
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.embed import EmbedConfig

SPLITS = ("train", "validation", "test")

POOLED = 8 * 2**20
"""Bytes of latents pooled at once, unless one checkpoint alone has more."""


def encode_zoo(
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    on_split: Callable[[], None] | None = None,
) -> Iterator[tuple[str, Latents]]:
    """Encode checkpoints, in the order of their tokens.

    Args:
        model: Encoder; it is moved to a GPU, where there is one.
        tokens: The `tokens/` folder of the preprocess stage; its tables lie beside it.
        epochs: Epochs to encode.
        config: Chunk, halo and batch sizes.
        on_split: Called after each split.

    Yields:
        The split, and latents of some of its checkpoints.

    Raises:
        ValueError: If a split has no such checkpoint; as `encode_each`.
    """
    model = on_gpu(model)
    layers, d_t = read_layers(tokens.parent / "layers.parquet"), token_size(tokens)
    positions, lengths = positions_of(layers, d_t), lengths_of(layers, d_t)
    for split in SPLITS:
        places = places_of(tokens.parent / "checkpoints.parquet", split, epochs)
        if not places:
            raise ValueError(
                f"split {split} must hold checkpoints of epochs {', '.join(map(str, epochs))}, got "
                "none"
            )
        checkpoints = (
            Tokens(values, positions, lengths, f"run {place.run} at epoch {place.epoch}")
            for place, values in each_checkpoint(tokens, split, places)
        )
        each = zip(places, encode_each(model, checkpoints, config), strict=True)
        for part in _together(each, positions):
            yield split, part
        if on_split:
            on_split()


def embed_zoo(
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    name: str = "sane",
    on_split: Callable[[], None] | None = None,
) -> Embeddings:
    """Encode and pool checkpoints, and return their embeddings.

    Arguments and errors are those of `encode_zoo`; `name` is the prefix of the vectors' names.
    """
    return joined(
        [
            _pooled(name, split, latents, config)
            for split, latents in encode_zoo(model, tokens, epochs, config, on_split)
        ]
    )


def write_embedded_zoo(
    folder: Path,
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    name: str = "sane",
    on_split: Callable[[], None] | None = None,
) -> tuple[int, dict[str, str]]:
    """Encode and pool checkpoints into `embeddings.parquet`.

    Other arguments and errors are those of `embed_zoo`. The folder gets the table, and with
    `config.tokens` also `latents.parquet`, a row per token.

    Returns:
        Number of checkpoints, and why an embedding that was asked for is not there, by its name.

    Raises:
        ValueError: If none of the poolings asked for can be made of networks so long.
    """
    count, missing = 0, dict[str, str]()
    with ExitStack() as open_files:
        embeddings = open_files.enter_context(EmbeddingsWriter(folder / "embeddings.parquet"))
        of_tokens = None
        if config.tokens:
            of_tokens = open_files.enter_context(LatentsWriter(folder / "latents.parquet"))
        for split, latents in encode_zoo(model, tokens, epochs, config, on_split):
            embeddings.add(_pooled(name, split, latents, config))
            if of_tokens:
                of_tokens.add(latents)
            count += len(latents.runs)
            missing = _missing(name, latents, config)
    return count, missing


def _together(each: Iterator[tuple[Place, np.ndarray]], positions: np.ndarray) -> Iterator[Latents]:
    """Collect checkpoints until they are worth pooling."""
    places: list[Place] = []
    values: list[np.ndarray] = []

    def collected() -> Latents:
        runs, epochs = ([getattr(place, key) for place in places] for key in ("run", "epoch"))
        return Latents(np.stack(values), positions, np.array(runs), np.array(epochs))

    for place, latents in each:
        places.append(place)
        values.append(latents)
        if len(values) * latents.nbytes >= POOLED:
            yield collected()
            places, values = [], []
    if values:
        yield collected()


def _pooled(name: str, split: str, latents: Latents, config: EmbedConfig) -> Embeddings:
    vectors = pool(name, latents.values, latents.positions[:, 1], config.poolings)
    if not vectors:
        raise ValueError(
            f"embed.poolings must leave an embedding of networks of this length, got "
            f"{', '.join(_missing(name, latents, config).values())}; add mean, which any length has"
        )
    return Embeddings(vectors, latents.runs, latents.epochs, np.full(len(latents.runs), split))


def _missing(name: str, latents: Latents, config: EmbedConfig) -> dict[str, str]:
    sizes = latents.values.shape[1:]
    reasons = {f"{name}_{pooling}": not_available(pooling, *sizes) for pooling in config.poolings}
    return {key: reason for key, reason in reasons.items() if reason}
