"""Entries of the ablations: reconstruction loss beside Table 6, and that of Figure 6 (§A)."""

import polars as pl

from sane_core.reporting.beside.entries import Entry, Measured
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.likeness import Agreement, Likeness, likeness
from sane_core.reporting.paper import Published, published_views

FILES = {"table6": "views.parquet", "figure6": "inference.parquet"}
NOTES = {
    "table6": "The paper does not name the networks of its Table 6, so ours are a stand-in.",
    "figure6": "The paper draws Figure 6 without numbers: ResNet-18s trained on windows of 256 "
    "lose about twice as much when they are passed whole.",
}
_LABEL: Likeness = likeness(Agreement(dataset=False, architecture=False))


def fits(outcome: Outcome, table: str) -> bool:
    """Return whether an ablation has what a table or figure shows."""
    return outcome.has(FILES[table])


def entries(outcome: Outcome, table: str) -> list[Entry]:
    """Return the rows of Table 6, or those of Figure 6.

    Args:
        outcome: Of the stage `ablation`.
        table: `table6` or `figure6`.
    """
    rows = pl.read_parquet(outcome.folder / FILES[table])
    return _views(outcome, rows) if table == "table6" else _inference(outcome, rows)


def column(outcome: Outcome, table: str) -> str:
    """Return nothing: the paper does not name the networks of its ablations."""
    del outcome, table
    return ""


def notes(outcome: Outcome, table: str) -> tuple[str, ...]:
    """Say how the values are to be read, and what the paper has."""
    del outcome
    return (
        "Clean networks as they are stored, in brackets the 95 % interval over runs.",
        NOTES[table],
    )


def _views(outcome: Outcome, rows: pl.DataFrame) -> list[Entry]:
    found = []
    for row in rows.iter_rows(named=True):
        name = f"{'' if row['aligned'] else 'not '}aligned: {row['first']}, {row['second']}"
        train, test = published_views(row["aligned"], row["first"], row["second"])
        cells = (
            ("train runs", Measured(row["train"]), train),
            ("test runs", Measured(row["test"], interval=(row["low"], row["high"])), test),
        )
        for at, ours, theirs in cells:
            paper = Published(theirs, None)
            found.append(Entry(name, at, ours, paper, _LABEL, outcome.source))
    return found


def _inference(outcome: Outcome, rows: pl.DataFrame) -> list[Entry]:
    overall = rows.filter(layer="all").sort("window", "halo")
    trained = overall.filter("trained")["reconstruction"].item()
    found = []
    for row in overall.iter_rows(named=True):
        told = [" (whole)"] * row["whole"] + [" (trained on)"] * row["trained"]
        name = f"{row['window']:,} tokens, halo {row['halo']}{''.join(told)}"
        loss, interval = row["reconstruction"], (row["low"], row["high"])
        cells = {
            "test runs": Measured(loss, row.get("runs", 0), interval=interval),
            "of that in training windows": Measured(loss / trained),
        }
        for at, ours in cells.items():
            found.append(Entry(name, at, ours, None, _LABEL, outcome.source))
    return found
