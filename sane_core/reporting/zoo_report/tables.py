"""The zoo report's tables; accuracies are in percent, mean ± standard deviation over networks."""

from typing import Any

import polars as pl

from sane_core.reporting.table import Table
from sane_core.reporting.zoo_report.cells import (
    count,
    number,
    printed,
    shown,
    span,
    spread,
)
from sane_core.reporting.zoo_report.facts import ZooFacts
from sane_core.reporting.zoo_report.scratch import EPOCHS, column_of, scratch
from sane_core.zoo.grouped_splits import SPLITS

MOST = 30
"""Rows of a table at most."""
_FEW = 6
"""Values of a hyper-parameter that are listed rather than counted, and example files."""


def splits_table(zoo: ZooFacts) -> Table:
    """Show runs and checkpoints, and what every run reached at its last epoch, per split."""
    rows = []
    last = zoo.last()
    for split in [*SPLITS, None]:
        own = zoo.checkpoints if split is None else zoo.checkpoints.filter(split=split)
        final = last if split is None else last.filter(split=split)
        if len(own):
            epochs = [int(epoch) for epoch in own["epoch"].unique().sort()]
            rows.append(
                (split or "all", count(own["run"].n_unique()), count(len(own)), span(epochs))
                + tuple(
                    spread(final[column], 100)
                    for column in ("train_accuracy", "test_accuracy", "generalization_gap")
                )
                + (spread(final["test_loss"], digits=3),)
            )
    return Table(
        "Runs and their last epoch",
        ("split", "runs", "checkpoints", "epochs")
        + ("train acc.", "test acc.", "gap", "test loss"),
        tuple(rows),
        ("Accuracies in percent, losses in nats, the gap is train minus test accuracy.",),
    )


def architectures_table(zoo: ZooFacts) -> Table:
    """Show how large the networks of every architecture are."""
    found = (
        zoo.checkpoints.group_by("architecture")
        .agg(pl.col("run").n_unique().alias("runs"), pl.len())
        .sort("runs", "architecture", descending=[True, False])
    )
    rows = [
        (shown(name), count(runs), count(checkpoints), _parameters(zoo, name))
        for name, runs, checkpoints in found.head(MOST).iter_rows()
    ]
    return Table(
        "Architectures",
        ("architecture", "runs", "checkpoints", "weights of one network"),
        tuple(rows),
        _left_out(len(found), "architectures"),
    )


def accuracy_table(zoo: ZooFacts, dataset: str | None) -> Table:
    """Show accuracies over epochs, beside the paper's where it has the data set.

    Args:
        zoo: The zoo.
        dataset: Name of the images it was trained on.
    """
    column = column_of(dataset)
    rows = []
    for epoch in _told(zoo.epochs()):
        own = zoo.checkpoints.filter(epoch=epoch)
        cells = [str(epoch), count(own["run"].n_unique())]
        cells += [spread(own[f"{part}_accuracy"], 100) for part in ("train", "test")]
        cells += [spread(own["generalization_gap"], 100), spread(own["test_loss"], digits=3)]
        rows.append((*cells, *([printed(scratch(column, epoch))] if column else ())))
    headings = ("epoch", "networks", "train acc.", "test acc.", "gap", "test loss")
    note = f'The paper\'s zoo on {column}: Table 3, row "scratch", test accuracy.'
    return Table(
        "Over epochs",
        (*headings, *([f"paper, {column}"] if column else ())),
        tuple(rows),
        (note,) if column else (),
    )


def hyperparameters_table(zoo: ZooFacts) -> Table:
    """Show the values of every hyper-parameter, over runs."""
    rows: list[tuple[str, str]] = []
    if "hyperparameters" in zoo.checkpoints:
        fields = zoo.last()["hyperparameters"].struct.unnest()
        rows = [(shown(name, 40), _values(fields[name])) for name in fields.columns]
    return Table("Hyper-parameters", ("name", "values over runs"), tuple(rows))


def quarantine_table(zoo: ZooFacts) -> Table:
    """Show why checkpoints were left out, the most frequent reason first, with examples."""
    rows = []
    total = 0
    if zoo.quarantine is not None and len(zoo.quarantine):
        found = (
            zoo.quarantine.with_columns(pl.col("pending").fill_null(False))
            .group_by("pending", "reason", "remedy")
            .agg(pl.len().alias("files"), pl.col("file").sort().head(_FEW).alias("examples"))
            .sort(*("files", "pending", "reason", "remedy"), descending=[True, False, False, False])
        )
        total = len(found)
        rows = [_quarantined(row) for row in found.head(MOST).iter_rows(named=True)]
    return Table(
        "Quarantined",
        ("files", "reason", "remedy", "for example"),
        tuple(rows),
        _left_out(total, "reasons"),
    )


def duplicates_table(zoo: ZooFacts) -> Table:
    """Show which runs repeat another one, and at how many epochs."""
    rows: list[tuple[str, ...]] = []
    total = 0
    if zoo.duplicates is not None:
        found = (
            zoo.duplicates.group_by("run", "other_run", "kind")
            .agg(pl.col("epoch").unique().sort(), pl.col("largest_difference").max())
            .sort("run", "other_run", "kind")
        )
        total = len(found)
        names = dict(zoo.checkpoints.select("run", "run_name").iter_rows())
        split = dict(zoo.checkpoints.select("run", "split").iter_rows())
        rows = [
            (
                _run(row["run"], names),
                _run(row["other_run"], names),
                shown(row["kind"]),
                count(len(row["epoch"])),
                span(row["epoch"]),
                f"{row['largest_difference']:.2g}",
                " / ".join(
                    dict.fromkeys(shown(split.get(row[run])) for run in ("run", "other_run"))
                ),
            )
            for row in found.head(MOST).iter_rows(named=True)
        ]
    return Table(
        "Runs that repeat another one",
        ("run", "repeats run", "kind", "checkpoints", "epochs", "largest difference", "split"),
        tuple(rows),
        _left_out(total, "rows"),
    )


def licences_table(zoo: ZooFacts) -> Table:
    """Show under which licences the networks stand."""
    found = (
        zoo.checkpoints.group_by("licence")
        .agg(pl.col("run").n_unique().alias("runs"), pl.len())
        .sort("runs", "licence", descending=[True, False])
    )
    rows = [
        ("not given" if licence is None else shown(licence), count(runs), count(checkpoints))
        for licence, runs, checkpoints in found.head(MOST).iter_rows()
    ]
    headings = ("licence", "runs", "checkpoints")
    return Table("Runs per licence", headings, tuple(rows), _left_out(len(found), "licences"))


def _parameters(zoo: ZooFacts, architecture: str) -> str:
    found = zoo.parameters.get(architecture)
    return shown(None) if found is None else count(found)


def _told(epochs: list[int]) -> list[int]:
    """Return the epochs of Table 3 that there are, the first and the last, and some between."""
    few = {epochs[0], epochs[-1]} | {epoch for epoch in EPOCHS if epoch in epochs}
    between = [epochs[(len(epochs) - 1) * i // _FEW] for i in range(_FEW)]
    return sorted(few if len(few) >= _FEW else few | set(between))


def _values(values: pl.Series) -> str:
    """Tell a hyper-parameter's values: all with their counts if few, else a range or some."""
    known = values.drop_nulls()
    counts = sorted(known.value_counts().iter_rows(), key=lambda pair: (-pair[1], pair[0]))
    unknown = f", not given × {len(values) - len(known)}" if len(known) < len(values) else ""
    if not counts:
        return "not given"
    if len(counts) > _FEW and values.dtype.is_numeric():
        ends = [number(end(value for value, _ in counts)) for end in (min, max)]
        return f"{' – '.join(ends)} ({len(counts)} values){unknown}"
    text = number if values.dtype.is_numeric() else shown
    listed = [f"{text(value)} × {count(runs)}" for value, runs in counts[:_FEW]]
    more = f", and {len(counts) - _FEW} others" if len(counts) > _FEW else ""
    return ", ".join(listed) + more + unknown


def _quarantined(row: dict[str, Any]) -> tuple[str, ...]:
    more = row["files"] - len(row["examples"])
    files = ", ".join(shown(file, 80) for file in row["examples"])
    reason = shown(row["reason"], 300)
    return (
        f"{count(row['files'])}{' pending' if row['pending'] else ''}",
        reason,
        shown(row["remedy"], 300),
        f"{files}, and {count(more)} more" if more else files,
    )


def _run(run: int, names: dict[int, str | None]) -> str:
    name = names.get(run)
    return str(run) if name is None else f"{run} ({shown(name, 40)})"


def _left_out(total: int, what: str) -> tuple[str, ...]:
    return (f"{count(total - MOST)} more {what} are not shown.",) if total > MOST else ()
