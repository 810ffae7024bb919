"""Tiny zoos through the tokens stage's own code, and autoencoders with random weights for them."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.tables import CHECKPOINTS

MLP = "mlp[size=4]"
RESNET = "resnet18[size=8,width=2]"
D_T = 24
SEED = 3
SPLITS = {0: "train", 1: "validation", 2: "train", 3: "test", 4: "train"}
PREPROCESS = PreprocessConfig(d_t=D_T)
CONFIG = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=4, d_projection=4)


def network(name: str, seed: int) -> dict[str, torch.Tensor]:
    """A state dict whose batch norms are not all alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = architecture_named(name).build().state_dict()
        return {
            k: v + 0.1 * torch.rand_like(v) * (v.ndim < 2) if v.is_floating_point() else v
            for k, v in state.items()
        }


def write_zoo(folder: Path, name: str, zoo: str) -> Path:
    """Five runs of two epochs; run 100 · r + e is drawn from that seed."""
    (folder / "weights").mkdir(parents=True)
    pairs = [(run, epoch) for run in SPLITS for epoch in (0, 2)]
    with ShardWriter(folder / "weights" / "part-00000.parquet", RowGroup()) as writer:
        for run, epoch in sorted(pairs, key=lambda pair: pair[::-1]):
            state = network(name, 100 * run + epoch)
            weights = {k: v.numpy() for k, v in state.items() if v.is_floating_point()}
            writer.add(run, epoch, weights, dict.fromkeys(weights, "float32"))
    known = {
        "zoo": [zoo] * len(pairs),
        "run": [run for run, _ in pairs],
        "epoch": [epoch for _, epoch in pairs],
        "split": [SPLITS[run] for run, _ in pairs],
        "architecture": [name] * len(pairs),
        "test_accuracy": [0.1 * run + 0.01 * epoch for run, epoch in pairs],
    }
    columns = [pa.array(known.get(f.name, [None] * len(pairs)), f.type) for f in CHECKPOINTS]
    pq.write_table(pa.table(columns, schema=CHECKPOINTS), folder / "checkpoints.parquet")
    return folder


def write_model(
    folder: Path,
    d_t: int = D_T,
    config: AutoencoderConfig = CONFIG,
    window: int = 8,
) -> Path:
    """What the model stage writes, with weights as they are drawn."""
    folder.mkdir()
    shape = AutoencoderShape(d_t, window, (900, 40, 200))
    save_file(build(shape, config, 0).state_dict(), folder / "model.safetensors")
    described = {"shape": asdict(shape), "autoencoder": config.model_dump(), "best_epoch": 0}
    (folder / "config.json").write_text(json.dumps(described))
    return folder


class Places:
    """Folders of the stages, by architecture."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.zoos: dict[str, Path] = {}
        self.tokens: dict[str, Path] = {}
        for name, zoo in ((MLP, "mlps"), (RESNET, "resnets")):
            self.zoos[name] = write_zoo(root / zoo, name, zoo)
            self.tokens[name] = self.tokenized(name, PREPROCESS)

    def tokenized(self, name: str, config: PreprocessConfig) -> Path:
        folder = self.root / f"tokens-{len(list(self.root.iterdir()))}"
        folder.mkdir()
        work = PlainWork(folder, folder / "scratch")
        preprocess_zoo(self.zoos[name], config, SEED, work)
        return folder
