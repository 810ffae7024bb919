"""Noise on prompts at the distance of SUB candidates: what a sampler has to beat (paper §5.2)."""

import numpy as np

from sane_core.generation.baselines import with_matched_noise
from sane_core.generation.candidates import Weights
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.generator import Generator


def matched_noise(
    generator: Generator,
    latents: PromptLatents,
    prompts: Weights,
    candidates: int,
    bandwidth: float,
    rng: np.random.Generator,
) -> tuple[Weights, np.ndarray]:
    """Draw SUB candidates, and put noise on each one's own prompt, as far away per layer as it is.

    Args:
        generator: Decodes the candidates.
        latents: The prompts as its autoencoder sees them.
        prompts: Entry -> float32 [prompts, ...], aligned, raw.
        candidates: How many.
        bandwidth: Of SUB, in standard deviations of the training latents.
        rng: Source of the draw.

    Returns:
        Entry -> float32 [candidates, ...], and the prompt that each stands on, int64 [candidates].
    """
    drawn = DISTRIBUTIONS["shared_noise"](latents, candidates, bandwidth, rng)
    decoded = generator.decode(drawn.latents)
    noisy = with_matched_noise(prompts, decoded, drawn.prompt, generator.layers, rng)
    return noisy, drawn.prompt
