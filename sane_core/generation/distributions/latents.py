"""What every distribution over latents takes and gives (Algorithm 3, step iii).

All have one signature, `draw(prompts, count, spread, rng) -> Drawn`. The same `rng` gives the same
bits: where tokens have noise of their own, on however many threads; where matrices are multiplied
(`pca_gaussian`, `flow`), on the same machine and number of threads.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sane_core.generation.distributions.flow import Flow


@dataclass(frozen=True)
class PromptLatents:
    """What is known before samples are drawn.

    Attributes:
        latents: The prompt examples', float32 [prompts, N, d_z]; no prompts, [0, N, d_z], for
            distributions that need none.
        mean: Mean of the training latents [d_z].
        scale: Standard deviation of the training latents [d_z].
        validation_accuracy: The prompts', [prompts]; only KDE30 needs it.
        flow: Fitted to the training latents; only the distribution `flow` needs it.

    Raises:
        ValueError: If shapes do not fit, or anything is not finite.
    """

    latents: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    validation_accuracy: np.ndarray | None = None
    flow: Flow | None = None

    def __post_init__(self) -> None:
        _check_latents(self.latents)
        for name, values in (("mean", self.mean), ("scale", self.scale)):
            _check_vector(name, values, self.latents.shape[2])
        if (np.asarray(self.scale) < 0).any():
            raise ValueError(f"scale must be >= 0, got {np.min(self.scale)}")
        if self.validation_accuracy is not None:
            _check_vector("validation_accuracy", self.validation_accuracy, len(self.latents))

    @property
    def tokens(self) -> int:
        """N, how many tokens every sample has."""
        return self.latents.shape[1]

    def only(self, prompts: np.ndarray) -> "PromptLatents":
        """Return these prompts only, int64 [kept]."""
        accuracy = self.validation_accuracy
        kept = None if accuracy is None else np.asarray(accuracy)[prompts]
        return replace(self, latents=self.latents[prompts], validation_accuracy=kept)


@dataclass(frozen=True)
class Drawn:
    """Samples.

    Attributes:
        latents: float32 [count, N, d_z].
        prompt: The prompt that each sample stands on, int64 [count]; -1 where it stands on none,
            or on several.
    """

    latents: np.ndarray
    prompt: np.ndarray


class Distribution(Protocol):
    """Draw samples."""

    def __call__(
        self, prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
    ) -> Drawn:
        """Draw samples.

        Args:
            prompts: What to draw around.
            count: How many samples.
            spread: How far from the prompts: the bandwidth h of a KDE in standard deviations of
                the training latents; its meaning elsewhere is in the distribution's module.
            rng: Source of the draw.

        Raises:
            ValueError: If the distribution cannot be drawn from these prompts, or count or spread
                are out of range.
        """


def on_no_prompt(latents: np.ndarray) -> Drawn:
    """Return samples that stand on no single prompt, float32 [count, N, d_z]."""
    return Drawn(latents, np.full(len(latents), -1))


def check_draw(prompts: PromptLatents, count: int, spread: float, at_least: int = 1) -> None:
    """Refuse what no distribution can draw.

    Args:
        prompts: What to draw around.
        count: Samples to draw.
        spread: How far from the prompts.
        at_least: Prompts that the distribution needs.

    Raises:
        ValueError: If there are too few prompts, or count or spread are out of range.
    """
    if len(prompts.latents) < at_least:
        raise ValueError(
            f"this distribution needs at least {at_least} prompt{'s' if at_least > 1 else ''}, "
            f"got {len(prompts.latents)}: add prompts, or draw from `gauss`, which needs none"
        )
    if count < 1:
        raise ValueError(f"count must be >= 1, got {count}")
    if not (spread > 0 and math.isfinite(spread)):
        raise ValueError(f"spread must be finite and > 0, got {spread}")


def _check_latents(latents: np.ndarray) -> None:
    if latents.ndim != 3 or 0 in latents.shape[1:]:
        raise ValueError(f"latents must have shape [prompts, N, d_z], got {list(latents.shape)}")
    if latents.dtype != np.float32:
        raise ValueError(f"latents must be float32, got {latents.dtype}")
    broken = [i for i, prompt in enumerate(latents) if not np.isfinite(prompt).all()]
    if broken:
        raise ValueError(f"latents must be finite, leave out prompts {broken}, whose are not")


def _check_vector(name: str, values: np.ndarray, length: int) -> None:
    if np.shape(values) != (length,):
        raise ValueError(f"{name} must have shape [{length}], got {list(np.shape(values))}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values}")
