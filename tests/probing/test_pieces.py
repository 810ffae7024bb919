"""What is made of tokens is made piece by piece: a zoo may be larger than memory."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.frames import frames_of
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.probing import checkpoints as pieces
from sane_core.probing.checkpoints import Checkpoints
from sane_core.probing.features import embedded, flat_weights, outputs, statistics, token_pca
from sane_core.weights import files
from sane_core.weights.alignment import unaligned, write_alignment
from sane_core.weights.files import TokenSet, write_layers, write_tokens
from sane_core.weights.layers import layers_of_architecture
from sane_core.weights.shards import SPLITS
from sane_core.weights.standardize import measure
from sane_core.weights.streaming import places_of
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.tables import CHECKPOINTS

NAME, D_T = "mlp[size=8]", 40
RUNS = {"train": 20, "validation": 6, "test": 6}
EPOCHS = (0, 1, 2)
EMBED = EmbedConfig(chunk=64, halo=4, batch=8, poolings=("mean", "layers"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo whose row groups hold a few checkpoints each."""
    root, layers = tmp_path_factory.mktemp("tokens"), layers_of_architecture(_network(), "exclude")
    positions, lengths = positions_of(layers, D_T), lengths_of(layers, D_T)
    rng, rows, run = np.random.default_rng(0), [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "LARGEST_GROUP", 8 * 4 * len(positions) * D_T)
        patch.setattr(files, "SMALLEST_GROUP", 1)
        for split, count in RUNS.items():
            grid = np.meshgrid(EPOCHS, np.arange(run, run + count), indexing="ij")
            epochs, runs = (axis.ravel() for axis in grid)
            run += count
            values = rng.standard_normal((len(runs), len(positions), D_T)).astype(np.float32)
            values *= np.arange(D_T) < lengths[:, None]
            path = root / "tokens" / f"split={split}" / "part-00000.parquet"
            path.parent.mkdir(parents=True)
            write_tokens(path, TokenSet(values, positions, lengths, runs, epochs))
            for i, (own, epoch) in enumerate(zip(runs.tolist(), epochs.tolist(), strict=True)):
                first = i * len(positions)
                at = {"first_token": first, "last_token": first + len(positions) - 1}
                rows.append({"run": own, "epoch": epoch, "split": split} | at)
    pq.write_table(pa.Table.from_pylist(rows, schema=CHECKPOINTS), root / "checkpoints.parquet")
    weights = {n: np.zeros((1, *s), np.float32) for n, s in _network().shapes().items()}
    write_layers(root / "layers.parquet", NAME, layers, D_T, measure(weights, layers, "none"))
    write_alignment(root / "alignment.parquet", unaligned((), range(run)))
    return root


def _network():
    return architecture_named(NAME)


def of(folder: Path) -> Checkpoints:
    table = folder / "checkpoints.parquet"
    return Checkpoints(folder, {split: places_of(table, split, EPOCHS) for split in SPLITS})


def _untrained(checkpoints: Checkpoints) -> np.ndarray:
    sizes = {"d_model": 16, "heads": 2, "layers": 1, "d_z": 4, "d_projection": 4}
    n = len(checkpoints.positions)
    model = build(AutoencoderShape(D_T, 8, (n, 9, n)), AutoencoderConfig(**sizes), 0).eval()
    return embedded(model, checkpoints, _frames(checkpoints, 2), EMBED)["sane_layers"]


def _pca(checkpoints: Checkpoints) -> np.ndarray:
    at = (4, _frames(checkpoints, 2), EMBED.poolings)
    return np.abs(token_pca(checkpoints, *at)["pca_layers"])  # the sign of a direction is free


def _frames(checkpoints: Checkpoints, views: int):
    return frames_of(checkpoints.folder / "tokens", checkpoints.layers, views, 0)


MAKERS: dict[str, Callable[[Checkpoints], np.ndarray]] = {
    "weights": flat_weights,
    "statistics": statistics,
    "outputs": lambda checkpoints: outputs(checkpoints, 4, 0),
    "untrained": _untrained,
    "pca": _pca,
}


def in_pieces(monkeypatch: pytest.MonkeyPatch, checkpoints: Checkpoints, count: int) -> None:
    """Let a piece hold so many checkpoints, and nothing stay in memory."""
    monkeypatch.setattr(pieces, "PIECE", count * 4 * len(checkpoints.positions) * D_T)
    monkeypatch.setattr(pieces, "HELD", 0)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("count", [1, 7])
def test_features_are_the_same_in_pieces(folder, monkeypatch, name, count):
    whole = MAKERS[name](of(folder))
    in_pieces(monkeypatch, of(folder), count)
    assert len(list(of(folder).pieces())) > len(SPLITS)
    found = MAKERS[name](of(folder))
    assert len(found) == sum(RUNS.values()) * len(EPOCHS)
    np.testing.assert_allclose(found, whole, atol=2e-5)


@pytest.mark.parametrize("name", ["weights", "statistics", "untrained", "pca"])
def test_memory_does_not_grow_with_the_zoo(folder, monkeypatch, name):
    checkpoints = of(folder)
    tokens = len(checkpoints) * 4 * len(checkpoints.positions) * D_T
    MAKERS[name](checkpoints)  # what is loaded once is loaded
    whole = _peak(MAKERS[name], of(folder))
    in_pieces(monkeypatch, checkpoints, 2)
    few = _peak(MAKERS[name], of(folder))
    assert tokens < whole
    assert few < 0.5 * tokens


def _peak(make: Callable[[Checkpoints], np.ndarray], checkpoints: Checkpoints) -> int:
    """Return the most memory taken, in bytes, beside the features that are made."""
    tracemalloc.start()
    try:
        made = make(checkpoints)
        return tracemalloc.get_traced_memory()[1] - made.nbytes
    finally:
        tracemalloc.stop()


def test_checkpoints_are_read_in_the_order_of_their_places(folder):
    checkpoints = of(folder)
    read = list(checkpoints.pieces())
    np.testing.assert_array_equal(np.concatenate([p.runs for p in read]), checkpoints.runs)
    np.testing.assert_array_equal(np.concatenate([p.epochs for p in read]), checkpoints.epochs)


def test_the_last_checkpoint_of_every_run_is_found(folder):
    last = of(folder).last_of_runs()
    assert sorted(last.runs.tolist()) == list(range(sum(RUNS.values())))
    assert set(last.epochs.tolist()) == {2}
    assert of(folder).last_of("test").runs.tolist() == list(range(26, 32))
