"""Cut tokens into windows with permuted views, and compile them to `.beton` (Algorithm 1, step iv).

View 0 of a window is the aligned model's; the others are the same window of function-preserving
permutations of that model, drawn anew for every checkpoint.

A set is compiled in shards of whole checkpoints. Which checkpoints are in a shard depends on the
configuration and the data alone, and each shard reads just these, one after another: memory depends
on one network and one page of windows, not on the zoo.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.files import read_layers
from sane_core.weights.layers import Layer, token_count
from sane_core.weights.shards import one_architecture
from sane_core.weights.streaming import Place, each_checkpoint, places_of, token_size
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.tokens import lengths_of, positions_of
from sane_core.weights.work import Made, Work
from sane_core.windows.beton import sidecar_path
from sane_core.windows.draw import coverage, cut, draw_starts
from sane_core.windows.facts import FACTS, ShardFacts, SplitFacts, WindowFacts, write_facts
from sane_core.windows.layout import WindowSpec
from sane_core.windows.views import draw_views
from sane_core.windows.write import Window, write_beton
from schemas.config.windows import WindowsConfig

SPLITS = ("train", "validation")
SHARD = "windows.beton"
"""What a shard writes, besides its sidecar."""
_INT16_MAX = int(np.iinfo(np.int16).max)


@dataclass(frozen=True)
class Cut:
    """What all shards of a set share.

    Attributes:
        tokens: Folder of the tokens stage.
        layers: Layers of the architecture.
        groups: Its permutation groups, found before there are shards: tracing a network is not safe
            beside other threads.
        d_t: Token size.
        config: How to cut.
        seed: The run's seed.
    """

    tokens: str
    layers: tuple[Layer, ...]
    groups: tuple[PermutationGroup, ...]
    d_t: int
    config: WindowsConfig
    seed: int

    @property
    def sequence(self) -> int:
        """Tokens N of a whole network."""
        return token_count(self.layers, self.d_t)

    @property
    def length(self) -> int:
        """Window length W in tokens."""
        return self.sequence if self.config.whole else self.config.length

    @property
    def largest(self) -> tuple[int, int, int]:
        """Largest n, l and k."""
        n, l, k = (int(value) for value in positions_of(self.layers, self.d_t).max(axis=0))
        return n, l, k

    def spec(self, samples: int) -> WindowSpec:
        """Return what so many windows look like."""
        return WindowSpec(
            samples=samples,
            views=1 + self.config.views,
            length=self.length,
            d_t=self.d_t,
            dtype=self.config.dtype,
            position_dtype="int16" if max(self.largest) <= _INT16_MAX else "int32",
        )

    def starts(self, place: Place) -> np.ndarray:
        """Draw the starts of a checkpoint's windows, int64 [windows]."""
        rng = rng_for(self.seed, "starts", place.run, place.epoch)
        return draw_starts(self.sequence, self.length, self.config.starts, rng)


@dataclass(frozen=True)
class WindowShard:
    """Some checkpoints of one split.

    Attributes:
        cut: What they are a part of.
        split: Their split.
        places: The checkpoints, in the order of their tokens.
    """

    cut: Cut
    split: str
    places: tuple[Place, ...]


def compile_set(tokens: Path, config: WindowsConfig, seed: int, work: Work) -> WindowFacts:
    """Cut the train and the validation split of a zoo's tokens into windows.

    Args:
        tokens: Folder of the tokens stage.
        config: Which checkpoints, how long, how many views.
        seed: The run's seed.
        work: Runs the shards; its folder gets `<split>-<number>.beton`, their sidecars, and last
            `windows.json`.

    Returns:
        What `windows.json` says.

    Raises:
        ValueError: If the window is longer than the networks, a split has no checkpoint of the
            epochs asked for, the zoo has several architectures, or a value is too large for
            float16.
        DiskFull: The storage ran out of space.
    """
    table = pq.read_table(tokens / "checkpoints.parquet", columns=["architecture", "epoch"])
    architecture = architecture_named(one_architecture(table))
    cut_of = Cut(
        tokens=str(tokens),
        layers=read_layers(tokens / "layers.parquet"),
        groups=groups_of(architecture),
        d_t=token_size(tokens / "tokens"),
        config=config,
        seed=seed,
    )
    if cut_of.length > cut_of.sequence:
        raise ValueError(
            f"windows.length must be at most {cut_of.sequence}, the tokens of {architecture.name} "
            f"at d_t {cut_of.d_t}, got {cut_of.length}; set windows.whole for windows of whole "
            "networks"
        )
    epochs = config.epochs(max(table["epoch"].to_pylist()))
    shards = [shard for split in SPLITS for shard in shards_of(cut_of, split, epochs)]
    made = work.map(compile_shard, shards, name="compile")
    train, validation = (_keep(work, split, shards, made) for split in SPLITS)
    variances = pq.read_table(tokens / "layers.parquet", columns=["variance"])["variance"]
    n, l, k = cut_of.largest
    facts = WindowFacts(
        d_t=cut_of.d_t,
        length=cut_of.length,
        dtype=config.dtype,
        views=1 + config.views,
        positions=(n + 1, l + 1, k + 1),
        weights_per_token=float(lengths_of(cut_of.layers, cut_of.d_t).mean()),
        architecture=architecture.name,
        layer_variances=tuple(variances.to_pylist()),
        train=train,
        validation=validation,
    )
    write_facts(work.folder / FACTS, facts)
    return facts


def metrics_of(facts: WindowFacts) -> dict[str, float]:
    """Return the metrics of a set: samples, bytes and coverage."""
    metrics = {
        "windows.bytes": float(facts.train.bytes + facts.validation.bytes),
        "windows.minimum_coverage": float(
            min(facts.train.minimum_coverage, facts.validation.minimum_coverage)
        ),
    }
    for split in SPLITS:
        known = facts.split(split)
        metrics[f"windows.{split}.samples"] = float(known.samples)
        metrics[f"windows.{split}.bytes"] = float(known.bytes)
        metrics[f"windows.{split}.mean_coverage"] = known.mean_coverage
    return metrics


def shards_of(cut_of: Cut, split: str, epochs: Sequence[int]) -> Iterator[WindowShard]:
    """Deal the checkpoints of a split out to shards of about `shard_mb` megabytes.

    Raises:
        ValueError: If there is none of these epochs.
    """
    places = places_of(Path(cut_of.tokens) / "checkpoints.parquet", split, epochs)
    if not places:
        raise ValueError(
            f"split {split} must have checkpoints of epochs {_listed(epochs)}, got none; see "
            "windows.first_epoch, last_epoch and epoch_step"
        )
    limit = max(1, cut_of.config.shard_mb * 10**6 // cut_of.spec(1).arrays["tokens"].size)
    shard: list[Place] = []
    filled = 0
    for place in places:
        windows = len(cut_of.starts(place))
        if shard and filled + windows > limit:
            yield WindowShard(cut_of, split, tuple(shard))
            shard, filled = [], 0
        shard.append(place)
        filled += windows
    yield WindowShard(cut_of, split, tuple(shard))


def compile_shard(shard: WindowShard, folder: Path) -> dict[str, Any]:
    """Write the windows of some checkpoints to `windows.beton`.

    Returns:
        `samples`, `bytes` and `sha256` of the file; `minimum`: windows over the token that fewest
        cover; `covered`: the sum of that over all tokens; `tokens`: their number.
    """
    cut_of = shard.cut
    starts = [cut_of.starts(place) for place in shard.places]
    counts = [len(drawn) for drawn in starts]
    sidecar = write_beton(
        folder / SHARD,
        cut_of.spec(sum(counts)),
        np.repeat([place.run for place in shard.places], counts),
        np.repeat([place.epoch for place in shard.places], counts),
        _windows(shard, starts),
    )
    covered = np.stack([coverage(drawn, cut_of.sequence, cut_of.length) for drawn in starts])
    return {
        "samples": sidecar.spec.samples,
        "bytes": sidecar.size,
        "sha256": sidecar.sha256,
        "minimum": int(covered.min()),
        "covered": int(covered.sum()),
        "tokens": covered.size,
    }


def _windows(shard: WindowShard, starts: Iterable[np.ndarray]) -> Iterator[Window]:
    """Cut one checkpoint after another, into memory that is used again."""
    cut_of = shard.cut
    spec, sequence = cut_of.spec(1), cut_of.sequence
    positions, lengths = (of(cut_of.layers, cut_of.d_t) for of in (positions_of, lengths_of))
    values = np.empty(spec.arrays["tokens"].shape, spec.dtype)
    checkpoints = each_checkpoint(Path(cut_of.tokens) / "tokens", shard.split, shard.places)
    for (place, tokens), drawn in zip(checkpoints, starts, strict=True):
        model = _in_precision(tokens, spec.dtype, place)
        rng = rng_for(cut_of.seed, "views", place.run, place.epoch)
        views = draw_views(cut_of.layers, cut_of.groups, cut_of.d_t, cut_of.config.views, rng)
        for start in drawn.tolist():
            low, high = max(start, 0), min(start + spec.length, sequence)
            real = slice(low - start, high - start)
            values[:, : real.start] = 0
            values[:, real.stop :] = 0
            values[0, real] = model[low:high]
            views.see(model, low, high, out=values[1:, real])
            of_tokens = cut(lengths, start, spec.length, axis=0)
            yield Window(
                values,
                cut(positions, start, spec.length, axis=0),
                np.broadcast_to(of_tokens, values.shape[:2]),
            )


def _in_precision(tokens: np.ndarray, dtype: str, place: Place) -> np.ndarray:
    """Return a network's tokens as they are stored: views only move them."""
    with np.errstate(over="ignore"):
        stored = tokens.astype(dtype, copy=False)
    if not np.isfinite(tokens).all():
        raise ValueError(f"tokens of run {place.run} at epoch {place.epoch} must be finite")
    if not np.isfinite(stored).all():
        raise ValueError(
            f"tokens of run {place.run} at epoch {place.epoch} must fit {dtype}, got "
            f"{np.abs(tokens).max():g}; set windows.dtype to float32"
        )
    return stored


def _keep(
    work: Work, split: str, shards: Sequence[WindowShard], made: Sequence[Made]
) -> SplitFacts:
    """Make the files of a split's shards the set's, and return what is known of them."""
    own = [m for shard, m in zip(shards, made, strict=True) if shard.split == split]
    listed = []
    for number, done in enumerate(own):
        file = f"{split}-{number:05d}.beton"
        work.keep(done.folder / SHARD, file)
        work.keep(sidecar_path(done.folder / SHARD), sidecar_path(Path(file)).name)
        value = done.value
        listed.append(ShardFacts(file, value["samples"], value["bytes"], value["sha256"]))
    return SplitFacts(
        shards=tuple(listed),
        minimum_coverage=min(done.value["minimum"] for done in own),
        mean_coverage=sum(done.value["covered"] for done in own)
        / sum(done.value["tokens"] for done in own),
    )


def _listed(epochs: Sequence[int]) -> str:
    return f"{epochs[0]} to {epochs[-1]}" if epochs else "no number"
