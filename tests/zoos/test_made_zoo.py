"""Zoos of three kinds, trained, ingested and registered, are one thing to what follows."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.errors import UserError
from tasks.images import ImagesStage
from tasks.store import Store
from tasks.zoo import ZooStage
from tasks.zoos import registered_zoos, zoo_named


def test_a_trained_zoo_brings_its_images_and_its_recipe(trained) -> None:
    assert trained.epochs == [0, 1, 2]
    assert trained.images.kind == "images"
    assert trained.training.epochs == 2


def test_an_ingested_zoo_has_neither(ingested) -> None:
    assert (ingested.epochs, ingested.images, ingested.training) == ([0], None, None)


def test_a_registered_zoo_is_the_one_that_was_made(make, trained) -> None:
    assert make({"registered": "trained"}) == trained


def test_the_newest_zoo_of_a_name_counts(make, store: Path, trained) -> None:
    other = make({**_recipe(), "name": "twice", "members": 5})
    newer = make({**_recipe(), "name": "twice", "members": 4})
    assert other.artifact != newer.artifact
    assert zoo_named(Store(store), "twice").artifact == newer.artifact


def test_a_zoo_that_is_not_there_is_named_beside_those_that_are(make, trained, ingested) -> None:
    with pytest.raises(UserError, match="must hold a zoo called 'none'.*ingested.*trained"):
        make({"registered": "none"})


def test_a_damaged_manifest_hides_its_zoo_and_no_other(make, store: Path, trained) -> None:
    broken = make({**_recipe(), "name": "broken", "members": 4})
    Path(broken.artifact.uri, "manifest.json").write_text("{")
    assert "broken" not in registered_zoos(Store(store))
    assert "trained" in registered_zoos(Store(store))


def test_what_the_images_are_called_changes_nothing_of_a_zoos_key() -> None:
    from schemas.config.recipes import RECIPES

    recipe = RECIPES["digits-cnn"]
    renamed = recipe.model_copy(update={"images": RECIPES["mnist-cnn"].images})
    assert ZooStage.of(recipe) == ZooStage.of(renamed)


def test_changed_image_files_are_read_again(tmp_path: Path) -> None:
    import numpy as np

    from schemas.config.images import ImagesConfig

    config = ImagesConfig(dataset="npz:own.npz")
    pixels = np.zeros((12, 8, 8), np.uint8)
    stages = []
    for label in (0, 1):
        labels = np.full(12, label)
        np.savez(tmp_path / "own.npz", pixels=pixels, labels=labels)
        stages.append(ImagesStage.of(config, str(tmp_path)))
    assert stages[0] != stages[1]


def test_copies_are_on_one_side_and_what_is_unusable_is_quarantined(ingested) -> None:
    folder = Path(ingested.artifact.uri)
    rows = pq.read_table(folder / "checkpoints.parquet").to_pylist()
    sides = {row["run_name"]: row["split"] for row in rows}
    assert sides["3"] == sides["4"]
    assert {*sides.values()} == {"train", "validation", "test"}
    (copy,) = pq.read_table(folder / "duplicates.parquet").to_pylist()
    assert (copy["kind"], copy["run"], copy["other_run"]) == ("equal", 4, 3)
    (refused,) = pq.read_table(folder / "quarantine.parquet").to_pylist()
    assert refused["file"] == "net_5.pt"


def test_the_manifest_says_what_was_measured_apart_from_what_is_compared(store, trained) -> None:
    manifest = Store(store).manifest(trained.artifact)
    assert manifest.facts["zoo.way"] == "patches"
    assert manifest.timings["zoo.members_at_once"] == 6
    assert manifest.timings["zoo.way.loop.seconds"] > 0
    assert not [name for name in manifest.metrics if "seconds" in name]


def _recipe() -> dict[str, object]:
    return {"images": {"train": 32, "validation": 10, "test": 10}, "epochs": 1}
