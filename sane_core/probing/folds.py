"""Which runs a probe is fitted, chosen and tested on: the fixed split, or folds over runs.

All checkpoints of a run lie on one side, in every fold.

SANE was pretrained on the train split. So `unseen` folds test validation and test runs only: they
are dealt into folds, each is tested once, and the probe is fitted on the train runs and on what is
left of the others. Folds over `all` runs test those too that SANE has seen the weights of, though
never their properties.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sane_core.weights.shards import SPLITS
from schemas.errors import UserError


@dataclass(frozen=True)
class Sides:
    """Rows by what they are for.

    Attributes:
        train: int, to fit.
        validation: int, to choose λ and the pooling, and to calibrate intervals.
        test: int, to score.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def among(self, rows: np.ndarray) -> "Sides":
        """Return the sides among some rows (ascending), numbered as these are."""
        place = {name: np.flatnonzero(np.isin(rows, getattr(self, name))) for name in SPLITS}
        return Sides(**place)


def fixed_sides(split: np.ndarray) -> list[Sides]:
    """Return the one fold that the zoo's split is; split: str [rows]."""
    return [Sides(*(np.flatnonzero(split == name) for name in SPLITS))]


def folded_sides(
    runs: np.ndarray,
    split: np.ndarray,
    folds: int,
    over: Literal["unseen", "all"],
    rng: np.random.Generator,
) -> list[Sides]:
    """Deal runs into folds; each is tested once.

    λ is chosen on runs that are neither fitted nor tested: of `unseen` runs half of the folds left,
    as there are few of them, of `all` one fold.

    Args:
        runs: int [rows].
        split: str [rows].
        folds: How many.
        over: Which runs are tested.
        rng: Shuffles runs.

    Raises:
        UserError: If there are fewer runs than folds.
    """
    parts = _dealt(runs, split, folds, over, rng)
    count = (folds - 1) // 2 if over == "unseen" else 1
    sides = []
    for i, tested in enumerate(parts):
        chosen = np.concatenate([parts[(i + j) % folds] for j in range(1, count + 1)])
        test, validation = np.isin(runs, tested), np.isin(runs, chosen)
        sides.append(Sides(*map(np.flatnonzero, (~test & ~validation, validation, test))))
    return sides


def _dealt(
    runs: np.ndarray, split: np.ndarray, folds: int, over: str, rng: np.random.Generator
) -> list[np.ndarray]:
    """Shuffle the runs of each split and deal them out in turn."""
    dealt = [
        rng.permutation(np.unique(runs[split == name]))
        for name in (SPLITS if over == "all" else SPLITS[1:])
    ]
    order = np.concatenate(dealt)
    if len(order) < folds:
        which = "runs" if over == "all" else "validation and test runs"
        raise UserError(
            f"probe.folds must be at most the number of {which} ({len(order)}), got {folds}; use "
            "fewer folds, or 0 for the fixed split"
        )
    return [order[i::folds] for i in range(folds)]


def all_tested(sides: Sequence[Sides]) -> np.ndarray:
    """Return all rows that are tested, ascending."""
    return np.sort(np.concatenate([side.test for side in sides]))
