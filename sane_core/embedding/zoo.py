"""Embed a whole zoo: every checkpoint that windows were cut from, of every split (Algorithm 2).

Checkpoints are read, encoded and pooled one after another. In memory are a batch of chunks and
what is in progress, a network in each of its frames at least, whatever the zoo's size; and the
vectors, where they are returned rather than written.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.embedding.device import on_gpu
from sane_core.embedding.files import Embeddings, EmbeddingsWriter, joined
from sane_core.embedding.frames import Frames, encode_in_frames, frames_of, pool_in_frames
from sane_core.embedding.packing import Sequence as Tokens
from sane_core.embedding.pooling import not_available
from sane_core.embedding.token_files import Latents, LatentsWriter
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.files import read_layers
from sane_core.weights.shards import SPLITS
from sane_core.weights.streaming import Place, each_checkpoint, places_of, token_size
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.embed import EmbedConfig

POOLED = 8 * 2**20
"""Bytes of latents pooled at once, unless one checkpoint alone has more."""


@dataclass(frozen=True)
class Encoded:
    """Latents of some checkpoints of one split, in every frame.

    Attributes:
        split: Their split.
        frames: Which frames.
        latents: float32 [checkpoints · frames, N, d_z], the frames of a checkpoint side by side.
        positions: int64 [N, 3], `[n, l, k]`.
        places: The checkpoints.
    """

    split: str
    frames: Frames
    latents: np.ndarray
    positions: np.ndarray
    places: tuple[Place, ...]

    @property
    def own(self) -> Latents:
        """The latents of each checkpoint's own frame, the aligned one."""
        return Latents(
            self.latents[:: self.frames.count],
            self.positions,
            np.array([place.run for place in self.places]),
            np.array([place.epoch for place in self.places]),
        )


def encode_zoo(
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    seed: int = 0,
    on_split: Callable[[], None] | None = None,
) -> Iterator[Encoded]:
    """Encode checkpoints, in the order of their tokens.

    Args:
        model: Encoder; it is moved to a GPU, where there is one.
        tokens: The `tokens/` folder of the preprocess stage; its tables lie beside it.
        epochs: Epochs to encode.
        config: Chunk, halo and batch sizes, and views.
        seed: The run's seed, for the views.
        on_split: Called after each split.

    Yields:
        Latents of some checkpoints of a split.

    Raises:
        ValueError: If a split has no such checkpoint; as `encode_each` and `frames_of`.
    """
    model = on_gpu(model)
    layers, d_t = read_layers(tokens.parent / "layers.parquet"), token_size(tokens)
    positions, lengths = positions_of(layers, d_t), lengths_of(layers, d_t)
    frames = frames_of(tokens, layers, config.views, seed)
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
        each = zip(places, encode_in_frames(model, checkpoints, frames, config), strict=True)
        for some, latents in _together(each):
            yield Encoded(split, frames, latents, positions, some)
        if on_split:
            on_split()


def embed_zoo(
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    name: str = "sane",
    seed: int = 0,
    on_split: Callable[[], None] | None = None,
) -> Embeddings:
    """Encode and pool checkpoints, and return their embeddings.

    Arguments and errors are those of `encode_zoo`; `name` is the prefix of the vectors' names.
    """
    encoded = encode_zoo(model, tokens, epochs, config, seed, on_split)
    return joined([_pooled(name, each, config) for each in encoded])


def write_embedded_zoo(
    folder: Path,
    model: Autoencoder,
    tokens: Path,
    epochs: Sequence[int],
    config: EmbedConfig,
    name: str = "sane",
    seed: int = 0,
    on_split: Callable[[], None] | None = None,
) -> tuple[int, dict[str, str]]:
    """Encode and pool checkpoints into `embeddings.parquet`.

    Other arguments and errors are those of `embed_zoo`. The folder gets the table, and with
    `config.tokens` also `latents.parquet`, a row per token of the aligned network.

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
        for encoded in encode_zoo(model, tokens, epochs, config, seed, on_split):
            embeddings.add(_pooled(name, encoded, config))
            if of_tokens:
                of_tokens.add(encoded.own)
            count += len(encoded.places)
            missing = _missing(name, encoded.latents, config)
    return count, missing


def _together(
    each: Iterator[tuple[Place, np.ndarray]],
) -> Iterator[tuple[tuple[Place, ...], np.ndarray]]:
    """Collect checkpoints until they are worth pooling."""
    places: list[Place] = []
    values: list[np.ndarray] = []
    for place, latents in each:
        places.append(place)
        values.append(latents)
        if len(values) * latents.nbytes >= POOLED:
            yield tuple(places), np.concatenate(values)
            places, values = [], []
    if values:
        yield tuple(places), np.concatenate(values)


def _pooled(name: str, encoded: Encoded, config: EmbedConfig) -> Embeddings:
    layer, own = encoded.positions[:, 1], encoded.own
    vectors = pool_in_frames(name, encoded.latents, layer, encoded.frames, config.poolings)
    if not vectors:
        raise ValueError(
            f"embed.poolings must leave an embedding of networks of this length, got "
            f"{', '.join(_missing(name, encoded.latents, config).values())}; add mean, which any "
            "length has"
        )
    return Embeddings(vectors, own.runs, own.epochs, np.full(len(own.runs), encoded.split))


def _missing(name: str, latents: np.ndarray, config: EmbedConfig) -> dict[str, str]:
    sizes = latents.shape[1:]
    reasons = {f"{name}_{pooling}": not_available(pooling, *sizes) for pooling in config.poolings}
    return {key: reason for key, reason in reasons.items() if reason}
