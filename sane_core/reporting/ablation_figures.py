"""The figures of reconstruction: by layer, by views, by windows in training and at inference.

Equal data give equal bytes; nothing is read from or written to disk here.
"""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sane_core.reporting.canvas import INK, SMALL, canvas, entitle, legend, legend_below
from sane_core.reporting.names import BLUE, GREY, ORANGE, SILVER, SKY
from sane_core.reporting.paper import published_views

SPLITS = {"train": SKY, "validation": ORANGE, "test": BLUE}
LOSS = "reconstruction loss (better ↓)"
ROW = 0.34
"""Inches per layer or setting."""
MOST = 30
"""Layers that are drawn; of more, those at equal distances."""


def layers(evaluation: pl.DataFrame) -> Figure:
    """Draw what is lost of each layer in the windows of training, a mark per split.

    Args:
        evaluation: Rows of `evaluation.parquet`.
    """
    rows = evaluation.filter("trained").filter(pl.col("l") >= 0).sort("l")
    names = rows.unique("l", maintain_order=True).select("l", "layer")
    names = names.gather_every(-(-len(names) // MOST))
    figure, (axes,) = canvas(1.4 + ROW * len(names))
    for shift, (split, colour) in zip((-0.2, 0.0, 0.2), SPLITS.items(), strict=True):
        own = names.join(rows.filter(split=split), on="l", maintain_order="left")
        at = [y + shift for y in range(len(own))]
        axes.hlines(at, own["low"], own["high"], color=colour, linewidth=1.5)
        axes.plot(own["reconstruction"], at, "o", color=colour, markersize=5, label=f"{split} runs")
    axes.set_yticks(range(len(names)), names["layer"].to_list())
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    entitle(axes, "What is lost of each layer", "reconstruction loss (better ←)")
    legend(axes, loc="best")
    return figure


def views(table: pl.DataFrame) -> Figure:
    """Draw Table 6: bars of the loss in training and on clean runs, the paper's as marks.

    Args:
        table: Columns aligned, first, second, training, train, test, low, high.
    """
    figure, (axes,) = canvas(2.0 + 3 * ROW * len(table))
    rows = table.to_dicts()
    for i, (name, label, colour) in enumerate(
        (
            ("training", "in training, with noise and views", SILVER),
            ("train", "train runs, clean", SKY),
            ("test", "test runs, clean, with 95 % interval", BLUE),
        )
    ):
        at = [y + 0.26 * (i - 1) for y in range(len(rows))]
        axes.barh(at, [row[name] for row in rows], height=0.24, color=colour, label=label)
    for y, row in enumerate(rows):
        axes.plot([row["low"], row["high"]], [y + 0.26, y + 0.26], color=INK, linewidth=1.3)
    _mark_published(axes, rows)
    names = [
        f"{'' if row['aligned'] else 'not '}aligned\n{row['first']}, {row['second']}"
        for row in rows
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    entitle(axes, "Alignment and views", "reconstruction loss (better ←)")
    legend_below(figure, axes, columns=3)
    return figure


def _mark_published(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Put the paper's loss on train and on test runs beside the bars of ours."""
    for shift, of, marker in ((0.0, 0, "D"), (0.26, 1, "s")):
        values = [published_views(row["aligned"], row["first"], row["second"])[of] for row in rows]
        at = [y + shift for y in range(len(rows))]
        label = f"paper (other networks), {('train', 'test')[of]}"
        axes.plot(values, at, marker, color=INK, markersize=4, label=label)


def inference(table: pl.DataFrame) -> Figure:
    """Draw Figure 6: the loss on test runs over the tokens per window.

    Args:
        table: Rows of `evaluation.parquet` on the test split.
    """
    overall = table.filter(layer="all").sort("window")
    trained = overall.filter("trained").row(0, named=True)
    figure, (axes,) = canvas(4.2)
    whole = overall.filter("whole")
    plain = overall.filter(halo=0)
    haloed = pl.concat([overall.filter(pl.col("halo") > 0), whole]).sort("window")
    for rows, label, colour in (
        (plain, "without halo", BLUE),
        (haloed, "with halo", ORANGE),
    ):
        if len(rows) > len(whole) or colour == BLUE:
            _curve(axes, rows, "window", "reconstruction", label, colour)
            axes.fill_between(
                rows["window"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0
            )
    axes.plot(
        trained["window"],
        trained["reconstruction"],
        "*",
        markersize=15,
        color=INK,
        label=f"window of training: {trained['window']:,}",
        zorder=4,
    )
    _lengths(axes, overall["window"].unique().sort().to_list())
    entitle(axes, "Windows at inference, test runs", "tokens kept per window", LOSS)
    legend(axes, title="mean and 95 % interval over runs", title_fontsize=SMALL)
    return figure


def sizes(table: pl.DataFrame) -> Figure:
    """Draw the loss over the length of the windows that were trained on.

    Args:
        table: Columns window, training, test, low, high, whole.
    """
    figure, (axes,) = canvas(4.2)
    table = table.sort("window")
    _curve(axes, table, "window", "training", "in training, with noise and views", GREY)
    _curve(axes, table, "window", "test", "test runs, in windows of training", BLUE)
    axes.fill_between(
        table["window"], table["low"], table["high"], color=BLUE, alpha=0.15, linewidth=0
    )
    _curve(axes, table, "window", "whole", "test runs, whole networks", ORANGE)
    _lengths(axes, table["window"].to_list())
    entitle(axes, "Windows in training", "tokens per window in training", LOSS)
    legend(axes)
    return figure


def _curve(axes: Axes, rows: pl.DataFrame, x: str, y: str, label: str, colour: str) -> None:
    axes.plot(rows[x], rows[y], color=colour, linewidth=2, marker="o", markersize=5, label=label)


def _lengths(axes: Axes, lengths: list[int]) -> None:
    """Make the x axis logarithmic, with a tick at each length."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
