"""Figure 5: several architectures sampled for a new task, against training from scratch (§5.2).

The paper draws it without numbers, so nothing of the paper's stands beside ours.
"""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from sane_core.reporting.beside.catalogue import Listed
from sane_core.reporting.beside.collect import Collected, missing, newest
from sane_core.reporting.beside.entries import PERCENT, Entry, Measured
from sane_core.reporting.beside.generated import measured
from sane_core.reporting.beside.layout import beside_table, flat_rows
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.canvas import canvas, entitle, legend
from sane_core.reporting.likeness import Agreement, likeness
from sane_core.reporting.names import METHODS, name_of

STARTS = ("scratch", "sub")
LENGTH = 5
"""Epochs of fine-tuning in the paper's figure."""
NOTES = (
    "Percent at the end of fine-tuning, mean ± standard deviation over n networks, for prompts "
    "trained on the target.",
    "In the paper (ResNets sampled by a SANE of CIFAR-100 ResNet-18s, 5 epochs on Tiny-ImageNet) "
    "the gain shrinks with the distance from the architecture that SANE was trained on; it is "
    "drawn there without numbers.",
)
_GAIN = "sampled − scratch"


def fits(outcome: Outcome) -> bool:
    """Return whether a transfer is of prompts of another task, as the figure's are."""
    if outcome.onto is None or not outcome.has("accuracy.parquet"):
        return False
    of_target = outcome.config["target"].get("prompts") == "target"
    methods = {*_rows(outcome)["method"]}
    return of_target and outcome.onto.dataset != outcome.zoo.dataset and {*STARTS} <= methods


def collect(asked: Listed, outcomes: Sequence[Outcome]) -> Collected:
    """Collect one table of all architectures."""
    fitting = _fitting(outcomes)
    found = [entry for outcome in fitting for entry in entries(outcome)]
    tables = [beside_table(asked.title, "architecture", found, PERCENT, NOTES)] if fitting else []
    flat = tuple(map(tuple, flat_rows(asked.name, asked.title, found)))
    return Collected(tuple(tables), flat, missing(asked, fitting))


def entries(outcome: Outcome) -> list[Entry]:
    """Return a row: from scratch, sampled, and the gain."""
    rows, label = _rows(outcome), likeness(Agreement(dataset=False, architecture=False))
    found = {method: measured(rows.filter(method=method)["test_accuracy"]) for method in STARTS}
    cells = {name_of(method, METHODS).label: ours for method, ours in found.items()}
    if all(found.values()):
        scratch, sampled = (found[method].mean for method in STARTS)  # type: ignore[union-attr]
        cells[_GAIN] = Measured(sampled - scratch)
    name = _row(outcome)
    return [Entry(name, at, ours, None, label, outcome.source) for at, ours in cells.items()]


def figure(outcomes: Sequence[Outcome]) -> Figure | None:
    """Draw sampled beside scratch, a pair of bars per architecture; None if there is nothing."""
    fitting = _fitting(outcomes)
    if not fitting:
        return None
    names = list(dict.fromkeys(map(_row, fitting)))
    figure, (axes,) = canvas(4.2)
    for i, method in enumerate(STARTS):
        values = [
            measured(_all(fitting, name).filter(method=method)["test_accuracy"]) for name in names
        ]
        style = name_of(method, METHODS)
        axes.bar(
            np.arange(len(names)) + 0.4 * i - 0.2,
            [each.mean if each else 0.0 for each in values],
            yerr=[(each.std or 0.0) if each else 0.0 for each in values],
            width=0.36,
            color=style.colour,
            label=style.label,
            capsize=3,
        )
    told = [name.replace("[", "\n[").replace(" on ", "\non ") for name in names]
    axes.set_xticks(range(len(names)), told)
    axes.grid(False, axis="x")
    entitle(axes, "Networks sampled for a new task, by architecture", "", "test accuracy, %")
    legend(axes)
    return figure


def _fitting(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return what fits, architectures from small to large as their names count."""
    found = [outcome for outcome in newest(outcomes) if fits(outcome)]
    return sorted(found, key=lambda each: (_size(_row(each)), _row(each), each.seed or 0))


def _size(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits.group()) if digits else 0


def _row(outcome: Outcome) -> str:
    target = outcome.onto
    return f"{target.architecture} on {target.dataset}" if target else outcome.zoo.name


def _rows(outcome: Outcome) -> pl.DataFrame:
    """Return rows at the end of the fine-tuning of 5 epochs, or of the longest one."""
    rows = pl.read_parquet(outcome.folder / "accuracy.parquet")
    lengths = rows["length"].unique().to_list()
    length = LENGTH if LENGTH in lengths else max(lengths)
    return rows.filter(length=length, epoch=length)


def _all(outcomes: Sequence[Outcome], name: str) -> pl.DataFrame:
    return pl.concat([_rows(each) for each in outcomes if _row(each) == name])
