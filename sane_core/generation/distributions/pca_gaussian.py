"""A Gaussian over whole models, in the principal components of the prompts.

Prompts are rows of N · d_z numbers. With their centred matrix X, its leading left singular vectors
u, and ε ~ N(0, I) [r], a sample is `mean + spread · Σ_j ε_j u_jᵀ X / √(P - 1)`: at spread 1 it has
the prompts' mean, and up to rank r their covariance. A sample is one product of weights with the
prompts themselves, so that no direction is ever written down.

One prompt has no covariance: it is an error, because any answer would be another distribution
under this name. Where prompts are fewer than the rank, or equal, their own rank counts.

Differs from the paper, whose densities are per token: here tokens keep their correlations.
"""

import numpy as np

from sane_core.generation.distributions.gram import components_of, mixed
from sane_core.generation.distributions.latents import (
    Drawn,
    PromptLatents,
    check_draw,
    on_no_prompt,
)

RANK = 20
"""As the prototype on digits took it."""

PROMPTS = 2
"""Prompts at least: one has no covariance."""


def draw_pca_gaussian(
    prompts: PromptLatents,
    count: int,
    spread: float,
    rng: np.random.Generator,
    rank: int = RANK,
) -> Drawn:
    """Draw from the Gaussian of the prompts' leading principal components.

    Args:
        prompts: At least two.
        count: Samples to draw.
        spread: Times the prompts' own standard deviation along each component; towards 0 samples
            are the prompts' mean.
        rng: Source of the draw.
        rank: Components at most.

    Raises:
        ValueError: If there are fewer than two prompts, or the rank is out of range.
    """
    check_draw(prompts, count, spread, at_least=PROMPTS)
    rows = prompts.latents.reshape(len(prompts.latents), -1)
    u = components_of(rows, rank).u
    coordinates = rng.standard_normal((count, u.shape[1])) * spread / np.sqrt(len(rows) - 1)
    # u is orthogonal to ones, so that subtracting the mean of X is subtracting nothing.
    weights = (1 / len(rows) + coordinates @ u.T).astype(np.float32)
    return on_no_prompt(mixed(weights, rows).reshape(count, *prompts.latents.shape[1:]))
