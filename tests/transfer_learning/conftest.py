"""A zoo of six digit CNNs with an untrained SANE: laws need no training."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.pretraining.files import save
from sane_core.pretraining.history import Pretrained
from sane_core.weights.files import TokenSet, write_layers, write_tokens
from sane_core.weights.standardize import measure, standardize
from sane_core.weights.tokens import lengths_of, positions_of, tokenize
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig
from tests.transfer_learning.made import CNN, D_T, LAYERS, Folders, drawn, parts, put


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Folders:
    root = tmp_path_factory.mktemp("transfer")
    weights = drawn(CNN, 6)
    statistics = measure(weights, LAYERS)
    (root / "tokens/tokens/split=train").mkdir(parents=True)
    write_layers(root / "tokens/layers.parquet", "digits-cnn", LAYERS, D_T, statistics)
    tokens = TokenSet(
        tokenize(standardize(weights, LAYERS, statistics), LAYERS, D_T),
        positions_of(LAYERS, D_T),
        lengths_of(LAYERS, D_T),
        np.arange(6),
        np.full(6, 3),
    )
    write_tokens(root / "tokens/tokens/split=train/part.parquet", tokens)
    rows = [
        {
            "split": "train",
            "run": run,
            "epoch": 3,
            "first_token": 48 * run,
            "last_token": 48 * run + 47,
        }
        for run in range(6)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "tokens/checkpoints.parquet")
    put(root / "zoo-images", parts(seed=1))
    put(root / "other", parts(seed=2))
    put(root / "fewer-classes", parts(seed=3, classes=4))
    put(root / "larger", parts((1, 10, 10), seed=4))
    put(root / "coloured", parts((3, 8, 8), seed=5))
    same = parts(seed=6)
    put(root / "overlapping", same | {"test": same["validation"]})
    put(root / "zoo-selected", parts(seed=7) | {"test": parts(seed=1)["validation"]})
    for name, changes in {
        "model": {},
        "sines": {"positions": "sinusoidal"},
        "global": {"bottleneck": "model"},
    }.items():
        sizes = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=6, d_projection=4, **changes)
        model = build(AutoencoderShape(D_T, 48, (48, 5, 20)), sizes, 0)
        (root / name).mkdir()
        config = PretrainConfig(autoencoder=sizes)
        state = {key: values.clone() for key, values in model.state_dict().items()}
        save(root / name, Pretrained(model, (), 1, state, {}, None), config)
    return Folders(root)
