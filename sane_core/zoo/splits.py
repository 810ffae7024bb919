"""Splits by run, never by epoch: two checkpoints of one run are always on one side."""

import numpy as np

from sane_core.seeding import rng_for


def split_runs(
    runs: list[int], train_share: float, validation_share: float, seed: int
) -> dict[int, str]:
    """Assign every run to train, validation or test.

    Args:
        runs: Run numbers; sorted first, so that the order of listing does not matter.
        train_share: Share of train runs (paper: 0.70).
        validation_share: Share of validation runs (paper: 0.15); the rest is test.
        seed: The run's seed.

    Returns:
        run -> "train" | "validation" | "test"; each split has at least one run.

    Raises:
        ValueError: If there are fewer than 3 runs.
    """
    if len(runs) < 3:
        raise ValueError(f"a zoo must have >= 3 runs to split into three, got {len(runs)}")
    shuffled = rng_for(seed, "split").permutation(np.sort(np.asarray(runs)))
    test = max(1, round(len(runs) * (1 - train_share - validation_share)))
    validation = max(1, round(len(runs) * validation_share))
    train = len(runs) - validation - test
    names = ["train"] * train + ["validation"] * validation + ["test"] * test
    return {int(run): name for run, name in zip(shuffled, names, strict=True)}
