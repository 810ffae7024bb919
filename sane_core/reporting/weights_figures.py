"""The figures of the weights on their way to tokens: aligned, standardized, cut (paper §2).

Equal data give equal bytes; nothing is read from or written to disk here.
"""

from math import ceil

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter

from sane_core.reporting.canvas import (
    INK,
    SMALL,
    canvas,
    entitle,
    legend,
    legend_below,
    percent,
)
from sane_core.reporting.names import BLUE, GREY, ORANGE, SILVER, SKY

SPLITS = {"train": SKY, "validation": ORANGE, "test": BLUE}
REFERENCE = pl.col("before") == 0
"""Only the reference, and exact copies of it, have no distance to it."""
ROW, TALLEST, LABEL = 0.28, 11.0, 0.15
"""Inches: of a layer's row, of all rows of many layers, and of a label that can be read."""


def alignment(distances: pl.DataFrame) -> Figure:
    """Draw every run's distance to the reference after over before alignment, and what is left.

    Args:
        distances: Columns split, before, after; a row per run.
    """
    figure, (pairs, left) = canvas(4.1, (1, 2))
    runs = distances.filter(~REFERENCE).with_columns(left=pl.col("after") / pl.col("before"))
    for split, colour in SPLITS.items():
        own = runs.filter(split=split)
        if len(own):
            pairs.scatter(own["before"], own["after"], s=14, color=colour, alpha=0.7, linewidth=0)
            label = f"{split} runs: {_percent(own['left'])} left on average"
            _cumulate(left, own["left"], colour, label)
    _mark_pairs(pairs, distances)
    left.axvline(1, color=INK, linewidth=1, linestyle="--")
    title = f"On average {_percent(runs['left'])} of the distance is left" if len(runs) else ""
    entitle(left, title, "distance left of a run (closer ←)", "share of runs up to here")
    percent(left, ("x", "y"))
    legend_below(figure, left, columns=3)
    return figure


def _mark_pairs(axes: Axes, distances: pl.DataFrame) -> None:
    """Show both distances from 0 on, with the diagonal on which nothing came closer."""
    largest = 1.06 * max(distances.select(pl.max("before", "after")).row(0)) or 1.0
    span = (-0.04 * largest, largest)
    axes.plot(span, span, color=INK, linewidth=1, linestyle="--", label="came no closer")
    axes.plot(0, 0, "*", markersize=11, color=INK, label="the reference itself", clip_on=False)
    axes.set_xlim(*span)
    axes.set_ylim(*span)
    entitle(axes, "Squared distance to the reference, by run", "as trained", "aligned")
    legend(axes, loc="upper left")


def _cumulate(axes: Axes, values: pl.Series, colour: str, label: str) -> None:
    """Draw the share of values up to each value."""
    steps = values.sort().to_numpy()
    shares = np.arange(len(steps) + 1) / len(steps)
    axes.step([steps[0], *steps], shares, where="post", color=colour, linewidth=2, label=label)


def _percent(shares: pl.Series) -> str:
    return f"{100 * float(shares.to_numpy().mean()):.0f} %"


def distributions(layers: pl.DataFrame) -> Figure:
    """Draw range, mean and spread of each layer's weights, raw and as tokens hold them.

    Args:
        layers: The layers table.
    """
    layers = _with_tokens(layers)
    figure, axes = canvas(1.5 + _rows_height(layers), (1, 2), sharey=True)
    offset, scale = layers["offset"].to_numpy(), layers["scale"].to_numpy()
    raw = {name: layers[name].to_numpy() for name in ("minimum", "maximum", "mean")}
    shown = {name: (values - offset) / scale for name, values in raw.items()}
    _ranges(axes[0], **raw, std=layers["std"].to_numpy())
    _ranges(axes[1], **shown, std=layers["std"].to_numpy() / scale)
    _name_rows(axes[0], layers["name"].to_list())
    entitle(axes[0], "Before: aligned weights", "weight")
    entitle(axes[1], "After: what the tokens hold", "standardized weight")
    legend_below(figure, axes[0], columns=3)
    return figure


def _ranges(
    axes: Axes, minimum: np.ndarray, maximum: np.ndarray, mean: np.ndarray, std: np.ndarray
) -> None:
    rows = np.arange(len(mean))
    size = 36 * min(ROW, TALLEST / len(rows))
    axes.axvline(0, color=GREY, linewidth=1)
    axes.barh(
        rows,
        maximum - minimum,
        left=minimum,
        color=SILVER,
        height=0.24,
        label="smallest to largest, train runs",
    )
    axes.barh(rows, 2 * std, left=mean - std, color=BLUE, height=0.62, label="mean ± one std")
    axes.plot(mean, rows, "|", color=ORANGE, markersize=size, markeredgewidth=2, label="mean")
    axes.use_sticky_edges = False


def fill(layers: pl.DataFrame, d_t: int) -> Figure:
    """Draw how much of each layer's tokens real weights fill, and how many values that is.

    Args:
        layers: The layers table.
        d_t: Token size.
    """
    layers = _with_tokens(layers)
    figure, (share, amount) = canvas(1.5 + _rows_height(layers), (1, 2), sharey=True)
    _share_filled(share, layers, d_t)
    _values(amount, layers, d_t)
    _name_rows(share, layers["name"].to_list())
    legend_below(figure, amount, columns=2)
    return figure


def _share_filled(axes: Axes, layers: pl.DataFrame, d_t: int) -> None:
    weights, values = weights_of(layers), _values_of(layers, d_t)
    overall = float(weights.sum() / values.sum())
    bars = axes.barh(np.arange(len(layers)), weights / values, color=BLUE, height=0.62)
    axes.axvline(overall, color=INK, linewidth=1, linestyle="--")
    if _every(layers) == 1:
        _label(axes, bars, [_short_percent(value) for value in weights / values])
    axes.set_xlim(0, 1.14)
    percent(axes, ("x",))
    title = f"Fill rate: {100 * overall:.0f} % of all values (dashed)"
    entitle(axes, title, "share of real weights")


def _values(axes: Axes, layers: pl.DataFrame, d_t: int) -> None:
    weights, values = weights_of(layers), _values_of(layers, d_t)
    rows, padding = np.arange(len(layers)), values - weights
    axes.barh(rows, weights, color=BLUE, height=0.62, label="real weights")
    bars = axes.barh(rows, padding, left=weights, color=SILVER, height=0.62, label="padding")
    if _every(layers) == 1:
        _label(axes, bars, [f"{n} token{'s' * (n > 1)}" for n in layers["tokens"]])
    axes.set_xlim(0, 1.28 * values.max())
    axes.xaxis.set_major_formatter(EngFormatter())
    entitle(axes, f"Values in a network's tokens of {d_t}", "values")


def _short_percent(share: float) -> str:
    """Write whole percents, and one digit of less than one, which is not nothing."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def _label(axes: Axes, bars: BarContainer, labels: list[str]) -> None:
    """Write beside each bar, readable on top of lines."""
    outline = [withStroke(linewidth=2.5, foreground="white")]
    axes.bar_label(bars, labels, fontsize=SMALL, color=INK, padding=3, path_effects=outline)


def weights_of(layers: pl.DataFrame) -> np.ndarray:
    """Return how many weights each layer has, its bias included, int64 [layers]."""
    rows = layers["c_r"].cast(pl.Int64) + layers["has_bias"].cast(pl.Int64)
    return (layers["c_out"].cast(pl.Int64) * rows).to_numpy()


def _values_of(layers: pl.DataFrame, d_t: int) -> np.ndarray:
    return layers["tokens"].cast(pl.Int64).to_numpy() * d_t


def _with_tokens(layers: pl.DataFrame) -> pl.DataFrame:
    return layers.filter(pl.col("tokens") > 0).sort("l")


def _rows_height(layers: pl.DataFrame) -> float:
    return min(ROW * len(layers), TALLEST)


def _every(layers: pl.DataFrame | list[str]) -> int:
    """Return how many rows there are to a label, so that labels never overlap."""
    return ceil(LABEL * len(layers) / min(ROW * len(layers), TALLEST))


def _name_rows(axes: Axes, names: list[str]) -> None:
    every = _every(names)
    axes.set_yticks(np.arange(len(names))[::every], names[::every])
    axes.set_ylim(len(names) - 0.4, -0.6)
