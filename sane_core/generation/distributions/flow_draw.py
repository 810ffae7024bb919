"""Samples of a latent flow: prompts are noised part of the way, and carried back by the flow.

Spread s says how far: prompts are mixed with noise to `s ε + (1 - s) x` at time 1 - s, and followed
to time 1. At 1 a sample starts from noise alone and stands on no prompt; towards 0 it is its
prompt. What of a prompt lies outside the flow's components is kept by the share 1 - s.
"""

import numpy as np
import torch

from sane_core.generation.distributions.flow import Flow
from sane_core.generation.distributions.latents import (
    Drawn,
    PromptLatents,
    check_draw,
    on_no_prompt,
)
from sane_core.generation.distributions.velocity import follow
from sane_core.zoo.population.cores import on_cores


def draw_flow(prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator) -> Drawn:
    """Draw from the flow, near the prompts.

    Args:
        prompts: With a flow fitted to training latents of as many tokens; at spread 1 there may
            be none.
        count: Samples to draw.
        spread: Share of the way from prompts to noise, in (0, 1].
        rng: Source of the draw.

    Raises:
        ValueError: If there is no flow, it is of another shape, or the spread is above 1.
    """
    check_draw(prompts, count, spread, at_least=1 if spread < 1 else 0)
    if spread > 1:
        raise ValueError(f"spread must be <= 1 for a flow, where 1 is pure noise, got {spread}")
    flow = _flow_of(prompts)
    shape = (count, *flow.shape)
    noise = rng.standard_normal((count, len(flow.deviation)), np.float32)
    if spread == 1:
        return on_no_prompt(flow.expand(_carry(flow, noise, 0)).reshape(shape))
    index = rng.integers(len(prompts.latents), size=count)
    rows = prompts.latents.reshape(len(prompts.latents), -1)
    far, near = np.float32(spread), np.float32(1 - spread)
    kept = near * flow.compress(rows)[index]
    drawn = _carry(flow, far * noise + kept, 1 - spread)
    moved = far * flow.mean + ((drawn - kept) * flow.deviation) @ flow.directions
    return Drawn((moved + near * rows[index]).reshape(shape), index)


def _carry(flow: Flow, points: np.ndarray, start: float) -> np.ndarray:
    """Follow the flow on one core: matrices are small."""

    def carry(x: np.ndarray) -> np.ndarray:
        return follow(flow.field, torch.from_numpy(x), start, flow.solver_steps).numpy()

    (carried,) = on_cores(carry, [points])
    return carried


def _flow_of(prompts: PromptLatents) -> Flow:
    if prompts.flow is None:
        raise ValueError("this distribution needs a flow, got none: fit one to training latents")
    if prompts.flow.shape != prompts.latents.shape[1:]:
        raise ValueError(
            f"prompts must have the flow's shape [N, d_z] = {list(prompts.flow.shape)}, got "
            f"{list(prompts.latents.shape[1:])}: fit a flow to networks of this architecture"
        )
    return prompts.flow
