"""The stage `model`: several zoos in one training, told live, with what it measured."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.errors import SaneError
from schemas.records import Artifact
from tasks.live import Stopped, watching
from tasks.model import PretrainStage, pretrain
from tasks.stage import Place
from tasks.store import Store
from tests.pretraining.toy import Memory, configured, write_set


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(store=str(tmp_path / "store"), seed=0)


def stage(**changes: object) -> PretrainStage:
    return PretrainStage(pretrain=configured(**changes), reader="numpy")


def windows(place: Place, seed: int) -> Artifact:
    """Commit a set of windows."""

    def make(job) -> None:
        write_set(job.folder, Memory(seed), Memory(seed + 1))

    config = configured()
    made = Store(place.store).get_or_make(
        "windows", f"set{seed}", make, config=config, inputs={}, seed=0
    )
    return made[0]


def test_one_autoencoder_is_trained_on_several_zoos(place: Place) -> None:
    told: list[dict[str, float]] = []
    with watching(lambda record: told.append(dict(record))):
        artifact = pretrain(
            stage(), at=place, windows_0=windows(place, 0), windows_1=windows(place, 5)
        )
    folder = Path(artifact.uri)
    assert {path.name for path in folder.iterdir()} >= {
        "model.safetensors",
        "last.safetensors",
        "optimizer.safetensors",
        "config.json",
        "history.parquet",
    }
    history = pq.read_table(folder / "history.parquet").to_pylist()
    assert told == history
    assert {"validation_loss_0", "validation_loss_1"} <= history[0].keys()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"]["pretrain.latents_per_weight"] == 1.0
    assert manifest["metrics"]["pretrain.epochs"] == 3
    assert manifest["timings"]["pretrain.windows_per_second"] > 0
    assert 0 <= manifest["timings"]["pretrain.waiting_share"] <= 1
    assert manifest["facts"]["pretrain.compiled"] == "no"
    assert not {name for name in manifest["metrics"] if "second" in name}


def test_one_zoo_needs_no_number(place: Place) -> None:
    first, second = (
        pretrain(stage(), at=place, **{name: windows(place, 0)})
        for name in ("windows", "windows_0")
    )
    assert first.digest == second.digest


@pytest.mark.parametrize("names", [["windows_1"], ["windows_0", "windows_2"], ["tokens_0"]])
def test_zoos_without_their_windows_are_refused(place: Place, names: list[str]) -> None:
    inputs = {name: windows(place, 0) for name in names}
    with pytest.raises(SaneError, match="inputs must be the windows of each zoo, windows_0"):
        pretrain(stage(), at=place, **inputs)


def test_what_stops_the_trainer_is_told_in_its_words(place: Place) -> None:
    with pytest.raises(SaneError, match="at least 8 runs to fill a batch"):
        pretrain(stage(batch=8), at=place, windows=windows(place, 0))


def test_a_watcher_that_has_seen_enough_ends_training(place: Place) -> None:
    def enough(record) -> None:
        raise Stopped("enough")

    with watching(enough), pytest.raises(Stopped, match="enough"):
        pretrain(stage(epochs=100_000), at=place, windows=windows(place, 0))
    assert [*Path(place.store).glob("model/*/manifest.json")] == []


def test_networks_are_trained_to_behave_as_they_did(reference, store: Path) -> None:
    kept = Store(str(store))
    given = {f"{name}_0": kept.artifacts(name)[-1][0] for name in ("windows", "tokens", "images")}
    fields = reference.config.pretrain.model_dump()
    fields |= {"behaviour": {"weight": 0.3, "models": 4, "images": 8}, "epochs": 1}
    config = type(reference.config.pretrain).model_validate(fields)
    artifact = pretrain(
        PretrainStage(pretrain=config, reader="numpy"), at=Place(store=str(store), seed=0), **given
    )
    (row,) = pq.read_table(Path(artifact.uri) / "history.parquet").to_pylist()
    assert row["train_behaviour"] > 0
