"""What refined networks should answer (beyond the paper): labels, or what prompts answer.

Prompts answer as refined networks do: their batch norms use the statistics of the images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log

import numpy as np
import torch
from torch.nn import functional

from sane_core.architectures.architecture import Architecture
from sane_core.generation.candidates import Weights
from sane_core.generation.sharpen_loss import cross_entropy, divergence
from sane_core.images.images import Images
from sane_core.zoo.population.score import logits, stack
from schemas.config.refine import RefineTarget

Loss = Callable[[torch.Tensor], torch.Tensor]
"""Log-probabilities [networks, images, classes] -> losses [networks, images]."""


@dataclass(frozen=True)
class Refining:
    """What there is to refine on.

    Attributes:
        images: Train images.
        prompts: The prompts themselves: entry -> float32 [prompts, ...], raw; none needed for the
            target `labels`.
    """

    images: Images
    prompts: Weights

    def only(self, chosen: np.ndarray) -> "Refining":
        """Return the same with these prompts only, int64 [kept]."""
        return replace(self, prompts={name: v[chosen] for name, v in self.prompts.items()})


def check_target(refining: Refining, target: RefineTarget, prompt: np.ndarray) -> None:
    """Refuse a target that is not there.

    Args:
        refining: Images and prompts.
        target: What networks should answer.
        prompt: The prompt each stands on, int64 [networks]; -1 where there is none.

    Raises:
        ValueError: If there are no prompts to answer like, or a sample stands on none.
    """
    if target == "labels":
        return
    if not any(len(values) for values in refining.prompts.values()):
        raise ValueError(
            f"refine.target {target} needs prompts, which networks are to answer like, got none: "
            "give prompts, or take refine.target: labels"
        )
    if target == "prompts" and (prompt < 0).any():
        raise ValueError(
            "refine.target prompts needs samples that stand on one prompt each, got "
            f"{int((prompt < 0).sum())} of {len(prompt)} that do not: take refine.target: "
            "ensemble, or the distribution shared_noise or model"
        )


def answers_of_prompts(
    refining: Refining, architecture: Architecture, pixels: torch.Tensor, at_once: int
) -> torch.Tensor:
    """Return what prompts answer, log-probabilities [prompts, images, classes].

    Args:
        refining: The prompts.
        architecture: Theirs.
        pixels: Network input [images, channels, height, width].
        at_once: Networks run together.
    """
    shapes = architecture.shapes()
    whole = stack(architecture, {n: v for n, v in refining.prompts.items() if n in shapes})
    parts = []
    with torch.no_grad():
        for start in range(0, len(next(iter(whole.values()))), at_once):
            some = {n: v[start : start + at_once].to(pixels.device) for n, v in whole.items()}
            parts.append(logits(architecture, some, pixels, training=True))
    return functional.log_softmax(torch.cat(parts), dim=-1)


def loss_towards(
    target: RefineTarget, labels: torch.Tensor, known: torch.Tensor | None, prompt: np.ndarray
) -> Loss:
    """Return the loss of answers to the images of one step.

    Args:
        target: What networks should answer.
        labels: int64 [images].
        known: What prompts answer, log-probabilities [prompts, images, classes]; not needed for
            labels.
        prompt: The prompt each network stands on, int64 [networks].
    """
    if target == "labels" or known is None:
        return lambda answers: cross_entropy(answers, labels)
    if target == "prompts":
        own = known[torch.from_numpy(prompt).to(known.device)]
        return lambda answers: divergence(answers, own)
    together = known.logsumexp(0) - log(len(known))
    return lambda answers: divergence(answers, together)
