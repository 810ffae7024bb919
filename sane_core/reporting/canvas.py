"""The canvas of every figure: its look, and PNG and SVG files that depend on nothing but the data.

Figures are 9 inches wide, so that shown at 900 pixels their text stays readable. Every size and
colour is set on the figure itself: reports may be drawn in several threads, and matplotlib's
settings are global.
"""

import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

WIDTH, DPI = 9.0, 130
SMALL, TEXT, TITLE = 9, 10, 11
_RANDOM_NAME = re.compile(r"(?<=[\"#])[a-z][0-9a-f]{10}(?=[\")])")
INK, EDGE, RULE = "#222222", "#999999", "#E2E2E2"


def canvas(
    height: float, shape: tuple[int, int] = (1, 1), **share: Any
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes, row by row.

    Args:
        height: Height in inches.
        shape: Rows and columns of axes.
        share: `sharex`, `sharey` and `width_ratios`, as matplotlib takes them.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    axes: list[Axes] = list(figure.subplots(*shape, squeeze=False, **share).flat)
    for each in axes:
        each.grid(True, color=RULE, linewidth=0.8)
        each.set_axisbelow(True)
        each.tick_params(labelsize=SMALL, colors=INK, length=0)
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(EDGE)
    return figure, axes


def entitle(axes: Axes, title: str, x: str, y: str = "") -> None:
    """Write what the axes show."""
    axes.set_title(title, fontsize=TITLE, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)


def legend(axes: Axes, **place: Any) -> None:
    """Explain the axes' curves."""
    axes.legend(fontsize=SMALL, labelcolor=INK, frameon=False, **place)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Explain the curves of `axes`, for the whole figure, under it."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        handlelength=3.5,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )


def percent(axes: Axes, which: Sequence[str] = ("y",)) -> None:
    """Show fractions as percent on the axes named, at few places of the x axis: they are wide."""
    if "x" in which:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    for name in which:
        getattr(axes, f"{name}axis").set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def whole_numbers(axes: Axes) -> None:
    """Put the ticks of the x axis on whole numbers, as epochs are."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic, its ticks 1, 2 and 5 times powers of ten, written out."""
    axes.set_yscale("log", subs=[2, 5])
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(plain)
    axes.tick_params(which="minor", labelsize=SMALL, colors=INK, length=0)
    axes.grid(True, which="minor", color=RULE, linewidth=0.8)


def annotate(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[int, int], colour: str
) -> None:
    """Write small text beside a point, readable on top of curves; `offset` is in points."""
    axes.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=SMALL,
        color=colour,
        zorder=5,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its path ends, .png or .svg; equal data give equal bytes."""
    if path.suffix == ".svg":
        path.write_text(svg_of(figure), encoding="utf-8")
    else:
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def svg_of(figure: Figure) -> str:
    """Return a figure as SVG, its text as paths; equal data give equal text.

    Matplotlib names shapes at random; they are numbered in the order they come instead.
    """
    drawn = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(drawn, format="svg", metadata=nothing)
    text = drawn.getvalue()
    names = dict.fromkeys(_RANDOM_NAME.findall(text))
    numbered = {name: f"{name[0]}{number}" for number, name in enumerate(names)}
    return _RANDOM_NAME.sub(lambda found: numbered[found.group()], text)
