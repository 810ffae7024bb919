"""Weights on disk are the weights that were written."""

import numpy as np
import pytest

from sane_core.zoo.files import read_weights
from sane_core.zoo.weight_shards import RowGroup, ShardWriter

SHAPES = {"a.weight": (3, 2), "a.bias": (3,), "b.weight": (2, 3, 1, 1), "b.counter": ()}


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal((5, 3, *shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


@pytest.fixture
def folder(tmp_path, weights):
    """Runs 0, 1 and 2 in one file, 3 and 4 in another; epochs 0, 1 and 2."""
    group = RowGroup()
    for part, runs in enumerate(([0, 1, 2], [3, 4])):
        with ShardWriter(tmp_path / f"part-{part}.parquet", group) as writer:
            for epoch in range(3):
                for run in runs:
                    own = {name: values[run, epoch] for name, values in weights.items()}
                    writer.add(run, epoch, own, dict.fromkeys(own, "float32"))
    return tmp_path


def test_written_weights_are_read_back_bit_for_bit(folder, weights):
    found = read_weights(folder, SHAPES, range(5), range(3))
    assert list(found) == list(SHAPES)
    for name, values in weights.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], values)


def test_only_the_checkpoints_asked_for_are_read(folder, weights):
    found = read_weights(folder, SHAPES, [1, 4], [0, 2])
    for name, values in weights.items():
        assert np.array_equal(found[name], values[[1, 4]][:, [0, 2]])


def test_a_missing_checkpoint_is_refused(folder):
    with pytest.raises(ValueError, match="entry a.weight must stand in 4 checkpoints, got 2"):
        read_weights(folder, SHAPES, [4, 5], [0, 1])


def test_a_missing_entry_is_refused(folder):
    with pytest.raises(ValueError, match="entry c.weight must stand in 15 checkpoints, got 0"):
        read_weights(folder, SHAPES | {"c.weight": (1, 1)}, range(5), range(3))
