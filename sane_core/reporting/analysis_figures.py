"""The figures of the analysis: features over layers, accuracy over features, spectra (§4, App. C).

Equal data give equal bytes; nothing is read from or written to disk here.
"""

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sane_core.analysis.correlate import Correlation
from sane_core.analysis.spectra import ZERO
from sane_core.analysis.together import correlations, series_of
from sane_core.reporting.canvas import (
    INK,
    SMALL,
    canvas,
    entitle,
    legend_below,
    percent,
    whole_numbers,
)
from sane_core.reporting.names import (
    BLUE,
    GREEN,
    GREY,
    LAYER_FEATURES,
    ORANGE,
    PINK,
    RED,
    SILVER,
    SKY,
    name_of,
)

OVER_LAYERS = ("log_spectral_norm", "alpha_weighted", "spread")
OVER_NETWORKS = (
    "log_spectral_norm",
    "alpha_weighted",
    "spread",
    "alpha",
    "stable_rank",
    "log_alpha_norm",
)
COLUMNS = 6
"""Zoos whose spectra are drawn; of more, those at equal distances."""
BINS = 40
_COLOURS = (BLUE, ORANGE, GREEN, RED, PINK, SKY)


def over_layers(layers: pl.DataFrame) -> Figure:
    """Draw features over the layer index: a row per series, a curve per zoo (Figures 3, 8, 9).

    Args:
        layers: Rows of `ANALYSED_LAYERS`, of the last epochs.
    """
    table = layers.with_columns(series=_series(layers))
    every = table["series"].unique(maintain_order=True).to_list()
    figure, axes = canvas(0.6 + 3.0 * len(every), (len(every), len(OVER_LAYERS)))
    colours = _colours(table["zoo"].unique(maintain_order=True).to_list())
    for row, series in enumerate(every):
        own = table.filter(series=series)
        for column, feature in enumerate(OVER_LAYERS):
            each = axes[row * len(OVER_LAYERS) + column]
            for (zoo,), part in own.group_by("zoo", maintain_order=True):
                _curve(each, part, feature, str(zoo), colours[str(zoo)])
            label = name_of(feature, LAYER_FEATURES).label
            _entitle(each, f"{series}: {label}", "layer index")
            whole_numbers(each)
            if not each.lines:
                _say(each, "not available")
    _legend_of(figure, colours)
    return figure


def _curve(axes: Axes, rows: pl.DataFrame, feature: str, label: str, colour: str) -> None:
    """Draw the mean over networks, and a band from the lowest to the highest."""
    value = pl.col(feature)
    found = (
        rows.drop_nulls(feature)
        .group_by("l")
        .agg(mean=value.mean(), low=value.min(), high=value.max())
        .sort("l")
    )
    if len(found):
        axes.plot(found["l"], found["mean"], color=colour, lw=1.6, marker=".", ms=4, label=label)
        axes.fill_between(
            found["l"], found["low"], found["high"], color=colour, alpha=0.18, linewidth=0
        )


def accuracy(networks: pl.DataFrame) -> Figure:
    """Draw test accuracy over each feature's model mean, with correlations (Figures 4, 10, 11).

    Args:
        networks: Rows of `ANALYSED_NETWORKS`, one per network.
    """
    table = networks.with_columns(series=_series(networks))
    of = "series" if table["series"].n_unique() > 1 else "zoo"
    colours = _colours(table[of].unique(maintain_order=True).to_list())
    found = correlations(networks.to_arrow())
    figure, axes = canvas(6.6, (2, 3), sharey=True)
    for i, (each, feature) in enumerate(zip(axes, OVER_NETWORKS, strict=True)):
        rows = table.drop_nulls(["test_accuracy", feature])
        for (group,), part in rows.group_by(of, maintain_order=True):
            each.scatter(
                part[feature],
                part["test_accuracy"],
                s=22,
                color=colours[str(group)],
                alpha=0.75,
                linewidth=0,
                label=str(group),
            )
        label = name_of(feature, LAYER_FEATURES).label
        _entitle(each, _coefficients(found[feature]), label, "" if i % 3 else "test accuracy")
        percent(each)
        if not len(rows):
            _say(each, "not available")
    _legend_of(figure, colours)
    return figure


def _coefficients(found: Correlation) -> str:
    if found.note:
        return f"n = {found.networks}\n{found.note}"
    values = (found.pearson, found.spearman, found.kendall)
    r, rho, tau = (f"{value:+.2f}".replace("-", "−") for value in values)
    return f"n = {found.networks}: Pearson {r},\nSpearman {rho}, Kendall {tau}"


def spectra(table: pl.DataFrame) -> Figure:
    """Draw eigenvalues, and distances of tokens' latents, of one layer by zoo (Figure 7).

    Args:
        table: Rows of `SPECTRA`.
    """
    zoos = table["zoo"].unique(maintain_order=True).to_list()
    zoos = zoos[:: -(-len(zoos) // COLUMNS)]
    figure, axes = canvas(5.6, (2, len(zoos)), sharex="row", sharey="row")
    for column, zoo in enumerate(zoos):
        own = table.filter(zoo=zoo)
        top, below = axes[column], axes[len(zoos) + column]
        _histograms(top, own, "eigenvalues", logarithmic=True)
        top.axvline(
            np.log10(own.filter("last")["edge"].to_numpy().mean()), color=INK, lw=1, ls="--"
        )
        _histograms(below, own, "distances", logarithmic=False)
        _entitle(top, zoo, "log eigenvalue", "" if column else "density")
        _entitle(below, "", "distance of tokens", "" if column else "density")
    axes[0].plot([], [], color=INK, lw=1, ls="--", label="edge of random weights as large")
    legend_below(figure, axes[0], columns=3)
    return figure


def _histograms(axes: Axes, rows: pl.DataFrame, column: str, logarithmic: bool) -> None:
    """Draw the density at the last epochs, and as a line that at the first ones."""
    for last, colour, label in ((False, GREY, "first epoch"), (True, BLUE, "last epoch")):
        values = rows.filter(pl.col("last") == last)[column].explode().drop_nulls().to_numpy()
        values = np.log10(values[values > ZERO]) if logarithmic else values
        if len(values):
            axes.hist(
                values,
                bins=BINS,
                density=True,
                histtype="stepfilled" if last else "step",
                color=colour,
                alpha=0.55 if last else 1,
                label=label,
            )
    if not axes.patches:
        _say(axes, "not available")


def _series(table: pl.DataFrame) -> pl.Series:
    return pl.Series([series_of(name) for name in table["architecture"]], dtype=pl.String)


def _colours(names: list[str]) -> dict[str, str]:
    """Return a colour for each name: of a palette, or of a scale where there are too many."""
    if len(names) <= len(_COLOURS):
        return dict(zip(names, _COLOURS, strict=False))
    scale = colormaps["viridis"]
    return {name: to_hex(scale(i / (len(names) - 1))) for i, name in enumerate(names)}


def _legend_of(figure: Figure, colours: dict[str, str]) -> None:
    """Explain the colours for the whole figure, under it."""
    dots = [Line2D([], [], marker="o", linestyle="", color=each) for each in colours.values()]
    figure.legend(
        dots,
        list(colours),
        loc="outside lower center",
        ncols=min(len(colours), 4),
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )


def _entitle(axes: Axes, title: str, x: str, y: str = "") -> None:
    """Write what small axes show."""
    entitle(axes, "", x, y)
    axes.set_title(title, fontsize=SMALL, color=INK, loc="left")


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=SILVER, fontsize=SMALL)
