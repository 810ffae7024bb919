"""The figure of a transfer: curves of fine-tuning, a panel per target (paper Figure 5)."""

from math import ceil

import polars as pl
from matplotlib.figure import Figure

from sane_core.reporting.canvas import canvas, entitle, legend_below, percent, whole_numbers
from sane_core.reporting.names import METHODS, in_order, name_of

COLUMNS = 3


def targets(accuracy: pl.DataFrame) -> Figure:
    """Draw test accuracy over epochs of the longest fine-tuning, a panel per target.

    Args:
        accuracy: Columns as of `TransferAccuracy`, of all targets.
    """
    names = accuracy["target"].unique(maintain_order=True).to_list()
    columns = min(COLUMNS, len(names))
    rows = ceil(len(names) / columns)
    figure, axes = canvas(3.4 * rows + 0.8, (rows, columns))
    for each, name in zip(axes, names, strict=False):
        own = accuracy.filter(target=name)
        longest = own.filter(pl.col("length") == pl.col("length").max())
        for method in in_order(longest["method"], METHODS):
            style = name_of(method, METHODS)
            curve = (
                longest.filter(method=method)
                .group_by("epoch")
                .agg(mean=pl.col("test_accuracy").mean(), std=pl.col("test_accuracy").std(ddof=0))
                .sort("epoch")
            )
            x, mean, std = (curve[column].to_numpy() for column in ("epoch", "mean", "std"))
            each.fill_between(x, mean - std, mean + std, color=style.colour, alpha=0.1, linewidth=0)
            each.plot(
                x,
                mean,
                color=style.colour,
                linestyle=style.line,
                linewidth=2,
                marker=".",
                label=style.label,
            )
        percent(each)
        whole_numbers(each)
        entitle(each, name, "epochs of fine-tuning", "test accuracy" if each is axes[0] else "")
    for empty in axes[len(names) :]:
        empty.set_axis_off()
    fullest = max(axes, key=lambda each: len(each.get_legend_handles_labels()[0]))
    legend_below(figure, fullest, columns=3)
    return figure
