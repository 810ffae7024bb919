"""The figures of generated networks: fine-tuning (paper §5.2), and the front, which is our own.

Equal data give equal bytes; nothing is read from or written to disk here.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sane_core.reporting.canvas import INK, annotate, canvas, entitle, legend, legend_below, percent
from sane_core.reporting.names import METHODS, SAMPLERS, in_order, name_of

KNOB_OFFSETS = {"sub": (-15, 8), "noise": (-15, 8), "interpolation": (13, -10)}
"""Where a knob's value stands beside its point, in points: curves lie close to each other."""
MARKS = (("*", 13), ("D", 8), ("X", 9), ("P", 9))
"""Shape and size of the marks of references."""


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
    legend_below(figure, axes[0], columns=4)
    return figure


def _curve(axes: Axes, method: str, x: list[int], curve: pl.DataFrame) -> None:
    name = name_of(method, METHODS)
    mean, std = curve["mean"].to_numpy(), curve["std"].to_numpy()
    axes.fill_between(x, mean - std, mean + std, color=name.colour, alpha=0.10, linewidth=0)
    axes.plot(
        x, mean, color=name.colour, linestyle=name.line, linewidth=2, marker=".", label=name.label
    )


def front(points: pl.DataFrame, references: pl.DataFrame) -> Figure:
    """Draw the accuracy-novelty front: a curve per sampler as its knob is swept.

    Args:
        points: A row per (sampler, knob, seed), columns as of `FrontPoint`.
        references: Columns method, accuracy, overlap: models that stand beside the curves.
    """
    figure, (axes,) = canvas(5.2)
    for sampler in in_order(points["sampler"], SAMPLERS):
        name = name_of(sampler, SAMPLERS)
        rows = (
            points.filter(sampler=sampler)
            .group_by("knob", maintain_order=True)
            .agg(
                pl.col("accuracy", "overlap").mean().name.suffix("_mean"),
                pl.col("accuracy", "overlap").std(ddof=0).name.suffix("_std"),
            )
            .sort("knob")
        )
        x, y = rows["overlap_mean"].to_numpy(), rows["accuracy_mean"].to_numpy()
        axes.errorbar(
            x,
            y,
            xerr=rows["overlap_std"],
            yerr=rows["accuracy_std"],
            color=name.colour,
            linewidth=2,
            elinewidth=1,
            capsize=2,
            marker="o",
            markersize=5,
            label=name.label,
        )
        for knob, at in zip(rows["knob"], zip(x, y, strict=True), strict=True):
            annotate(axes, f"{knob:g}", at, KNOB_OFFSETS.get(sampler, (-15, 8)), name.colour)
    for row, (marker, size) in zip(references.iter_rows(named=True), MARKS, strict=False):
        label = name_of(row["method"], METHODS).label
        axes.errorbar(
            row["overlap"],
            row["accuracy"],
            marker=marker,
            markersize=size,
            color=INK,
            linestyle="none",
            label=label,
        )
    percent(axes)
    entitle(
        axes,
        "Accuracy and novelty: further up and further left is better",
        "largest error overlap with any training model (more novel ←)",
        "test accuracy of the models kept (better ↑)",
    )
    legend(axes, loc="lower right")
    return figure
