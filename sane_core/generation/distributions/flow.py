"""Latent flow matching over whole models: what is fitted once, to the training latents.

Models are rows of N · d_z numbers, compressed to their leading principal components and scaled to
unit variance along each, so that noise N(0, I) already has their mean and covariance; the flow
learns what a Gaussian lacks. `flow_draw.py` draws.

Differs from the paper, which draws from KDEs; later work puts flows on latents or weights.
"""

from dataclasses import dataclass

import numpy as np
import torch

from sane_core.generation.distributions.gram import components_of, directions_of
from sane_core.generation.distributions.velocity import Velocity, train_velocity
from schemas.config.flow import FlowConfig


@dataclass(frozen=True)
class Flow:
    """A fitted flow.

    Attributes:
        shape: (N, d_z) of the models it was fitted to.
        mean: Of the models, float32 [N · d_z].
        directions: Principal components, of unit length, float32 [r, N · d_z].
        deviation: Standard deviation along each, float32 [r].
        field: Velocity from noise to models, in units of the deviations.
        solver_steps: Steps from noise to models.
    """

    shape: tuple[int, int]
    mean: np.ndarray
    directions: np.ndarray
    deviation: np.ndarray
    field: Velocity
    solver_steps: int

    def compress(self, rows: np.ndarray) -> np.ndarray:
        """Return coordinates float32 [models, r] of models [models, N · d_z]."""
        return (rows @ self.directions.T - self.directions @ self.mean) / self.deviation

    def expand(self, coordinates: np.ndarray) -> np.ndarray:
        """Return the models float32 [models, N · d_z] at these coordinates [models, r]."""
        return self.mean + (coordinates * self.deviation) @ self.directions


def fit_flow(latents: np.ndarray, config: FlowConfig, seed: int) -> Flow:
    """Fit a flow; the same seed gives the same flow on the same machine.

    Args:
        latents: Of the training networks, float32 [models, N, d_z], at least two different ones.
        config: Components, network, training and solver.
        seed: Source of every draw.

    Raises:
        ValueError: If latents have another shape, are not finite, or do not differ.
    """
    if latents.ndim != 3 or len(latents) < 2:
        raise ValueError(
            f"a flow needs latents [models, N, d_z] of at least 2 models, got {list(latents.shape)}"
        )
    if not np.isfinite(latents).all():
        raise ValueError("a flow needs finite latents: leave out the models whose are not")
    rows = latents.reshape(len(latents), -1)
    components = components_of(rows, config.rank)
    if not len(components.s):
        raise ValueError("a flow needs models that differ, all latents are equal")
    mean, directions = directions_of(rows, components)
    points = components.u * np.sqrt(len(rows) - 1)
    field = train_velocity(torch.from_numpy(points.astype(np.float32)), config, seed)
    deviation = components.deviation.astype(np.float32)
    shape = (latents.shape[1], latents.shape[2])
    return Flow(shape, mean, directions, deviation, field, config.solver_steps)
