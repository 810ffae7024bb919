"""Candidates and the few that are kept: the best on validation images (Algorithm 3, last step).

What is not finite, in weights or in answers, is counted and never kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.score import score, stack

Weights = dict[str, np.ndarray]
"""Entry -> float32 [models, ...], raw."""


@dataclass(frozen=True)
class Samples:
    """Models drawn and kept.

    Attributes:
        weights: The kept models' weights and buffers, best first.
        latents: Their latents float32 [kept, N, d_z]; empty for samplers in weight space.
        prompt: The prompt each stands on, int64 [kept]; -1 where there is none.
        validation_accuracy: float64 [kept].
        validation_loss: Mean cross-entropy float64 [kept].
        candidate_accuracy: Validation accuracy of all candidates, float64 [candidates]; 0 where
            not finite.
        broken: Candidates that are not finite.
    """

    weights: Weights
    latents: np.ndarray
    prompt: np.ndarray
    validation_accuracy: np.ndarray
    validation_loss: np.ndarray
    candidate_accuracy: np.ndarray
    broken: int = 0

    def __len__(self) -> int:
        return len(self.validation_accuracy)


@dataclass(frozen=True)
class Scores:
    """What candidates reach on validation images.

    Attributes:
        accuracy: float64 [candidates]; 0 where not finite.
        loss: Mean cross-entropy float64 [candidates].
        finite: Whether weights and answers are, bool [candidates].
    """

    accuracy: np.ndarray
    loss: np.ndarray
    finite: np.ndarray

    @property
    def broken(self) -> int:
        """Candidates that are not finite."""
        return int((~self.finite).sum())

    def only(self, chosen: np.ndarray) -> "Scores":
        """Return those of some candidates, int64 [chosen]."""
        return Scores(self.accuracy[chosen], self.loss[chosen], self.finite[chosen])

    def best(self, keep: int) -> np.ndarray:
        """Return the numbers of the best, ties by lower loss; of finite ones only."""
        ranked = _ranked(self.accuracy, np.where(self.finite, self.loss, np.inf))
        return ranked[: min(keep, int(self.finite.sum()))]


def score_candidates(
    architecture: Architecture, weights: Mapping[str, np.ndarray], validation: Images, device: str
) -> Scores:
    """Score candidates on validation images.

    Args:
        architecture: Architecture of the candidates.
        weights: Entry -> float32 [candidates, ...].
        validation: Validation images.
        device: Where.
    """
    correct, loss = score(architecture, stack(architecture, weights), validation, device=device)
    finite = np.isfinite(loss) & finite_models(weights)
    return Scores(np.where(finite, correct.mean(1), 0.0), loss, finite)


def keep_best(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    validation: Images,
    keep: int,
    latents: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
    *,
    device: str,
) -> Samples:
    """Score candidates on validation images and keep the best, ties by lower loss.

    Args:
        architecture: Architecture of the candidates.
        weights: Entry -> float32 [candidates, ...].
        validation: Validation images.
        keep: Models to keep; fewer are kept where fewer are finite.
        latents: [candidates, N, d_z] to keep alongside.
        prompt: int64 [candidates] to keep alongside.
        device: Where they are scored.
    """
    scores = score_candidates(architecture, weights, validation, device)
    return kept_of(weights, scores, keep, latents, prompt)


def kept_of(
    weights: Mapping[str, np.ndarray],
    scores: Scores,
    keep: int,
    latents: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
) -> Samples:
    """Keep the best of candidates that have been scored; the arguments are those of `keep_best`."""
    best = scores.best(keep)
    return Samples(
        weights={name: values[best] for name, values in weights.items()},
        latents=np.empty((0, 0, 0), np.float32) if latents is None else latents[best],
        prompt=np.full(len(best), -1) if prompt is None else prompt[best],
        validation_accuracy=scores.accuracy[best],
        validation_loss=scores.loss[best],
        candidate_accuracy=scores.accuracy,
        broken=scores.broken,
    )


def as_they_are(weights: Weights, scores: Scores, prompt: np.ndarray) -> Samples:
    """Take networks without any selection, in their order.

    Args:
        weights: Entry -> float32 [models, ...].
        scores: Theirs.
        prompt: The prompt each is or stands on, int64 [models].
    """
    return Samples(
        weights=weights,
        latents=np.empty((0, 0, 0), np.float32),
        prompt=prompt,
        validation_accuracy=scores.accuracy,
        validation_loss=np.full(len(prompt), np.nan),
        candidate_accuracy=scores.accuracy,
        broken=scores.broken,
    )


def best_of(parts: Sequence[Samples], keep: int) -> Samples:
    """Keep the best of what was kept of several sets of candidates.

    Raises:
        ValueError: If no candidate at all was finite.
    """
    accuracy = np.concatenate([part.validation_accuracy for part in parts])
    loss = np.concatenate([part.validation_loss for part in parts])
    candidates = np.concatenate([part.candidate_accuracy for part in parts])
    if not len(accuracy):
        raise ValueError(
            f"at least one of {len(candidates)} candidates must be finite in weights and answers, "
            "got none; take a smaller bandwidth, or train the autoencoder for longer"
        )
    best = _ranked(accuracy, loss)[:keep]

    def chosen(values: Sequence[np.ndarray]) -> np.ndarray:
        return values[0][best] if len(values) == 1 else np.concatenate(values)[best]

    with_latents = parts[0].latents.size > 0
    return Samples(
        weights={name: chosen([p.weights[name] for p in parts]) for name in parts[0].weights},
        latents=chosen([p.latents for p in parts]) if with_latents else parts[0].latents,
        prompt=chosen([p.prompt for p in parts]),
        validation_accuracy=accuracy[best],
        validation_loss=loss[best],
        candidate_accuracy=candidates,
        broken=sum(part.broken for part in parts),
    )


def _ranked(accuracy: np.ndarray, loss: np.ndarray) -> np.ndarray:
    return np.lexsort((loss, -accuracy))


def joined(parts: Iterable[Weights], count: int) -> Weights:
    """Put networks that come in parts into one set; a part may go before the next one comes.

    Args:
        parts: Entry -> [some, ...], the same entries in all.
        count: Networks of all parts.
    """
    whole: Weights = {}
    start = 0
    for part in parts:
        stop = start + len(next(iter(part.values())))
        if stop - start == count:
            return part
        for name, values in part.items():
            if not start:
                whole[name] = np.empty((count, *values.shape[1:]), values.dtype)
            whole[name][start:stop] = values
        start = stop
    return whole


def finite_models(weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which models are finite in all of their entries, bool [models]."""
    flat = [values.reshape(len(values), -1) for values in weights.values()]
    return np.logical_and.reduce([np.isfinite(values).all(1) for values in flat])
