"""Embed a network in several frames: as it is aligned, and as permutations of it (Algorithm 2).

Permuting units does not change what a network computes, but it changes its tokens, and with them
its embedding a little. The average over frames depends less on the order that alignment has found.
Permutations are drawn once, by the number of the frame: they are the same for all networks of an
architecture, so that networks aligned to each other stay so in every frame.

Differs from the paper: it embeds the aligned network alone, which is `views = 1`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.embed import encode_each
from sane_core.embedding.packing import Sequence as Tokens
from sane_core.embedding.pooling import pool
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.seeding import rng_for
from sane_core.weights.layers import Layer
from sane_core.weights.shards import within
from sane_core.weights.streaming import token_size
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.windows.views import draw_views
from schemas.config.embed import POOLINGS, EmbedConfig, Pooling


class Frames:
    """The frames that all networks of one architecture are embedded in; the first is their own."""

    def __init__(
        self,
        layers: tuple[Layer, ...],
        groups: Sequence[PermutationGroup],
        d_t: int,
        count: int,
        seed: int,
    ) -> None:
        """Draw the permutations.

        Args:
            layers: What tokens are cut from.
            groups: Units that may be permuted; not looked at for one frame.
            d_t: Token size.
            count: How many frames, the networks' own included.
            seed: The run's seed.

        Raises:
            ValueError: If there is nothing to permute, for more than one frame.
        """
        moved = within(groups, [name for layer in layers for name in layer.entries])
        if count > 1 and not moved:
            raise ValueError(
                f"embed.views must be 1 for networks without units that may be permuted, got "
                f"{count}: every view would be the same"
            )
        self.count = count
        self._views = [
            draw_views(layers, moved, d_t, 1, rng_for(seed, "embedding view", number))
            for number in range(1, count)
        ]

    def of(self, tokens: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the tokens [N, d_t] of one network in every frame."""
        yield tokens
        for view in self._views:
            yield view.see(tokens, 0, len(tokens))[0]

    def average(self, vectors: np.ndarray) -> np.ndarray:
        """Average vectors [networks · frames, d] over the frames of each network: [networks, d]."""
        if self.count == 1:
            return vectors
        return vectors.reshape(-1, self.count, vectors.shape[1]).mean(axis=1)


def frames_of(tokens: Path, layers: tuple[Layer, ...], views: int, seed: int) -> Frames:
    """Return the frames of a zoo's networks.

    Args:
        tokens: The `tokens/` folder of the preprocess stage; its tables lie beside it.
        layers: What they were cut from.
        views: How many; only for more than one the architecture is built.
        seed: The run's seed.

    Raises:
        ValueError: If there are several and the networks have no known symmetries.
    """
    groups: tuple[PermutationGroup, ...] = ()
    if views > 1:
        table = pq.read_table(tokens.parent / "layers.parquet", columns=["architecture"])
        try:
            groups = groups_of(architecture_named(table["architecture"][0].as_py()))
        except ValueError as error:
            raise ValueError(
                f"embed.views must be 1 for networks without known symmetries, got {views}: {error}"
            ) from error
    return Frames(layers, groups, token_size(tokens), views, seed)


def encode_in_frames(
    model: Autoencoder, models: Iterable[Tokens], frames: Frames, config: EmbedConfig
) -> Iterator[np.ndarray]:
    """Encode networks in every frame.

    Arguments and errors are those of `encode_each`.

    Yields:
        Latents float32 [frames, N, d_z] of each network; the first are those of its own frame.
    """
    seen = (each._replace(values=own) for each in models for own in frames.of(each.values))
    encoded = encode_each(model, seen, config)
    while latents := list(islice(encoded, frames.count)):
        yield np.stack(latents)


def pool_in_frames(
    name: str,
    latents: np.ndarray,
    layer: np.ndarray,
    frames: Frames,
    poolings: Sequence[Pooling] = POOLINGS,
) -> dict[str, np.ndarray]:
    """Pool latents in every frame, as `pool` does, and average.

    Args:
        name: Prefix of the names.
        latents: [networks · frames, N, d], or [networks · frames, 1, d].
        layer: int64 [N], the layer counter l of each token.
        frames: Which.
        poolings: Which.
    """
    pooled = pool(name, latents, layer, poolings)
    return {key: frames.average(values) for key, values in pooled.items()}


def embed_models(
    model: Autoencoder,
    tokens: np.ndarray,
    positions: np.ndarray,
    lengths: np.ndarray,
    frames: Frames,
    config: EmbedConfig,
    name: str = "sane",
) -> dict[str, np.ndarray]:
    """Encode and pool networks of one architecture that are in memory.

    Args:
        model: Trained autoencoder.
        tokens: float32 [models, N, d_t].
        positions: int64 [N, 3].
        lengths: int64 [N].
        frames: Which.
        config: Chunk, halo, batch, poolings.
        name: Prefix of the names.

    Returns:
        `<name>_<pooling>` -> float32 [models, d].
    """
    given = (
        Tokens(each, positions, lengths, f"model {i} of {len(tokens)}")
        for i, each in enumerate(tokens)
    )
    latents = np.concatenate(list(encode_in_frames(model, given, frames, config)))
    return pool_in_frames(name, latents, positions[:, 1], frames, config.poolings)
