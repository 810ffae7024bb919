"""Find the fastest way to train a population on this machine, by trying each for a moment."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.memory import members_that_fit
from sane_core.zoo.population.train import Training, groups_on
from sane_core.zoo.population.ways import supported_ways
from schemas.config.training import TrainingConfig

STEPS = 3
REPEATS = 3
MARGIN = 1.1
"""How much faster another way must be than the first: noise must not change what is chosen."""


def choose_way(
    architecture: Architecture,
    config: TrainingConfig,
    members: Sequence[Member],
    seed: int,
    device: str = "cpu",
) -> tuple[str, dict[str, float]]:
    """Return the way to train with, and what was measured.

    Args:
        architecture: Architecture of all members.
        config: The recipe; a way that it names is taken as it is.
        members: Who will be trained at once.
        seed: The run's seed.
        device: Where.

    Returns:
        (way, seconds): a name of `WAYS`, and way -> seconds of one step of one member; empty where
        there was nothing to choose.

    Raises:
        ValueError: If the recipe names a way that cannot run the architecture, or memory cannot
            hold even one member.
    """
    ways = supported_ways(architecture)
    if config.way != "auto":
        if config.way not in ways:
            raise ValueError(
                f"way of {architecture.name} must be one of {', '.join(ways)}, got {config.way!r}"
            )
        return config.way, {}
    seconds, refused = {}, RuntimeError(f"no way to train {architecture.name}")
    for way in ways:
        try:
            seconds[way] = _measure(architecture, config, members, seed, device, way)
        except RuntimeError as error:  # torch.func cannot run every module
            refused = error
    if not seconds:
        raise refused
    first, fastest = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return (fastest if seconds[fastest] * MARGIN < seconds[first] else first), seconds


def _measure(
    architecture: Architecture,
    config: TrainingConfig,
    members: Sequence[Member],
    seed: int,
    device: str,
    way: str,
) -> float:
    """Return the seconds of one step of one member, the least of some."""
    where = torch.device(device)
    group = groups_on(where, architecture, len(members), config.batch, way)[0]
    busy = torch.get_num_threads() if where.type == "cpu" else 1
    fits = members_that_fit(architecture, config, members, seed, way, device)
    chosen = [*members][: min((group.stop - group.start) * busy, fits)]
    count = config.batch * STEPS
    rng = np.random.default_rng(0)
    images = Images(
        rng.integers(0, 256, (count, *architecture.input_shape), np.uint8),
        np.zeros(count, np.int64),
        1 / 255,
    )
    population = initialize(architecture, chosen, seed, config.initial_bias)
    training = Training(
        architecture, population, images, chosen, config, seed, way=way, device=device
    )
    seconds = []
    for _ in range(1 + REPEATS):
        start = perf_counter()
        training.advance()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        seconds.append(perf_counter() - start)
    return min(seconds[1:]) / STEPS / len(chosen)
