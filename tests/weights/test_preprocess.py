"""A zoo becomes tokens, shard by shard; whatever the shards, the tokens are the same."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import current_thread
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import fx, nn

from sane_core.architectures.registry import architecture_named
from sane_core.weights import shards as shards_module
from sane_core.weights.alignment import read_alignment
from sane_core.weights.files import TokenSet, read_layers, read_statistics, read_tokens
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.shards import reference_of
from sane_core.weights.standardize import unstandardize
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.groups import Axis, PermutationGroup, Symmetries
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.symmetry.verify import changes_of_models, verify
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
    assert same == metrics
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
    """As if what was tried out on the reference did not hold for another model."""
    monkeypatch.setattr("sane_core.weights.checks.verify", lambda *_, **__: {})
    groups = groups_of(architecture_named(MLP))
    half = tuple(replace(group, axes=group.axes[:1]) for group in groups)
    monkeypatch.setattr(
        "sane_core.weights.preprocess.symmetries_of", lambda _: Symmetries(half, ())
    )
    with pytest.raises(ValueError, match=r"keep the function, but a logit of mlp.* run \d"):
        tokens_of(ragged, tmp_path)


class Users(nn.Module):
    """A network of a user's: where it has hidden layers, one is used twice, under two names."""

    input_shape = (1, 4, 4)

    def __init__(self, hidden: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(16, 6) if hidden else nn.Identity()
        self.second = self.third = nn.Linear(6, 6) if hidden else nn.Identity()
        self.out = nn.Linear(6 if hidden else 16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.first(images.flatten(1)).relu()
        return self.out(self.third(self.second(x).relu()).relu())


class Wrong(nn.Module):
    """A network whose groups by hand leave out the columns of the second layer."""

    input_shape = (1, 4, 4)
    permutation_groups = (
        PermutationGroup("right", 5, (Axis("b.weight", 0), Axis("b.bias", 0), Axis("c.weight", 1))),
        PermutationGroup("wrong", 6, (Axis("a.weight", 0), Axis("a.bias", 0))),
    )

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 6), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.c(self.b(self.a(images.flatten(1)).relu()).relu())


USERS = f"{__name__}:Users"
WRONG = f"{__name__}:Wrong"


@pytest.mark.parametrize("align", [True, False])
def test_wrong_groups_by_hand_stop_the_stage_by_name(tmp_path: Path, align: bool) -> None:
    zoo = write_zoo(tmp_path / "zoo", WRONG, dict.fromkeys(SPLITS, (1,)))
    message = r"Wrong must keep what run \d computes, got permuting group wrong .*; correct the"
    with pytest.raises(ValueError, match=message):
        tokens_of(zoo, tmp_path, PreprocessConfig(align=align))


def test_a_network_without_groups_keeps_its_order(tmp_path: Path) -> None:
    zoo = write_zoo(tmp_path / "zoo", f"{USERS}[hidden=0]", dict.fromkeys(SPLITS, EPOCHS))
    folder, metrics = tokens_of(zoo, tmp_path)
    assert metrics["preprocess.groups"] == 0
    assert metrics["preprocess.largest_logit_change"] == 0
    layers, statistics = (
        read(folder / "layers.parquet") for read in (read_layers, read_statistics)
    )
    tokens = read_tokens(folder / "tokens", "test")
    weights = unstandardize(detokenize(tokens.values, layers), layers, statistics)
    alignment = read_alignment(folder / "alignment.parquet")
    back = alignment.unapply(weights, tokens.runs, ())
    raw = read_weights(zoo / "weights", {"out.weight": (3, 16)}, [3], EPOCHS)["out.weight"][0]
    np.testing.assert_allclose(back["out.weight"], raw, rtol=0, atol=1e-6)


def test_a_layer_under_two_names_is_aligned_under_its_first(tmp_path: Path) -> None:
    groups = groups_of(architecture_named(USERS))
    assert "third.weight" in {axis.entry for group in groups for axis in group.axes}
    zoo = write_zoo(tmp_path / "zoo", USERS, dict.fromkeys(SPLITS, EPOCHS))
    _, metrics = tokens_of(zoo, tmp_path)
    before, after = (metrics[f"preprocess.squared_distance.{w}"] for w in ("before", "after"))
    assert metrics["preprocess.groups"] > 0
    assert after < before


def test_running_statistics_do_not_decide_the_alignment(tmp_path: Path) -> None:
    """Running variances of hundreds: matched, they would draw trained weights apart."""
    zoo = write_zoo(tmp_path / "zoo", RESNET, dict.fromkeys(SPLITS, (1,)))
    (part,) = (zoo / "weights").glob("*.parquet")
    rng = np.random.default_rng(0)
    part.unlink()
    with ShardWriter(part, RowGroup()) as writer:
        for run in SPLITS:
            weights = network(RESNET, 100 * run + 1)
            for name, values in weights.items():
                if name.endswith("running_var"):
                    weights[name] = (500 * rng.random(values.shape)).astype(np.float32)
            writer.add(run, 1, weights, dict.fromkeys(weights, "float32"))
    folder, _ = tokens_of(zoo, tmp_path)
    distances = pl.read_parquet(folder / "distances.parquet")
    assert (distances["after"] <= distances["before"]).all()
    assert (distances["after"] < distances["before"]).any()


@dataclass(frozen=True)
class ThreadedWork(PlainWork):
    """Runs the shards of a step beside each other."""

    def map(self, function, shards, *, name):
        def one(pair):
            folder = self.scratch / name / f"{pair[0]:05d}"
            folder.mkdir(parents=True)
            return Finished(folder, function(pair[1], folder))

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(one, enumerate(shards)))


class Finished(NamedTuple):
    folder: Path
    value: Any


def test_no_shard_traces_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing patches all modules of the process, so it breaks whatever runs beside it."""
    name = "cnn[classes=7]"  # nothing of it was derived or traced by another test
    zoo = write_zoo(tmp_path / "zoo", name, dict.fromkeys(SPLITS, EPOCHS))
    monkeypatch.setattr(shards_module, "SHARD_BYTES", 1)
    tracers = []
    trace = fx.Tracer.trace

    def seen(self, *args, **kwargs):
        tracers.append(current_thread())
        return trace(self, *args, **kwargs)

    monkeypatch.setattr(fx.Tracer, "trace", seen)
    (tmp_path / "tokens").mkdir()
    work = ThreadedWork(tmp_path / "tokens", tmp_path / "scratch")
    preprocess_zoo(zoo, PreprocessConfig(), 0, work)
    assert set(tracers) == {current_thread()}


def test_a_large_network_does_not_hide_a_small_ones_change() -> None:
    module = nn.Linear(2, 2)
    before = {"weight": np.ones((2, 2, 2), np.float32)}
    before["weight"][0] *= 1e4
    after = {"weight": before["weight"].copy()}
    after["weight"][1] *= 1.01
    nn.init.zeros_(module.bias)
    changes = changes_of_models(module, before, after, torch.ones(3, 2))
    assert changes[0] == 0
    assert changes[1] == pytest.approx(0.01, rel=1e-3)


def test_a_large_output_does_not_hide_a_small_one() -> None:
    class Two(Wrong):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return 1e9 + 0 * images, super().forward(images)

    with pytest.raises(ValueError, match="permuting group wrong of network Two"):
        verify(Two(), Symmetries(Wrong.permutation_groups), torch.rand(4, 16), together=True)


def test_groups_that_hold_are_verified_in_one_go() -> None:
    right = Symmetries(Wrong.permutation_groups[:1])
    assert verify(Wrong(), right, torch.rand(4, 16), together=True).keys() == {""}
    assert verify(Wrong(), right, torch.rand(4, 16)).keys() == {"right", ""}


def test_two_units_that_must_stay_are_noticed_whatever_is_drawn() -> None:
    """One in two permutations of two units leaves them as they are."""
    wrong = Symmetries((PermutationGroup("out", 2, (Axis("weight", 0), Axis("bias", 0))),))
    for seed in range(10):
        with pytest.raises(ValueError, match="permuting group out"):
            verify(nn.Linear(3, 2), wrong, torch.rand(4, 3), seed)


def test_a_network_that_returns_no_tensor_cannot_be_verified() -> None:
    class Silent(nn.Linear):
        def forward(self, images: torch.Tensor) -> object:
            return object()

    with pytest.raises(ValueError, match="network Silent must return tensors, .* got object"):
        verify(Silent(3, 2), Symmetries(()), torch.rand(4, 3))


def finals(accuracies: Sequence[float | None]) -> pa.Table:
    runs = range(len(accuracies))
    return pa.table(
        {
            "run": pa.array(runs, pa.int32()),
            "epoch": pa.array([5] * len(runs), pa.int32()),
            "split": ["train"] * len(runs),
            "test_accuracy": pa.array(accuracies, pa.float64()),
        }
    )


@pytest.mark.parametrize(
    ("accuracies", "run"),
    [
        ([0.9, float("nan"), float("nan")], 0),
        ([0.1, 0.3, 0.2, None, None, float("inf")], 2),
        ([None, None, None], 1),
        ([float("nan"), None, None], 1),
    ],
)
def test_the_reference_is_the_median_of_the_known(accuracies, run) -> None:
    assert reference_of(finals(accuracies)) == (run, 5)
