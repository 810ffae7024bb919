"""A made-up architecture, its tokens, and untrained autoencoders for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape, build
from sane_core.weights.files import TokenSet
from sane_core.weights.layers import layers_of
from sane_core.weights.tokens import lengths_of, mask_of, positions_of
from schemas.config.pretrain import AutoencoderConfig

D_T = 4
LAYERS = layers_of({"a.weight": (6, 3), "a.bias": (6,), "b.weight": (4, 6), "b.bias": (4,)})
LENGTH = 14
RUNS = {"train": (0, 1, 2, 3), "validation": (4, 5), "test": (6, 7, 8)}
EPOCHS = (0, 1)


@dataclass(frozen=True)
class Zoo:
    """Where it lies, and its tokens by split."""

    folder: Path
    parts: dict[str, TokenSet]


def tokens_of(runs: tuple[int, ...], seed: int) -> TokenSet:
    positions, lengths = positions_of(LAYERS, D_T), lengths_of(LAYERS, D_T)
    count = len(runs) * len(EPOCHS)
    values = np.random.default_rng(seed).standard_normal((count, LENGTH, D_T)).astype(np.float32)
    return TokenSet(
        values=values * mask_of(lengths, D_T),
        positions=positions,
        lengths=lengths,
        runs=np.tile(np.array(runs), len(EPOCHS)),
        epochs=np.repeat(np.array(EPOCHS), len(runs)),
    )


def autoencoder(window: int = 5, bottleneck: str = "token", d_t: int = D_T) -> Autoencoder:
    config = AutoencoderConfig(
        d_model=16, heads=2, layers=1, d_z=3, d_projection=4, bottleneck=bottleneck
    )
    return build(AutoencoderShape(d_t, window, (LENGTH, 2, 8)), config, 0).eval()
