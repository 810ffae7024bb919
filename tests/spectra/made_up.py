"""A zoo of made-up networks: weights and tokens as the stages write them, and an autoencoder."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save_file

from sane_core.analysis.zoo import Sources
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.files import TokenSet, write_layers, write_tokens
from sane_core.weights.layers import layers_of, token_count
from sane_core.weights.standardize import identity
from sane_core.weights.tokens import lengths_of, positions_of, tokenize
from schemas.config.pretrain import AutoencoderConfig
from schemas.tables import WEIGHTS

D_T = 12
LAYERS = layers_of(
    {
        "conv.weight": (12, 10, 3, 3),
        "small.weight": (4, 4),
        "norm.weight": (1,),
        "fc.weight": (10, 12),
        "fc.bias": (10,),
    }
)
RUNS = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}
EPOCHS = (0, 1, 2)


def make(root: Path, name: str, seed: int = 0, bottleneck: str = "token") -> Sources:
    """Write a zoo; run 4 has no test accuracy."""
    sources = Sources(name, root / "zoo", root / "tokens", root / "model")
    rng, rows, checkpoints = np.random.default_rng(seed), [], []
    (sources.zoo / "weights").mkdir(parents=True)
    for split, runs in RUNS.items():
        keys = [(run, epoch) for epoch in EPOCHS for run in runs]
        shapes = {entry: _shape(entry) for layer in LAYERS for entry in layer.entries}
        weights = {
            entry: rng.standard_normal((len(keys), *shape)).astype(np.float32)
            for entry, shape in shapes.items()
        }
        for i, (run, epoch) in enumerate(keys):
            for entry, values in weights.items():
                one = {"name": entry, "dtype": "float32", "shape": list(shapes[entry])}
                rows.append({"run": run, "epoch": epoch, "values": values[i].ravel()} | one)
        checkpoints += _write_split(sources.tokens, split, keys, weights)
    table = pa.Table.from_pylist(rows, schema=WEIGHTS)
    pq.write_table(table, sources.zoo / "weights" / "part.parquet")
    pq.write_table(pa.Table.from_pylist(checkpoints), sources.tokens / "checkpoints.parquet")
    write_layers(sources.tokens / "layers.parquet", "made-up", LAYERS, D_T, identity(LAYERS))
    _write_model(sources.model, bottleneck)
    return sources


def _shape(entry: str) -> tuple[int, ...]:
    layer = next(layer for layer in LAYERS if entry in layer.entries)
    return layer.shape if entry == layer.weight else layer.shape[:1]


def _write_split(
    folder: Path, split: str, keys: list[tuple[int, int]], weights: dict[str, np.ndarray]
) -> list[dict[str, object]]:
    path = folder / "tokens" / f"split={split}" / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    runs, epochs = (np.array(each) for each in zip(*keys, strict=True))
    values = tokenize(weights, LAYERS, D_T)
    place = (positions_of(LAYERS, D_T), lengths_of(LAYERS, D_T))
    write_tokens(path, TokenSet(values, *place, runs, epochs))
    length = token_count(LAYERS, D_T)
    return [
        {
            "run": run,
            "epoch": epoch,
            "architecture": "made-up20[width=1]",
            "split": split,
            "test_accuracy": None if run == 4 else 0.1 * run + 0.01 * epoch,
            "first_token": i * length,
            "last_token": (i + 1) * length - 1,
        }
        for i, (run, epoch) in enumerate(keys)
    ]


def _write_model(folder: Path, bottleneck: str) -> None:
    length = token_count(LAYERS, D_T)
    config = AutoencoderConfig(
        d_model=16, heads=2, layers=1, d_z=3, d_projection=4, bottleneck=bottleneck
    )
    model = build(AutoencoderShape(D_T, length, (length, 4, length)), config, 0)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    described = {"shape": asdict(model.shape), "autoencoder": config.model_dump(mode="json")}
    (folder / "config.json").write_text(json.dumps(described | {"best_epoch": 1}))
