"""What generation from a zoo starts from: a decoder, prompt examples, and the training networks.

Prompts are in memory; the training networks are read one after another, or some at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode, encode_each, whole_models
from sane_core.embedding.packing import Sequence as Tokens
from sane_core.generation.batch_norm import Conditioning, conditioning_on
from sane_core.generation.candidates import Weights, joined
from sane_core.generation.checks import check_images
from sane_core.generation.compare import (
    GLOBAL,
    Decoder,
    Prompts,
    embed_prompts,
    score_prompts,
)
from sane_core.generation.distributions.flow import fit_flow
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.generator import Generator
from sane_core.generation.moments import moments_of
from sane_core.generation.refine_target import Refining
from sane_core.generation.trained import TrainedNetworks
from sane_core.images.apart import selected_on
from sane_core.images.files import read_facts, read_images
from sane_core.images.images import Images
from sane_core.pretraining.behaviour import read_others
from sane_core.pretraining.files import load
from sane_core.seeding import seed_for
from sane_core.weights.files import TokenSet, read_layers, read_statistics
from sane_core.weights.standardize import unstandardize
from sane_core.weights.streaming import (
    Place,
    each_checkpoint,
    places_of,
    read_places,
    token_size,
)
from sane_core.weights.tokens import detokenize, lengths_of, positions_of
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig


@dataclass(frozen=True)
class Sources:
    """Folders of the stages that generation reads.

    Attributes:
        images: Of the stage `images`.
        tokens: Of the stage `tokens`.
        model: Of the stage `model`.
        zoo: Of the stage `zoo`: needed where networks have entries that are in no token.
        others: Other decoders, folders as of the stage `model`: `global`, an autoencoder with one
            latent per model, whose samples are the method `global_kde30`; `sharpened` and
            `sharpened_unlabelled`.
    """

    images: Path
    tokens: Path
    model: Path
    zoo: Path | None = None
    others: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """What is drawn from and compared with.

    Attributes:
        images: Parts `train`, `validation` and `test`.
        decoders: `sane`, and what else there is, with the prompts as each sees them.
        prompts: Prompt examples.
        trained: The training networks, in the aligned frame.
        wrong: Where they err, bool [training networks, test images].
    """

    images: dict[str, Images]
    decoders: dict[str, Decoder]
    prompts: Prompts
    trained: TrainedNetworks
    wrong: np.ndarray

    @property
    def generator(self) -> Generator:
        """The plain SANE's."""
        return self.decoders["sane"].generator

    @property
    def architecture(self) -> Architecture:
        """Of all networks."""
        return self.generator.architecture


def open_material(
    sources: Sources,
    epochs: Sequence[int],
    config: GenerateConfig,
    embed: EmbedConfig,
    seed: int,
    recipe: TrainingConfig,
) -> Material:
    """Read all that generation starts from.

    Args:
        sources: Folders.
        epochs: Epochs SANE was trained on.
        config: Prompts and conditioning.
        embed: Chunk sizes.
        seed: The run's seed.
        recipe: How the zoo's networks were trained: on images flipped and cropped in which way.

    Raises:
        ValueError: If there are no prompts, entries that are in no token are not to be had, or
            validation images are test images.
    """
    parts = read_images(sources.images)
    parts["validation"] = selected_on(parts, read_facts(sources.images).dataset)
    drawn = seed_for(seed, "conditioning")
    conditioning = conditioning_on(parts["train"], config, Augmented.of(recipe), drawn)
    generator = prepare(sources, epochs, parts["validation"], embed, conditioning)
    check_images(generator.architecture, parts)
    examples = _places(sources, [config.prompt_epoch])[: config.prompts]
    weights = read_prompts(sources, generator, examples)
    generator = _with_prompts(generator, weights, parts["train"])
    prompts = score_prompts(generator, weights)
    decoders = {"sane": Decoder(generator, embed_prompts(generator, prompts))}
    for name, folder in sources.others.items():
        whole = whole_models(embed) if name == GLOBAL else embed
        theirs = replace(sources, model=folder)
        other = prepare(theirs, epochs, parts["validation"], whole, conditioning)
        other = _with_prompts(other, weights, parts["train"])
        decoders[name] = Decoder(other, embed_prompts(other, prompts))
    if any(sampler.distribution == "flow" for sampler in config.samplers):
        decoders = {
            name: replace(each, prompts=_with_flow(sources, each, epochs, config, seed))
            if name != GLOBAL
            else each
            for name, each in decoders.items()
        }
    trained = trained_networks(sources, generator, epochs)
    return Material(parts, decoders, prompts, trained, trained.wrong(parts["test"]))


def prepare(
    sources: Sources,
    epochs: Sequence[int],
    validation: Images,
    embed: EmbedConfig,
    conditioning: Conditioning | None = None,
) -> Generator:
    """Load a trained SANE and measure its training latents' mean and standard deviation.

    Train checkpoints are read and encoded one after another.

    Args:
        sources: Folders of `tokens` and `model`.
        epochs: Epochs of the train checkpoints.
        validation: Validation images.
        embed: Chunk sizes.
        conditioning: What running statistics are measured on.

    Raises:
        ValueError: If there is no such checkpoint, or the autoencoder does not know its positions.
    """
    table = sources.tokens / "layers.parquet"
    name = pq.read_table(table, columns=["architecture"])["architecture"][0].as_py()
    autoencoder, layers = on_gpu(load(sources.model)), read_layers(table)
    d_t = token_size(sources.tokens / "tokens")
    positions, lengths = positions_of(layers, d_t), lengths_of(layers, d_t)
    read = each_checkpoint(sources.tokens / "tokens", "train", _places(sources, epochs))
    training = (
        Tokens(values, positions, lengths, f"run {place.run} at epoch {place.epoch}")
        for place, values in read
    )
    mean, scale = moments_of(encode_each(autoencoder, training, embed))
    return Generator(
        model=autoencoder,
        architecture=architecture_named(name),
        layers=layers,
        statistics=read_statistics(table),
        positions=positions,
        lengths=lengths,
        mean=mean,
        scale=scale,
        embed=embed,
        validation=validation,
        conditioning=conditioning,
    )


def trained_networks(
    sources: Sources, generator: Generator, epochs: Sequence[int]
) -> TrainedNetworks:
    """Return the train checkpoints of these epochs, to be read in parts."""
    places = _places(sources, epochs)
    return TrainedNetworks(
        generator.architecture,
        len(places),
        generator.device,
        lambda part: _read_networks(sources, generator, places[part]),
    )


def read_prompts(sources: Sources, generator: Generator, places: Sequence[Place]) -> Weights:
    """Read train checkpoints as networks in the aligned frame, some at a time.

    Args:
        sources: Folders of `tokens` and, where an entry is in no token, `zoo`.
        generator: Knows layers and statistics.
        places: The checkpoints, in the order of their tokens.

    Returns:
        As `networks_of`.
    """
    parts = generator.parts(len(places))
    return joined((_read_networks(sources, generator, places[p]) for p in parts), len(places))


def networks_of(sources: Sources, generator: Generator, tokens: TokenSet) -> Weights:
    """Return checkpoints as networks, in the aligned frame.

    Args:
        sources: Folders of `tokens` and, where an entry is in no token, `zoo`.
        generator: Knows layers and statistics.
        tokens: The checkpoints.

    Returns:
        Entry -> float32 [checkpoints, ...]: every trained entry, and running statistics.
    """
    layers = generator.layers
    weights = unstandardize(detokenize(tokens.values, layers), layers, generator.statistics)
    if sources.zoo is None:
        return weights
    return weights | read_others(
        sources.zoo, sources.tokens, generator.architecture, layers, tokens.runs, tokens.epochs
    )


def _places(sources: Sources, epochs: Sequence[int]) -> tuple[Place, ...]:
    """Return where the train checkpoints of these epochs stand."""
    places = places_of(sources.tokens / "checkpoints.parquet", "train", epochs)
    if not places:
        raise ValueError(
            f"split train must have checkpoints of epochs {[*epochs]}, got none; choose epochs "
            "that the zoo kept (generate.prompt_epoch, windows)"
        )
    return places


def _read_networks(sources: Sources, generator: Generator, places: Sequence[Place]) -> Weights:
    tokens = read_places(sources.tokens / "tokens", "train", places, generator.layers)
    return networks_of(sources, generator, tokens)


def _with_flow(
    sources: Sources,
    decoder: Decoder,
    epochs: Sequence[int],
    config: GenerateConfig,
    seed: int,
) -> PromptLatents:
    """Fit a flow to the latents of the training networks at the prompts' epoch."""
    everything = _places(sources, epochs)
    chosen = [place for place in everything if place.epoch == config.prompt_epoch]
    places = chosen if len(chosen) > 1 else everything
    generator = decoder.generator
    training = read_places(sources.tokens / "tokens", "train", places, generator.layers)
    latents = encode(
        generator.model, training.values, training.positions, training.lengths, generator.embed
    )
    return replace(decoder.prompts, flow=fit_flow(latents, config.flow, seed_for(seed, "flow")))


def _with_prompts(generator: Generator, prompts: Weights, train: Images) -> Generator:
    cut = {name for layer in generator.layers for name in layer.entries}
    shapes = generator.architecture.shapes()
    rest = {name: values for name, values in prompts.items() if name in shapes.keys() - cut}
    return replace(generator, rest=rest, refining=Refining(train, prompts))
