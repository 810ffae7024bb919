"""`Sane.nearest`: networks find themselves in a zoo that this SANE embedded."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.analysis.search import Catalogue
from sane_core.api.sane import Sane
from tests.api.stages import MLP, network


@pytest.fixture(scope="module")
def table(sane: Sane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten networks, two of each run, embedded."""
    seeds = [100 * run + epoch for run in range(5) for epoch in (0, 2)]
    found = sane.embed([network(MLP, seed) for seed in seeds])
    columns = {"run": [s // 100 for s in seeds], "epoch": [s % 100 for s in seeds]}
    path = tmp_path_factory.mktemp("zoo") / "embeddings.parquet"
    pq.write_table(pa.table(columns | {"sane_layers": found.vectors.tolist()}), path)
    return path


def test_a_network_finds_itself(sane: Sane, table: Path):
    found = sane.nearest(network(MLP, 302), table, k=3)
    first = found.matches[0]
    assert (first.run, first.epoch) == (3, 2)
    assert first.distance < 1e-3
    assert found.matches[1].distance > 0.1


def test_a_list_gives_a_list(sane: Sane, table: Path):
    found = sane.nearest([network(MLP, 100), network(MLP, 402)], Catalogue.read(table), k=1)
    assert [each.matches[0].run for each in found] == [1, 4]


def test_a_stranger_is_called_unlike(sane: Sane, table: Path):
    stranger = {name: 50 + 50 * values.abs() for name, values in network(MLP, 7).items()}
    near, far = sane.nearest([network(MLP, 100), stranger], table, k=1)
    assert not near.unlike
    assert far.times_as_far > near.times_as_far


def test_embeddings_of_another_pooling_are_refused(sane: Sane, table: Path):
    with pytest.raises(ValueError, match="pooling must be one of layers, .* got 'mean'"):
        sane.nearest(network(MLP, 100), table, pooling="mean")
