"""A zoo's checkpoints as tokens, read piece by piece: a zoo may be larger than memory.

What is made of them - features, a row per checkpoint - stands in their order: split by split, and
there as their tokens lie.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.embedding.files import Embeddings
from sane_core.pretraining.behaviour import read_others
from sane_core.weights.alignment import Alignment, read_alignment
from sane_core.weights.files import TokenSet, read_layers, read_statistics
from sane_core.weights.layers import Layer
from sane_core.weights.shards import SPLITS, stored_groups, within
from sane_core.weights.standardize import Statistics, unstandardize
from sane_core.weights.streaming import Place, each_checkpoint, places_of, token_size
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.tokens import detokenize, lengths_of, positions_of
from sane_core.zoo.rows import rows_of

PIECE = 32 * 2**20
"""Bytes of tokens in a piece, unless one checkpoint has more."""
HELD = 256 * 2**20
"""Bytes of tokens at most that are read once and stay in memory; of more, pieces are read anew."""


@dataclass(frozen=True)
class Checkpoints:
    """A zoo's checkpoints, split by split, and what their tokens were made of.

    Attributes:
        folder: Of the preprocess stage.
        places: Split -> its checkpoints, in the order of their tokens.
        zoo: Folder of the zoo stage; needed where networks have entries that are no tokens.
        bring: Values of a piece in another zoo's frame; as they are if not given.
    """

    folder: Path
    places: Mapping[str, tuple[Place, ...]]
    zoo: Path | None = None
    bring: Callable[[TokenSet], np.ndarray] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.places.values()))

    @property
    def runs(self) -> np.ndarray:
        """The run of every checkpoint, int64."""
        return np.array([place.run for own in self.places.values() for place in own], np.int64)

    @property
    def epochs(self) -> np.ndarray:
        """The epoch of every checkpoint, int64."""
        return np.array([place.epoch for own in self.places.values() for place in own], np.int64)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """What tokens were cut from."""
        return read_layers(self.folder / "layers.parquet")

    @cached_property
    def d_t(self) -> int:
        """Token size."""
        return token_size(self.folder / "tokens")

    @cached_property
    def positions(self) -> np.ndarray:
        """Of the tokens of a checkpoint, int64 [N, 3]."""
        return positions_of(self.layers, self.d_t)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Real weights per token, int64 [N]."""
        return lengths_of(self.layers, self.d_t)

    @cached_property
    def statistics(self) -> Statistics:
        """What weights were standardized by."""
        return read_statistics(self.folder / "layers.parquet")

    @cached_property
    def architecture(self) -> Architecture:
        """The networks'.

        Raises:
            ValueError: If it cannot be built here.
        """
        table = pq.read_table(self.folder / "layers.parquet", columns=["architecture"])
        return architecture_named(table["architecture"][0].as_py())

    @cached_property
    def alignment(self) -> Alignment:
        """How units were moved and flipped."""
        return read_alignment(self.folder / "alignment.parquet")

    def pieces(self) -> Iterator[TokenSet]:
        """Yield the checkpoints a piece of one split after another, in their order."""
        yield from self._read() if self._held is None else self._held

    def last_of(self, split: str) -> "Checkpoints":
        """Return the checkpoints of the last epoch that a split has."""
        last = max(place.epoch for place in self.places[split])
        return self.some({split: tuple(p for p in self.places[split] if p.epoch == last)})

    def last_of_runs(self) -> "Checkpoints":
        """Return the last checkpoint of every run."""
        of_run = {p.run: p.epoch for p in sorted(sum(self.places.values(), ()), key=_epoch)}
        chosen = {
            split: tuple(place for place in own if place.epoch == of_run[place.run])
            for split, own in self.places.items()
        }
        return self.some(chosen)

    def some(self, places: Mapping[str, tuple[Place, ...]]) -> "Checkpoints":
        """Return some of the checkpoints."""
        return replace(self, places=places)

    def raw(self, part: TokenSet) -> dict[str, np.ndarray]:
        """Return weights, not standardized but aligned, signs and all.

        Args:
            part: A piece, in the zoo's own frame.

        Returns:
            Entry -> float32 [checkpoints, ...].
        """
        return unstandardize(detokenize(part.values, self.layers), self.layers, self.statistics)

    def entries(self, part: TokenSet) -> dict[str, np.ndarray]:
        """Return the raw weights with the entries that are no tokens, as far as the zoo is known.

        Raises:
            ValueError: If the architecture cannot be built here.
        """
        if self.zoo is None:
            return self.raw(part)
        at = (self.zoo, self.folder, self.architecture, self.layers)
        return self.raw(part) | read_others(*at, part.runs, part.epochs)

    def as_trained(self, weights: dict[str, np.ndarray], part: TokenSet) -> dict[str, np.ndarray]:
        """Take aligned weights back to the order and the signs that they were trained in.

        Args:
            weights: Entry -> float32 [checkpoints, ...], as of `raw` or `entries`.
            part: Whose they are.

        Raises:
            ValueError: If the architecture cannot be built here.
        """
        groups = stored_groups(symmetries_of(self.architecture).groups, self.architecture)
        return self.alignment.unapply(weights, part.runs, within(groups, weights))

    def activations(self, part: TokenSet) -> tuple[str | None, ...]:
        """Return the non-linearity that each network has instead of its architecture's own."""
        table = pq.read_table(self.folder / "checkpoints.parquet")
        if "hyperparameters" not in table.column_names:
            return (None,) * len(part)
        struct = table["hyperparameters"].combine_chunks()
        if struct.type.get_field_index("activation") < 0:
            return (None,) * len(part)
        own = pc.struct_field(struct, ["activation"])
        return tuple(own.take(rows_of(table, part.runs, part.epochs)).to_pylist())

    @cached_property
    def _held(self) -> tuple[TokenSet, ...] | None:
        return tuple(self._read()) if len(self) * self._size <= HELD else None

    @property
    def _size(self) -> int:
        """Bytes of the tokens of a checkpoint."""
        return 4 * len(self.positions) * self.d_t

    def _read(self) -> Iterator[TokenSet]:
        for split, places in self.places.items():
            for part in self._pieces_of(split, places):
                yield part if self.bring is None else replace(part, values=self.bring(part))

    def _pieces_of(self, split: str, places: tuple[Place, ...]) -> Iterator[TokenSet]:
        """Read a split from its first to its last row group, a piece at a time."""
        count = max(1, PIECE // self._size)
        read = each_checkpoint(self.folder / "tokens", split, places)
        for start in range(0, len(places), count):
            some = places[start : start + count]
            values = np.empty((len(some), len(self.positions), self.d_t), np.float32)
            for row, (_, tokens) in zip(values, read, strict=False):
                row[...] = tokens
            runs, epochs = ([getattr(place, key) for place in some] for key in ("run", "epoch"))
            at = (np.array(runs, np.int64), np.array(epochs, np.int64))
            yield TokenSet(values, self.positions, self.lengths, *at)


def read_checkpoints(folder: Path, embeddings: Embeddings, zoo: Path | None) -> Checkpoints:
    """Return the embedded checkpoints, in the order of their embeddings.

    Args:
        folder: Of the preprocess stage.
        embeddings: Of the zoo.
        zoo: Folder of the zoo stage.
    """
    epochs = np.unique(embeddings.epochs).tolist()
    table = folder / "checkpoints.parquet"
    return Checkpoints(folder, {split: places_of(table, split, epochs) for split in SPLITS}, zoo)


def _epoch(place: Place) -> int:
    return place.epoch
