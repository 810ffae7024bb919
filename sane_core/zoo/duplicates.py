"""Find runs of a zoo that are copies of each other, so that they stay on one side of the split.

Compared are checkpoints of different runs with the same entries and shapes, at any epochs, so also
untrained networks of one seed. Buffers do not count. A checkpoint repeats another one as

- `equal`: all weights are equal, bit for bit;
- `permuted`: the sorted values of every entry are equal, as after reordering units;
- `near`: the sorted values agree within rounding to half precision (`near_duplicates.py`).

Weights are read again only of suspects, whose fingerprint comes near that of another run. Sorting
costs more than all else, so at worst, where everything is a copy, each is read and sorted once, and
once more for every comparison.

What it cannot tell: values reordered within an entry in a way that is no reordering of units also
count as permuted (no training does that: two networks trained apart do not share all their values);
digests of 128 bits collide for one pair in 10**38. Not found are copies with flipped signs, with
rescaled units, with other names of entries, coarser than bfloat16, or trained further.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.zoo.fingerprints import Placed, fingerprints, ordered_digest, read_placed
from sane_core.zoo.near_duplicates import near_duplicates, suspects
from sane_core.zoo.sides import Sides

DUPLICATES = pa.schema(
    [
        ("run", pa.int32()),
        ("epoch", pa.int32()),
        ("other_run", pa.int32()),
        ("other_epoch", pa.int32()),
        ("kind", pa.string()),
        ("largest_difference", pa.float32()),
    ]
)
"""A row per checkpoint that repeats one of a smaller run; the difference is of sorted weights."""

_Key = tuple[bytes, bytes]
"""Layout and digest."""


class _Duplicate(NamedTuple):
    later: Placed
    earlier: Placed
    kind: str
    difference: float

    def row(self) -> tuple[int, int, int, int, str, float]:
        later, earlier = self.later, self.earlier
        return (later.run, later.epoch, earlier.run, earlier.epoch, self.kind, self.difference)


def find_duplicates(zoo: Path, prints: Sequence[Placed] | None = None) -> pa.Table:
    """Find the checkpoints that repeat one of another run.

    Not every pair has a row: the runs of one group of copies are linked by as many as it takes,
    mostly each to the first of them.

    Args:
        zoo: A folder with `weights/*.parquet`; `checkpoints.parquet` is not read, so that splits
            can be drawn afterwards.
        prints: Fingerprints of all its checkpoints, in any order; taken of the weights if not
            given.

    Returns:
        Schema `DUPLICATES`, by run and epoch.

    Raises:
        ValueError: If a checkpoint stands in the weights twice.
    """
    weights = zoo / "weights"
    prints = fingerprints(weights) if prints is None else sorted(prints, key=_run_and_epoch)
    suspected = suspects(_first_of_each(prints, _exact))
    ordered = {_exact(each): ordered_digest(own) for each, own in read_placed(suspected, weights)}
    found = list(_repeated(prints, ordered))
    sides = Sides()
    for each in found:
        sides.join(each.later.run, each.earlier.run)
    unlike = _first_of_each(suspected, lambda each: (_exact(each)[0], ordered[_exact(each)]))
    for near in near_duplicates(unlike, weights, sides):
        found.append(_Duplicate(near.later, near.earlier, "near", near.difference))
    rows = sorted(each.row() for each in found)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(DUPLICATES)
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, DUPLICATES, strict=True)],
        schema=DUPLICATES,
    )


def write_duplicates(zoo: Path, prints: Sequence[Placed] | None = None) -> pa.Table:
    """Write what `find_duplicates` finds into the zoo as `duplicates.parquet`, and return it."""
    table = find_duplicates(zoo, prints)
    pq.write_table(table, zoo / "duplicates.parquet", compression="zstd")
    return table


def same_side(zoo: Path) -> list[frozenset[int]]:
    """Return the groups of runs that must stay on one side of the split (see `groups_of`)."""
    return groups_of(find_duplicates(zoo))


def groups_of(duplicates: pa.Table) -> list[frozenset[int]]:
    """Return groups of two and more runs that repeat each other, by their smallest run.

    Args:
        duplicates: Schema `DUPLICATES`.
    """
    sides = Sides()
    runs, others = duplicates["run"].to_pylist(), duplicates["other_run"].to_pylist()
    for run, other in zip(runs, others, strict=True):
        sides.join(run, other)
    return sides.groups()


def _repeated(prints: Sequence[Placed], ordered: Mapping[_Key, bytes]) -> Iterator[_Duplicate]:
    """Link every checkpoint to the first one of equal values, and to the first of equal sorted.

    Args:
        prints: By run and epoch.
        ordered: Layout and exact digest -> digest of the sorted values, of suspects.
    """
    first: dict[tuple[str, bytes, bytes], Placed] = {}
    for each in prints:
        layout, exact = key = _exact(each)
        for kind, digest in (("equal", exact), ("permuted", ordered.get(key))):
            earlier = first.setdefault((kind, layout, digest), each) if digest else each
            if earlier.run != each.run:
                yield _Duplicate(each, earlier, kind, 0.0)
                break


def _first_of_each(prints: Sequence[Placed], key: Callable[[Placed], _Key]) -> list[Placed]:
    first: dict[_Key, Placed] = {}
    for each in prints:
        first.setdefault(key(each), each)
    return list(first.values())


def _exact(each: Placed) -> _Key:
    return each.fingerprint.layout, each.fingerprint.exact


def _run_and_epoch(each: Placed) -> tuple[int, int]:
    return each.run, each.epoch
