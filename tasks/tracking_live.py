"""Curves of a stage in its own run: a point per metric and epoch, while it trains and afterwards.

Showing an epoch is a courtesy: where MLflow fails, training goes on, and what is missing is added
from the artifact's history once the stage is done.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from schemas.errors import SaneError
from tasks.tracking import Tracking
from tasks.tracking_content import Point
from tasks.tracking_names import tidy_name

CURVES = {"model": "pretrain"}
"""Stages that tell their epochs, and what the names of their metrics begin with."""

HISTORY = "history.parquet"
"""File of such a stage's artifact: a row per epoch."""


class LiveStage:
    """The run of a stage that is being watched; `on_epoch` is for `tasks.live.watching`."""

    def __init__(
        self, tracking: Tracking, run: str, stage: str, key: str, warn: Callable[[str], None]
    ) -> None:
        """Take the run that `Tracking.open_stage` gave.

        Args:
            tracking: Where the run is.
            run: The run.
            stage: Name of the stage, one of `CURVES`.
            key: The stage key.
            warn: Told once, if MLflow fails.
        """
        self._tracking, self._run, self._stage, self._key = tracking, run, stage, key
        self._warn: Callable[[str], None] | None = warn
        self._alone = False

    def on_epoch(self, record: Mapping[str, object]) -> None:
        """Add an epoch to the curves."""
        try:
            if not self._alone:
                # A stage that trains holds the store's lock: no other process is at it.
                self._tracking.end_stale(self._run, self._key)
                self._alone = True
            self._tracking.log_points(self._run, points(self._stage, record))
        except SaneError as error:
            if self._warn:
                self._warn(f"{error}: the curves are completed when the stage is done")
            self._warn = None


def points(stage: str, record: Mapping[str, object]) -> list[Point]:
    """Return the points of an epoch; what is no finite number has none.

    Args:
        stage: Name of the stage, one of `CURVES`.
        record: `epoch`, counted from 1, and what was measured in it.
    """
    step = record["epoch"]
    if not isinstance(step, int | float):
        raise TypeError(f"epoch must be a number, got {step!r}")
    return [
        Point(tidy_name(f"{CURVES[stage]}.{name}"), int(step), float(value))
        for name, value in record.items()
        if name != "epoch" and isinstance(value, int | float) and math.isfinite(value)
    ]


def history(stage: str, folder: Path) -> list[Point]:
    """Return the points of all epochs of an artifact; none, if it has no history."""
    file = folder / HISTORY
    if stage not in CURVES or not file.exists():
        return []
    return [point for row in pq.read_table(file).to_pylist() for point in points(stage, row)]
