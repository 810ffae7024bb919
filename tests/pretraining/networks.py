"""Small networks to behave like, and a source of draws."""

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture


def network(architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """A network whose batch norms are not all alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = architecture.build().state_dict()
    rng = np.random.default_rng(seed)
    return {
        name: (value.numpy() + 0.1 * rng.random(value.shape) * (value.ndim < 2)).astype(np.float32)
        for name, value in state.items()
        if value.is_floating_point()
    }


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
