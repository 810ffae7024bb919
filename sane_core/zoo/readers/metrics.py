"""What other tools call accuracies and losses, as fractions and nats.

Percentages become fractions for a whole series at once: of the accuracies 0.9 and 55 both are per
cent.
"""

from collections.abc import Iterable, Mapping
from math import isfinite

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.readers.reader import METRICS

NAMES = {
    "test_acc": "test_accuracy",
    "train_acc": "train_accuracy",
    "val_acc": "validation_accuracy",
    "validation_acc": "validation_accuracy",
    "val_accuracy": "validation_accuracy",
    "val_loss": "validation_loss",
    "best_prec1": "test_accuracy",
    "best_acc1": "test_accuracy",
    "best_acc": "test_accuracy",
} | {name: name for name in METRICS}
"""What a tool writes -> the metric; `best_*` belong to the weights that they are saved with."""


def split_metrics(
    known: Mapping[str, Property],
) -> tuple[dict[str, float], dict[str, Property]]:
    """Part what is known of a checkpoint into metrics and other properties.

    Accuracies that are no finite number are left out; a loss may be infinite, a run may diverge.
    """
    metrics: dict[str, float] = {}
    properties: dict[str, Property] = {}
    for key, value in known.items():
        metric = NAMES.get(key)
        if metric is None:
            properties[key] = value
        elif isinstance(value, int | float) and (isfinite(value) or metric.endswith("loss")):
            metrics.setdefault(metric, float(value))
    return metrics, properties


def percent_to_fraction(series: Iterable[Mapping[str, Property]]) -> list[dict[str, Property]]:
    """Return the values of a series with accuracies as fractions, under the names they have.

    Args:
        series: What is known of checkpoints that were measured alike; where any accuracy is above
            1, all are per cent.
    """
    rows = [dict(row) for row in series]
    accuracies = [
        (row, key, value)
        for row in rows
        for key, value in row.items()
        if NAMES.get(key, "").endswith("accuracy") and isinstance(value, int | float)
    ]
    if any(value > 1 for _, _, value in accuracies if isfinite(value)):
        for row, key, value in accuracies:
            row[key] = value / 100
    return rows
