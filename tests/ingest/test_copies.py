"""Copies among ingested checkpoints are found while they are read, as in the finished zoo."""

import pyarrow.parquet as pq
import pytest
import torch

from sane_core.zoo import ingest as ingestion
from sane_core.zoo import loading
from sane_core.zoo.duplicates import find_duplicates
from sane_core.zoo.fingerprints import fingerprints


@pytest.fixture
def with_copies(tmp_path, zoos):
    """Eight runs: one repeats another, one is a rounded copy, one reorders hidden units."""
    folder = tmp_path / "with-copies"
    for run in range(8):
        made = zoos.write_run(folder, run)
        original = zoos.state_dict(0)
        if run == 3:
            torch.save(original, made / "checkpoint_000001" / "checkpoints")
        if run == 5:
            halved = {name: values.half() for name, values in original.items()}
            torch.save(halved, made / "checkpoint_000002" / "checkpoints")
        if run == 6:
            turned = {name: values.flip(0) for name, values in original.items()}
            torch.save(turned, made / "checkpoint_000000" / "checkpoints")
    return folder


@pytest.mark.parametrize("small", [0, 2**20])
def test_the_copies_of_an_ingestion_are_those_of_its_files(with_copies, take, monkeypatch, small):
    """On threads and without."""
    monkeypatch.setattr(loading, "SMALL", small)
    result = take(with_copies)
    rows = pq.read_table(result.folder / "duplicates.parquet")
    assert list(zip(rows["run"].to_pylist(), rows["kind"].to_pylist(), strict=True)) == [
        (3, "equal"),
        (5, "near"),
        (6, "permuted"),
    ]
    assert rows.equals(find_duplicates(result.folder))


@pytest.mark.parametrize("small", [0, 2**20])
def test_fingerprints_of_an_ingestion_are_those_of_its_files(zoo, take, monkeypatch, small):
    monkeypatch.setattr(loading, "SMALL", small)
    given = []
    finish = ingestion.finish_zoo

    def note(folder, table, prints, *others):
        given.extend(prints)
        return finish(folder, table, prints, *others)

    monkeypatch.setattr(ingestion, "finish_zoo", note)
    result = take(zoo)
    given.sort(key=lambda each: (each.run, each.epoch))
    read = fingerprints(result.folder / "weights")
    assert len(read) == len(result.rows)
    for one, other in zip(given, read, strict=True):
        assert (one.run, one.epoch, one.place) == (other.run, other.epoch, other.place)
        assert one.fingerprint.exact == other.fingerprint.exact
        assert one.fingerprint.layout == other.fingerprint.layout
        assert one.fingerprint.sketch.tolist() == other.fingerprint.sketch.tolist()
