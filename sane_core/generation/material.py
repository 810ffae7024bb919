"""What generation from a zoo starts from: a decoder, prompt examples, and the training networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode, whole_models
from sane_core.generation.batch_norm import Conditioning
from sane_core.generation.candidates import Weights
from sane_core.generation.compare import Prompts, embed_prompts
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
        baseline: Of the stage `model`, of an autoencoder with one latent per model; its samples
            are the method `global_kde30`.
    """

    images: Path
    tokens: Path
    model: Path
    zoo: Path | None = None
    baseline: Path | None = None


@dataclass(frozen=True)
class Material:
    """What is drawn from and compared with.

    Attributes:
        images: Parts `train`, `validation` and `test`.
        generator: Trained SANE.
        prompts: Prompt examples.
        trained: The training networks, entry -> float32 [training networks, ...], aligned.
        wrong: Where they err, bool [training networks, test images].
        baseline: Trained autoencoder with one latent per model, if there is one.
    """

    images: dict[str, Images]
    generator: Generator
    prompts: Prompts
    trained: Weights
    wrong: np.ndarray
    baseline: Generator | None


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
    trained = networks_of(sources, generator, training)
    wrong, _ = score(generator.architecture, stack(generator.architecture, trained), parts["test"])
    other = None
    if sources.baseline:
        whole = Sources(sources.images, sources.tokens, sources.baseline, sources.zoo)
        other = prepare(whole, training, parts["validation"], whole_models(embed), conditioning)
        other = _with_rest(other, weights)
    return Material(
        parts, generator, embed_prompts(generator, weights), trained, ~wrong, baseline=other
    )


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
