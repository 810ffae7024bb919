"""Entries of networks sampled for other images and architectures: Tables 5 and 13 to 17 (§5.2, F).

Which table an outcome belongs to follows from where its prompts are from, and from what is new:

| prompts | architecture | images | table |
|---|---|---|---|
| of the zoo | the zoo's | new | 13 (CNNs), 14 (ResNets) |
| of the target | the zoo's | new | 5 |
| of the target | new | the zoo's | 15, with one prompt 17 |
| of the target | new | new | 16 |
"""

import re
from typing import Any

import polars as pl

from sane_core.reporting.beside.entries import Entry
from sane_core.reporting.beside.generated import Grid, measured, together
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.beside.targets import label_of, published_column
from sane_core.reporting.names import METHODS, in_order, name_of
from sane_core.reporting.paper import Published, published_epochs, published_if_any

_FEW = {"scratch": "scratch", "sub": "SANE"}
_TOGETHER = {"sub": "SANE_ensemble"}
_MANY = {"scratch": "scratch", "kde30": "SANE_KDE30", "sub": "SANE_SUB"}
GRIDS = {
    "table5": Grid("table5", _FEW, _TOGETHER),
    "table13": Grid("table13", _MANY | {"prompts": "pretrained", "global_kde30": "S_KDE30"}),
    "table14": Grid("table14", _MANY | {"prompts": "finetuned", "boot": "SANE_BOOT"}),
    "table15": Grid("table15", _FEW, _TOGETHER),
    "table16": Grid("table16", _FEW, _TOGETHER),
    "table17": Grid("table17", _FEW, _TOGETHER),
}
_FREE = re.compile(r"\b(classes|size)=[^,\]]*,?")
"""Options of an architecture that its images settle."""


def table_of(outcome: Outcome) -> str:
    """Return which table an outcome belongs to."""
    if outcome.onto is None or outcome.config["target"].get("prompts", "zoo") == "zoo":
        return "table14" if outcome.zoo.beside.resnet else "table13"
    larger = _kind(outcome.onto.architecture) != _kind(outcome.zoo.architecture)
    if not larger:
        return "table5"
    if outcome.onto.dataset != outcome.zoo.dataset:
        return "table16"
    return "table17" if outcome.facts.get("prompt_count") == 1 else "table15"


def fits(outcome: Outcome, table: str) -> bool:
    """Return whether a transfer belongs into a table."""
    return outcome.has("accuracy.parquet") and table_of(outcome) == table


def entries(outcome: Outcome, table: str) -> list[Entry]:
    """Return a row per method, behind them those of ensembles, and a cell per epoch.

    Args:
        outcome: Of the stage `transfer_learning`.
        table: One of `GRIDS`.
    """
    accuracy = pl.read_parquet(outcome.folder / "accuracy.parquet")
    places = _places(accuracy, table)
    several = len({length for length, _ in places}) > 1
    found = []
    for method in in_order(accuracy["method"], METHODS):
        own = accuracy.filter(method=method)
        for length, epoch in places:
            ours = measured(own.filter(length=length, epoch=epoch)["test_accuracy"])
            paper = _paper(outcome, table, GRIDS[table].rows.get(method), length, str(epoch))
            found.append(
                Entry(
                    name_of(method, METHODS).label,
                    _heading(length, epoch, several),
                    ours,
                    paper,
                    label_of(outcome, table, length),
                    outcome.source,
                )
            )
    return found + _ensembles(outcome, table, places, several)


def column(outcome: Outcome, table: str) -> str:
    """Return the published transfer that an outcome is read beside."""
    if len(GRIDS[table].rows) == len(_FEW):
        return ""  # the table's title says it, its columns are lengths of fine-tuning
    return published_column(outcome, table, 0) or ""


def notes(outcome: Outcome, table: str) -> tuple[str, ...]:
    """Say how the values are to be read, and what was sampled from and for."""
    del table
    facts = outcome.facts
    told = [
        "Percent, mean ± standard deviation over n networks; epoch 0 is zero-shot; ensemble: mean "
        "of logits of n networks."
    ]
    if {"architecture", "dataset", "prompt_count", "prompt_epochs"} <= {*facts}:
        whose = "of the zoo" if facts.get("prompts") == "zoo" else "trained on the target"
        told.append(
            f"{facts['architecture']} on {facts['dataset']}, from "
            f"{_counted(facts['prompt_count'])} {whose}, of epoch {facts['prompt_epochs']}, by a "
            f"SANE of {outcome.zoo.architecture or outcome.zoo.name}."
        )
    return tuple(told)


def _ensembles(
    outcome: Outcome, table: str, places: list[tuple[int, int]], several: bool
) -> list[Entry]:
    if not outcome.has("ensembles.parquet"):
        return []
    rows = pl.read_parquet(outcome.folder / "ensembles.parquet").filter(pl.col("models") > 1)
    found = []
    for method in in_order(rows["method"], METHODS):
        own = rows.filter(method=method)
        for length, epoch in places:
            chosen = own.filter(length=length, epoch=epoch)
            row, at = GRIDS[table].ensembles.get(method), str(epoch)
            if epoch == length and "end" in published_epochs(table):
                at = "end"
            found.append(
                Entry(
                    f"{name_of(method, METHODS).label}, ensemble",
                    _heading(length, epoch, several),
                    together(chosen) if len(chosen) else None,
                    _paper(outcome, table, row, length, at),
                    label_of(outcome, table, length),
                    outcome.source,
                )
            )
    return found


def _places(accuracy: pl.DataFrame, table: str) -> list[tuple[int, int]]:
    """Return (length, epoch): ours, and where the paper has samples within the same lengths."""
    ours = {*accuracy.select("length", "epoch").rows()}
    theirs = [int(epoch) for epoch in published_epochs(table) if epoch.isdigit()]
    return sorted(ours | {(n, e) for n, _ in ours for e in theirs if e <= n})


def _paper(outcome: Outcome, table: str, row: str | None, length: int, at: str) -> Published | None:
    column = published_column(outcome, table, length)
    return published_if_any(table, column, row, at) if row and column else None


def _counted(prompts: int) -> str:
    return "a single prompt" if prompts == 1 else f"{prompts} prompts"


def _heading(length: int, epoch: int, several: bool) -> str:
    return f"epoch {epoch} of {length}" if several else f"epoch {epoch}"


def _kind(architecture: str) -> tuple[str, Any]:
    """Return what is left of an architecture's name without what its images settle."""
    name, _, options = architecture.partition("[")
    return name, tuple(sorted(filter(None, _FREE.sub("", options).strip("],").split(","))))
