"""Compiled windows of random weights, shaped as those of a zoo, for measurements of training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sane_core.seeding import rng_for
from sane_core.windows.facts import FACTS, ShardFacts, SplitFacts, WindowFacts, write_facts
from sane_core.windows.layout import WindowSpec
from sane_core.windows.write import Window, write_beton

VIEWS = 6
"""The aligned one and five permuted ones."""
LAYERS, WIDTH = 21, 512
"""Layers of a network, and tokens of one of them: a ResNet-18's."""


def write_windows(folder: Path, length: int, d_t: int, tokens: int, runs: int, epochs: int) -> Path:
    """Write a train split of `runs` x `epochs` windows, and a validation split of one epoch.

    Args:
        folder: Gets the files of a windows artifact.
        length: Window length.
        d_t: Token size.
        tokens: Tokens of the networks that the windows are of.
        runs: Networks; windows are of as many.
        epochs: Windows of each.
    """
    splits = {}
    for split, each in (("train", epochs), ("validation", 1)):
        samples = runs * each
        spec = WindowSpec(samples, VIEWS, length, d_t, "float16", "int32")
        path = folder / f"{split}-00000.beton"
        rows = np.repeat(np.arange(runs), each), np.tile(np.arange(each), runs)
        sidecar = write_beton(path, spec, *rows, _windows(spec, tokens))
        shard = ShardFacts(path.name, samples, sidecar.size, sidecar.sha256)
        splits[split] = SplitFacts((shard,), 1, 1.0)
    facts = WindowFacts(
        d_t=d_t,
        length=length,
        dtype="float16",
        views=VIEWS,
        positions=(tokens, LAYERS, WIDTH),
        weights_per_token=float(d_t),
        architecture="random",
        layer_variances=(1.0,) * LAYERS,
        **splits,
    )
    write_facts(folder / FACTS, facts)
    return folder


def _windows(spec: WindowSpec, tokens: int) -> Iterator[Window]:
    rng = rng_for(0, "windows")
    lengths = np.full((spec.views, spec.length), spec.d_t)
    for _ in range(spec.samples):
        values = rng.standard_normal((spec.views, spec.length, spec.d_t), np.float32)
        n = rng.integers(0, tokens - spec.length + 1) + np.arange(spec.length)
        positions = np.stack([n, n * LAYERS // tokens, n % WIDTH], axis=1)
        yield Window(values.astype(np.float16), positions, lengths)
