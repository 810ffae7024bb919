"""Cut a zoo into shards that fit into memory, whatever its size.

Shards depend on the zoo and the size of its networks alone, so that results do not depend on who
runs them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.zoo.files import read_weights
from schemas.config.preprocess import PreprocessConfig

SHARD_BYTES = 128 * 2**20
"""Bytes of weights in a shard, except where one checkpoint has more."""

COUNTER = "num_batches_tracked"

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Whole:
    """What all shards of a zoo share.

    Attributes:
        zoo: Folder of the zoo.
        architecture: Name of its architecture.
        reference: (run, epoch) that all are aligned to.
        config: How to align, standardize, tokenize.
        seed: The run's seed.
        groups: What may be permuted, found before there are shards: tracing a network is not safe
            beside other threads.
        device: Where models are matched.
    """

    zoo: str
    architecture: str
    reference: tuple[int, int]
    config: PreprocessConfig
    seed: int
    groups: tuple[PermutationGroup, ...]
    device: str

    @property
    def network(self) -> Architecture:
        """The architecture."""
        return architecture_named(self.architecture)

    @property
    def trained_groups(self) -> tuple[PermutationGroup, ...]:
        """The groups as far as they touch trained entries, not running statistics."""
        return within(self.groups, self.network.shapes())

    def read(
        self, runs: tuple[int, ...], epochs: tuple[int, ...], buffers: bool = False
    ) -> dict[str, np.ndarray]:
        """Read checkpoints: entry -> float32 [runs · epochs, ...], run by run.

        With buffers, these are running statistics; counters are left out.
        """
        shapes = self.network.shapes()
        if buffers:
            shapes |= {n: s for n, s in self.network.buffers().items() if not n.endswith(COUNTER)}
        weights = read_weights(Path(self.zoo) / "weights", shapes, runs, epochs)
        return {name: values.reshape(-1, *values.shape[2:]) for name, values in weights.items()}

    def read_reference(self) -> dict[str, np.ndarray]:
        """Read the reference with its running statistics: entry -> float32 [...]."""
        run, epoch = self.reference
        weights = self.read((run,), (epoch,), buffers=True)
        return {name: values[0] for name, values in weights.items()}


@dataclass(frozen=True)
class Shard:
    """Some runs of one split, all of which have these epochs.

    Attributes:
        whole: What it is a part of.
        split: Their split.
        runs: Ascending.
        epochs: Ascending.
    """

    whole: Whole
    split: str
    runs: tuple[int, ...]
    epochs: tuple[int, ...]

    def in_pieces(self, size: int) -> Iterator["Shard"]:
        """Cut the epochs so that a piece has at most so many checkpoints, or one epoch."""
        step = max(1, size // len(self.runs))
        for start in range(0, len(self.epochs), step):
            yield Shard(self.whole, self.split, self.runs, self.epochs[start : start + step])


def checkpoints_in_memory(architecture: Architecture) -> int:
    """Return how many checkpoints make a shard."""
    return max(1, SHARD_BYTES // (4 * architecture.parameter_count()))


def runs_in_shards(whole: Whole, checkpoints: pa.Table) -> list[Shard]:
    """Cut every split into runs of equal epochs whose checkpoints fit into memory together.

    Args:
        whole: What is cut.
        checkpoints: The zoo's checkpoints table.
    """
    fit = checkpoints_in_memory(whole.network)
    shards = []
    for split in SPLITS:
        rows = checkpoints.filter(pc.equal(checkpoints["split"], split))
        for epochs, runs in _by_epochs(rows):
            step = max(1, fit // len(epochs))
            shards += [
                Shard(whole, split, runs[start : start + step], epochs)
                for start in range(0, len(runs), step)
            ]
    return shards


def _by_epochs(rows: pa.Table) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield (epochs, the runs that have just these), ascending."""
    of_run: dict[int, list[int]] = {}
    for run, epoch in zip(rows["run"].to_pylist(), rows["epoch"].to_pylist(), strict=True):
        of_run.setdefault(run, []).append(epoch)
    having = sorted((tuple(sorted(epochs)), run) for run, epochs in of_run.items())
    for epochs, group in groupby(having, key=lambda pair: pair[0]):
        yield epochs, tuple(run for _, run in group)


def within(
    groups: Sequence[PermutationGroup], entries: Collection[str]
) -> tuple[PermutationGroup, ...]:
    """Return the groups with those of their axes whose entries are given; none without axes."""
    kept = (
        replace(group, axes=tuple(axis for axis in group.axes if axis.entry in entries))
        for group in groups
    )
    return tuple(group for group in kept if group.axes)


def stored_groups(
    groups: Sequence[PermutationGroup], architecture: Architecture
) -> tuple[PermutationGroup, ...]:
    """Return the groups with the axes of entries that a zoo stores.

    A parameter with two names is stored under the first.
    """
    return within(groups, architecture.shapes() | architecture.buffers())


def one_architecture(checkpoints: pa.Table) -> str:
    """Return the architecture of all checkpoints.

    Raises:
        ValueError: If there are several.
    """
    names: list[Any] = sorted(checkpoints["architecture"].unique().to_pylist())
    if len(names) != 1:
        raise ValueError(
            "a zoo must be of one architecture to be cut into tokens, got "
            f"{', '.join(names)}; ingest each on its own (architecture: NAME)"
        )
    return str(names[0])


def reference_of(checkpoints: pa.Table) -> tuple[int, int]:
    """Return (run, last epoch) of the train run with the median final test accuracy.

    Test accuracy is a property of the checkpoint here, not a quantity selected on; the median only
    names a typical run. Runs of unknown or non-finite accuracy are left out; where there are no
    others, the median is that of the runs' numbers.

    Raises:
        ValueError: If there is no train run.
    """
    ordered = checkpoints.sort_by([("run", "ascending"), ("epoch", "ascending")])
    train = ordered.filter(pc.equal(ordered["split"], "train"))
    if not len(train):
        raise ValueError(
            "a zoo must have train runs to be aligned and standardized by, got none; it takes at "
            "least 3 runs that are no copies of each other to have a train split"
        )
    train = train.select(["run", "epoch", "test_accuracy"])
    of_run = dict(zip(train["run"].to_pylist(), train["epoch"].to_pylist(), strict=True))
    last = pc.equal(train["epoch"], pa.array([of_run[run] for run in train["run"].to_pylist()]))
    finals = train.filter(last)
    known = finals.filter(pc.is_finite(finals["test_accuracy"]))
    order = [("test_accuracy", "ascending"), ("run", "ascending")]
    ranked = known.sort_by(order) if len(known) else finals.sort_by("run")
    middle = ranked.slice(len(ranked) // 2, 1)
    return int(middle["run"][0].as_py()), int(middle["epoch"][0].as_py())
