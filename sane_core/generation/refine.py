"""Test-time refinement: drawn latents, moved until what they decode to answers better.

Beyond the paper. Adam takes a few steps on the latents of all candidates; encoder and decoder stay
as they are, bit for bit. Every network has a loss of its own, so what becomes of one does not
depend on the others; one that answers the last images no better than where it was drawn stays
there. Moves are measured in standard deviations of the training latents: a dimension that never
varies stays.

Every candidate of a step answers the same train images. Batch norms use the statistics of these
images, as in sharpening; generation conditions them afterwards.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from sane_core.embedding.with_gradient import decode_with_gradient
from sane_core.generation.generator import Generator
from sane_core.generation.refine_target import (
    Refining,
    answers_of_prompts,
    check_target,
    loss_towards,
)
from sane_core.generation.sharpen_loss import finite_means
from sane_core.pretraining.answers import Answers
from sane_core.pretraining.devices import autocast, choose_precision
from sane_core.zoo.population.outputs import activations_of
from schemas.config.refine import RefineConfig

AT_ONCE = 2**27
"""Numbers, about, that candidates refined together keep for the way back (0.5 GiB)."""

OnStep = Callable[[int, np.ndarray], None]


def refine(
    generator: Generator,
    latents: np.ndarray,
    prompt: np.ndarray,
    config: RefineConfig,
    rng: np.random.Generator,
    on_step: OnStep | None = None,
) -> np.ndarray:
    """Move latents by gradient steps.

    Args:
        generator: Decoder, and what to refine on.
        latents: float32 [candidates, N, d_z].
        prompt: The prompt each stands on, int64 [candidates]; -1 where there is none.
        config: How.
        rng: Draws the images of every step.
        on_step: Called with (step, target losses [some candidates]) before every step of a part of
            the candidates.

    Returns:
        float32 [candidates, N, d_z]; those given, where there are no steps.

    Raises:
        ValueError: If there is nothing to refine on, or its target is not there.
    """
    if not config.steps:
        return latents
    refining = _checked(generator, latents, prompt, config)
    wanted = images_of_steps(len(refining.images), config, rng)
    descent = _Descent(generator, refining, config, wanted)
    parts = []
    for start in range(0, len(latents), descent.at_once):
        part = slice(start, start + descent.at_once)
        parts.append(descent.run(latents[part], prompt[part], on_step))
    return np.concatenate(parts)


def images_of_steps(count: int, config: RefineConfig, rng: np.random.Generator) -> list[np.ndarray]:
    """Return which of `count` images every step asks, int64 [images] each, sorted."""
    return [np.sort(rng.permutation(count)[: config.images]) for _ in range(config.steps)]


class _Descent:
    """Adam on latents."""

    def __init__(
        self,
        generator: Generator,
        refining: Refining,
        config: RefineConfig,
        wanted: Sequence[np.ndarray],
    ) -> None:
        self.generator, self.config = generator, config
        self.device = torch.device(generator.device)
        self.precision = choose_precision("auto", self.device)
        self.at_once = networks_at_once(generator, config.images)
        self.positions = torch.from_numpy(generator.positions).to(self.device)
        self.scale = torch.tensor(generator.scale, dtype=torch.float32, device=self.device)
        images = refining.images
        self.pixels = [torch.from_numpy(images.numbers(w)).to(self.device) for w in wanted]
        self.labels = [torch.tensor(images.labels[w], device=self.device) for w in wanted]
        self.known: list[torch.Tensor | None] = [None] * len(wanted)
        if config.target != "labels":
            known = (refining, generator.architecture)
            self.known = [answers_of_prompts(*known, p, self.at_once) for p in self.pixels]

    def run(self, latents: np.ndarray, prompt: np.ndarray, on_step: OnStep | None) -> np.ndarray:
        """Refine some candidates, float32 [some, N, d_z]."""
        drawn = torch.from_numpy(latents).to(self.device)
        answers = self._networks(prompt)
        moved = torch.zeros_like(drawn).requires_grad_()
        optimizer = torch.optim.Adam([moved], lr=self.config.learning_rate)
        for step in range(self.config.steps):
            loss, _ = self._losses(drawn + self.scale * moved, answers, step, prompt)
            pull = self.config.pull * moved.square().mean((1, 2))
            # Of the latents alone: the decoder gets no gradient.
            moved.grad = torch.autograd.grad((loss + pull).sum(), moved)[0].nan_to_num(0, 0, 0)
            optimizer.step()
            if on_step:
                on_step(step, loss.detach().cpu().numpy())
        refined = drawn + self.scale * moved.detach()
        better = self._last(refined, answers, prompt) < self._last(drawn, answers, prompt)
        return torch.where(better[:, None, None], refined, drawn).cpu().numpy()

    @torch.no_grad()
    def _last(self, latents: torch.Tensor, answers: Answers, prompt: np.ndarray) -> torch.Tensor:
        """Return each network's loss on the images of the last step; infinite where it has none."""
        loss, usable = self._losses(latents, answers, len(self.pixels) - 1, prompt)
        return torch.where(usable, loss, torch.inf)

    def _networks(self, prompt: np.ndarray) -> Answers:
        """Return what runs decoded networks that stand on these prompts."""
        own = self.generator
        cut = {name for layer in own.layers for name in layer.entries}
        rest = own.rest_of(own.architecture.shapes().keys() - cut, prompt)
        return Answers(own.layers, own.statistics, own.architecture, rest, batch_statistics=True)

    def _losses(
        self, latents: torch.Tensor, answers: Answers, step: int, prompt: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each network's target loss, 0 where it is not finite, and where it is."""
        own = self.generator
        with autocast(self.device, self.precision):
            decoded = decode_with_gradient(own.model, latents, self.positions, own.embed)
        answered = answers(np.arange(len(latents)), decoded.float(), self.pixels[step])
        towards = loss_towards(self.config.target, self.labels[step], self.known[step], prompt)
        return finite_means(towards(answered))


def networks_at_once(generator: Generator, images: int) -> int:
    """Return how many networks are refined together: few where tokens or layers are many."""
    model, chunk = generator.model.config, generator.embed.chunk + 2 * generator.embed.halo
    # A pass keeps about 20 numbers per token, layer and width; longer networks keep one pass.
    tokens = min(len(generator.positions), chunk) * model.layers * model.d_model * 20
    network = 4 * generator.architecture.parameter_count()
    asked = 2 * images * activations_of(generator.architecture)
    return max(1, AT_ONCE // (tokens + network + asked))


def _checked(
    generator: Generator, latents: np.ndarray, prompt: np.ndarray, config: RefineConfig
) -> Refining:
    if generator.refining is None or not len(generator.refining.images):
        raise ValueError(
            "refinement needs train images that networks answer, got none: give the generator "
            "images to refine on, or leave refine out of the sampler"
        )
    if latents.ndim != 3 or len(latents) != len(prompt):
        raise ValueError(
            "latents must have shape [candidates, N, d_z] and a prompt each, got "
            f"{list(latents.shape)} and {len(prompt)} prompts"
        )
    check_target(generator.refining, config.target, prompt)
    return generator.refining
