"""Prompt examples of a transfer: train runs of the zoo, or a few networks trained for the target.

Either way they come with the generator that embeds them and selects samples (Algorithm 3).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sane_core.generation.candidates import Samples, Weights, score_candidates
from sane_core.generation.compare import Prompts, embed_prompts, score_prompts
from sane_core.generation.control import Control
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.generator import Generator
from sane_core.generation.material import Sources, prepare, read_prompts
from sane_core.generation.transfer_frame import PromptFrame, frame_of_prompts, in_frame
from sane_core.generation.transfer_head import head_of, with_new_head
from sane_core.generation.transfer_target import (
    Target,
    require_known_positions,
)
from sane_core.images.apart import check_apart
from sane_core.images.files import read_images
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.frame import read_frame
from sane_core.weights.layers import Layer, layers_of_architecture
from sane_core.weights.streaming import places_of
from sane_core.weights.tokens import lengths_of
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.train import train, way_for
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.training import TrainingConfig
from schemas.config.transfer import TARGET_PROMPT_EPOCHS, TARGET_PROMPTS


@dataclass(frozen=True)
class Prompted:
    """A generator for a target, and its prompt examples.

    Attributes:
        target: What networks are made for.
        generator: Embeds, decodes, and selects; on the zoo's own images where heads are new.
        prompts: In the generator's frame.
        latents: The same as SANE sees them.
        finisher: Completes networks on the target's images; None where the generator did that.
        head: Entries that are drawn anew; empty where the head is kept.
        frame: Of the prompts' own; None in the zoo's.
        others: The same prompts as other autoencoders see and decode them, by name.
        control: How noise on prompts is trained, to cost what sharpening on the target has; None
            unless asked for.
    """

    target: Target
    generator: Generator
    prompts: Prompts
    latents: PromptLatents
    finisher: Generator | None = None
    head: tuple[str, ...] = ()
    frame: PromptFrame | None = None
    others: Mapping[str, "Prompted"] = field(default_factory=dict)
    control: Control | None = None

    def decoded_by(self, name: str) -> "Prompted":
        """Return the same prompts with another autoencoder.

        Raises:
            ValueError: If there is none of this name.
        """
        if name not in self.others:
            raise ValueError(
                f"decoder must be one of {sorted(self.others)}, got {name}: train it first"
            )
        return self.others[name]

    def sharpened(self, model: Autoencoder) -> "Prompted":
        """Return the same prompts with a sharpened SANE, which encodes as the generator's does."""
        return replace(self, generator=replace(self.generator, model=model))

    def settle(self, samples: Samples, fresh: Weights) -> Weights:
        """Make samples networks of the target that can be trained on.

        A new head, and running statistics measured on the target's images; where prompts have a
        frame of their own, the order of units of the prompt that each sample stands on.

        Args:
            samples: De-standardized, as selected.
            fresh: Networks that new heads are taken from.
        """
        weights = samples.weights
        if self.frame:
            weights = self.frame.back(weights, samples.prompt)
        if self.head:
            weights = with_new_head(weights, self.head, fresh)
        return self.finisher.complete(weights, samples.prompt) if self.finisher else weights


def prompts_of_zoo(
    sources: Sources,
    epochs: tuple[int, ...],
    target: Target,
    embed: EmbedConfig,
    seed: int,
    augmented: Augmented = Augmented(),  # noqa: B008 (frozen)
) -> Prompted:
    """Take prompts from the zoo's train runs, in its frame.

    Samples are selected on the target's validation images. With a new head they would all be at
    chance there: then they are selected with the zoo's head on the zoo's validation images, and
    their running statistics until then are of the zoo's train images.

    Args:
        sources: Folders of the zoo's stages.
        epochs: Epochs SANE was trained on.
        target: What networks are made for.
        embed: Chunk sizes.
        seed: The run's seed.
        augmented: How the zoo's train images were moved in its own training.

    Raises:
        ValueError: If there are no such checkpoints, or the zoo's validation images are the
            target's test images.
    """
    config = target.config
    of_zoo = read_images(sources.images)
    images = of_zoo if target.new_head else target.images
    check_apart(images["validation"], target.images["test"], "the zoo")
    if target.new_head:
        conditioning = target.conditioning_on(of_zoo["train"], augmented, seed)
    else:
        conditioning = target.conditioning(seed)
    generator = prepare(sources, epochs, images["validation"], embed, conditioning)
    if not target.new_head:
        generator = replace(generator, architecture=target.architecture)
    epoch = max(epochs) if config.prompt_epochs is None else config.prompt_epochs
    places = places_of(sources.tokens / "checkpoints.parquet", "train", [epoch])
    if not places:
        raise ValueError(
            f"prompt_epochs of target {config.name} must be an epoch of the zoo's tokens, got "
            f"{epoch}"
        )
    examples = places[: config.prompt_members]
    weights = read_prompts(sources, generator, examples)
    generator = replace(generator, rest=_rest(generator, weights))
    prompts = score_prompts(generator, generator.complete(weights, np.arange(len(examples))))
    return Prompted(
        target,
        generator,
        prompts,
        embed_prompts(generator, prompts),
        replace(
            generator, architecture=target.architecture, conditioning=target.conditioning(seed)
        ),
        head_of(target.architecture) if target.new_head else (),
    )


def prompts_of_target(
    sources: Sources,
    epochs: tuple[int, ...],
    target: Target,
    recipe: TrainingConfig,
    embed: EmbedConfig,
    preprocess: PreprocessConfig,
    seed: int,
    on_epoch: Callable[[], None] | None = None,
) -> Prompted:
    """Train prompts of the target and measure their frame from them alone.

    Args:
        sources: Folders of the zoo's stages.
        epochs: Epochs SANE was trained on.
        target: What networks are made for.
        recipe: How they are trained, but for the number of epochs.
        embed: Chunk sizes.
        preprocess: As the zoo was made into tokens.
        seed: The run's seed.
        on_epoch: Called before the first epoch of prompts, and after each.

    Raises:
        ValueError: If the target has positions that the autoencoder does not know.
    """
    validation = target.images["validation"]
    base = prepare(sources, epochs, validation, embed, target.conditioning(seed))
    layers = layers_of_architecture(target.architecture, preprocess.batch_norm)
    positions = require_known_positions(base.model, target, layers)
    trained = train_prompts(target, recipe, seed, on_epoch, device=base.device)
    frame = _framed(sources, base, target, trained, layers, preprocess, seed)
    weights = frame.into(trained)
    generator = replace(
        base,
        architecture=target.architecture,
        layers=layers,
        statistics=frame.statistics,
        positions=positions,
        lengths=lengths_of(layers, base.model.shape.d_t),
    )
    generator = replace(generator, rest=_rest(generator, weights))
    prompts = score_prompts(generator, weights)
    return Prompted(target, generator, prompts, embed_prompts(generator, prompts), frame=frame)


def train_prompts(
    target: Target,
    recipe: TrainingConfig,
    seed: int,
    on_epoch: Callable[[], None] | None = None,
    *,
    device: str,
) -> Weights:
    """Train the target's prompts; a schedule runs over exactly their epochs.

    Args:
        target: How many, and for how long.
        recipe: How, but for the number of epochs.
        seed: The run's seed.
        on_epoch: Called before the first epoch, and after each.
        device: Where.

    Returns:
        Entry -> float32 [prompts, ...], buffers too.
    """
    config = target.config
    recipe = recipe.model_copy(update={"epochs": config.prompt_epochs or TARGET_PROMPT_EPOCHS})
    members = members_of(recipe, range(config.prompt_members or TARGET_PROMPTS), seed)
    trained = train(
        target.architecture,
        initialize(target.architecture, members, seed, recipe.initial_bias),
        target.images["train"],
        members,
        recipe,
        seed,
        way=way_for(target.architecture, recipe, device),
        device=device,
        on_epoch=lambda *_: on_epoch() if on_epoch else None,
    )
    return {name: values.cpu().numpy() for name, values in trained.items()}


def _framed(
    sources: Sources,
    base: Generator,
    target: Target,
    prompts: Weights,
    layers: tuple[Layer, ...],
    preprocess: PreprocessConfig,
    seed: int,
) -> PromptFrame:
    if target.config.frame == "zoo":
        zoo = read_frame(sources.tokens, sources.zoo, preprocess, seed)
        return in_frame(zoo, base.layers, base.statistics, target.architecture, prompts)
    validation = target.images["validation"]
    scores = score_candidates(target.architecture, prompts, validation, base.device)
    best = int(np.argmax(scores.accuracy))
    return frame_of_prompts(target.architecture, prompts, best, preprocess, seed)


def _rest(generator: Generator, prompts: Weights) -> Weights:
    """Return the trained entries that no token is cut from, as the prompts have them."""
    cut = {name for layer in generator.layers for name in layer.entries}
    left = generator.architecture.shapes().keys() - cut
    return {name: values for name, values in prompts.items() if name in left}
