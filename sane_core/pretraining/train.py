"""Train the autoencoder on windows (Algorithm 1, step v).

Each window is seen in two views: the aligned model and a random function-preserving permutation of
it. Both get multiplicative noise of their own; the target is the clean view.

Every random choice is drawn by (seed, name, epoch), so training that is killed and resumed from
its last finished epoch ends with the same weights as training that never stopped.

Differs from the published code: the target is the clean view (denoising), not the noised one.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape, build
from sane_core.pretraining.losses import nt_xent, reconstruction_loss
from sane_core.seeding import rng_for, seed_for
from sane_core.windows.batches import WindowBatch, run_disjoint_batches
from sane_core.windows.reader import WindowReader
from schemas.config.pretrain import PretrainConfig


@dataclass(frozen=True)
class Losses:
    """The total loss; Eq. 5 in units of the weights' variance; Eq. 6 in nats."""

    loss: float
    reconstruction: float
    contrastive: float


@dataclass(frozen=True)
class EpochRecord:
    """Losses of one epoch, with noise while training and without it in validation."""

    epoch: int
    train_loss: float
    train_reconstruction: float
    train_contrastive: float
    validation_loss: float
    validation_reconstruction: float
    validation_contrastive: float
    learning_rate: float


@dataclass(frozen=True)
class Pretrained:
    """The autoencoder at its best validation loss, and how it got there."""

    model: Autoencoder
    history: tuple[EpochRecord, ...]
    best_epoch: int


def pretrain(
    train: WindowReader,
    validation: WindowReader,
    shape: AutoencoderShape,
    config: PretrainConfig,
    seed: int,
    checkpoint: Path | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> Pretrained:
    """Train until `config.epochs`, keeping the epoch of lowest validation loss.

    Args:
        train: Windows to train on.
        validation: Windows to validate on, after every epoch.
        shape: What the data fixes of the autoencoder.
        config: Training configuration.
        seed: The run's seed.
        checkpoint: File to resume from, rewritten after every epoch; none is kept if not given.
        on_step: Called with (step, steps, loss) after every step.

    Raises:
        ValueError: If the loss becomes NaN or infinite; names the epoch and step.
    """
    plan = _Plan(train.runs, config, seed)
    training = _Training(
        build(shape, config.autoencoder, seed_for(seed, "autoencoder")), config, plan
    )
    if checkpoint and checkpoint.exists():
        training.load(checkpoint)
    for epoch in range(len(training.history), config.epochs):
        trained = training.epoch(train, epoch, on_step)
        training.record(epoch, trained, validate(training.model, validation, config))
        if checkpoint:
            training.save(checkpoint)
    training.model.load_state_dict(training.best)
    return Pretrained(training.model.eval(), tuple(training.history), training.best_epoch)


class _Plan:
    """The batches of every epoch, known from the start, so that any epoch can be gone on from."""

    def __init__(self, runs: np.ndarray, config: PretrainConfig, seed: int) -> None:
        self.seed = seed
        size = min(config.batch, len(np.unique(runs)))
        self.epochs = [
            run_disjoint_batches(runs, size, rng_for(seed, "batches", epoch), drop_last=True)
            for epoch in range(config.epochs)
        ]

    def steps(self, epochs: int | None = None) -> int:
        """Return the steps of the first epochs, or of all."""
        return sum(map(len, self.epochs[:epochs]))

    def noise(self, epoch: int) -> torch.Generator:
        """Return the source of an epoch's noise and choice of views."""
        return torch.Generator().manual_seed(seed_for(self.seed, "noise", epoch))


class _Training:
    """Model, optimizer, schedule, history and best weights: all that a checkpoint holds."""

    def __init__(self, model: Autoencoder, config: PretrainConfig, plan: _Plan) -> None:
        self.model, self.config, self.plan = model, config, plan
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            config.learning_rate,
            total_steps=plan.steps() + 1,
            pct_start=0.3,
            div_factor=25,
            final_div_factor=1e4,
        )
        self.history: list[EpochRecord] = []
        self.best = self._weights()

    @property
    def best_epoch(self) -> int:
        """The epoch of lowest validation loss, from 1."""
        return min(self.history, key=lambda record: record.validation_loss).epoch

    def epoch(
        self, windows: WindowReader, epoch: int, on_step: Callable[[int, int, float], None] | None
    ) -> Losses:
        """Train for one epoch and return its mean losses."""
        self.model.train()
        noise = self.plan.noise(epoch)
        step, steps = self.plan.steps(epoch), self.plan.steps()
        rows = []
        for batch in windows.epoch_batches(self.plan.epochs[epoch]):
            losses = _losses(self.model, batch, self.config, noise)
            self._step(losses[0], f"epoch {epoch + 1}, step {step + 1}")
            step += 1
            rows.append([float(loss.detach()) for loss in losses])
            if on_step:
                on_step(step, steps, rows[-1][0])
        return Losses(*np.mean(rows, axis=0).tolist())

    def record(self, epoch: int, trained: Losses, validated: Losses) -> None:
        """Add an epoch to the history; keep its weights if it is the best so far."""
        rate = float(self.schedule.get_last_lr()[0])
        self.history.append(
            EpochRecord(
                epoch=epoch + 1,
                train_loss=trained.loss,
                train_reconstruction=trained.reconstruction,
                train_contrastive=trained.contrastive,
                validation_loss=validated.loss,
                validation_reconstruction=validated.reconstruction,
                validation_contrastive=validated.contrastive,
                learning_rate=rate,
            )
        )
        if self.best_epoch == epoch + 1:
            self.best = self._weights()

    def save(self, path: Path) -> None:
        """Write everything to a file, whole or not at all."""
        saved = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": [asdict(record) for record in self.history],
            "best": self.best,
        }
        temporary = path.with_suffix(".tmp")
        torch.save(saved, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.history = [EpochRecord(**record) for record in saved["history"]]
        self.best = saved["best"]

    def _step(self, loss: torch.Tensor, where: str) -> None:
        if not torch.isfinite(loss):
            raise ValueError(f"the loss must stay finite, got {float(loss.detach())} in {where}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}


@torch.no_grad()
def validate(model: Autoencoder, windows: WindowReader, config: PretrainConfig) -> Losses:
    """Return the mean losses over all windows, without noise."""
    model.eval()
    size = min(config.batch, len(np.unique(windows.runs)))
    batches = run_disjoint_batches(windows.runs, size, rng_for(0, "validation"), drop_last=False)
    rows, counts = [], []
    for batch in windows.epoch_batches(batches):
        rows.append([float(loss) for loss in _losses(model, batch, config, None)])
        counts.append(len(batch.runs))
    return Losses(*np.average(rows, axis=0, weights=counts).tolist())


def autocast(precision: str) -> torch.autocast:
    """Return the autocast of a precision; `auto` is bfloat16 where the processor has it."""
    enabled = precision == "bfloat16" or (precision == "auto" and has_bfloat16())
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


def has_bfloat16() -> bool:
    """Return whether this processor has bfloat16 matrix instructions (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _losses(
    model: Autoencoder, batch: WindowBatch, config: PretrainConfig, noise: torch.Generator | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    views = batch.tokens.shape[1]
    second = torch.ones(len(batch.runs), dtype=torch.int64)
    if noise is not None and views > 2:
        second = torch.randint(1, views, second.shape, generator=noise)
    rows = torch.arange(len(second))
    clean = torch.cat([batch.tokens[:, 0], batch.tokens[rows, second]]).float()
    lengths = torch.cat([batch.lengths[:, 0], batch.lengths[rows, second]])
    positions = batch.positions.repeat(2, 1, 1)
    noised = clean
    if noise is not None and config.noise:
        noised = clean * (1 + config.noise * torch.randn(clean.shape, generator=noise))
    with autocast(config.precision):
        latents = model.encode(noised, positions, lengths)
        decoded = model.decode(latents, positions, lengths)
        projected = model.projection(latents)
    mask = torch.arange(clean.shape[-1]) < lengths[..., None]
    reconstruction = reconstruction_loss(decoded, clean, mask)
    contrastive = nt_xent(projected, config.temperature)
    return (
        (1 - config.gamma) * reconstruction + config.gamma * contrastive,
        reconstruction,
        contrastive,
    )
