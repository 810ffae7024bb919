"""Networks that are no member of a zoo, to try its gate on: made from those that are.

They take the way of any new network: aligned to the zoo's reference, standardized by its
statistics, cut into tokens.
"""

from collections.abc import Mapping

import numpy as np

from sane_core.probing.checkpoints import Checkpoints
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
    weights: Mapping[str, np.ndarray],
    layers: tuple[Layer, ...],
    kind: str,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return networks that are foreign in one of the ways of `KINDS`.

    Args:
        weights: Entry -> float32 [models, ...], raw; what is in no layer stays as it is.
        layers: Layers of the architecture.
        kind: One of `KINDS`.
        rng: Source of the draw.
    """
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
    return tokenize(aligned, checkpoints.layers, checkpoints.d_t, checkpoints.statistics)
