"""Every way to get initial weights, side by side: samplers, prompts, baselines, scratch (§5.2).

Everything selected is selected on validation images in the same way: `candidates` models, the best
`keep` kept. Test images are only ever scored on. What no draw changes is made once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sane_core.generation.baselines import SHARE, average, interpolated
from sane_core.generation.candidates import Samples, Scores, Weights, as_they_are, kept_of
from sane_core.generation.distributions.kde30 import best_prompts
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.generator import Generator
from sane_core.generation.matched_noise import matched_noise
from sane_core.generation.sample import Sampler, sample, sampler_of
from sane_core.seeding import rng_for
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig

GLOBAL = "global"
"""Name of the decoder with one latent per model."""
RECONSTRUCTIONS = {
    "sane": "reconstruction",
    GLOBAL: "global_reconstruction",
    "sharpened": "sharpened_reconstruction",
    "sharpened_unlabelled": "sharpened_unlabelled_reconstruction",
}
"""Decoder -> the method of its plain reconstructions of the prompts."""
UNSELECTED = ("prompts", *RECONSTRUCTIONS.values())
"""Methods that report all their models, and fine-tune as many as there are samples."""
ONCE = (*UNSELECTED, "prompts_selected", "best_prompt", "average")
"""Methods that do not depend on the draw: they are made once, and count once."""


@dataclass(frozen=True)
class Prompts:
    """Prompt examples: aligned checkpoints of train runs at one epoch.

    Attributes:
        weights: Entry -> float32 [prompts, ...], aligned, raw; buffers too.
        scores: On validation images.
    """

    weights: Weights
    scores: Scores

    def __len__(self) -> int:
        return len(self.scores.accuracy)

    @property
    def validation_accuracy(self) -> np.ndarray:
        """Of each, float64 [prompts]."""
        return self.scores.accuracy

    def only(self, chosen: np.ndarray) -> "Prompts":
        """Return these prompts only, int64 [kept]."""
        weights = {name: values[chosen] for name, values in self.weights.items()}
        return Prompts(weights, self.scores.only(chosen))

    def selected(self, keep: int) -> Samples:
        """Keep the best."""
        return kept_of(self.weights, self.scores, keep, prompt=np.arange(len(self)))

    def in_order(self, order: np.ndarray) -> Samples:
        """Take some without selection, int64 [taken]."""
        some = self.only(order)
        return as_they_are(some.weights, some.scores, order)


@dataclass(frozen=True)
class Decoder:
    """A trained autoencoder, and the prompts as it sees them."""

    generator: Generator
    prompts: PromptLatents

    def only(self, chosen: np.ndarray) -> "Decoder":
        """Return the same with these prompts only, int64 [kept]."""
        rest = {name: values[chosen] for name, values in self.generator.rest.items()}
        refining = self.generator.refining and self.generator.refining.only(chosen)
        generator = replace(self.generator, rest=rest, refining=refining)
        return Decoder(generator, self.prompts.only(chosen))


Method = Callable[[np.random.Generator], Samples]


def score_prompts(generator: Generator, weights: Weights) -> Prompts:
    """Score prompt examples on validation images.

    Args:
        generator: For the prompts' architecture.
        weights: Entry -> float32 [prompts, ...], aligned, raw; buffers too.

    Raises:
        ValueError: If a prompt is not finite.
    """
    scores = generator.scores(weights)
    if scores.broken:
        raise ValueError(
            f"prompts must be finite in weights and answers, got {scores.broken} of "
            f"{len(scores.finite)} that are not; leave them out"
        )
    return Prompts(weights, scores)


def embed_prompts(generator: Generator, prompts: Prompts) -> PromptLatents:
    """Embed prompt examples (Algorithm 2)."""
    latents = generator.encode(prompts.weights)
    return PromptLatents(latents, generator.mean, generator.scale, prompts.validation_accuracy)


def draws_of(
    decoders: Mapping[str, Decoder],
    prompts: Prompts,
    recipe: TrainingConfig,
    config: GenerateConfig,
    seed: int,
) -> Iterator[dict[str, Samples]]:
    """Draw every method's models, as many times as the configuration says.

    Args:
        decoders: `sane`, and what else there is: `global`, `sharpened`, `sharpened_unlabelled`.
        prompts: Prompt examples.
        recipe: How the zoo's networks start.
        config: Samplers, candidates, keep, bandwidth, draws.
        seed: The run's seed.

    Yields:
        Method -> models of each draw: every sampler; prompts and reconstructions (all of them, in
        random order), prompts_selected, best_prompt, noise (as far from its prompt as a SUB
        sample), interpolation, average, scratch; global_kde30 of the decoder with one latent per
        model. What does not depend on the draw (`ONCE`) is in the first alone.
    """
    methods = samplers_of(decoders, config, seed) | baselines_of(decoders, prompts, config)
    generator = decoders["sane"].generator
    for repeat in range(config.seeds):
        drawn = {
            name: draw(rng_for(seed, "generate", name, repeat))
            for name, draw in methods.items()
            if not (repeat and name in ONCE)
        }
        yield drawn | {"scratch": _scratch(generator, recipe, config, seed, repeat)}


def samplers_of(
    decoders: Mapping[str, Decoder], config: GenerateConfig, seed: int
) -> dict[str, Method]:
    """Return the samplers whose decoder there is, by name."""

    def of(decoder: Decoder, sampler: Sampler) -> Method:
        return lambda rng: sample(
            decoder.generator, decoder.prompts, sampler, config.candidates, config.keep, rng
        )

    methods = {}
    for each in config.samplers:
        decoder = decoders.get(each.decoder)
        if decoder:
            settled = sampler_of(each, config, decoder.generator, decoder.prompts, seed)
            methods[each.name] = of(decoder, settled)
    if GLOBAL in decoders:
        # As the earlier hyper-representations were sampled: per dimension, of the best prompts.
        best = Sampler("by_dimension", config.bandwidth)
        decoder = decoders[GLOBAL]
        third = decoder.prompts.only(best_prompts(decoder.prompts))
        methods["global_kde30"] = of(Decoder(decoder.generator, third), best)
    return methods


def baselines_of(
    decoders: Mapping[str, Decoder], prompts: Prompts, config: GenerateConfig
) -> dict[str, Method]:
    """Return what samplers are compared with, by name; all but scratch."""
    generator = decoders["sane"].generator
    weights, candidates, keep = prompts.weights, config.candidates, config.keep

    def select(models: Weights, keep: int) -> Samples:
        count = len(next(iter(models.values())))
        return generator.select(models, np.full(count, -1), keep)

    def noise(rng: np.random.Generator) -> Weights:
        latents = decoders["sane"].prompts
        return matched_noise(generator, latents, weights, candidates, config.bandwidth, rng)[0]

    def reconstructed(decoder: Decoder) -> Method:
        return lambda rng: _reconstructed(decoder, rng.permutation(len(prompts)))

    methods: dict[str, Method] = {
        "prompts": lambda rng: prompts.in_order(rng.permutation(len(prompts))),
        "prompts_selected": lambda _: prompts.selected(keep),
        "best_prompt": lambda _: prompts.selected(1),
        "noise": lambda rng: select(noise(rng), keep),
        "interpolation": lambda rng: select(interpolated(weights, SHARE, candidates, rng), keep),
        "average": lambda _: select(average(weights), 1),
    }
    return methods | {
        RECONSTRUCTIONS[name]: reconstructed(decoder) for name, decoder in decoders.items()
    }


def _scratch(
    generator: Generator, recipe: TrainingConfig, config: GenerateConfig, seed: int, repeat: int
) -> Samples:
    """Draw new networks as the zoo's own were drawn."""
    runs = [-1 - repeat * config.keep - i for i in range(config.keep)]
    start = initialize(
        generator.architecture, members_of(recipe, runs, seed), seed, recipe.initial_bias
    )
    weights = {name: values.numpy() for name, values in start.items()}
    return generator.best(weights, config.keep)


def _reconstructed(decoder: Decoder, order: np.ndarray) -> Samples:
    """Decode the prompts' own latents; keep all, in a given order."""
    generator, latents = decoder.generator, decoder.prompts.latents
    decoded = generator.reconstruct(latents, np.arange(len(latents)))
    # Entry by entry, so that the networks are not in memory twice.
    ordered = {name: decoded.pop(name)[order] for name in [*decoded]}
    return as_they_are(ordered, generator.scores(ordered), order)
