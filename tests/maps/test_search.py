"""Searching a zoo: what is nearest, what it is called, and whether it means anything."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.analysis.search import Catalogue, Index
from sane_core.embedding.files import write_embeddings


@pytest.fixture
def written(zoo, tmp_path: Path) -> Path:
    write_embeddings(tmp_path / "embeddings.parquet", zoo.embeddings)
    pq.write_table(zoo.checkpoints, tmp_path / "checkpoints.parquet")
    return tmp_path


@pytest.fixture
def catalogue(written: Path) -> Catalogue:
    return Catalogue.read(written / "embeddings.parquet", written)


def test_a_network_of_the_zoo_finds_itself_with_what_is_known_of_it(zoo, catalogue):
    (found,) = Index(catalogue, "layers").search(zoo.vectors[6:7], 1)
    (match,) = found.matches
    assert (match.run, match.epoch, match.distance) == (1, 2, 0)
    assert match.label == "run 1"
    assert match.split == "validation"
    assert match.accuracy == pytest.approx(0.31)


def test_an_unknown_accuracy_is_none(zoo, catalogue):
    (found,) = Index(catalogue, "layers").search(zoo.vectors[-1:], 1)
    assert found.matches[0].accuracy is None
    assert found.matches[0].label.startswith("</script>")


def test_without_the_zoo_runs_and_epochs_are_still_told(written, zoo):
    catalogue = Catalogue.read(written / "embeddings.parquet")
    (found,) = Index(catalogue, "layers").search(zoo.vectors[6:7], 2)
    assert [(m.label, m.epoch) for m in found.matches][0] == ("run 1", 2)
    assert found.matches[0].accuracy is None


def test_embeddings_of_another_zoo_are_refused(zoo, written):
    pq.write_table(zoo.checkpoints.slice(1), written / "checkpoints.parquet")
    with pytest.raises(ValueError, match="must hold every checkpoint asked for, got none of run"):
        Catalogue.read(written / "embeddings.parquet", written)


def test_per_run_shows_every_run_once(zoo, catalogue):
    (found,) = Index(catalogue, "layers").search(zoo.vectors[:1], 6, per_run=True)
    assert sorted(match.run for match in found.matches) == list(range(6))


def test_a_network_far_from_all_of_the_zoo_is_called_unlike(zoo, catalogue):
    index = Index(catalogue, "layers")
    (near,) = index.search(zoo.vectors[:1] + 1e-3, 1)
    (far,) = index.search(zoo.vectors[:1] + 100, 1)
    assert not near.unlike
    assert far.unlike
    assert far.times_as_far > 10


def test_in_a_zoo_of_one_run_nothing_is_called_unlike(tmp_path):
    rows = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32).tolist()
    table = pa.table({"embedding": rows, "run": [0] * 4})
    pq.write_table(table, tmp_path / "one.parquet")
    catalogue = Catalogue.read(tmp_path / "one.parquet")
    (found,) = Index(catalogue, "layers").search(np.full((1, 3), 99, np.float32), 1)
    assert np.isnan(found.usual)
    assert not found.unlike


def test_any_table_with_embeddings_can_be_searched(tmp_path):
    rows = np.eye(4, dtype=np.float32).tolist()
    table = pa.table({"file": list("abcd"), "embedding": pa.array(rows, pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "own.parquet")
    catalogue = Catalogue.read(tmp_path / "own.parquet")
    assert catalogue.pooling(("layers", "mean")) == "layers"
    (found,) = Index(catalogue, "layers").search(np.eye(4, dtype=np.float32)[2:3], 1)
    assert found.matches[0].label == "c"


def test_the_pooling_is_one_that_the_sane_knows(catalogue):
    assert catalogue.pooling(("layers", "mean")) == "layers"
    assert catalogue.pooling(("mean",)) == "mean"
    with pytest.raises(ValueError, match="must be pooled as this SANE does, global, got mean, lay"):
        catalogue.pooling(("global",))
    with pytest.raises(ValueError, match="pooling must be one of mean, layers, .* got 'sum'"):
        Index(catalogue, "sum")


def test_embeddings_of_another_width_are_another_models(zoo, catalogue):
    with pytest.raises(ValueError, match="must have 12 dimensions, as the zoo's have, got 5"):
        Index(catalogue, "layers").search(zoo.vectors[:1, :5], 1)


@pytest.mark.parametrize(
    "table", [pa.table({"run": [1]}), pa.table({"embedding": pa.array([], pa.list_(pa.float32()))})]
)
def test_a_table_without_embeddings_is_refused(table, tmp_path):
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="must hold embeddings, a column embedding or the table"):
        Catalogue.read(tmp_path / "t.parquet")


def test_what_is_no_parquet_or_not_there_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_text("run,embedding")
    for path in (tmp_path / "t.parquet", tmp_path / "none.parquet"):
        with pytest.raises(ValueError, match="must be a Parquet file, got: "):
            Catalogue.read(path)


def test_vectors_of_several_lengths_are_refused(tmp_path):
    rows = pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"embedding": rows}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="embeddings must all have one length"):
        Catalogue.read(tmp_path / "t.parquet")
