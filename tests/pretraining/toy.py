"""Windows in memory, and the smallest training there is."""

from pathlib import Path

import numpy as np
import torch

from sane_core.pretraining.autoencoder import AutoencoderShape
from sane_core.windows.batches import WindowBatch
from sane_core.windows.facts import FACTS, ShardFacts, SplitFacts, WindowFacts, write_facts
from sane_core.windows.layout import WindowSpec
from sane_core.windows.write import Window, write_beton
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig


class Memory:
    """Windows in memory, as a reader; a set of other seeds and runs can be added."""

    def __init__(self, seed: int, runs: int = 6, epochs: int = 8, views: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.runs = np.repeat(np.arange(runs), epochs)
        self.epochs = np.tile(np.arange(epochs), runs)
        self.sets = np.zeros(runs * epochs, np.int64)
        base = rng.standard_normal((runs * epochs, 1, 5, 6)).astype(np.float32)
        seen = [base, *(base[:, :, rng.permutation(5)] for _ in range(views - 1))]
        self.tokens = torch.from_numpy(np.concatenate(seen, axis=1))
        self.positions = torch.tensor([[n, n // 3, n % 3] for n in range(5)])

    def __len__(self) -> int:
        return len(self.runs)

    def and_set(self, other: "Memory") -> "Memory":
        """Return both, the windows of the other as another set."""
        both = Memory(0)
        both.runs = np.concatenate([self.runs, other.runs + self.runs.max() + 1])
        both.epochs = np.concatenate([self.epochs, other.epochs])
        both.sets = np.concatenate([self.sets, other.sets + self.sets.max() + 1])
        both.tokens = torch.cat([self.tokens, other.tokens])
        return both

    def epoch_batches(self, batches):
        """Give the batches asked for."""
        assert len(batches)
        for batch in batches:
            yield WindowBatch(
                tokens=self.tokens[batch],
                positions=self.positions.expand(len(batch), -1, -1),
                lengths=torch.full((len(batch), self.tokens.shape[1], 5), 6),
                runs=torch.from_numpy(self.runs[batch]),
                epochs=torch.from_numpy(self.epochs[batch]),
                sets=torch.from_numpy(self.sets[batch]),
            )


SHAPE = AutoencoderShape(d_t=6, window=5, positions=(5, 2, 5))
CONFIG = PretrainConfig(
    autoencoder=AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=6, d_projection=4),
    epochs=3,
    batch=4,
    learning_rate=3e-3,
    precision="float32",
    device="cpu",
)


def configured(**changes) -> PretrainConfig:
    """The smallest training, changed."""
    return CONFIG.model_copy(update=changes)


def weights_of(trained) -> torch.Tensor:
    """All weights of a trained autoencoder, in a row."""
    return torch.cat([value.flatten() for value in trained.model.state_dict().values()])


def write_set(
    folder: Path,
    train: Memory,
    validation: Memory,
    variances: tuple[float, ...] = (1.0, 1.0),
) -> Path:
    """Write both as the folder of a windows artifact."""
    splits = {}
    for name, windows in (("train", train), ("validation", validation)):
        spec = WindowSpec(len(windows), windows.tokens.shape[1], 5, 6, "float32", "int16")
        lengths = np.full(windows.tokens.shape[1:3], 6)
        samples = [
            Window(tokens.numpy(), windows.positions.numpy(), lengths) for tokens in windows.tokens
        ]
        path = folder / f"{name}-00000.beton"
        sidecar = write_beton(path, spec, windows.runs, windows.epochs, samples)
        shard = ShardFacts(path.name, len(windows), sidecar.size, sidecar.sha256)
        splits[name] = SplitFacts((shard,), 1, 1.0)
    facts = WindowFacts(
        d_t=6,
        length=5,
        dtype="float32",
        views=train.tokens.shape[1],
        positions=SHAPE.positions,
        weights_per_token=6.0,
        architecture="toy",
        layer_variances=variances,
        **splits,
    )
    write_facts(folder / FACTS, facts)
    return folder
