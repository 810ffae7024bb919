"""What values a key of a search may take, and how Optuna is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

Params = Mapping[str, object]
"""The value of every key that is searched."""


@dataclass(frozen=True)
class Floats:
    """Numbers from low to high."""

    low: float
    high: float
    log: bool

    @property
    def ends(self) -> tuple[object, ...]:
        return (self.low, self.high)

    def holds(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Integers(Floats):
    """Whole numbers from low to high."""

    low: int
    high: int


@dataclass(frozen=True)
class Choices:
    """Values out of a list."""

    choices: tuple[object, ...]

    @property
    def ends(self) -> tuple[object, ...]:
        return self.choices

    def holds(self, value: object) -> bool:
        return value in self.choices


Dimension = Floats | Integers | Choices


def distributions(
    space: Mapping[str, Dimension],
) -> "dict[str, optuna.distributions.BaseDistribution]":
    """Return the space as Optuna takes it."""
    from optuna import distributions as of

    def one(kind: Dimension) -> of.BaseDistribution:
        if isinstance(kind, Choices):
            return of.CategoricalDistribution(list(kind.choices))  # type: ignore[arg-type]
        if isinstance(kind, Integers):
            return of.IntDistribution(kind.low, kind.high, log=kind.log)
        return of.FloatDistribution(kind.low, kind.high, log=kind.log)

    return {key: one(kind) for key, kind in space.items()}
