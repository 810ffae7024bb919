"""What generation from a zoo starts from: a decoder, prompt examples, and the training networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode, whole_models
from sane_core.generation.batch_norm import Conditioning
from sane_core.generation.candidates import Weights
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
from sane_core.images.files import read_images
from sane_core.images.images import Images
from sane_core.pretraining.behaviour import read_others
from sane_core.pretraining.files import load
from sane_core.seeding import seed_for
from sane_core.weights.files import TokenSet, read_layers, read_statistics, read_tokens
from sane_core.weights.standardize import unstandardize
from sane_core.weights.tokens import detokenize
from sane_core.zoo.population.score import score, stack
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig


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
        trained: The training networks, entry -> float32 [training networks, ...], aligned.
        wrong: Where they err, bool [training networks, test images].
    """

    images: dict[str, Images]
    decoders: dict[str, Decoder]
    prompts: Prompts
    trained: Weights
    wrong: np.ndarray

    @property
    def architecture(self) -> Architecture:
        """Of all networks."""
        return self.decoders["sane"].generator.architecture


def open_material(
    sources: Sources,
    epochs: Sequence[int],
    config: GenerateConfig,
    embed: EmbedConfig,
    seed: int,
) -> Material:
    """Read all that generation starts from.

    Args:
        sources: Folders.
        epochs: Epochs SANE was trained on.
        config: Prompts and conditioning.
        embed: Chunk sizes.
        seed: The run's seed.

    Raises:
        ValueError: If there are no prompts, or entries that are in no token are not to be had.
    """
    parts = read_images(sources.images)
    training = read_tokens(sources.tokens / "tokens", "train", epochs)
    conditioning = _conditioning(parts["train"], config, seed)
    generator = prepare(sources, training, parts["validation"], embed, conditioning)
    examples = _first(
        read_tokens(sources.tokens / "tokens", "train", [config.prompt_epoch]), config.prompts
    )
    weights = networks_of(sources, generator, examples)
    generator = _with_rest(generator, weights)
    prompts = score_prompts(generator, weights)
    decoders = {"sane": Decoder(generator, embed_prompts(generator, prompts))}
    for name, folder in sources.others.items():
        whole = whole_models(embed) if name == GLOBAL else embed
        other = prepare(
            replace(sources, model=folder), training, parts["validation"], whole, conditioning
        )
        other = _with_rest(other, weights)
        decoders[name] = Decoder(other, embed_prompts(other, prompts))
    if any(sampler.distribution == "flow" for sampler in config.samplers):
        decoders = {
            name: replace(each, prompts=_with_flow(each, training, config, seed))
            if name != GLOBAL
            else each
            for name, each in decoders.items()
        }
    trained = networks_of(sources, generator, training)
    correct, _ = score(
        generator.architecture, stack(generator.architecture, trained), parts["test"]
    )
    return Material(parts, decoders, prompts, trained, ~correct)


def prepare(
    sources: Sources,
    training: TokenSet,
    validation: Images,
    embed: EmbedConfig,
    conditioning: Conditioning | None = None,
) -> Generator:
    """Load a trained SANE and measure its training latents' mean and standard deviation.

    Args:
        sources: Folders of `tokens` and `model`.
        training: Train checkpoints.
        validation: Validation images.
        embed: Chunk sizes.
        conditioning: What running statistics are measured on.
    """
    table = sources.tokens / "layers.parquet"
    name = pq.read_table(table, columns=["architecture"])["architecture"][0].as_py()
    autoencoder = on_gpu(load(sources.model))
    latents = encode(autoencoder, training.values, training.positions, training.lengths, embed)
    return Generator(
        model=autoencoder,
        architecture=architecture_named(name),
        layers=read_layers(table),
        statistics=read_statistics(table),
        positions=training.positions,
        lengths=training.lengths,
        mean=latents.mean((0, 1), dtype=np.float64),
        scale=latents.std((0, 1), dtype=np.float64),
        embed=embed,
        validation=validation,
        conditioning=conditioning,
    )


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


def _with_flow(
    decoder: Decoder, training: TokenSet, config: GenerateConfig, seed: int
) -> PromptLatents:
    """Fit a flow to the latents of the training networks at the prompts' epoch."""
    chosen = training.epochs == config.prompt_epoch
    of = chosen if chosen.sum() > 1 else np.full(len(training), True)
    generator = decoder.generator
    latents = encode(
        generator.model, training.values[of], training.positions, training.lengths, generator.embed
    )
    return replace(decoder.prompts, flow=fit_flow(latents, config.flow, seed_for(seed, "flow")))


def _with_rest(generator: Generator, prompts: Weights) -> Generator:
    cut = {name for layer in generator.layers for name in layer.entries}
    shapes = generator.architecture.shapes()
    rest = {name: values for name, values in prompts.items() if name in shapes.keys() - cut}
    return replace(generator, rest=rest)


def _first(tokens: TokenSet, count: int) -> TokenSet:
    return TokenSet(
        tokens.values[:count],
        tokens.positions,
        tokens.lengths,
        tokens.runs[:count],
        tokens.epochs[:count],
    )


def _conditioning(train: Images, config: GenerateConfig, seed: int) -> Conditioning | None:
    if not config.conditioning_batches:
        return None
    batch = min(config.conditioning_batch, len(train))
    drawn = seed_for(seed, "conditioning")
    return Conditioning(train, config.conditioning_batches, batch, drawn)
