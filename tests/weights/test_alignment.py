"""What aligned a run can be read back and undone, for any number of groups."""

from pathlib import Path

import numpy as np
import pytest

from sane_core.weights.alignment import Alignment, read_alignment, unaligned, write_alignment
from sane_core.weights.symmetry.groups import Axis, PermutationGroup

GROUP = PermutationGroup("a", 3, (Axis("a", 0), Axis("b", 1)), signs=True)
WEIGHTS = {
    name: np.random.default_rng(0).standard_normal((3, *shape))
    for name, shape in {"a": (3, 2), "b": (4, 3)}.items()
}
RUNS = np.array([7, 7, 2])


def through_file(path: Path, alignment: Alignment) -> Alignment:
    write_alignment(path / "alignment.parquet", alignment)
    return read_alignment(path / "alignment.parquet")


def equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(ours[name], theirs[name]) for name in ours | theirs)


def test_an_alignment_from_disk_is_undone_bit_for_bit(tmp_path: Path) -> None:
    permutations = {"a": np.array([[1, 2, 0], [2, 1, 0]])}
    signs = {"a": np.array([[1, -1, 1], [-1, 1, 1]], np.int8)}
    alignment = through_file(tmp_path, Alignment((2, 7), permutations, signs))
    moved = alignment.apply(WEIGHTS, RUNS, [GROUP])
    assert not equal(moved, WEIGHTS)
    assert equal(alignment.unapply(moved, RUNS, [GROUP]), WEIGHTS)


def test_without_groups_weights_stay_and_come_back(tmp_path: Path) -> None:
    alignment = through_file(tmp_path, unaligned((), (2, 7)))
    assert equal(alignment.apply(WEIGHTS, RUNS, ()), WEIGHTS)
    assert equal(alignment.unapply(WEIGHTS, RUNS, ()), WEIGHTS)


def test_a_run_that_was_not_aligned_is_refused(tmp_path: Path) -> None:
    alignment = through_file(tmp_path, unaligned([GROUP], (2, 5)))
    with pytest.raises(ValueError, match=r"those that were aligned, got others: \[7\]"):
        alignment.apply(WEIGHTS, RUNS, [GROUP])
