"""Which epoch of its run a step of MLflow is, and which one the path of a checkpoint says.

A step is an epoch, unless the run logs a metric `epoch` in whole numbers, as Lightning does: then
that metric is the clock, of steps in paths too.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from tasks.tracking_zoo_artifacts import stem

LARGEST_EPOCH = 2**31 - 1
_INFINITE = 1.7e308
"""MLflow's databases write infinity as the largest number."""

_END = r"(?![a-z0-9])"
_NUMBERS = (
    ("epoch", re.compile(rf"(?:^|[^a-z])(?:epochs?|ep)[=_ -]?(\d{{1,9}}){_END}", re.I | re.A)),
    ("step", re.compile(rf"(?:^|[^a-z])steps?[=_ -]?(\d{{1,9}}){_END}", re.I | re.A)),
    (
        "number",
        re.compile(
            r"(?:^|[^a-z])(?:checkpoints?|ckpt|chkpt|models?|net|network|weights|state_?dict)"
            rf"[=_ -]?(\d{{1,9}}){_END}",
            re.I | re.A,
        ),
    ),
    ("number", re.compile(r"^(\d{1,9})$", re.A)),
)
"""What a number in a path is; those further up go first, and within one the innermost folder."""


class Point(NamedTuple):
    """What was logged of a metric at once; sorted, the last of a step counts."""

    step: int
    timestamp: int
    value: float


def points_of(logged: Iterable[Any]) -> list[Point]:
    """Return what MLflow has of a metric, sorted; a step that cannot be an epoch is left out."""
    return sorted(
        Point(point.step, point.timestamp, _as_logged(point.value))
        for point in logged
        if 0 <= point.step <= LARGEST_EPOCH
    )


@dataclass(frozen=True)
class History:
    """What a run logged in the course of its training.

    Attributes:
        metrics: Metric as logged -> its points, sorted.
    """

    metrics: Mapping[str, Sequence[Point]] = field(default_factory=dict)

    @cached_property
    def clock(self) -> dict[int, int]:
        """Step -> epoch by the metric `epoch`; nothing where steps are epochs.

        Steps are epochs where there is none, or where it counts in fractions.
        """
        points = self.metrics.get("epoch", ())
        if any(not 0 <= p.value <= LARGEST_EPOCH or p.value != int(p.value) for p in points):
            return {}
        return {point.step: int(point.value) for point in points}

    @cached_property
    def last_epoch(self) -> int:
        """The epoch of the highest step of any metric; 0 without metrics."""
        steps = (points[-1].step for points in self.metrics.values() if points)
        return max(self.clock.values() or steps, default=0)

    def by_epoch(self, metric: str, last_checkpoint: int) -> dict[int, float]:
        """Return epoch -> value of a metric.

        What was logged once and without a step, after everything that has one, is of the end of
        the training; where nothing has a step, of the last checkpoint.
        """
        points = self.metrics[metric]
        if len(points) == 1 and points[0].step == 0:
            stepped = [p for other in self.metrics.values() for p in other if p.step > 0]
            if not stepped and all(len(other) == 1 for other in self.metrics.values()):
                return {last_checkpoint: points[0].value}
            if stepped and points[0].timestamp >= max(p.timestamp for p in stepped):
                return {self.last_epoch: points[0].value}
        if not self.clock:
            return {point.step: point.value for point in points}
        return {self.clock[p.step]: p.value for p in points if p.step in self.clock}


def epoch_in(path: PurePosixPath, clock: Mapping[int, int]) -> int | None:
    """Return the epoch that a path says, None if it says none.

    Args:
        path: Of a checkpoint, within its run.
        clock: The run's step -> epoch.
    """
    parts = [*path.parent.parts, stem(path)]
    for kind, form in _NUMBERS:
        match = next(filter(None, map(form.search, reversed(parts))), None)
        if not match:
            continue
        number = int(match[1])
        is_step = number in clock and number not in clock.values()
        if clock and (kind == "step" or (kind == "number" and is_step)):
            return clock.get(max((step for step in clock if step <= number), default=-1))
        return number
    return None


def _as_logged(value: float) -> float:
    """Return a value with the infinities that a database made finite."""
    return math.copysign(math.inf, value) if abs(value) >= _INFINITE else value
