"""Tokens become windows of the aligned models and of their views, in shards of bounded size."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.files import read_layers, read_tokens
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.work import PlainWork
from sane_core.windows.compile import SPLITS, compile_set, metrics_of
from sane_core.windows.facts import WindowFacts, read_facts
from sane_core.windows.reader import open_windows
from sane_core.windows.views import draw_views
from schemas.config.windows import WindowsConfig

D_T = 73
CONFIG = WindowsConfig(length=16, views=2, dtype="float32", epoch_step=1, shard_mb=1)


@pytest.fixture(scope="module")
def zoo(write_zoo, tmp_path_factory) -> Path:
    """16 train runs and 3 for validation, at epochs 0 to 4."""
    runs = {"train": range(16), "validation": range(16, 19)}
    return write_zoo(tmp_path_factory.mktemp("zoo"), "digits-cnn", D_T, runs, range(5))


def compiled(zoo: Path, folder: Path, config=CONFIG, seed=5) -> tuple[Path, WindowFacts]:
    made = folder / "set"
    made.mkdir()
    facts = compile_set(zoo, config, seed, PlainWork(made, folder / "scratch"))
    return made, facts


@pytest.fixture(scope="module")
def made(zoo, tmp_path_factory) -> tuple[Path, WindowFacts]:
    return compiled(zoo, tmp_path_factory.mktemp("made"))


def windows_of(folder: Path, split: str = "train"):
    """Return the reader, and all of its windows as one batch."""
    reader = open_windows([folder], split, "numpy")
    (batch,) = reader.epoch_batches([np.arange(len(reader))])
    return reader, batch


def names(folder: Path, split: str = "train") -> set[tuple[int, int]]:
    reader = open_windows([folder], split, "numpy")
    return set(zip(reader.runs.tolist(), reader.epochs.tolist(), strict=True))


def assert_windows_are_of_the_zoo(zoo: Path, folder: Path, split: str, views: int) -> None:
    """Cut every window out of the whole network and its views."""
    architecture = architecture_named("digits-cnn")
    layers, groups = read_layers(zoo / "layers.parquet"), groups_of(architecture)
    tokens = read_tokens(zoo / "tokens", split)
    of_checkpoint = dict(
        zip(
            zip(tokens.runs.tolist(), tokens.epochs.tolist(), strict=True),
            tokens.values,
            strict=True,
        )
    )
    reader, batch = windows_of(folder, split)
    for sample, name in enumerate(zip(reader.runs.tolist(), reader.epochs.tolist(), strict=True)):
        model = of_checkpoint[name]
        drawn = draw_views(layers, groups, D_T, views, rng_for(5, "views", *name))
        whole = np.concatenate([model[None], drawn.see(model, 0, 48)])
        held = batch.lengths[sample, 0].numpy() > 0
        at = batch.positions[sample].numpy()[held]
        found = batch.tokens[sample].numpy()
        assert np.array_equal(found[:, held], whole[:, at[:, 0]])
        assert np.array_equal(at, tokens.positions[at[:, 0]])
        assert np.array_equal(batch.lengths[sample, 1][held], tokens.lengths[at[:, 0]])
        assert not found[:, ~held].any()
        assert not batch.lengths[sample][:, ~held].any()


@pytest.mark.parametrize("split", SPLITS)
def test_windows_hold_the_aligned_models_and_their_views(zoo, made, split):
    assert_windows_are_of_the_zoo(zoo, made[0], split, views=2)


def test_uniform_windows_hold_them_too(zoo, tmp_path):
    config = CONFIG.model_copy(update={"starts": "uniform", "last_epoch": 1})
    folder, facts = compiled(zoo, tmp_path, config)
    assert_windows_are_of_the_zoo(zoo, folder, "train", views=2)
    assert facts.train.minimum_coverage == 0


def test_a_view_is_not_the_aligned_model(made):
    tokens = windows_of(made[0])[1].tokens
    alike = (tokens[:, 0] == tokens[:, 1]).flatten(1).all(dim=1)
    assert alike.float().mean() < 0.2  # those that hold a few tokens of the last layer


def test_a_split_is_cut_into_shards_of_the_size_asked_for(made):
    folder, facts = made
    files = [shard.file for shard in facts.train.shards]
    assert files == [f"train-{number:05d}.beton" for number in range(len(files))]
    assert len(files) >= 3
    spec = open_windows([folder], "train", "numpy").spec
    size = spec.arrays["tokens"].size
    for shard in facts.train.shards[:-1]:
        # One more checkpoint, of at most 4 windows, would be too much.
        assert 1e6 - 4 * size <= shard.samples * size <= 1e6
    assert len(facts.validation.shards) == 1


def test_a_checkpoint_is_whole_in_one_shard(made):
    folder, facts = made
    reader = open_windows([folder], "train", "numpy")
    ends = np.cumsum([shard.samples for shard in facts.train.shards])[:-1]
    of_shard = np.split(np.stack([reader.runs, reader.epochs], 1), ends)
    seen = [set(map(tuple, part.tolist())) for part in of_shard]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 80


def test_the_size_of_shards_changes_the_files_and_not_the_windows(zoo, made, tmp_path):
    folder, facts = compiled(zoo, tmp_path, CONFIG.model_copy(update={"shard_mb": 1024}))
    assert len(facts.train.shards) == 1
    one, two = windows_of(made[0])[1], windows_of(folder)[1]
    assert one.tokens.numpy().tobytes() == two.tokens.numpy().tobytes()
    assert one.runs.tolist() == two.runs.tolist()


def test_the_same_seed_gives_the_same_set_and_another_gives_another(zoo, made, tmp_path):
    for name in ("again", "other"):
        (tmp_path / name).mkdir()
    again = compiled(zoo, tmp_path / "again")[1]
    other = compiled(zoo, tmp_path / "other", seed=6)[1]
    assert again == made[1]
    assert again.train.shards[0].sha256 != other.train.shards[0].sha256


def test_the_facts_say_what_the_set_is(zoo, made):
    folder, facts = made
    assert read_facts(folder / "windows.json") == facts
    assert (facts.d_t, facts.length, facts.views, facts.dtype) == (D_T, 16, 3, "float32")
    assert facts.architecture == "digits-cnn"
    tokens = read_tokens(zoo / "tokens", "train")
    assert facts.positions == tuple((tokens.positions.max(0) + 1).tolist())
    assert facts.weights_per_token == tokens.lengths.mean()
    assert (facts.train.minimum_coverage, facts.train.mean_coverage) == (1, 1.0)
    assert facts.train.bytes == sum(file.stat().st_size for file in folder.glob("train-*.beton"))


def test_the_variances_of_layers_are_those_of_their_stored_weights(zoo, made):
    """Layers were drawn with different spreads; `per_layer` brings each of them to 1."""
    assert_variances_are_those_of_the_weights(zoo, made[1])
    assert made[1].layer_variances == pytest.approx([1] * 5, rel=1e-6)


@pytest.mark.parametrize("mode", ["minmax", "none"])
def test_they_are_so_where_layers_were_not_brought_to_one(write_zoo, tmp_path, mode):
    runs = {"train": range(2), "validation": range(2, 3)}
    zoo = write_zoo(tmp_path / "zoo", "digits-cnn", D_T, runs, range(2), mode)
    facts = compiled(zoo, tmp_path)[1]
    assert_variances_are_those_of_the_weights(zoo, facts)
    assert max(abs(variance - 1) for variance in facts.layer_variances) > 0.1


def assert_variances_are_those_of_the_weights(zoo: Path, facts: WindowFacts) -> None:
    tokens = read_tokens(zoo / "tokens", "train")
    real = np.arange(D_T) < tokens.lengths[:, None]
    for l, variance in enumerate(facts.layer_variances):
        own = (tokens.positions[:, 1] == l)[:, None] & real
        assert variance == pytest.approx(tokens.values[:, own].var(), rel=1e-3)


def test_metrics_give_samples_bytes_and_coverage(made):
    metrics = metrics_of(made[1])
    assert metrics["windows.bytes"] == (
        metrics["windows.train.bytes"] + metrics["windows.validation.bytes"]
    )
    assert metrics["windows.train.samples"] == len(open_windows([made[0]], "train", "numpy"))
    assert metrics["windows.minimum_coverage"] == 1
    assert metrics["windows.validation.mean_coverage"] == 1


def test_only_the_epochs_asked_for_are_cut(zoo, tmp_path):
    config = CONFIG.model_copy(update={"first_epoch": 1, "last_epoch": 4, "epoch_step": 2})
    folder, _ = compiled(zoo, tmp_path, config)
    assert names(folder) == {(run, epoch) for run in range(16) for epoch in (1, 3)}
    assert names(folder, "validation") == {(run, epoch) for run in (16, 17, 18) for epoch in (1, 3)}


def test_whole_networks_are_one_window_each(zoo, tmp_path):
    config = CONFIG.model_copy(update={"whole": True, "last_epoch": 0})
    folder, facts = compiled(zoo, tmp_path, config)
    reader, batch = windows_of(folder)
    assert (facts.length, len(reader)) == (48, 16)
    assert batch.positions[:, :, 0].tolist() == [list(range(48))] * 16
    assert_windows_are_of_the_zoo(zoo, folder, "train", views=2)


def test_a_window_as_long_as_the_networks_is_fine_and_a_longer_one_is_refused(zoo, tmp_path):
    config = CONFIG.model_copy(update={"last_epoch": 0, "length": 48})
    assert compiled(zoo, tmp_path, config)[1].train.samples == 16
    (tmp_path / "longer").mkdir()
    law = r"windows.length must be at most 48, .* digits-cnn at d_t 73, got 49; set windows.whole"
    with pytest.raises(ValueError, match=law):
        compiled(zoo, tmp_path / "longer", config.model_copy(update={"length": 49}))


def test_epochs_that_no_checkpoint_has_are_refused(zoo, tmp_path):
    config = CONFIG.model_copy(update={"first_epoch": 9, "last_epoch": 10})
    with pytest.raises(
        ValueError, match=r"split train must have checkpoints of epochs .* got none"
    ):
        compiled(zoo, tmp_path, config)


def test_a_weight_too_large_for_half_precision_is_named(write_zoo, tmp_path):
    runs = {"train": range(1), "validation": range(1, 2)}
    zoo = write_zoo(tmp_path / "zoo", "digits-cnn", D_T, runs, range(1))
    spoil(zoo / "tokens" / "split=train" / "part-00000.parquet", 7e4)
    half = CONFIG.model_copy(update={"dtype": "float16"})
    with pytest.raises(ValueError, match="run 0 at epoch 0 must fit float16, got 70000; set"):
        compiled(zoo, tmp_path, half)


def spoil(path: Path, value: float) -> None:
    """Put a value into the first token."""
    table = pq.read_table(path)
    values = table["values"].to_pylist()
    values[0][0] = value
    column = table.schema.get_field_index("values")
    typed = table.schema.field("values")
    table = table.set_column(column, typed, pa.array(values, typed.type))
    pq.write_table(table, path)


def test_memory_does_not_grow_with_the_zoo(write_zoo, tmp_path):
    peaks = []
    for count in (4, 16):
        runs = {"train": range(count), "validation": range(count, count + 1)}
        zoo = write_zoo(tmp_path / f"zoo-{count}", "digits-cnn", D_T, runs, range(40))
        (tmp_path / str(count)).mkdir()
        tracemalloc.start()
        compiled(zoo, tmp_path / str(count), replace_shards(4))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def replace_shards(megabytes: int) -> WindowsConfig:
    return CONFIG.model_copy(update={"shard_mb": megabytes, "epoch_step": 8})
