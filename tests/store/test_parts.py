"""A reader of a few files pays for these alone."""

from pathlib import Path

import pytest

from schemas.errors import DamagedArtifact
from tasks.store import Store

PART = "split=train/part-0.parquet"


def test_some_files_are_read_without_the_others(any_store: Store, make) -> None:
    artifact, _ = make(any_store)
    opened = any_store.open_part(artifact, ["layers.parquet"])
    assert opened.file("layers.parquet").read_bytes() == b"layers"
    assert opened.manifest.digest == artifact.digest


def test_a_part_of_a_remote_artifact_is_not_the_whole(remote: Store, make) -> None:
    artifact, _ = make(remote)
    assert not (remote.open_part(artifact, ["layers.parquet"]).folder / PART).exists()
    assert (remote.open(artifact).folder / PART).exists()


def test_damage_of_others_is_not_looked_for_and_its_own_is(store: Store, make) -> None:
    artifact, _ = make(store)
    Path(artifact.uri, PART).unlink()
    assert store.open_part(artifact, ["layers.parquet"])
    with pytest.raises(DamagedArtifact, match=f"{PART} is missing; run the same command again"):
        store.open_part(artifact, [PART])
    assert not store.artifacts("tokens")


def test_a_part_that_is_not_there_is_named(store: Store, make) -> None:
    artifact, _ = make(store)
    with pytest.raises(KeyError, match=r"has no file nothing\.parquet"):
        store.open_part(artifact, ["nothing.parquet"])
