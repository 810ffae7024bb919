"""Which permutation aligned which run, on disk and applied: any model can be taken back.

`unapply(apply(weights)) == weights`, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.symmetry.permute import (
    Permutations,
    Signs,
    inverse,
    inverse_signs,
    permute,
)
from schemas.tables import ALIGNMENT


@dataclass(frozen=True)
class Alignment:
    """What aligns some runs, at all of their epochs; without groups, it leaves every run as it is.

    Attributes:
        runs: Run numbers.
        permutations: Group -> int64 [runs, size].
        signs: Group -> int8 [runs, size], of groups whose units were allowed to flip.
    """

    runs: tuple[int, ...]
    permutations: Permutations
    signs: Signs

    def apply(
        self,
        weights: Mapping[str, np.ndarray],
        runs: np.ndarray,
        groups: Sequence[PermutationGroup],
    ) -> dict[str, np.ndarray]:
        """Align checkpoints.

        Args:
            weights: Entry -> array [checkpoints, ...].
            runs: The run of each, int64 [checkpoints].
            groups: Groups of the architecture.
        """
        return permute(weights, groups, *self._of(runs))

    def unapply(
        self,
        weights: Mapping[str, np.ndarray],
        runs: np.ndarray,
        groups: Sequence[PermutationGroup],
    ) -> dict[str, np.ndarray]:
        """Take aligned checkpoints back to the order of units that they were trained in."""
        permutations, signs = self._of(runs)
        return permute(weights, groups, inverse(permutations), inverse_signs(permutations, signs))

    def _of(self, runs: np.ndarray) -> tuple[Permutations, Signs]:
        if not self.permutations and not self.signs:
            return {}, {}
        places = {run: i for i, run in enumerate(self.runs)}
        if missing := sorted(set(np.asarray(runs).tolist()) - set(places)):
            raise ValueError(f"runs must be among those that were aligned, got others: {missing}")
        at = np.array([places[int(run)] for run in runs], np.int64)
        return (
            {name: values[at] for name, values in self.permutations.items()},
            {name: values[at] for name, values in self.signs.items()},
        )


def unaligned(groups: Sequence[PermutationGroup], runs: Sequence[int]) -> Alignment:
    """Return the alignment that leaves these runs as they are."""
    stay = {group.name: np.tile(np.arange(group.size), (len(runs), 1)) for group in groups}
    return Alignment(tuple(runs), stay, {})


def write_alignment(path: Path, alignment: Alignment) -> None:
    """Write a row per run and group."""
    rows = [
        {
            "run": run,
            "group": name,
            "permutation": values[i].tolist(),
            "signs": alignment.signs[name][i].tolist() if name in alignment.signs else None,
        }
        for i, run in enumerate(alignment.runs)
        for name, values in alignment.permutations.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=ALIGNMENT), path, compression="zstd")


def read_alignment(path: Path) -> Alignment:
    """Read what `write_alignment` wrote; without groups, there are no rows to name the runs."""
    permutations: dict[str, list[list[int]]] = {}
    signs: dict[str, list[list[int]]] = {}
    runs: dict[int, None] = {}
    for row in pq.read_table(path).to_pylist():
        runs[row["run"]] = None
        permutations.setdefault(row["group"], []).append(row["permutation"])
        if row["signs"] is not None:
            signs.setdefault(row["group"], []).append(row["signs"])
    return Alignment(
        tuple(runs),
        {name: np.array(values, np.int64) for name, values in permutations.items()},
        {name: np.array(values, np.int8) for name, values in signs.items()},
    )
