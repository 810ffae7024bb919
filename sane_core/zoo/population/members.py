"""What makes a member of a population its own: its run number, and what it draws by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sane_core.seeding import rng_for
from schemas.config.training import TrainingConfig

Value = TypeVar("Value")


@dataclass(frozen=True)
class Member:
    """One network of a population.

    Attributes:
        run: Run number; every draw of the member comes from `(seed, name, run)` alone.
        learning_rate: Step size, or its maximum under a schedule.
        weight_decay: Strength.
        initialization: How its weights are drawn.
        activation: Non-linearity instead of the architecture's own, or None.
        dropout: Share dropped instead of the architecture's own, or None.
    """

    run: int
    learning_rate: float
    weight_decay: float
    initialization: str
    activation: str | None
    dropout: float | None


def members_of(config: TrainingConfig, runs: Sequence[int], seed: int) -> list[Member]:
    """Return the members with these run numbers; where a recipe has several values, each draws one.

    Args:
        config: The recipe.
        runs: Run numbers.
        seed: The run's seed.
    """

    def drawn(name: str, run: int) -> object:
        values = getattr(config, name)
        return choose(values, rng_for(seed, name, run)) if isinstance(values, tuple) else values

    names = ("learning_rate", "weight_decay", "initialization", "activation", "dropout")
    return [Member(run, **{name: drawn(name, run) for name in names}) for run in runs]  # type: ignore[arg-type]


def choose(values: Sequence[Value], rng: np.random.Generator) -> Value:
    """Return one of the values, each with equal probability."""
    return values[int(rng.integers(len(values)))]
