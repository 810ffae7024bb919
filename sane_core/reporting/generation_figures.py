"""The figure of generated networks that are fine-tuned (paper §5.2).

Equal data give equal bytes; nothing is read from or written to disk here.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sane_core.reporting.canvas import canvas, entitle, legend_below, percent
from sane_core.reporting.names import METHODS, in_order, name_of


def finetuning(accuracy: pl.DataFrame) -> Figure:
    """Draw test accuracy over epochs of fine-tuning, a curve per method; right, its upper end.

    Args:
        accuracy: Columns method, epoch, test_accuracy; a row per model and epoch.
    """
    rows = accuracy.group_by("method", "epoch", maintain_order=True).agg(
        pl.col("test_accuracy").mean().alias("mean"),
        pl.col("test_accuracy").std(ddof=0).alias("std"),
    )
    epochs = rows["epoch"].unique().sort().to_list()
    figure, axes = canvas(4.9, (1, 2))
    for each in axes:
        for method in in_order(rows["method"], METHODS):
            curve = rows.filter(method=method).sort("epoch")
            _curve(each, method, [epochs.index(epoch) for epoch in curve["epoch"]], curve)
        each.set_xticks(range(len(epochs)), [str(epoch) for epoch in epochs])
        percent(each)
    lowest = rows.group_by("method", maintain_order=True).agg(pl.col("mean").min())["mean"].median()
    highest = rows.select((pl.col("mean") + pl.col("std")).max()).item()
    axes[1].set_ylim(float(lowest) - 0.05, min(1.0, highest) + 0.005)  # type: ignore[arg-type]
    entitle(
        axes[0], "All methods", "epochs of fine-tuning (0: zero-shot)", "test accuracy (better ↑)"
    )
    entitle(axes[1], "The upper end", "epochs of fine-tuning (0: zero-shot)")
    legend_below(figure, axes[0], columns=3)
    return figure


def _curve(axes: Axes, method: str, x: list[int], curve: pl.DataFrame) -> None:
    name = name_of(method, METHODS)
    mean, std = curve["mean"].to_numpy(), curve["std"].to_numpy()
    axes.fill_between(x, mean - std, mean + std, color=name.colour, alpha=0.10, linewidth=0)
    axes.plot(
        x, mean, color=name.colour, linestyle=name.line, linewidth=2, marker=".", label=name.label
    )
