"""Training steps against the rate of the machine's matrix products, and memory beside long models.

`shared/steps.py` says what a step is here, and what the limit. Memory is the peak of a process that
trains on, or embeds, windows of networks of 48 and of 39,124 tokens (a ResNet-18), everything that
it imports included: it must be the same. Positions are sines there, as a learned table has a row
per token of the longest network.
"""

import tempfile
from pathlib import Path

import numpy as np
from shared.apart import apart
from shared.rows import Row, benchmark
from shared.steps import measure_steps
from shared.training_set import write_windows

from sane_core.seeding import rng_for
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig

LENGTHS = (48, 39_124)
SMALL = AutoencoderConfig(d_model=128, heads=4, layers=2, positions="sinusoidal")
WINDOW, D_T = 32, 288


def measure(quick: bool) -> list[Row]:
    steps = 2 if quick else 6
    return [*measure_steps("cnn", steps, "cpu"), *_memory(quick)]


def _memory(quick: bool) -> list[Row]:
    rows = []
    for work, name in ((_train, "training"), (_embed, "embedding")):
        peaks = []
        for tokens in LENGTHS:
            with tempfile.TemporaryDirectory(prefix="sane-pretraining-") as folder:
                _, peak = apart(work, Path(folder), tokens, quick)
            peaks.append(peak)
            against = f"with models of {LENGTHS[0]} tokens"
            rows.append(Row(f"memory.{name}.{tokens}-tokens", peak, "MB", against, peak / peaks[0]))
    return rows


def _train(folder: Path, tokens: int, quick: bool) -> None:
    from sane_core.pretraining.autoencoder import AutoencoderShape
    from sane_core.pretraining.train import pretrain
    from sane_core.windows.reader import open_windows

    batch = 32
    write_windows(folder, WINDOW, D_T, tokens, runs=batch, epochs=8 if quick else 32)
    readers = [open_windows([folder], split, "numpy") for split in ("train", "validation")]
    shape = AutoencoderShape(D_T, WINDOW, (tokens, 21, 512))
    config = PretrainConfig(autoencoder=SMALL, epochs=1, batch=batch, device="cpu")
    pretrain(*readers, shape, config, 0)


def _embed(folder: Path, tokens: int, quick: bool) -> None:
    """Embed as much in all: one long model or many short ones."""
    from sane_core.embedding.embed import encode
    from sane_core.pretraining.autoencoder import AutoencoderShape, build

    del folder
    model = build(AutoencoderShape(D_T, WINDOW, (tokens, 21, 512)), SMALL, 0)
    total = LENGTHS[1] if not quick else LENGTHS[1] // 4
    models, length = max(1, total // tokens), min(tokens, total)
    values = rng_for(0, "tokens").standard_normal((models, length, D_T), np.float32)
    positions = np.stack([np.arange(length), np.arange(length) % 21, np.arange(length) % 512], 1)
    config = EmbedConfig(chunk=WINDOW // 2, halo=WINDOW // 4, batch=16)
    encode(model, values, positions, np.full(length, D_T), config)


if __name__ == "__main__":
    benchmark(__doc__, measure)
