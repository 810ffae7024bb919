"""Networks that are no member of a zoo, to try its gate on: made from those that are.

They take the way of any new network: aligned to the zoo's reference, standardized by its
statistics, cut into tokens.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow.parquet as pq

from sane_core.probing.features import Checkpoints
from sane_core.seeding import rng_for, seed_for
from sane_core.weights.align import match
from sane_core.weights.alignment import Alignment, read_alignment
from sane_core.weights.files import read_tokens
from sane_core.weights.layers import Layer
from sane_core.weights.shards import reference_of, stored_groups, within
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.tokens import tokenize

KINDS = {
    "random": "every weight drawn anew, standard normal: another start than the zoo's",
    "shuffled": "the weights of each layer in random places: the same s(W), no function",
    "noised": "noise on every weight, as large as its layer's spread",
    "noised_mildly": "the same, 0.3 times as large",
}
NOISE = {"noised": 1.0, "noised_mildly": 0.3}


def make_foreign(
    weights: Mapping[str, np.ndarray], layers: tuple[Layer, ...], kind: str, seed: int
) -> dict[str, np.ndarray]:
    """Return networks that are foreign in one of the ways of `KINDS`.

    Args:
        weights: Entry -> float32 [models, ...], raw.
        layers: Layers of the architecture.
        kind: One of `KINDS`.
        seed: The run's seed.
    """
    rng = rng_for(seed, "foreign", kind)
    made: dict[str, np.ndarray] = {}
    for layer in layers:
        shapes = {name: weights[name].shape[1:] for name in layer.entries}
        flat = [weights[name].reshape(len(weights[name]), -1) for name in layer.entries]
        values = np.concatenate(flat, axis=1)
        if kind == "random":
            values = rng.standard_normal(values.shape, np.float32)
        elif kind == "shuffled":
            values = rng.permuted(values, axis=1)
        else:
            spread = NOISE[kind] * values.std(1, keepdims=True)
            values = values + spread * rng.standard_normal(values.shape, np.float32)
        ends = np.cumsum([part.shape[1] for part in flat])[:-1]
        for (name, shape), part in zip(shapes.items(), np.split(values, ends, axis=1), strict=True):
            made[name] = np.ascontiguousarray(part.reshape(len(part), *shape), np.float32)
    return made


def tokens_of(weights: Mapping[str, np.ndarray], checkpoints: Checkpoints, seed: int) -> np.ndarray:
    """Align, standardize and tokenize networks, float32 [models, N, d_t].

    Args:
        weights: Entry -> float32 [models, ...], raw.
        checkpoints: The zoo, whose reference and statistics are taken.
        seed: The run's seed.
    """
    aligned = _aligned(weights, checkpoints, seed)
    d_t = checkpoints.parts[0].values.shape[2]
    return tokenize(aligned, checkpoints.layers, d_t, checkpoints.statistics)


def _aligned(
    weights: Mapping[str, np.ndarray], checkpoints: Checkpoints, seed: int
) -> Mapping[str, np.ndarray]:
    found = read_alignment(checkpoints.folder / "alignment.parquet")
    if not found.permutations:
        return weights
    network = checkpoints.architecture
    groups = within(stored_groups(symmetries_of(network).groups, network), weights)
    models = range(len(next(iter(weights.values()))))
    at = (reference_weights(checkpoints), weights, groups, seed_for(seed, "foreign"))
    matching = match(*at, signs=bool(found.signs))
    alignment = Alignment(tuple(models), matching.permutations, matching.signs)
    return alignment.apply(weights, np.arange(len(models)), groups)


def reference_weights(checkpoints: Checkpoints) -> dict[str, np.ndarray]:
    """Return the zoo's reference, entry -> float32 [...]."""
    run, epoch = reference_of(pq.read_table(checkpoints.folder / "checkpoints.parquet"))
    last = read_tokens(checkpoints.folder / "tokens", "train", [epoch])
    at = int(np.flatnonzero(last.runs == run)[0])
    return {name: values[at] for name, values in checkpoints.raw(last).items()}
