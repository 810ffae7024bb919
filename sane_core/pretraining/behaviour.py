"""The behaviour loss: decoded networks answer images as the originals do, whatever the labels are.

Whole train checkpoints are cut into windows, encoded, their latents moved by noise, decoded, put
together and run, all at once, beside the originals. The loss is the mean squared difference of
their log-probabilities; its gradient goes through the decoded networks into decoder and encoder. No
label is read, and no image but the train part's.

Differs from the paper, which compares weights alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.pretraining.answers import COUNTER, Answers
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.whole import cut_whole, join_whole
from sane_core.seeding import rng_for
from sane_core.weights.files import TokenSet, read_layers, read_statistics
from sane_core.weights.layers import Layer, token_count
from sane_core.weights.standardize import Statistics
from sane_core.weights.streaming import places_of, read_places, token_size
from schemas.config.pretrain import BehaviourConfig


class Behaviour:
    """Train networks, and images for them to answer."""

    def __init__(
        self,
        tokens: TokenSet,
        layers: tuple[Layer, ...],
        statistics: Statistics,
        architecture: Architecture,
        images: Images | None,
        config: BehaviourConfig,
        others: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Keep what steps draw from.

        Args:
            tokens: Train checkpoints.
            layers: Layers that the tokens were cut from.
            statistics: What they were standardized with.
            architecture: Of all checkpoints.
            images: Train images; random normal inputs if not given.
            config: How many of each, and the noise.
            others: Entries that are in no token, as of the aligned checkpoints: entry ->
                [checkpoints, ...]. A batch norm's running statistics, and its scale and shift where
                they were left out of the tokens.

        Raises:
            ValueError: If an entry is missing, or the images do not fit the architecture.
        """
        self.answers = Answers(layers, statistics, architecture, others)
        if images is not None:
            self.answers.check_images(images)
        self.values, self.positions, self.lengths = tokens.values, tokens.positions, tokens.lengths
        self.architecture, self.images, self.config = architecture, images, config

    def loss(
        self,
        model: Autoencoder,
        window: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> torch.Tensor:
        """Return the behaviour loss of some networks, drawn anew.

        Autoencoder and networks run once each; the autoencoder in the caller's autocast, the
        networks in float32.

        Args:
            model: Autoencoder.
            window: Window length of pretraining.
            generator: Source of all draws, on the CPU.
            device: Where the autoencoder is.

        Returns:
            Scalar: mean squared difference of log-probabilities, in nats².

        Raises:
            ValueError: If a position is unknown to the autoencoder, or a network is longer than a
                window that must hold all of it.
        """
        self._check(model, window)
        chosen = torch.randperm(len(self.values), generator=generator)[: self.config.models].numpy()
        tokens = self._disturbed(torch.from_numpy(self.values[chosen]), generator).to(device)
        pixels = self._draw_images(generator).to(device)
        decoded = self._reconstruct(model, tokens, window, generator)
        return self.distance(chosen, tokens, decoded, pixels)

    def distance(
        self,
        chosen: np.ndarray,
        tokens: torch.Tensor,
        decoded: torch.Tensor,
        pixels: torch.Tensor,
    ) -> torch.Tensor:
        """Return how differently networks answer.

        Networks, original or decoded, with an answer that is not finite are left out, and get no
        gradient.

        Args:
            chosen: Which checkpoints these are, int64 [models].
            tokens: Of the originals, float32 [models, N, d_t].
            decoded: float [models, N, d_t]; what stands in the padding is dropped.
            pixels: Network input float32 [images, channels, height, width].

        Returns:
            Scalar, in nats².
        """
        with torch.autocast(pixels.device.type, enabled=False):
            with torch.no_grad():
                wanted = self.answers(chosen, tokens, pixels)
            answers = self.answers(chosen, decoded.float(), pixels)
            usable = (wanted.isfinite() & answers.isfinite()).flatten(1).all(1)
            squares = torch.where(usable[:, None, None], answers - wanted, 0).square()
            return squares.flatten(1).mean(1).sum() / usable.sum().clamp(min=1)

    def _check(self, model: Autoencoder, window: int) -> None:
        model.check_positions(self.positions)
        length = self.values.shape[1]
        if model.config.bottleneck == "model" and length > window:
            raise ValueError(
                f"windows must hold whole networks ({length} tokens of {self.architecture.name}) "
                f"to have one latent for all of it (bottleneck: model), got {window}"
            )

    def _draw_images(self, generator: torch.Generator) -> torch.Tensor:
        if self.images is None:
            shape = (self.config.images, *self.architecture.input_shape)
            return torch.randn(shape, generator=generator)
        chosen = torch.randperm(len(self.images), generator=generator)[: self.config.images]
        return torch.from_numpy(self.images.numbers(chosen.sort().values.numpy()))

    def _disturbed(self, tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return networks of which half have noise on their weights, more or less of it.

        Half of that is relative to each weight, half is not.
        """
        largest = self.config.weight_noise
        if not largest:
            return tokens
        noised, relative = torch.rand(2, len(tokens), 1, 1, generator=generator) < 0.5
        size = largest * torch.rand(len(tokens), 1, 1, generator=generator) * noised
        drawn = torch.randn(tokens.shape, generator=generator)
        noise = torch.where(relative, tokens * drawn, drawn)
        real = torch.arange(tokens.shape[-1]) < torch.from_numpy(self.lengths)[:, None]
        return tokens + size * noise * real

    def _reconstruct(
        self, model: Autoencoder, tokens: torch.Tensor, window: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Encode and decode whole networks [models, N, d_t], with noise on their latents."""
        models, length, _ = tokens.shape
        first = int(torch.randint(window, (), generator=generator)) if length > window else 0
        cut = cut_whole(tokens, torch.from_numpy(self.positions), window, first)
        latents = model.encode_checked(cut.tokens, cut.positions, cut.visible)
        if self.config.latent_noise:
            drawn = torch.randn(latents.shape, generator=generator).to(latents.device)
            of_tokens = latents.detach().float()
            if model.config.bottleneck == "token":
                of_tokens = join_whole(of_tokens, models, length, first)
            spread = of_tokens.flatten(0, 1).std(0, correction=0)
            latents = latents + self.config.latent_noise * spread * drawn
        decoded = model.decode_checked(latents, cut.positions, cut.visible)
        return join_whole(decoded, models, length, first)


def open_behaviour(
    tokens: Path,
    images: Path | None,
    config: BehaviourConfig,
    epochs: Sequence[int] | None = None,
    zoo: Path | None = None,
    seed: int = 0,
) -> Behaviour:
    """Open a zoo's train split: all of its checkpoints, or as many as `memory_mb` holds.

    Args:
        tokens: Folder of the preprocess stage.
        images: Folder of the images stage; random normal inputs if there is none.
        config: How many networks and images a step draws, and the noise.
        epochs: Epochs to draw networks from; all if not given.
        zoo: Folder of the zoo stage; needed where a network has entries that are no tokens.
        seed: Draws the checkpoints where memory does not hold all of them.

    Raises:
        ValueError: If there is no checkpoint of these epochs, entries are missing, or the images
            do not fit the architecture.
    """
    import pyarrow.parquet as pq

    from sane_core.architectures.registry import architecture_named
    from sane_core.images.files import read_images

    table = tokens / "layers.parquet"
    name = pq.read_table(table, columns=["architecture"])["architecture"][0].as_py()
    network, layers = architecture_named(name), read_layers(table)
    train = read_train(tokens, layers, epochs, config.memory_mb, seed)
    return Behaviour(
        tokens=train,
        layers=layers,
        statistics=read_statistics(table),
        architecture=network,
        images=None if images is None else read_images(images)["train"],
        config=config,
        others=read_others(zoo, tokens, network, layers, train.runs, train.epochs) if zoo else {},
    )


def read_train(
    tokens: Path,
    layers: tuple[Layer, ...],
    epochs: Sequence[int] | None,
    megabytes: int,
    seed: int,
) -> TokenSet:
    """Read the train checkpoints of these epochs, or of them as many as fit.

    Args:
        tokens: Folder of the preprocess stage.
        layers: Layers that they were cut from.
        epochs: Epochs to read; all if not given.
        megabytes: Memory for tokens.
        seed: Draws the checkpoints where memory does not hold all of them.

    Raises:
        ValueError: If there is none.
    """
    places = places_of(tokens / "checkpoints.parquet", "train", epochs)
    if not places:
        raise ValueError(f"split train must have checkpoints of epochs {epochs}, got none")
    d_t = token_size(tokens / "tokens")
    fit = max(1, megabytes * 10**6 // (4 * d_t * token_count(layers, d_t)))
    if fit < len(places):
        drawn = rng_for(seed, "behaviour checkpoints").choice(len(places), fit, replace=False)
        places = tuple(places[i] for i in sorted(drawn.tolist()))
    return read_places(tokens / "tokens", "train", places, layers)


def read_others(
    zoo: Path,
    tokens: Path,
    network: Architecture,
    layers: tuple[Layer, ...],
    runs: np.ndarray,
    epochs: np.ndarray,
) -> dict[str, np.ndarray]:
    """Read the entries that are no tokens, units in the order of the aligned checkpoints."""
    from sane_core.weights.alignment import read_alignment
    from sane_core.weights.shards import stored_groups, within
    from sane_core.weights.symmetry.derive import symmetries_of
    from sane_core.zoo.files import read_weights

    cut = {name for layer in layers for name in layer.entries}
    shapes = {n: s for n, s in (network.shapes() | network.buffers()).items() if n not in cut}
    shapes = {name: shape for name, shape in shapes.items() if not name.endswith(COUNTER)}
    found = {n: np.empty((len(runs), *s), np.float32) for n, s in shapes.items()}
    if not found:
        return found
    groups = within(stored_groups(symmetries_of(network).groups, network), shapes)
    alignment = read_alignment(tokens / "alignment.parquet")
    for epoch in np.unique(epochs).tolist():
        rows = np.flatnonzero(epochs == epoch)
        rows = rows[np.argsort(runs[rows])]
        stored = read_weights(zoo / "weights", shapes, runs[rows].tolist(), [epoch])
        own = {name: values[:, 0] for name, values in stored.items()}
        for name, values in alignment.apply(own, runs[rows], groups).items():
            found[name][rows] = values
    return found
