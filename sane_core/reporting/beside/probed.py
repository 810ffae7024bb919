"""Entries of linear probes: R² on test runs beside Tables 1, 2, 9 and 10 to 12 (§5.1)."""

import polars as pl

from sane_core.reporting.beside.entries import NOWHERE, Entry, Measured, Source
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.names import FEATURES, TARGETS, in_order, name_of
from sane_core.reporting.paper import Published, published_if_any
from sane_core.reporting.probe_tables import published_columns

EARLIER = {"table10": {"s(W), published 2021": "s(W) published 2021"}}
"""Table -> row -> column, of what it repeats of earlier work."""


def fits(outcome: Outcome, table: str) -> bool:
    """Return whether a zoo's probes belong into a table: that of the zoo it is read beside."""
    return table in published_columns(outcome.zoo.beside) and outcome.has("probes.parquet")


def entries(outcome: Outcome, table: str) -> list[Entry]:
    """Return a row per kind of features and a cell per property, beside the paper's.

    Args:
        outcome: Of the stage `probes`.
        table: `table1_9`, `table2`, `table10`, `table11` or `table12`.
    """
    probes = pl.read_parquet(outcome.folder / "probes.parquet")
    columns = published_columns(outcome.zoo.beside)[table]
    runs = _tested_runs(outcome)
    found = []
    for feature in in_order({*probes["features"], *columns}, FEATURES):
        own, label = probes.filter(features=feature), name_of(feature, FEATURES).label
        source, label = (outcome.source, label) if len(own) else (NOWHERE, f"{label} (not run)")
        for target in TARGETS:
            ours = [_measured(row, runs) for row in own.filter(target=target).to_dicts()]
            paper = _paper(table, columns.get(feature), target)
            found.append(_entry(outcome, label, target, ours[0] if ours else None, paper, source))
    for label, column in EARLIER.get(table, {}).items():
        papers = {target: _paper(table, column, target) for target in TARGETS}
        found += [_entry(outcome, label, t, None, paper, NOWHERE) for t, paper in papers.items()]
    return found


def column(outcome: Outcome, table: str) -> str:
    """Return the published zoo that an outcome is read beside."""
    del table
    return outcome.zoo.beside.zoo


def notes(outcome: Outcome, table: str) -> tuple[str, ...]:
    """Say how the values are to be read."""
    del outcome, table
    return (
        "R² on n test runs, in brackets the 95 % interval over runs; the paper names none, and its "
        "split of runs is not published.",
    )


def _paper(table: str, column: str | None, target: str) -> Published | None:
    return None if column is None else published_if_any(table, column, target)


def _entry(
    outcome: Outcome,
    row: str,
    target: str,
    ours: Measured | None,
    paper: Published | None,
    source: Source,
) -> Entry:
    at = name_of(target, TARGETS).label
    return Entry(row, at, ours, paper, outcome.zoo.beside.likeness, source)


def _measured(row: dict[str, float], runs: int) -> Measured:
    return Measured(row["test_r2"], runs, interval=(row["low"], row["high"]))


def _tested_runs(outcome: Outcome) -> int:
    if not outcome.has("predictions.parquet"):
        return 0
    return pl.read_parquet(outcome.folder / "predictions.parquet", columns=["run"])[
        "run"
    ].n_unique()
