"""A small zoo as the tokens stage writes it, and untrained autoencoders as the model stage does."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import save_file

from sane_core.weights.files import write_layers, write_tokens
from sane_core.weights.standardize import identity
from tests.ablation.made_up import D_T, LAYERS, LENGTH, RUNS, Zoo, autoencoder, tokens_of

MakeModel = Callable[..., Path]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    folder = tmp_path_factory.mktemp("tokens")
    parts, rows = {}, []
    for seed, (split, runs) in enumerate(RUNS.items()):
        parts[split] = tokens_of(runs, seed)
        path = folder / "tokens" / f"split={split}" / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        write_tokens(path, parts[split])
        names = zip(parts[split].runs.tolist(), parts[split].epochs.tolist(), strict=True)
        rows += [
            {"run": run, "epoch": epoch, "split": split}
            | {"first_token": i * LENGTH, "last_token": (i + 1) * LENGTH - 1}
            for i, (run, epoch) in enumerate(names)
        ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "checkpoints.parquet")
    write_layers(folder / "layers.parquet", "made-up", LAYERS, D_T, identity(LAYERS))
    return Zoo(folder, parts)


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write an untrained autoencoder into a folder."""

    def make(**options: object) -> Path:
        model = autoencoder(**options)
        folder = tmp_path / f"model-{len([*tmp_path.iterdir()])}"
        folder.mkdir()
        save_file(model.state_dict(), folder / "model.safetensors")
        described = {
            "shape": asdict(model.shape),
            "autoencoder": model.config.model_dump(mode="json"),
            "best_epoch": 1,
        }
        (folder / "config.json").write_text(json.dumps(described))
        return folder

    return make
