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
class EpochRecord:
    """Losses of one epoch; reconstruction in units of the weights' variance, contrastive in nats."""

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
    model = build(shape, config.autoencoder, seed_for(seed, "autoencoder"))
    batches = min(config.batch, len(np.unique(train.runs)))
    plan = [_epoch_batches(train.runs, batches, seed, epoch) for epoch in range(config.epochs)]
    steps = sum(len(epoch) for epoch in plan)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        config.learning_rate,
        total_steps=steps + 1,
        pct_start=0.3,
        div_factor=25,
        final_div_factor=1e4,
    )
    history: list[EpochRecord] = []
    best = {name: value.clone() for name, value in model.state_dict().items()}
    if checkpoint and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        history = [EpochRecord(**record) for record in saved["history"]]
        best = saved["best"]
    step = sum(len(epoch) for epoch in plan[: len(history)])
    for epoch in range(len(history), config.epochs):
        noise = torch.Generator().manual_seed(seed_for(seed, "noise", epoch))
        totals = np.zeros(3)
        model.train()
        for batch in train.epoch_batches(plan[epoch]):
            losses = _losses(model, batch, config, noise)
            if not torch.isfinite(losses[0]):
                raise ValueError(
                    f"loss must stay finite, got {float(losses[0])} in epoch {epoch}, step {step}"
                )
            optimizer.zero_grad(set_to_none=True)
            losses[0].backward()
            optimizer.step()
            schedule.step()
            step += 1
            totals += [float(loss.detach()) for loss in losses]
            if on_step:
                on_step(step, steps, float(losses[0].detach()))
        validated = validate(model, validation, config)
        rate = float(schedule.get_last_lr()[0])
        history.append(EpochRecord(epoch + 1, *(totals / len(plan[epoch])), *validated, rate))
        if history[-1].validation_loss <= min(record.validation_loss for record in history):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        if checkpoint:
            _save(checkpoint, model, optimizer, schedule, history, best)
    model.load_state_dict(best)
    model.eval()
    best_epoch = min(history, key=lambda record: record.validation_loss).epoch
    return Pretrained(model, tuple(history), best_epoch)


@torch.no_grad()
def validate(
    model: Autoencoder, windows: WindowReader, config: PretrainConfig
) -> tuple[float, float, float]:
    """Return (loss, reconstruction, contrastive) over all windows, without noise."""
    model.eval()
    size = min(config.batch, len(np.unique(windows.runs)))
    batches = run_disjoint_batches(windows.runs, size, np.random.default_rng(0), drop_last=False)
    losses = [
        [float(loss) for loss in _losses(model, batch, config, None)] + [len(batch.runs)]
        for batch in windows.epoch_batches(batches)
        if len(batch.runs) > 1
    ]
    table = np.array(losses)
    means = np.average(table[:, :3], axis=0, weights=table[:, 3])
    return float(means[0]), float(means[1]), float(means[2])


def autocast(precision: str) -> torch.autocast:
    """Return the autocast of a precision; `auto` is bfloat16 where the processor multiplies in it."""
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


def _epoch_batches(runs: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    batches = run_disjoint_batches(runs, size, rng_for(seed, "batches", epoch), drop_last=False)
    return [batch for batch in batches if len(batch) > 1]


def _save(
    path: Path,
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    history: list[EpochRecord],
    best: dict[str, torch.Tensor],
) -> None:
    saved = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "history": [asdict(record) for record in history],
        "best": best,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(saved, temporary)
    temporary.replace(path)
