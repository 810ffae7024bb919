"""What training tells of itself: the losses of every epoch, and what it measured of the machine."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from sane_core.pretraining.autoencoder import Autoencoder


@dataclass(frozen=True)
class Losses:
    """Means over an epoch.

    Attributes:
        loss: What is minimized.
        reconstruction: Eq. 5, in units of the weights' variance.
        contrastive: Eq. 6, in nats.
    """

    loss: float
    reconstruction: float
    contrastive: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: losses with noise while training, and without it in validation.

    Attributes:
        epoch: From 1.
        train_behaviour: Behaviour loss, in nats², mean over the steps that have it; 0 without any.
        validation_loss: Mean over the sets, each as much as training takes of it.
        learning_rate: Of the last step.
        gradient_norm: Mean over the steps, before clipping.
        validation_sets: Each set's own.
    """

    epoch: int
    train_loss: float
    train_reconstruction: float
    train_contrastive: float
    train_behaviour: float
    validation_loss: float
    validation_reconstruction: float
    validation_contrastive: float
    learning_rate: float
    gradient_norm: float
    validation_sets: tuple[Losses, ...] = ()

    def row(self) -> dict[str, float]:
        """Return a flat row; sets have columns of their own where there are several."""
        fields = asdict(self)
        del fields["validation_sets"]
        if len(self.validation_sets) > 1:
            for number, losses in enumerate(self.validation_sets):
                fields |= {f"validation_{k}_{number}": v for k, v in asdict(losses).items()}
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "EpochRecord":
        """Return the record whose `dataclasses.asdict` went through JSON."""
        sets = tuple(Losses(**losses) for losses in fields["validation_sets"])
        return cls(**{**fields, "validation_sets": sets})


def best_of(history: Sequence[EpochRecord]) -> int:
    """Return the epoch of lowest validation loss, from 1; 0 before the first."""
    if not history:
        return 0
    return min(history, key=lambda record: record.validation_loss).epoch


def converged(history: Sequence[EpochRecord], patience: int | None) -> bool:
    """Return whether the last `patience` epochs brought no better validation loss."""
    return patience is not None and len(history) - best_of(history) >= patience


@dataclass
class Measured:
    """What a process measured of its machine; other runs of the same training differ in it.

    Attributes:
        seconds: In epochs, validation and saving included.
        stepping: In training steps alone, waiting for data included.
        waited: For data.
        windows: Trained on, over all processes.
        tokens: The same in tokens, of both views.
        peak_memory: In MB.
        epochs: Finished.
        device: What it computed on.
        precision: Of matrix products.
        compiled: Whether, and if not as asked, why not.
        notes: What a user should know.
    """

    seconds: float = 0.0
    stepping: float = 0.0
    waited: float = 0.0
    windows: int = 0
    tokens: int = 0
    peak_memory: float = 0.0
    epochs: int = 0
    device: str = ""
    precision: str = ""
    compiled: str = "no"
    notes: list[str] = field(default_factory=list)

    def rates(self) -> dict[str, float]:
        """Return the numbers by name, for a manifest's timings."""
        stepping = max(self.stepping, 1e-9)
        return {
            "pretrain.windows_per_second": self.windows / stepping,
            "pretrain.tokens_per_second": self.tokens / stepping,
            "pretrain.waiting_share": self.waited / stepping,
            "pretrain.peak_memory_mb": self.peak_memory,
            "pretrain.seconds_per_epoch": self.seconds / max(self.epochs, 1),
        }


@dataclass(frozen=True)
class Pretrained:
    """A trained SANE.

    Attributes:
        model: At its best validation loss, ready for inference.
        history: A record per epoch.
        best_epoch: That of `model`, from 1.
        last: Weights after the last step, on the CPU.
        optimizer: Moments of the optimizer after the last step, on the CPU.
        measured: Of the machine, by this process.
    """

    model: Autoencoder
    history: tuple[EpochRecord, ...]
    best_epoch: int
    last: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    measured: Measured


@dataclass(frozen=True)
class Watch:
    """Whom training tells of its progress.

    Attributes:
        on_step: Called with (step, steps, loss, what was measured), on a GPU not after every step.
        on_epoch: Called with the record of every epoch; resumed training tells those before again.
    """

    on_step: Callable[[int, int, float, Measured], None] = lambda step, steps, loss, measured: None
    on_epoch: Callable[[EpochRecord], None] = lambda record: None
