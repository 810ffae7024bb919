"""The page of a hyper-parameter search: what was tried, how good it was, what mattered."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from sane_core.reporting.canvas import DPI, canvas, entitle, legend

FEWEST = 10
"""Complete trials from which on importances are drawn."""

_COLUMNS = 3


@dataclass(frozen=True)
class TriedTrial:
    """A trial as the page shows it.

    Attributes:
        number: From 0.
        state: How it ended.
        value: Of the objective; None unless it is complete.
        params: What was tried.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, object]


@dataclass(frozen=True)
class StudyPage:
    """What the page shows.

    Attributes:
        name: Of the study.
        objective: What was measured.
        maximize: Whether larger is better.
        trials: All that ended.
        importances: Share of each key in the variation of the objective; empty if unknown.
    """

    name: str
    objective: str
    maximize: bool
    trials: Sequence[TriedTrial]
    importances: Mapping[str, float]

    @property
    def complete(self) -> list[tuple[TriedTrial, float]]:
        """The trials that have a value."""
        return [(trial, trial.value) for trial in self.trials if trial.value is not None]


def write_study_page(folder: Path, page: StudyPage) -> Path:
    """Write `study.html` and its figures into a folder; return the path of the page."""
    figures = {"history.png": _draw_history, "slices.png": _draw_slices}
    if page.importances:
        figures["importances.png"] = _draw_importances
    for name in ("history.png", "slices.png", "importances.png"):
        (folder / name).unlink(missing_ok=True)
    for name, draw in figures.items():
        draw(page, folder / name)
    keys = sorted({key for trial in page.trials for key in trial.params})
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("trial", "state", "value", *keys))
    rows = "".join(_row(trial, keys) for trial in _ranked(page))
    images = "".join(f'<p><img src="{name}" width="900" alt="{name}"></p>' for name in figures)
    title = html.escape(f"{page.name}: {page.objective}")
    file = folder / "study.html"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px sans-serif;max-width:60rem;margin:2rem auto}"
        "td,th{padding:.2rem .6rem;text-align:left}table{border-collapse:collapse}"
        "tr:nth-child(even){background:#f4f4f4}</style>"
        f"<h1>{title}</h1>{images}<table><tr>{head}</tr>{rows}</table></html>\n",
        encoding="utf-8",
    )
    return file


def _ranked(page: StudyPage) -> list[TriedTrial]:
    """Return the best first, those without a value last."""
    sign = -1 if page.maximize else 1
    return sorted(
        page.trials,
        key=lambda t: (t.value is None, 0.0 if t.value is None else sign * t.value, t.number),
    )


def _row(trial: TriedTrial, keys: Sequence[str]) -> str:
    value = "" if trial.value is None else f"{trial.value:.5g}"
    cells = [str(trial.number), trial.state, value, *(_text(trial.params.get(key)) for key in keys)]
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _draw_history(page: StudyPage, file: Path) -> None:
    figure, (axes,) = canvas(3.5)
    numbers = [trial.number for trial, _ in page.complete]
    values = [value for _, value in page.complete]
    better = max if page.maximize else min
    best = [better(values[: i + 1]) for i in range(len(values))]
    axes.plot(numbers, values, "o", label="trial")
    axes.step(numbers, best, where="post", label="best so far")
    entitle(axes, "Every complete trial", "trial", page.objective)
    legend(axes)
    figure.savefig(file, dpi=DPI, metadata={"Software": None})


def _draw_slices(page: StudyPage, file: Path) -> None:
    keys = sorted({key for trial, _ in page.complete for key in trial.params})
    columns = min(_COLUMNS, len(keys))
    rows = math.ceil(len(keys) / columns)
    figure, axes = canvas(3.0 * rows, (rows, columns), sharey=True)
    for each, key in zip(axes, keys, strict=False):
        _draw_slice(each, page, key)
    for empty in axes[len(keys) :]:
        empty.set_axis_off()
    figure.savefig(file, dpi=DPI, metadata={"Software": None})


def _draw_slice(axes: Axes, page: StudyPage, key: str) -> None:
    tried = [trial.params.get(key) for trial, _ in page.complete]
    values = [value for _, value in page.complete]
    numbers = [x for x in tried if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(numbers) < len(tried):
        axes.plot([str(x) for x in tried], values, "o")
    else:
        axes.plot(numbers, values, "o")
        if min(numbers) > 0 and max(numbers) > 20 * min(numbers):
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif all(isinstance(x, int) for x in numbers):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    entitle(axes, "", key.removeprefix("pretrain."), "")


def _draw_importances(page: StudyPage, file: Path) -> None:
    ranked = sorted(page.importances.items(), key=lambda item: item[1])
    figure, (axes,) = canvas(1.2 + 0.35 * len(ranked))
    axes.barh([key for key, _ in ranked], [share for _, share in ranked])
    entitle(axes, "What the objective depends on", "share of its variance (fANOVA)")
    figure.savefig(file, dpi=DPI, metadata={"Software": None})
