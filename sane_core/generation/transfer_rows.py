"""The rows that a transfer writes, and the metrics that are read off them.

Metrics are `transfer.<target>.<method>.epoch<e>` with `.std` over models, of the longest
fine-tuning; a shorter one of L epochs has `.of<L>` before its epoch. Ensembles end in `.ensemble`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TransferAccuracy:
    """Test accuracy of one network on a target.

    Attributes:
        target: Name of the target.
        method: Where the network comes from.
        repeat: Always 0: a target is drawn for once.
        model: Its number; equal numbers see equal batches, whatever the method.
        length: Epochs of the whole fine-tuning, which its schedule runs over.
        epoch: Epochs of it that are done; 0 is zero-shot.
        test_accuracy: On the target's test images.
    """

    target: str
    method: str
    repeat: int
    model: int
    length: int
    epoch: int
    test_accuracy: float


@dataclass(frozen=True)
class TransferEnsemble:
    """Test accuracy of the mean logits of a method's networks; other fields as above."""

    target: str
    method: str
    repeat: int
    models: int
    length: int
    epoch: int
    test_accuracy: float


def transfer_metrics(
    accuracy: Sequence[TransferAccuracy], ensembles: Sequence[TransferEnsemble]
) -> dict[str, float]:
    """Return mean and standard deviation over models, and the ensembles'.

    Args:
        accuracy: Of one target or more.
        ensembles: Of the same.
    """
    longest = max(row.length for row in accuracy)
    groups: dict[str, list[float]] = {}
    for row in accuracy:
        groups.setdefault(_name(row, longest), []).append(row.test_accuracy)
    metrics = {name: float(np.mean(values)) for name, values in groups.items()}
    metrics |= {f"{name}.std": float(np.std(values)) for name, values in groups.items()}
    return metrics | {f"{_name(row, longest)}.ensemble": row.test_accuracy for row in ensembles}


def _name(row: TransferAccuracy | TransferEnsemble, longest: int) -> str:
    of = "" if row.length == longest else f".of{row.length}"
    return f"transfer.{row.target}.{row.method}{of}.epoch{row.epoch}"
