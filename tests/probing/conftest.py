"""Small zoos of perceptrons whose weights grow with the epochs, through the tokens stage's code."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.files import Embeddings
from sane_core.embedding.zoo import embed_zoo
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.pretraining.files import load
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.tables import checkpoints_schema

NAME = "mlp[size=4]"
D_T = 24
RUNS, EPOCHS = 30, (0, 1, 2)
CONFIG = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=4, d_projection=4)
EMBED = EmbedConfig()


@dataclass(frozen=True)
class Made:
    """A zoo, tokenized and embedded by an untrained autoencoder."""

    zoo: Path
    tokens: Path
    model: Path
    embeddings: Embeddings


def side(run: int) -> str:
    return ("train", "train", "validation", "test")[run % 4]


def write_zoo(folder: Path, seed: int, name: str = NAME) -> None:
    """Write runs whose weights grow by a speed of their own; the accuracy is how far they grew."""
    (folder / "weights").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    network, rows = architecture_named(name), []
    speeds = rng.uniform(0.5, 1.5, RUNS)
    states = []
    for run in range(RUNS):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * seed + run)
            states.append(network.build().state_dict())
    with ShardWriter(folder / "weights" / "part-00000.parquet", RowGroup()) as writer:
        for epoch in EPOCHS:
            for run in range(RUNS):
                grown = 1 + speeds[run] * epoch
                weights = {name: (grown * v).numpy() for name, v in states[run].items()}
                writer.add(run, epoch, weights, dict.fromkeys(weights, "float32"))
                rows.append(
                    {"zoo": "mlps", "run": run, "epoch": epoch, "split": side(run)}
                    | {"architecture": name, "test_accuracy": grown / 5}
                    | {"hyperparameters": {"speed": "fast" if speeds[run] > 1 else "slow"}}
                )
    schema = checkpoints_schema({"speed": pa.string()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "checkpoints.parquet")


def write_model(folder: Path, config: AutoencoderConfig = CONFIG, window: int = 8) -> None:
    folder.mkdir()
    shape = AutoencoderShape(D_T, window, (900, 40, 200))
    save_file(build(shape, config, 0).state_dict(), folder / "model.safetensors")
    described = {"shape": asdict(shape), "autoencoder": config.model_dump(), "best_epoch": 0}
    (folder / "config.json").write_text(json.dumps(described))


def make(
    root: Path,
    seed: int,
    name: str = NAME,
    config: AutoencoderConfig = CONFIG,
    window: int = 8,
    embed: EmbedConfig = EMBED,
) -> Made:
    write_zoo(root / "zoo", seed, name)
    write_model(root / "model", config, window)
    (root / "tokens").mkdir()
    work = PlainWork(root / "tokens", root / "scratch")
    preprocess_zoo(root / "zoo", PreprocessConfig(d_t=D_T), 0, work)
    at = (load(root / "model"), root / "tokens" / "tokens", EPOCHS, embed)
    return Made(root / "zoo", root / "tokens", root / "model", embed_zoo(*at))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("first"), 0)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("second"), 1)
