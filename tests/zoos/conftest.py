"""A store with small zoos in it, made by the tasks alone: no Prefect server, no MLflow."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from flows.made_zoo import MadeZoo, make_zoo
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact, Record
from tasks.stage import Place, Stage

TRAINED = {
    "name": "trained",
    "images": {"train": 64, "validation": 20, "test": 20},
    "members": 6,
    "epochs": 2,
}


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of state dicts: five digits CNNs, two of them equal, and a file of text."""
    from sane_core.architectures.registry import architecture_named

    folder = tmp_path_factory.mktemp("foreign")
    for number, seed in enumerate((0, 1, 2, 3, 3)):
        torch.manual_seed(seed)
        network: nn.Module = architecture_named("digits-cnn").build()
        torch.save(network.state_dict(), folder / f"net_{number}.pt")
    (folder / "net_5.pt").write_text("no network")
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoos") / "store"


@pytest.fixture(scope="session")
def make(store: Path) -> Callable[[dict[str, object]], MadeZoo]:
    """Make one zoo of a configuration in the store."""

    def run(stage: Stage, config: Record, **inputs: Artifact) -> Artifact:
        return stage(config, at=Place(store=str(store), seed=0), **inputs)

    def one(zoo: dict[str, object]) -> MadeZoo:
        settings = {"zoos": [zoo], "store": str(store), "experiments": ["probe"]}
        config = BenchmarkConfig.model_validate(settings)
        return make_zoo(run, config, config.zoos[0])

    return one


@pytest.fixture(scope="session")
def trained(make) -> MadeZoo:
    return make(TRAINED)


@pytest.fixture(scope="session")
def ingested(make, foreign: Path) -> MadeZoo:
    zoo = {"name": "ingested", "source": str(foreign), "pattern": "net_{run}.pt"}
    return make(zoo | {"max_quarantined": 0.5})
