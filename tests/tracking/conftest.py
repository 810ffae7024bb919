"""One MLflow database for all tests of this folder: each takes a second or two to make."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.tracking import MlflowClient

from schemas.config.benchmark import TrackingConfig
from schemas.records import Artifact, Manifest
from tasks.tracking import Tracking

Stage = Callable[..., tuple[Artifact, Manifest]]


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    folder = tmp_path_factory.mktemp("mlflow with a space")
    return TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", artifacts=str(folder / "artifacts"))


@pytest.fixture
def tracking(config: TrackingConfig) -> Tracking:
    """Tracking into an experiment of the test's own."""
    return Tracking(config.model_copy(update={"experiment": uuid4().hex}))


@pytest.fixture(scope="session")
def client(config: TrackingConfig) -> MlflowClient:
    Tracking(config).prepare()
    return MlflowClient(config.uri, config.uri)


@pytest.fixture
def stage() -> Stage:
    """What the store gives for a stage, by default that of a probe."""

    def make(key: str = "0" * 32, **fields: object) -> tuple[Artifact, Manifest]:
        tokens = Artifact(uri="store/tokens/1", digest="1" * 64, kind="tokens")
        values: dict[str, object] = {
            "stage": "probe",
            "key": key,
            "digest": "d" * 64,
            "kind": "probe",
            "config": {"ridge": {"penalties": [0.1, 1.0]}, "targets": ["epoch"]},
            "inputs": {"tokens": tokens},
            "files": {},
            "metrics": {"probe.r2.test_accuracy.sane_mean": 0.94, "probe.r2.epoch.sane_mean": 0.97},
            "facts": {"windows.reader": "ffcv"},
            "seed": 3,
            "versions": {"torch": "2.13.0"},
            "git_revision": "a" * 40,
            "seconds": 12.5,
        }
        manifest = Manifest.model_validate(values | fields)
        uri = f"store/probe/{manifest.key}"
        return Artifact(uri=uri, digest=manifest.digest, kind="probe"), manifest

    return make


@pytest.fixture
def current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, a temporary one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
