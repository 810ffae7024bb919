"""Cut tokens into windows with permuted views, and compile them to `.beton` (Algorithm 1, step iv).

View 0 of a window is the aligned model's; the others are the same window of function-preserving
permutations of that model, drawn anew for every checkpoint.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sane_core.seeding import rng_for
from sane_core.weights.files import TokenSet
from sane_core.weights.layers import Layer
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.windows.draw import coverage, cut, draw_starts
from sane_core.windows.views import draw_views
from sane_core.windows.write import WindowArrays
from schemas.config.windows import WindowsConfig


@dataclass(frozen=True)
class WindowFacts:
    """What an autoencoder must know of the windows it is trained on.

    Attributes:
        d_t: Token size.
        length: Window length W in tokens.
        positions: Largest position + 1 of n, l and k.
        weights_per_token: Mean number of real weights in a token of a whole network.
    """

    d_t: int
    length: int
    positions: tuple[int, int, int]
    weights_per_token: float


def facts_of(tokens: TokenSet, length: int) -> WindowFacts:
    """Return the facts of windows of this length, cut from these checkpoints."""
    n, l, k = (int(largest) + 1 for largest in tokens.positions.max(axis=0))
    return WindowFacts(tokens.values.shape[2], length, (n, l, k), float(tokens.lengths.mean()))


def write_facts(path: Path, facts: WindowFacts) -> None:
    """Write the facts as JSON."""
    path.write_text(json.dumps(asdict(facts), indent=2) + "\n")


def read_facts(path: Path) -> WindowFacts:
    """Read what `write_facts` wrote."""
    fields = json.loads(path.read_text())
    n, l, k = fields["positions"]
    return WindowFacts(fields["d_t"], fields["length"], (n, l, k), fields["weights_per_token"])


def cut_windows(
    tokens: TokenSet,
    layers: tuple[Layer, ...],
    groups: tuple[PermutationGroup, ...],
    config: WindowsConfig,
    seed: int,
    scratch: Path,
) -> tuple[WindowArrays, np.ndarray]:
    """Cut every checkpoint into windows.

    Args:
        tokens: Checkpoints to cut.
        layers: Their layers.
        groups: Their permutation groups.
        config: Window length, starts, views.
        seed: The run's seed.
        scratch: Holds the memory map of the windows' tokens.

    Returns:
        (windows, coverage): coverage int64 [checkpoints, N] counts the windows over each token.
    """
    count, sequence, d_t = tokens.values.shape
    length, views = config.length, config.views
    names = list(zip(tokens.runs.tolist(), tokens.epochs.tolist(), strict=True))
    starts = [
        draw_starts(sequence, length, config.starts, rng_for(seed, "starts", run, epoch))
        for run, epoch in names
    ]
    total = sum(map(len, starts))
    values = _map(scratch / "windows.npy", (total, 1 + views, length, d_t))
    positions = np.empty((total, length, 3), np.int64)
    lengths = np.empty((total, 1 + views, length), np.int64)
    sample = 0
    for i, (run, epoch) in enumerate(names):
        drawn = draw_views(layers, groups, d_t, views, rng_for(seed, "views", run, epoch))
        model = tokens.values[i]
        for start in starts[i].tolist():
            low, high = max(start, 0), min(start + length, sequence)
            real = slice(low - start, high - start)  # the rest of a new file is zero
            values[sample, 0, real] = model[low:high]
            drawn.see(model, low, high, out=values[sample, 1:, real])
            positions[sample] = cut(tokens.positions, start, length, axis=0)
            lengths[sample] = cut(tokens.lengths, start, length, axis=0)
            sample += 1
    per_checkpoint = np.array([len(s) for s in starts])
    windows = WindowArrays(
        tokens=values,
        positions=positions,
        lengths=lengths,
        runs=np.repeat(tokens.runs, per_checkpoint),
        epochs=np.repeat(tokens.epochs, per_checkpoint),
    )
    return windows, np.stack([coverage(s, sequence, length) for s in starts])


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return a new float32 array in a file, its space taken at once.

    On a full disk this raises, where writing to a map with holes would end the process.
    """
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return mapped
