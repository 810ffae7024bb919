"""The rows that generation writes, and the metrics that are read off them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.generation.front import FrontPoint
from sane_core.generation.front_gap import Point, front_gap
from sane_core.generation.prompt_counts import FewPrompts

SUMMARIZED = (
    "candidate_accuracy",
    "overlap",
    "mutual_overlap",
    "distance",
    "pairwise_distance",
    "broken",
)
"""Columns of `Summary` that are metrics."""


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy of one model of a method's draw `repeat`, after fine-tuning for `epoch`."""

    method: str
    repeat: int
    model: int
    epoch: int
    test_accuracy: float


@dataclass(frozen=True)
class Summary:
    """One draw of a method.

    Attributes:
        method: Where the models come from.
        repeat: Number of the draw.
        validation_accuracy: Mean over the models kept.
        candidate_accuracy: Mean validation accuracy over all candidates.
        overlap: Mean over the models kept of the largest error overlap with a training model.
        mutual_overlap: Mean error overlap between the models kept.
        distance: Mean distance in weight space to the nearest training model.
        pairwise_distance: Mean distance in weight space between the models kept.
        broken: Candidates that were not finite.
    """

    method: str
    repeat: int
    validation_accuracy: float
    candidate_accuracy: float
    overlap: float
    mutual_overlap: float
    distance: float
    pairwise_distance: float
    broken: int


@dataclass(frozen=True)
class Ensemble:
    """Test accuracy of the mean logits of a draw's models, after fine-tuning for `epoch`."""

    method: str
    repeat: int
    models: int
    epoch: int
    test_accuracy: float


def write_rows(path: Path, kind: type, rows: Sequence[Any]) -> None:
    """Write rows of a frozen dataclass of strings, integers and floats as a Parquet table."""
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    hints = get_type_hints(kind)
    schema = pa.schema([(field.name, types[hints[field.name]]) for field in fields(kind)])
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), path)


def accuracy_metrics(rows: Sequence[Accuracy]) -> dict[str, float]:
    """Return mean and standard deviation over models, by method and epoch."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        name = f"generation.accuracy.{row.method}.epoch{row.epoch}"
        groups.setdefault(name, []).append(row.test_accuracy)
    metrics = {name: float(np.mean(values)) for name, values in groups.items()}
    return metrics | {f"{name}.std": float(np.std(values)) for name, values in groups.items()}


def ensemble_metrics(rows: Sequence[Ensemble]) -> dict[str, float]:
    """Return the mean over draws, by method and epoch."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        name = f"generation.ensemble.{row.method}.epoch{row.epoch}"
        groups.setdefault(name, []).append(row.test_accuracy)
    return {name: float(np.mean(values)) for name, values in groups.items()}


def summary_metrics(rows: Sequence[Summary]) -> dict[str, float]:
    """Return the means over draws, by method."""
    return {
        f"generation.{name}.{method}": float(
            np.mean([getattr(row, name) for row in rows if row.method == method])
        )
        for method in dict.fromkeys(row.method for row in rows)
        for name in SUMMARIZED
    }


def front_metrics(points: Sequence[FrontPoint]) -> dict[str, float]:
    """Return mean and standard deviation over draws of every point of the front."""
    metrics: dict[str, float] = {}
    for sampler, knob in dict.fromkeys((point.sampler, point.knob) for point in points):
        mine = [point for point in points if (point.sampler, point.knob) == (sampler, knob)]
        for name in ("accuracy", "overlap"):
            values = [getattr(point, name) for point in mine]
            metrics[f"front.{sampler}.{knob:g}.{name}"] = float(np.mean(values))
            metrics[f"front.{sampler}.{knob:g}.{name}.std"] = float(np.std(values))
    return metrics | gap_metrics(points)


def gap_metrics(points: Sequence[FrontPoint]) -> dict[str, float]:
    """Return how far each sampler's front lies above that of noise and interpolation together.

    The interval is that over draws; where there is nothing to compare there is no metric.
    """
    fronts: dict[str, list[Point]] = {}
    for point in points:
        whose = "baselines" if point.sampler in ("noise", "interpolation") else point.sampler
        fronts.setdefault(whose, []).append(Point(point.seed, point.overlap, point.accuracy))
    baselines = fronts.pop("baselines", [])
    metrics: dict[str, float] = {}
    for sampler, front in fronts.items() if baselines else ():
        gap = front_gap(front, baselines)
        for name, value in (("gap", gap.mean), ("gap.low", gap.low), ("gap.high", gap.high)):
            if np.isfinite(value):
                metrics[f"front.{sampler}.{name}"] = value
    return metrics


def few_metrics(rows: Sequence[FewPrompts]) -> dict[str, float]:
    """Return the means over draws, by method and number of prompts."""
    return {
        f"generation.prompts{prompts}.{name}.{method}": float(
            np.mean([getattr(r, name) for r in rows if (r.method, r.prompts) == (method, prompts)])
        )
        for method, prompts in dict.fromkeys((row.method, row.prompts) for row in rows)
        for name in ("test_accuracy", "overlap", "mutual_overlap")
    }
