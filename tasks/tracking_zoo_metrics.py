"""What the metrics of an MLflow run mean: which is a test accuracy, and in which unit.

Accuracies become fractions, in one unit for the whole experiment; what no name explains is a
property `metrics.<name>` of its epoch.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import product
from typing import NamedTuple

from sane_core.zoo.formats.contents import Property
from tasks.tracking_zoo_epochs import History

_PARTS = {
    "test": ("test", "testing"),
    "validation": ("validation", "val", "valid", "eval", "dev"),
    "train": ("train", "training"),
}
_QUANTITIES = {
    "accuracy": ("accuracy", "acc", "accuracy_score", "top1_accuracy", "top1_acc", "top1", "acc1"),
    "loss": ("loss", "cross_entropy", "nll", "log_loss"),
}
METRIC_NAMES = {
    name: f"{part}_{quantity}"
    for quantity, part in product(_QUANTITIES, _PARTS)
    for said, called in product(_PARTS[part], _QUANTITIES[quantity])
    for name in (f"{said}_{called}", f"{called}_{said}")
} | {"loss": "train_loss"}
"""Tidy name of a metric -> what it is; of several names of one thing, the first counts."""
_BARE = ("accuracy", "acc")
"""Training accuracies where another part's is logged too, and otherwise nobody knows."""
_RANKS = {name: rank for rank, name in enumerate((*METRIC_NAMES, *_BARE))}

PERCENT = 1.5
"""An accuracy above it says that all accuracies of that name in the experiment are per cent."""


class Logged(NamedTuple):
    """What a run logged at the epochs of its checkpoints.

    Attributes:
        meanings: Metric as logged -> one of `METRICS`, those that count first in front.
        values: Metric as logged -> epoch of a checkpoint -> value.
        percent: Accuracies that were above 1.5 at any time.
    """

    meanings: Mapping[str, str]
    values: Mapping[str, Mapping[int, float]]
    percent: frozenset[str]

    def at(
        self, epoch: int, percent: Collection[str]
    ) -> tuple[dict[str, float], dict[str, Property]]:
        """Return what was logged at an epoch: some of `METRICS`, and the rest as properties.

        Args:
            epoch: Of a checkpoint.
            percent: Metrics that are per cent anywhere in the experiment.
        """
        metrics: dict[str, float] = {}
        others: dict[str, Property] = {}
        for key in dict.fromkeys([*self.meanings, *self.values]):
            if epoch not in self.values[key]:
                continue
            value = self.values[key][epoch] / (100 if key in percent else 1)
            metric = self.meanings.get(key)
            if metric and metric not in metrics and _is_usable(metric, value):
                metrics[metric] = value
            elif key != "epoch":
                others[f"metrics.{key}"] = value
        return metrics, others


def logged_at(epochs: Collection[int], history: History, names: Mapping[str, str]) -> Logged:
    """Join a run's metrics to its checkpoints.

    Args:
        epochs: Of the checkpoints.
        history: All that the run logged.
        names: Metric as logged -> one of `METRICS`, before the table.
    """
    meanings, last = _meanings(history.metrics, names), max(epochs, default=0)
    joined = {key: history.by_epoch(key, last) for key in sorted(history.metrics)}
    return Logged(
        meanings,
        {key: {e: v for e, v in values.items() if e in epochs} for key, values in joined.items()},
        frozenset(
            key
            for key, metric in meanings.items()
            if metric.endswith("accuracy")
            and any(PERCENT < point.value < math.inf for point in history.metrics[key])
        ),
    )


def _meanings(keys: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return metric as logged -> one of `METRICS`, those that count first in front."""
    tidy = {key: _tidy(key) for key in sorted(keys)}
    found = {key: METRIC_NAMES[name] for key, name in tidy.items() if name in METRIC_NAMES}
    found |= {key: metric for key, metric in names.items() if key in tidy}
    if {"test_accuracy", "validation_accuracy"} & set(found.values()):
        found = {key: "train_accuracy" for key in tidy if tidy[key] in _BARE} | found

    def rank(key: str) -> tuple[bool, int]:
        return key not in names, _RANKS.get(tidy[key], -1)

    return {key: found[key] for key in sorted(found, key=rank)}


def _tidy(key: str) -> str:
    """Return `Val/Accuracy_epoch` as `val_accuracy`."""
    return re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_").removesuffix("_epoch")


def _is_usable(metric: str, value: float) -> bool:
    """Whether a value can be that of a metric; the loss of what diverged may be infinite."""
    return math.isfinite(value) or metric.endswith("loss")
