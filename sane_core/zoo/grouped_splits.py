"""Splits that cut no group of duplicates; without groups they are those of `split_runs`."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sane_core.seeding import rng_for
from sane_core.zoo.splits import split_runs

SPLITS = ("train", "validation", "test")
_FEWEST = 3
"""Groups and single runs that can be split into three."""

_Placed = dict[str, list[list[int]]]


def split_groups(
    runs: list[int],
    groups: Iterable[frozenset[int]],
    train_share: float,
    validation_share: float,
    seed: int,
) -> dict[int, str]:
    """Assign every run to train, validation or test, the runs of a group to the same one.

    Groups are placed first, large ones before small ones, each drawn into a split where it still
    fits, with the number of runs that the split lacks as weight. Runs that are alone then fill what
    is left, so that splits have the sizes of `split_runs` unless groups are too large for that.

    Args:
        runs: Run numbers; the order of listing does not matter.
        groups: Disjoint groups of runs that must not be cut (`duplicates.groups_of`).
        train_share: Share of train runs (paper: 0.70).
        validation_share: Share of validation runs (paper: 0.15); the rest is test.
        seed: The run's seed.

    Returns:
        run -> "train" | "validation" | "test"; each split has at least one run.

    Raises:
        ValueError: If fewer than 3 groups and single runs are left, if groups overlap, or if one
            names a run that is not there.
    """
    alone = split_runs(runs, train_share, validation_share, seed)
    together = sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))
    grouped = Counter(run for group in together for run in group)
    if wrong := [run for run, count in sorted(grouped.items()) if count > 1 or run not in alone]:
        raise ValueError(f"groups must be disjoint and hold runs of the zoo, got {wrong}")
    single = [run for run in alone if run not in grouped]
    if len(together) + len(single) < _FEWEST:
        raise ValueError(
            f"a zoo must have >= {_FEWEST} runs that do not repeat each other to split into three, "
            f"got {len(together) + len(single)} among {len(runs)}; leave out the epochs at which "
            "they are equal (the untrained one, for runs of one seed), or add runs"
        )
    sizes = Counter(alone.values())
    placed = _place_groups(together, sizes, seed)
    _fill(placed, single, sizes)
    _occupy_all(placed)
    split = {run: name for name, units in placed.items() for unit in units for run in unit}
    return {run: split[run] for run in alone}


def _place_groups(groups: Sequence[list[int]], sizes: Counter[str], seed: int) -> _Placed:
    """Draw a split for every group; one that fits nowhere goes where most is lacking."""
    rng = rng_for(seed, "split", "groups")
    placed: _Placed = {name: [] for name in SPLITS}
    for group in groups:
        lacking = _lacking(placed, sizes)
        fitting = [name for name in SPLITS if lacking[name] >= len(group)]
        if fitting:
            weights = [lacking[name] for name in fitting]
            chosen = str(rng.choice(fitting, p=[weight / sum(weights) for weight in weights]))
        else:
            chosen = max(SPLITS, key=lambda name: lacking[name])
        placed[chosen].append(group)
    return placed


def _fill(placed: _Placed, single: Sequence[int], sizes: Counter[str]) -> None:
    """Give single runs, in their shuffled order, to the splits that lack some."""
    wanted = {name: max(0, count) for name, count in _lacking(placed, sizes).items()}
    while sum(wanted.values()) > len(single):
        wanted[max(wanted, key=lambda name: wanted[name])] -= 1
    names = (name for name in SPLITS for _ in range(wanted[name]))
    for run, name in zip(single, names, strict=True):
        placed[name].append([run])


def _occupy_all(placed: _Placed) -> None:
    """Move the smallest group of the split that has most of them to one that is empty."""
    for name in SPLITS:
        if not placed[name]:
            donor = max(placed.values(), key=len)
            smallest = min(donor, key=len)
            donor.remove(smallest)
            placed[name].append(smallest)


def _lacking(placed: _Placed, sizes: Counter[str]) -> dict[str, int]:
    """Return how many runs each split still has room for; negative where it is too full."""
    return {name: sizes[name] - sum(map(len, units)) for name, units in placed.items()}
