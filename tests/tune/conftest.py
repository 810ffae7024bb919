"""Searches over a toy that trains nothing, on an embedded Prefect API and one MLflow database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from prefect.testing.utilities import prefect_test_harness

import flows.tune
import flows.tune_measure
from schemas.config.benchmark import TrackingConfig
from schemas.config.tune import TuneConfig
from tasks.tracking import Tracking
from tests.tune import toy

RATES = [0.001, 0.004, 0.016, 0.064]


@dataclass(frozen=True)
class Spot:
    """Where a search runs, in a folder and an experiment of its own."""

    folder: Path
    tracking: TrackingConfig

    def config(self, **values: object) -> TuneConfig:
        """Return a study of four rates and two epochs, changed by these values."""
        benchmark: dict[str, object] = {
            "store": str(self.folder / "store"),
            "data": str(self.folder),
            "tracking": self.tracking,
            "pretrain": {"epochs": 2, "weight_decay": 0},
        }
        study = {
            "study": "toy",
            "benchmark": benchmark,
            "space": {"pretrain.learning_rate": {"choices": RATES}},
            "trials": 3,
            "out": str(self.folder / "out"),
        }
        return TuneConfig.model_validate(study | values)

    @property
    def trained(self) -> list[tuple[float, int]]:
        """Every epoch that was trained: its rate and number."""
        lines = (self.folder / "epochs").read_text().splitlines()
        return [(float(line.split()[0]), int(line.split()[1])) for line in lines]

    @property
    def runs(self) -> list[Run]:
        """The experiment's runs, the oldest first."""
        client = MlflowClient(self.tracking.uri, self.tracking.uri)
        experiment = client.get_experiment_by_name(self.tracking.experiment)
        order = ["attribute.start_time ASC"]
        return list(client.search_runs([experiment.experiment_id], order_by=order))

    def kind(self, kind: str) -> list[Run]:
        """The runs of a kind: study, trial or stage."""
        return [run for run in self.runs if run.data.tags["sane.kind"] == kind]


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """The database, made once."""
    folder = tmp_path_factory.mktemp("mlflow")
    config = TrackingConfig(
        uri=f"sqlite:///{folder}/mlflow.db", artifacts=str(folder / "artifacts")
    )
    Tracking(config).prepare()
    return config


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """An embedded API for all tests."""
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def spot(tmp_path: Path, mlflow: TrackingConfig) -> Spot:
    """A place of the test's own."""
    return Spot(tmp_path, mlflow.model_copy(update={"experiment": uuid4().hex}))


@pytest.fixture
def search(prefect: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[TuneConfig], str]:
    """Run the flow on the toy."""
    monkeypatch.setattr(flows.tune, "prepare", toy.prepare)
    monkeypatch.setattr(flows.tune_measure, "train", toy.train)
    return flows.tune.tune
