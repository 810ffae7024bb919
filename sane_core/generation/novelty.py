"""How new a model is: overlap of its errors with those of training models, and with each other's.

A copy of a training model makes the same mistakes; accuracy without error overlap is what a
generator is for (the accuracy-novelty front).
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def error_overlap(wrong: np.ndarray, training_wrong: np.ndarray) -> np.ndarray:
    """Return each model's largest error overlap with any training model.

    Args:
        wrong: bool [models, images], True where a model errs.
        training_wrong: bool [training models, images].

    Returns:
        float64 [models]: the largest intersection over union of the wrongly classified images;
        two models without errors overlap fully.
    """
    return _intersection_over_union(wrong, training_wrong).max(1)


def mutual_overlap(wrong: np.ndarray) -> float:
    """Return the mean error overlap between different models of one set (1 for a single model)."""
    if len(wrong) < 2:
        return 1.0
    pairs = _intersection_over_union(wrong, wrong)[~np.eye(len(wrong), dtype=bool)]
    return float(pairs.mean())


def pairwise_distance(weights: Mapping[str, np.ndarray]) -> float:
    """Return the mean Euclidean distance between different models of one set (0 for a single one).

    Args:
        weights: Entry -> [models, ...], in one frame; only entries that are to count.
    """
    count = len(next(iter(weights.values())))
    if count < 2:
        return 0.0
    squares = np.zeros((count, count))
    for values in weights.values():
        flat = values.reshape(count, -1).astype(np.float64)
        lengths = (flat**2).sum(1)
        squares += lengths[:, None] + lengths - 2 * flat @ flat.T
    return float(np.sqrt(squares.clip(0))[~np.eye(count, dtype=bool)].mean())


def nearest_distance(
    weights: Mapping[str, np.ndarray], training: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return each model's Euclidean distance in weight space to the nearest training model.

    Args:
        weights: Entry -> [models, ...], in the aligned frame.
        training: Entry -> [training models, ...], in the same frame.
    """
    return nearest_distances([weights], [training])[0]


def nearest_distances(
    sets: Sequence[Mapping[str, np.ndarray]], training: Iterable[Mapping[str, np.ndarray]]
) -> list[np.ndarray]:
    """Return the same for several sets of models, while training models are taken part by part.

    Args:
        sets: Entry -> [models, ...] of each set.
        training: Entry -> [training models, ...] of each part; distances are over its entries.

    Returns:
        float64 [models] of each set.
    """
    least = [np.full(len(next(iter(models.values()))), np.inf) for models in sets]
    for part in training:
        squares = [np.zeros((len(own), len(next(iter(part.values()))))) for own in least]
        for name, values in part.items():
            theirs = values.reshape(len(values), -1).astype(np.float64)
            lengths = (theirs**2).sum(1)
            for own, models in zip(squares, sets, strict=True):
                ours = models[name].reshape(len(own), -1).astype(np.float64)
                own += (ours**2).sum(1)[:, None] + lengths - 2 * ours @ theirs.T
        least = [np.minimum(a, b.min(1)) for a, b in zip(least, squares, strict=True)]
    return [np.sqrt(own.clip(0)) for own in least]


def _intersection_over_union(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, y = a.astype(np.float64), b.astype(np.float64)
    both = x @ y.T
    either = x.sum(1)[:, None] + y.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)
