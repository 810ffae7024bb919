"""What sharpening minimizes: decoded noisy samples, run on train images (beyond the paper).

Latents of train networks are moved by noise of a size of its own each, decoded as generation
decodes them, and all networks run at once. What they should answer is, by configuration,

- `labels`: the labels of the train images (cross-entropy), or
- `prompts`: what the network that a sample stands on answers (Kullback-Leibler divergence). Then no
  label is read.

Beside it stands the masked reconstruction of the same networks from their latents without noise.
Batch norms use the statistics of the images, in samples and in prompts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from sane_core.embedding.with_gradient import decode_with_gradient
from sane_core.images.images import Images
from sane_core.pretraining.answers import Answers
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.devices import autocast
from sane_core.pretraining.losses import reconstruction_loss
from sane_core.weights.files import TokenSet
from schemas.config.embed import EmbedConfig
from schemas.config.sharpen import NoiseCoupling, SharpenConfig


class Losses(NamedTuple):
    """Of one step, in nats and in units of the weights' variance.

    Attributes:
        target: Cross-entropy or divergence, mean over the networks.
        reconstruction: Eq. 5, without noise.
    """

    target: torch.Tensor
    reconstruction: torch.Tensor


@dataclass(frozen=True)
class Sharpening:
    """What a decoder is sharpened on.

    Attributes:
        tokens: Train checkpoints.
        latents: Theirs, by the frozen encoder, float32 [checkpoints, N, d_z].
        scale: Standard deviation of these latents, float32 [d_z].
        answers: Runs networks.
        images: Train images.
        embed: Chunk and halo of decoding.
        config: What is drawn.
    """

    tokens: TokenSet
    latents: np.ndarray
    scale: np.ndarray
    answers: Answers
    images: Images
    embed: EmbedConfig
    config: SharpenConfig

    def loss(
        self,
        model: Autoencoder,
        step: int,
        generator: torch.Generator,
        precision: torch.dtype = torch.float32,
    ) -> Losses:
        """Return the losses of some samples, drawn anew.

        Args:
            model: Autoencoder, on the device to compute on.
            step: Number of the step: couplings take turns.
            generator: Source of all draws, on the CPU.
            precision: Of the decoder; networks run in float32.
        """
        chosen = self._draw_networks(generator)
        moved = self.disturbed(
            chosen, self.config.couplings[step % len(self.config.couplings)], generator
        )
        pictured = torch.randperm(len(self.images), generator=generator)[: self.config.images]
        return self.measure(model, chosen, moved, pictured.sort().values.numpy(), precision)

    def measure(
        self,
        model: Autoencoder,
        chosen: np.ndarray,
        moved: torch.Tensor,
        pictured: np.ndarray,
        precision: torch.dtype = torch.float32,
    ) -> Losses:
        """Return the losses of given samples.

        Args:
            model: Autoencoder.
            chosen: The checkpoint that each sample stands on, int64 [networks].
            moved: Latents of the samples, float32 [networks, N, d_z].
            pictured: Train images to answer, int64 [images].
            precision: Of the decoder.
        """
        device = next(model.parameters()).device
        positions = torch.from_numpy(self.tokens.positions).to(device)
        clean = torch.from_numpy(self.latents[chosen])
        tokens = torch.from_numpy(self.tokens.values[chosen]).to(device)
        both = torch.cat([moved, clean]) if self.config.reconstruction else moved
        with autocast(device, precision):
            decoded = decode_with_gradient(model, both.to(device), positions, self.embed).float()
        pixels = torch.from_numpy(self.images.numbers(pictured)).to(device)
        answers = self.answers(chosen, decoded[: len(chosen)], pixels)
        target = self._target(chosen, tokens, answers, pixels, pictured)
        if not self.config.reconstruction:
            return Losses(target, torch.zeros_like(target))
        mask = self._mask().to(device).expand(tokens.shape)
        return Losses(target, reconstruction_loss(decoded[len(chosen) :], tokens, mask))

    def disturbed(
        self, chosen: np.ndarray, coupling: NoiseCoupling, generator: torch.Generator
    ) -> torch.Tensor:
        """Return latents of checkpoints with noise of any size up to the largest.

        Args:
            chosen: Checkpoints, int64 [networks].
            coupling: One noise vector for all tokens of a network, or one for each.
            generator: Source of the draw.

        Returns:
            float32 [networks, N, d_z].
        """
        clean = torch.from_numpy(self.latents[chosen])
        size = self.config.bandwidth * torch.rand(len(chosen), 1, 1, generator=generator)
        tokens = 1 if coupling == "shared_noise" else clean.shape[1]
        noise = torch.randn(len(chosen), tokens, clean.shape[2], generator=generator)
        return clean + size * torch.from_numpy(self.scale) * noise

    def _draw_networks(self, generator: torch.Generator) -> np.ndarray:
        count = self.config.networks
        return torch.randint(len(self.latents), (count,), generator=generator).numpy()

    def _mask(self) -> torch.Tensor:
        places = torch.arange(self.tokens.values.shape[-1])
        return places < torch.from_numpy(self.tokens.lengths)[:, None]

    def _target(
        self,
        chosen: np.ndarray,
        tokens: torch.Tensor,
        answers: torch.Tensor,
        pixels: torch.Tensor,
        pictured: np.ndarray,
    ) -> torch.Tensor:
        """Return the mean over the networks whose answers are finite; the others get no gradient.

        Args:
            chosen: Checkpoints, int64 [networks].
            tokens: Their own, float32 [networks, N, d_t].
            answers: Log-probabilities of the samples [networks, images, classes].
            pixels: Network input.
            pictured: Which images these are.
        """
        if self.config.target == "labels":
            labels = torch.tensor(self.images.labels[pictured], device=answers.device)
            losses = cross_entropy(answers, labels)
        else:
            with torch.no_grad():
                wanted = self.answers(chosen, tokens, pixels)
            losses = divergence(answers, wanted)
        kept, usable = finite_means(losses)
        return kept.sum() / usable.sum().clamp(min=1)


def cross_entropy(answers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss of every answer, [networks, images].

    Args:
        answers: Log-probabilities [networks, images, classes].
        labels: int64 [images].
    """
    return -answers.gather(2, labels.expand(len(answers), -1)[..., None])[..., 0]


def divergence(answers: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of every answer from the one wanted.

    Args:
        answers: Log-probabilities [networks, images, classes].
        wanted: The same, or [images, classes] for all networks.

    Returns:
        [networks, images].
    """
    return (wanted.exp() * (wanted - answers)).sum(2)


def finite_means(losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each network's mean loss, and which networks have one.

    Args:
        losses: [networks, images].

    Returns:
        Means [networks], 0 and without gradient where a loss is not finite; bool [networks].
    """
    usable = losses.isfinite().all(1)
    return torch.where(usable[:, None], losses, 0).mean(1), usable
