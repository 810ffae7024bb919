"""The stage `sharpen`: cached, a model for what comes after, its cost in the manifest."""

import json
import shutil
from pathlib import Path

import pytest

from sane_core.generation.sharpen_zoo import SharpenSources
from sane_core.pretraining.files import load
from schemas.config.embed import EmbedConfig
from schemas.errors import SaneError
from schemas.records import Artifact
from tasks.sharpen import SharpenStage, sharpen
from tasks.stage import Place
from tasks.store import Store
from tests.sharpening.toy import configured


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(store=str(tmp_path / "store"), seed=0)


def committed(place: Place, sources: SharpenSources) -> dict[str, Artifact]:
    """Put the folders of the toy zoo into a store."""
    store, inputs = Store(place.store), {}
    for kind in ("images", "tokens", "model"):

        def make(job, kind: str = kind) -> None:
            shutil.copytree(getattr(sources, kind), job.folder, dirs_exist_ok=True)

        made = store.get_or_make(kind, "toy", make, config=EmbedConfig(), inputs={}, seed=0)
        inputs[kind] = made[0]
    return inputs


def stage(**changes: object) -> SharpenStage:
    return SharpenStage(sharpen=configured(**changes), embed=EmbedConfig())


def test_a_sharpened_model_is_made_once(place: Place, sources: SharpenSources) -> None:
    inputs = committed(place, sources)
    first = sharpen(stage(), at=place, **inputs)
    manifest = Path(first.uri) / "manifest.json"
    written = manifest.stat().st_mtime_ns
    again = sharpen(stage(), at=place, **inputs)
    assert (again, manifest.stat().st_mtime_ns) == (first, written)
    other = sharpen(stage(target="prompts"), at=place, **inputs)
    assert other.digest != first.digest
    assert load(Path(first.uri)).shape == load(sources.model).shape


def test_costs_and_labels_stand_in_the_manifest(place: Place, sources: SharpenSources) -> None:
    made = sharpen(stage(), at=place, **committed(place, sources))
    manifest = json.loads((Path(made.uri) / "manifest.json").read_text())
    assert manifest["metrics"]["sharpen.gradient_evaluations"] == 120
    assert manifest["timings"]["sharpen.seconds"] > 0
    assert manifest["facts"]["sharpen.labels"] == "used"
    assert not {name for name in manifest["metrics"] if "second" in name}


def test_what_cannot_be_is_one_sentence(place: Place, sources: SharpenSources) -> None:
    inputs = committed(place, sources)
    with pytest.raises(SaneError, match="stage sharpen cannot go on: the train split must have"):
        sharpen(stage(first_epoch=21, last_epoch=25), at=place, **inputs)
