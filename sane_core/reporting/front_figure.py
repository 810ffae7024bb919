"""The headline figure: accuracy over novelty, a curve per sampler as its knob is swept.

A point is the mean over seeds, its bars the 95 % interval of that mean. Equal data give equal
bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from scipy import stats

from sane_core.reporting.canvas import INK, SMALL, annotate, canvas, entitle, percent
from sane_core.reporting.names import BLACK, METHODS, SAMPLERS, SPARE, Name, in_order, name_of

NEW = 0.7
"""Largest error overlap that counts as new."""
DEPTH = 0.4
"""Of accuracy that is shown below the best point; what lies deeper is left out and counted."""
MARKS = (("*", 13), ("D", 8), ("X", 9), ("P", 9))
"""Shape and size of the marks of references."""
LINE, LETTER = 0.036, 0.0086
"""Height of a line of labels and width of a letter, as shares of the axes."""


@dataclass(frozen=True)
class Curve:
    """One sampler.

    Attributes:
        sampler: As it is stored.
        name: How it is shown.
        points: Columns knob, overlap, overlap_half, accuracy, accuracy_half, seeds; by knob.
    """

    sampler: str
    name: Name
    points: pl.DataFrame

    @property
    def height(self) -> float:
        """Best accuracy among what counts as new; -1 if nothing does."""
        new = self.points.filter(pl.col("overlap") <= NEW)["accuracy"]
        return float(new.max()) if len(new) else -1.0  # type: ignore[arg-type]


def front(points: pl.DataFrame, references: pl.DataFrame) -> Figure:
    """Draw the front of accuracy and novelty.

    Args:
        points: A row per (sampler, knob, seed), columns as of `FrontPoint`.
        references: Columns method, accuracy, overlap: models that stand beside the curves.
    """
    figure, (axes,) = canvas(6.4)
    curves = curves_of(points)
    best = max(float(curve.points["accuracy"].max()) for curve in curves)  # type: ignore[arg-type]
    drawn = [(curve, _draw(axes, curve, best - DEPTH)) for curve in curves]
    marks = {}
    for row, (marker, size) in zip(references.iter_rows(named=True), MARKS, strict=False):
        label = name_of(row["method"], METHODS).label
        place = (row["overlap"], row["accuracy"])
        (marks[label],) = axes.plot(*place, marker=marker, markersize=size, color=INK, ls="none")
    axes.axvline(NEW, color=INK, linewidth=1, linestyle=":")
    percent(axes)
    entitle(
        axes,
        "Accuracy and novelty: further up and further left is better",
        "largest error overlap with any training network (more novel ←)",
        "test accuracy of the networks kept (better ↑)",
    )
    axes.margins(x=0.09, y=0.07)
    title = _reading(curves, best - DEPTH)
    _label_ends(axes, curves, best - DEPTH)
    annotate(axes, "← new", (NEW, axes.get_ylim()[1]), (-22, -6), INK)
    _explain(figure, {curve.name.label: bar for curve, bar in drawn} | marks, title)
    return figure


def curves_of(points: pl.DataFrame) -> list[Curve]:
    """Return the samplers' curves, the highest among what counts as new first.

    Args:
        points: A row per (sampler, knob, seed), columns as of `FrontPoint`.
    """
    names = in_order(points["sampler"], SAMPLERS)
    unknown = [name for name in names if name not in SAMPLERS]
    spare = dict(zip(unknown, SPARE, strict=False))
    curves = [
        Curve(
            name,
            SAMPLERS.get(name, Name(name.replace("_", " "), spare.get(name, BLACK), line=":")),
            _over_seeds(points.filter(sampler=name)),
        )
        for name in names
    ]
    return sorted(curves, key=lambda curve: -curve.height)


def _over_seeds(points: pl.DataFrame) -> pl.DataFrame:
    """Return mean and half of the 95 % interval (Student's t) over seeds, by knob."""
    rows = points.group_by("knob", maintain_order=True).agg(
        pl.col("accuracy", "overlap").mean(),
        pl.col("accuracy", "overlap").std().fill_null(0.0).name.suffix("_std"),
        pl.len().alias("seeds"),
    )
    counts = rows["seeds"].to_numpy()
    factors = stats.t.ppf(0.975, np.maximum(counts - 1, 1)) / np.sqrt(counts)
    halves = [(rows[f"{name}_std"] * factors).alias(f"{name}_half") for name in _MEASURED]
    return rows.with_columns(halves).sort("knob")


_MEASURED = ("accuracy", "overlap")


def _draw(axes: Axes, curve: Curve, floor: float) -> ErrorbarContainer:
    shown = curve.points.filter(pl.col("accuracy") >= floor)
    bars = axes.errorbar(
        shown["overlap"].to_numpy(),
        shown["accuracy"].to_numpy(),
        xerr=shown["overlap_half"].to_numpy(),
        yerr=shown["accuracy_half"].to_numpy(),
        color=curve.name.colour,
        linestyle=curve.name.line,
        linewidth=2.2 if curve.name.ours else 1.6,
        elinewidth=0.9,
        marker=curve.name.marker,
        markersize=5.5,
        ecolor=(curve.name.colour, 0.45),
    )
    return bars


def _label_ends(axes: Axes, curves: Sequence[Curve], floor: float) -> None:
    """Write each sampler's name and its last knob in a column on the left, led to its novel end."""
    ends = []
    for curve in curves:
        shown = curve.points.filter(pl.col("accuracy") >= floor).sort("overlap")
        if len(shown):
            ends.append((curve, shown.row(0, named=True)))
    ends.sort(key=lambda end: -end[1]["accuracy"])
    texts = [f"{curve.name.label}, {end['knob']:g}" for curve, end in ends]
    share = LETTER * max(map(len, texts)) + 0.02
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    column = left
    axes.set_xticks([tick for tick in axes.get_xticks() if left <= tick <= right])
    axes.set_xlim(right - (right - left) / (1 - share), right)
    heights = _apart([(end["accuracy"] - low) / (high - low) for _, end in ends])
    for (curve, end), text, at in zip(ends, texts, heights, strict=True):
        axes.annotate(
            text,
            (end["overlap"], end["accuracy"]),
            xytext=(column, low + at * (high - low)),
            ha="right",
            va="center",
            fontsize=SMALL,
            color=curve.name.colour,
            arrowprops={"arrowstyle": "-", "color": curve.name.colour, "lw": 0.8, "ls": ":"},
        )


def _apart(heights: Sequence[float]) -> list[float]:
    """Move heights, which fall, so that lines of text do not touch, and keep them in the axes."""
    down: list[float] = []
    for height in heights:
        down.append(min(height, 1 - LINE, down[-1] - LINE if down else 1.0))
    lowest = LINE
    for at in reversed(range(len(down))):
        down[at] = max(down[at], lowest)
        lowest = down[at] + LINE
    return down


def _reading(curves: Sequence[Curve], floor: float) -> str:
    """Return how points and their bars are to be read, and what is not shown."""
    deep = sum(int((curve.points["accuracy"] < floor).sum()) for curve in curves)
    counts = sorted({count for curve in curves for count in curve.points["seeds"]})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    read = "one seed" if seeds == "1" else f"mean and 95 % interval over {seeds} seeds"
    told = f"{read}; at the ends the value of the knob"
    return told + (f"; {deep} points lie below {100 * floor:.0f} %" if deep else "")


def _explain(figure: Figure, shown: dict[str, Any], title: str) -> None:
    """Write the legend, its order that of the curves."""
    figure.legend(
        list(shown.values()),
        list(shown),
        title=title,
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL,
        title_fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
        handlelength=3.2,
    )
