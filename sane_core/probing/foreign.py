"""Networks that are no member of a zoo, to try its gate on: made from those that are.

They take the way of any new network: aligned to the zoo's reference, standardized by its
statistics, cut into tokens.
"""

from collections.abc import Mapping

import numpy as np

from sane_core.probing.features import Checkpoints
from sane_core.seeding import rng_for
from sane_core.weights.frame import Frame
from sane_core.weights.layers import Layer
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
        weights: Entry -> float32 [models, ...], raw; what is in no layer stays as it is.
        layers: Layers of the architecture.
        kind: One of `KINDS`.
        seed: The run's seed.
    """
    rng = rng_for(seed, "foreign", kind)
    made = dict(weights)
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


def tokens_of(
    weights: Mapping[str, np.ndarray], checkpoints: Checkpoints, frame: Frame
) -> np.ndarray:
    """Align, standardize and tokenize networks, each on its own, float32 [models, N, d_t].

    Args:
        weights: Entry -> float32 [models, ...], raw.
        checkpoints: The zoo, whose statistics are taken.
        frame: The zoo's.
    """
    models = np.arange(len(next(iter(weights.values()))))
    aligned = frame.apply(frame.find(weights, models.tolist()), weights, models)
    d_t = checkpoints.parts[0].values.shape[2]
    return tokenize(aligned, checkpoints.layers, d_t, checkpoints.statistics)
