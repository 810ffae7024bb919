"""A zoo becomes tokens, shard by shard; whatever the shards, the tokens are the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.weights import shards as shards_module
from sane_core.weights.alignment import read_alignment
from sane_core.weights.files import TokenSet, read_layers, read_statistics, read_tokens
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.standardize import unstandardize
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.tokens import detokenize
from sane_core.weights.work import PlainWork
from sane_core.zoo.files import read_weights
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.preprocess import PreprocessConfig
from schemas.tables import CHECKPOINTS

MLP = "mlp[size=4]"
RESNET = "resnet18[size=8,width=2]"
EPOCHS = (0, 2, 5)
SPLITS = {0: "train", 1: "validation", 2: "train", 3: "test", 4: "train"}


def network(name: str, seed: int) -> dict[str, np.ndarray]:
    """A network whose batch norms are not all alike."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    state = architecture_named(name).build().state_dict()
    return {
        entry: (value.numpy() + 0.1 * rng.random(value.shape) * (value.ndim < 2)).astype(np.float32)
        for entry, value in state.items()
        if value.is_floating_point()
    }


def write_zoo(
    folder: Path,
    name: str,
    epochs: Mapping[int, Sequence[int]],
    splits: Mapping[int, str] = SPLITS,
    architectures: Mapping[int, str] | None = None,
) -> Path:
    (folder / "weights").mkdir(parents=True)
    pairs = sorted((run, epoch) for run, own in epochs.items() for epoch in own)
    with ShardWriter(folder / "weights" / "part-00000.parquet", RowGroup()) as writer:
        for run, epoch in sorted(pairs, key=lambda pair: pair[::-1]):
            weights = network(name, 100 * run + epoch)
            writer.add(run, epoch, weights, dict.fromkeys(weights, "float32"))
    known = {
        "run": [run for run, _ in pairs],
        "epoch": [epoch for _, epoch in pairs],
        "split": [splits[run] for run, _ in pairs],
        "architecture": [(architectures or {}).get(run, name) for run, _ in pairs],
        "test_accuracy": [0.1 * run + 0.01 * epoch for run, epoch in pairs],
    }
    columns = [pa.array(known.get(f.name, [None] * len(pairs)), f.type) for f in CHECKPOINTS]
    pq.write_table(pa.table(columns, schema=CHECKPOINTS), folder / "checkpoints.parquet")
    return folder


def tokens_of(
    zoo: Path, out: Path, config: PreprocessConfig | None = None
) -> tuple[Path, dict[str, float]]:
    folder, scratch = out / "tokens", out / "scratch"
    folder.mkdir(parents=True)
    work = PlainWork(folder, scratch)
    metrics = preprocess_zoo(zoo, config or PreprocessConfig(), 0, work)
    return folder, metrics


def by_checkpoint(tokens: TokenSet) -> dict[tuple[int, int], np.ndarray]:
    pairs = zip(tokens.runs.tolist(), tokens.epochs.tolist(), strict=True)
    return dict(zip(pairs, tokens.values, strict=True))


@pytest.fixture
def ragged(tmp_path: Path) -> Path:
    """Runs that were kept at different epochs."""
    return write_zoo(tmp_path / "zoo", MLP, {0: EPOCHS, 1: EPOCHS, 2: (0, 2), 3: (5,), 4: EPOCHS})


@pytest.mark.parametrize("batch_norm", ["exclude", "affine"])
def test_tokens_taken_back_are_the_networks_of_the_zoo(tmp_path: Path, batch_norm: str) -> None:
    zoo = write_zoo(tmp_path / "zoo", RESNET, dict.fromkeys(SPLITS, EPOCHS))
    config = PreprocessConfig(batch_norm=batch_norm)
    folder, metrics = tokens_of(zoo, tmp_path, config)
    layers = read_layers(folder / "layers.parquet")
    statistics = read_statistics(folder / "layers.parquet")
    entries = {name for layer in layers for name in layer.entries}
    groups = [
        type(group)(group.name, group.size, tuple(a for a in group.axes if a.entry in entries))
        for group in groups_of(architecture_named(RESNET))
    ]
    assert ("bn1.weight" in entries) == (batch_norm == "affine")
    alignment = read_alignment(folder / "alignment.parquet")
    for split, runs in (("train", [0, 2, 4]), ("validation", [1]), ("test", [3])):
        tokens = read_tokens(folder / "tokens", split)
        aligned = unstandardize(detokenize(tokens.values, layers), layers, statistics)
        back = alignment.unapply(aligned, tokens.runs, groups)
        shapes = {n: s for n, s in architecture_named(RESNET).shapes().items() if n in entries}
        raw = read_weights(zoo / "weights", shapes, runs, EPOCHS)
        for name, values in back.items():
            order = np.lexsort((tokens.epochs, tokens.runs))
            wanted = raw[name].reshape(-1, *raw[name].shape[2:])
            np.testing.assert_allclose(values[order], wanted, rtol=0, atol=1e-6)
    before, after = (metrics[f"preprocess.squared_distance.{w}"] for w in ("before", "after"))
    assert 0 < after < before
    assert metrics["preprocess.largest_logit_change"] < 1e-4


def test_the_size_of_shards_changes_no_token(
    ragged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, metrics = tokens_of(ragged, tmp_path / "whole")
    monkeypatch.setattr(shards_module, "SHARD_BYTES", 1)
    parts, same = tokens_of(ragged, tmp_path / "parts")
    change = "preprocess.largest_logit_change"  # relative to the largest logit of a shard
    assert same | {change: 0} == metrics | {change: 0}
    for name in ("layers", "alignment", "distances"):
        path = f"{name}.parquet"
        assert pq.read_table(whole / path).equals(pq.read_table(parts / path))
    for split in ("train", "validation", "test"):
        one, many = (by_checkpoint(read_tokens(f / "tokens", split)) for f in (whole, parts))
        assert one.keys() == many.keys()
        assert all(np.array_equal(one[pair], many[pair]) for pair in one)
    assert len(list((parts / "tokens" / "split=train").glob("*.parquet"))) > 1


@pytest.mark.parametrize("size", [2**27, 1])
def test_the_table_says_where_each_checkpoint_lies(
    ragged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(shards_module, "SHARD_BYTES", size)
    folder, _ = tokens_of(ragged, tmp_path)
    table = pl.read_parquet(folder / "checkpoints.parquet")
    for split in ("train", "validation", "test"):
        paths = sorted((folder / "tokens" / f"split={split}").glob("*.parquet"))
        rows = pl.concat([pl.read_parquet(path, columns=["run", "epoch", "n"]) for path in paths])
        for checkpoint in table.filter(pl.col("split") == split).to_dicts():
            first, last = checkpoint["first_token"], checkpoint["last_token"]
            own = rows[first : last + 1]
            assert own["run"].unique().to_list() == [checkpoint["run"]]
            assert own["epoch"].unique().to_list() == [checkpoint["epoch"]]
            assert own["n"].to_list() == list(range(last - first + 1))


def test_a_run_is_aligned_at_its_last_epoch_and_so_at_all(ragged: Path, tmp_path: Path) -> None:
    """Run 0 is the median of the train runs 0, 2, 4 at their last epochs; reorder it and see."""
    groups = groups_of(architecture_named(MLP))
    reference = network(MLP, 205 - 3)
    copy = permute(
        {name: values[None] for name, values in reference.items()},
        groups,
        random_permutations(groups, 1, np.random.default_rng(0)),
    )
    with ShardWriter(ragged / "weights" / "part-00001.parquet", RowGroup()) as writer:
        for epoch in (3, 9):
            entries = {name: values[0] for name, values in copy.items()}
            writer.add(9, epoch, entries, dict.fromkeys(entries, "float32"))
    table = pq.read_table(ragged / "checkpoints.parquet").to_pylist()
    table += [table[0] | {"run": 9, "epoch": epoch, "split": "test"} for epoch in (3, 9)]
    pq.write_table(pa.Table.from_pylist(table, schema=CHECKPOINTS), ragged / "checkpoints.parquet")
    folder, metrics = tokens_of(ragged, tmp_path)
    assert metrics["preprocess.reference_run"] == 2
    rows = pl.read_parquet(folder / "distances.parquet").filter(pl.col("run") == 9)
    assert rows["before"][0] > 1
    assert rows["after"][0] == pytest.approx(0, abs=1e-9)
    aligned = by_checkpoint(read_tokens(folder / "tokens", "test"))
    wanted = by_checkpoint(read_tokens(folder / "tokens", "train"))[2, 2]
    assert np.array_equal(aligned[9, 9], wanted)
    assert np.array_equal(aligned[9, 3], wanted)


def test_without_alignment_the_weights_stay_in_their_order(ragged: Path, tmp_path: Path) -> None:
    folder, metrics = tokens_of(ragged, tmp_path, PreprocessConfig(align=False))
    alignment = read_alignment(folder / "alignment.parquet")
    assert all((p == np.arange(p.shape[1])).all() for p in alignment.permutations.values())
    assert (
        metrics["preprocess.squared_distance.before"]
        == metrics["preprocess.squared_distance.after"]
    )


def test_signs_bring_networks_of_odd_operations_closer(tmp_path: Path) -> None:
    name = "mlp[activation=tanh,size=4]"
    zoo = write_zoo(tmp_path / "zoo", name, dict.fromkeys(SPLITS, (1,)))
    _, plain = tokens_of(zoo, tmp_path / "plain")
    folder, signed = tokens_of(zoo, tmp_path / "signed", PreprocessConfig(signs=True))
    after = "preprocess.squared_distance.after"
    assert signed[after] < plain[after]
    assert signed["preprocess.largest_logit_change"] < 1e-4
    assert any((s < 0).any() for s in read_alignment(folder / "alignment.parquet").signs.values())


def test_a_zoo_of_two_architectures_is_refused(tmp_path: Path) -> None:
    epochs = dict.fromkeys(SPLITS, (1,))
    zoo = write_zoo(tmp_path / "zoo", MLP, epochs, architectures={3: "cnn"})
    with pytest.raises(ValueError, match=r"must be of one architecture .*, got cnn, mlp\[size=4\]"):
        tokens_of(zoo, tmp_path)


def test_a_zoo_without_train_runs_is_refused(tmp_path: Path) -> None:
    zoo = write_zoo(tmp_path / "zoo", MLP, {0: (1,), 1: (1,)}, dict.fromkeys(SPLITS, "test"))
    with pytest.raises(ValueError, match="must have train runs to be aligned and standardized by"):
        tokens_of(zoo, tmp_path)


def test_a_permutation_that_changes_the_function_stops_the_stage(
    ragged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with groups by hand that are wrong: one side of the hidden units alone."""
    groups = groups_of(architecture_named(MLP))
    half = tuple(type(g)(g.name, g.size, g.axes[:1]) for g in groups)
    monkeypatch.setattr("sane_core.weights.preprocess.groups_of", lambda _: half)
    with pytest.raises(ValueError, match="alignment must keep the function, but a logit of mlp"):
        tokens_of(ragged, tmp_path)
