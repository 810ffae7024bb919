"""The forward pass of one training step: two views in, losses out (Algorithm 1, step v).

What is drawn, and what depends on values, is done beforehand: `pick_views` and `take_views` on the
CPU, `prepare` on the device. What is left, `forward`, is one graph without a look at values.

    chosen = pick_views(views, batch, config, generator)          # CPU, whole batch
    pair = take_views(windows, chosen[:, rows]).to(device)        # a rank's or a part's rows
    losses = objective(objective.prepare(pair, noise, batch, rows))
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from sane_core.pretraining.augment import ViewPair, augment
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.losses import Gather, layer_weights, nt_xent, reconstruction_loss
from schemas.config.pretrain import PretrainConfig


class Inputs(NamedTuple):
    """Views on the device; rows i and i + b are the two views of window i.

    Attributes:
        seen: float32 [2b, W, d_t], with noise.
        target: float32 [2b, W, d_t].
        positions: int64 [2b, W, 3].
        lengths: int64 [2b, W].
        visible: bool [2b, 1, 1, W]; None without padding tokens.
        weights: float32 [2b, W], factors of the squared errors; None for 1.
        real: float32 scalar, the number of real weights to divide by.
    """

    seen: torch.Tensor
    target: torch.Tensor
    positions: torch.Tensor
    lengths: torch.Tensor
    visible: torch.Tensor | None
    weights: torch.Tensor | None
    real: torch.Tensor


class StepLosses(NamedTuple):
    """Scalars on the device: (1-γ) Eq. 5 + γ Eq. 6, and the two alone; only `loss` has a gradient.

    Attributes:
        loss: To be minimized.
        reconstruction: In units of the weights' variance.
        contrastive: In nats.
    """

    loss: torch.Tensor
    reconstruction: torch.Tensor
    contrastive: torch.Tensor


class Objective(nn.Module):
    """An autoencoder with its losses; the module that data-parallel training wraps."""

    layer_weights: torch.Tensor | None

    def __init__(
        self,
        model: Autoencoder,
        config: PretrainConfig,
        variances: Sequence[Sequence[float]] = (),
        gather: Gather | None = None,
    ) -> None:
        """Prepare the losses.

        Args:
            model: Autoencoder to train.
            config: Losses, noise and views.
            variances: Of each set of windows, the variance of each layer's tokens; needed for
                `config.layer_normalization` alone.
            gather: Gives every rank the projections of all (`gather_views`), where there are some.

        Raises:
            ValueError: If variances are needed and not there.
        """
        super().__init__()
        if config.layer_normalization and not variances:
            raise ValueError(
                "layer_normalization needs the variances of the layers' tokens, got none: compile "
                "the windows again, or switch it off"
            )
        self.model, self.config, self.gather = model, config, gather
        weights = layer_weights(variances) if config.layer_normalization else None
        self.register_buffer("layer_weights", weights, persistent=False)
        self._passed: Any = self._pass

    def prepare(
        self,
        pair: ViewPair,
        generator: torch.Generator | None = None,
        batch: int | None = None,
        rows: slice | None = None,
        real: float | None = None,
    ) -> Inputs:
        """Draw the noise of a batch, or of its part, on the device that the views are on.

        Args:
            pair: Two views of each of b windows; their positions were checked.
            generator: Source of the noise, of that device; no noise if not given (validation).
            batch: Windows of the whole batch, if these are a part of it.
            rows: Which of the batch's windows these are.
            real: Number of real weights to divide the squared errors by; those of the pair if not
                given. For one of several parts: the whole batch's, divided by the parts.
        """
        clean, lengths = pair.tokens.float(), pair.lengths.flatten(0, 1)
        seen = target = clean
        if generator is not None:
            mask = mask_of(pair.lengths, clean.shape[-1])
            seen, target = augment(clean, mask, self.config, generator, batch, rows)
        weights = None
        if self.layer_weights is not None:
            of_tokens = self.layer_weights[pair.sets[:, None], pair.positions[..., 1]]
            weights = of_tokens.repeat(2, 1)
        count = float(pair.real if real is None else real)
        return Inputs(
            seen=seen.flatten(0, 1),
            target=target.flatten(0, 1),
            positions=pair.positions.repeat(2, 1, 1),
            lengths=lengths,
            visible=(lengths > 0)[:, None, None, :] if pair.padded else None,
            weights=weights,
            # Filled in on the device: a copy of a number would wait for it.
            real=torch.full((), count, device=clean.device),
        )

    def forward(self, inputs: Inputs) -> StepLosses:
        """Return the losses of prepared views; the caller chooses the precision by autocast."""
        reconstruction, projected = self._passed(inputs)
        contrastive = nt_xent(projected, self.config.temperature, self.gather)
        gamma = self.config.gamma
        loss = (1 - gamma) * reconstruction + gamma * contrastive
        return StepLosses(loss, reconstruction.detach(), contrastive.detach())

    def compile_pass(self, **options: Any) -> None:
        """Compile everything but NT-Xent, which ranks talk in, as one graph.

        Args:
            options: Of `torch.compile`.
        """
        self._passed = torch.compile(self._pass, fullgraph=True, **options)

    def _pass(self, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        passed = self.model(inputs.seen, inputs.positions, inputs.visible)
        mask = mask_of(inputs.lengths, inputs.target.shape[-1])
        reconstruction = reconstruction_loss(
            passed.decoded, inputs.target, mask, inputs.weights, inputs.real
        )
        return reconstruction, passed.projected


def mask_of(lengths: torch.Tensor, d_t: int) -> torch.Tensor:
    """Return the mask bool [..., d_t] of tokens with these lengths [...]: True at real weights."""
    return torch.arange(d_t, device=lengths.device) < lengths[..., None]
