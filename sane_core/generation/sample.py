"""Sample models (Algorithm 3): draw latents, decode, score on validation images, keep the best.

SUB draws once. With more rounds (BOOT) the kept latents are the next prompts: the distribution is
estimated anew and drawn from with fresh noise. What begins without prompts (GAUSS) goes on as a KDE
around what it kept. Nothing here sees test images.

Differs from the published code, whose bootstrapping returned unsorted models: the kept ones are.
"""

from dataclasses import dataclass

import numpy as np

from sane_core.generation.candidates import Samples
from sane_core.generation.distributions.bandwidth import choose, scott
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.generator import Generator
from sane_core.generation.refine import refine
from sane_core.seeding import rng_for
from schemas.config.generate import GenerateConfig
from schemas.config.refine import RefineConfig
from schemas.config.samplers import KDES, SamplerConfig

AGAIN = {"kde30": "shared_noise", "gauss": "shared_noise", "pca_gaussian": "shared_noise"}
"""Distribution -> what later rounds draw from; others go on as they began."""


@dataclass(frozen=True)
class Sampler:
    """A distribution with its spread.

    Attributes:
        distribution: Key of `DISTRIBUTIONS`.
        spread: Of the first round.
        rounds: Draws, >= 1.
        bandwidth: Spread of later rounds, if the first one was no KDE and `then_spread` says none.
        refine: Gradient steps on what each round draws; none if not given.
        then: Key of `DISTRIBUTIONS` for later rounds; as `AGAIN` says if not given.
        then_spread: Of later rounds.
    """

    distribution: str = "shared_noise"
    spread: float = 0.05
    rounds: int = 1
    bandwidth: float = 0.05
    refine: RefineConfig | None = None
    then: str | None = None
    then_spread: float | None = None

    def later(self) -> tuple[str, float]:
        """Return the distribution of later rounds, and its spread."""
        spread = self.spread if self.distribution in KDES else self.bandwidth
        name = self.then or AGAIN.get(self.distribution, self.distribution)
        return name, self.then_spread or spread


def sample(
    generator: Generator,
    prompts: PromptLatents,
    sampler: Sampler,
    candidates: int,
    keep: int,
    rng: np.random.Generator,
) -> Samples:
    """Draw candidates, keep the best; with more rounds, draw again around those.

    Args:
        generator: Decoder and validation images.
        prompts: Latents of the prompt examples; there may be none for `gauss` and `flow`.
        sampler: What to draw from.
        candidates: Samples drawn per round.
        keep: Samples kept per round.
        rng: Source of every draw.

    Returns:
        The kept of the last round; each stands on the prompt example of the first round that it
        descends from.

    Raises:
        ValueError: If the distribution cannot be drawn from these prompts, or no candidate of a
            round is finite.
    """

    def best(latents: np.ndarray, origin: np.ndarray) -> Samples:
        if sampler.refine is not None:
            latents = refine(generator, latents, origin, sampler.refine, rng)
        return generator.select_decoded(latents, origin, keep)

    drawn = DISTRIBUTIONS[sampler.distribution](prompts, candidates, sampler.spread, rng)
    kept = best(drawn.latents, drawn.prompt)
    name, spread = sampler.later()
    for _ in range(sampler.rounds - 1):
        around = PromptLatents(kept.latents, prompts.mean, prompts.scale, flow=prompts.flow)
        drawn = DISTRIBUTIONS[name](around, candidates, spread, rng)
        origin = np.where(drawn.prompt >= 0, kept.prompt[drawn.prompt], -1)
        kept = best(drawn.latents, origin)
    return kept


def sampler_at(sampler: SamplerConfig, spread: float, config: GenerateConfig) -> Sampler:
    """Return a configured sampler at a spread of the first round.

    Args:
        sampler: Its configuration; its own spread does not matter.
        spread: Of the first round, and of later ones as `Sampler.later` says.
        config: `bandwidth` of later rounds after a first one that was no KDE.
    """
    return Sampler(
        distribution=sampler.distribution,
        spread=spread,
        rounds=sampler.rounds,
        bandwidth=config.bandwidth,
        refine=sampler.refine,
        then=sampler.then,
        then_spread=sampler.then_spread,
    )


def sampler_of(
    sampler: SamplerConfig,
    config: GenerateConfig,
    generator: Generator,
    prompts: PromptLatents,
    seed: int,
) -> Sampler:
    """Settle how far a configured sampler spreads.

    Args:
        sampler: Its configuration.
        config: Bandwidths, candidates and models kept.
        generator: Decoder and validation images.
        prompts: Latents of the prompt examples.
        seed: Source of the draws that a bandwidth is chosen by.
    """

    def score(spread: float) -> float:
        rng = rng_for(seed, "bandwidth", sampler.name, spread)
        once = Sampler(sampler.distribution, spread, refine=sampler.refine)
        kept = sample(generator, prompts, once, config.candidates, config.keep, rng)
        return float(kept.validation_accuracy.mean())

    if sampler.spread == "scott":
        spread = scott(prompts, sampler.distribution)
    elif sampler.spread == "validation":
        spread = choose(config.bandwidths, score)
    elif sampler.spread is None:
        spread = config.bandwidth if sampler.distribution in KDES else 1.0
    else:
        spread = float(sampler.spread)
    return sampler_at(sampler, spread, config)
