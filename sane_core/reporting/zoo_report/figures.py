"""The zoo report's figures: how the networks do over epochs, and where they end.

Labels hold no text from a zoo's files: matplotlib would read formulas in them.
"""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sane_core.reporting.canvas import (
    INK,
    canvas,
    entitle,
    legend,
    legend_below,
    percent,
    whole_numbers,
)
from sane_core.reporting.figures import PARTS
from sane_core.reporting.zoo_report.facts import ZooFacts
from sane_core.reporting.zoo_report.scratch import EPOCHS, column_of, scratch

_PANELS = {
    "test_accuracy": "Test accuracy",
    "generalization_gap": "Generalization gap",
    "test_loss": "Test loss",
}
_BINS = 24


def over_epochs(zoo: ZooFacts, dataset: str | None) -> Figure | None:
    """Draw the median and the 5 to 95 % band of networks over epochs, per split of the runs.

    Args:
        zoo: The zoo.
        dataset: Name of the images; where the paper has them, its zoo is drawn beside.

    Returns:
        A panel per metric that is known; None if none is.
    """
    known = [name for name in _PANELS if zoo.checkpoints[name].count()]
    if not known:
        return None
    figure, axes = canvas(3.7, (1, len(known)))
    for each, name in zip(axes, known, strict=True):
        for split, colour in PARTS.items():
            _band(each, zoo.checkpoints.filter(split=split), name, f"{split} runs", colour)
        if name == "test_accuracy":
            _paper(each, column_of(dataset))
        entitle(each, _PANELS[name], "epoch", "nats" if name == "test_loss" else "")
        if name != "test_loss":
            percent(each)
        whole_numbers(each)
    legend_below(figure, axes[0], columns=4)
    return figure


def at_the_end(zoo: ZooFacts) -> Figure | None:
    """Draw how many runs reach which test accuracy at their last epoch; None if unknown."""
    last = zoo.last().filter(pl.col("test_accuracy").is_not_null())
    if last.is_empty():
        return None
    figure, (axes,) = canvas(3.1)
    low, high = _padded(last["test_accuracy"].to_numpy())
    found = [last.filter(split=split)["test_accuracy"].to_numpy() for split in PARTS]
    axes.hist(
        found,
        bins=np.linspace(low, high, _BINS + 1).tolist(),
        stacked=True,
        color=list(PARTS.values()),
        label=[f"{split} runs" for split in PARTS],
        edgecolor="white",
        linewidth=0.8,
    )
    entitle(axes, "Test accuracy at the last epoch of every run", "", "runs")
    axes.set_xlim(low, high)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(False, axis="x")
    percent(axes, ("x",))
    legend(axes)
    return figure


def _band(axes: Axes, table: pl.DataFrame, column: str, label: str, colour: str) -> None:
    value = pl.col(column)
    rows = (
        table.filter(value.is_not_null())
        .group_by("epoch")
        .agg(
            value.median().alias("middle"),
            value.quantile(0.05, "linear").alias("low"),
            value.quantile(0.95, "linear").alias("high"),
        )
        .sort("epoch")
    )
    if rows.is_empty():
        return
    epochs = rows["epoch"]
    axes.fill_between(epochs, rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
    few = len(rows) <= _BINS
    axes.plot(
        epochs,
        rows["middle"],
        color=colour,
        linewidth=2,
        marker="." if few else None,
        label=label,
    )


def _paper(axes: Axes, column: str | None) -> None:
    """Mark mean ± standard deviation of the paper's zoo, within the epochs that are drawn."""
    left, right = axes.get_xlim()
    points = [
        (epoch, found.mean / 100, (found.std or 0) / 100)
        for epoch in EPOCHS
        if left <= epoch <= right and (found := scratch(column, epoch))
    ]
    if points:
        epochs, means, stds = zip(*points, strict=True)
        axes.errorbar(
            epochs,
            means,
            stds,
            color=INK,
            fmt="o",
            markersize=4,
            capsize=3,
            linewidth=1.2,
            label="paper, mean ± standard deviation",
            zorder=4,
        )


def _padded(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 0.02
    return max(0.0, low - pad), min(1.0, high + pad)
