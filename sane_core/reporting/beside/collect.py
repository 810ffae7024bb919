"""Collect a table: outcomes that fit it, the paper's numbers beside them, and what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sane_core.reporting.beside import ablated, generated, probed, transferred
from sane_core.reporting.beside.catalogue import Listed
from sane_core.reporting.beside.entries import LOSS, PERCENT, R2, Entry, Unit, with_means
from sane_core.reporting.beside.layout import FLAT, beside_table, flat_rows
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.table import Table


@dataclass(frozen=True)
class Collected:
    """What there is of a table.

    Attributes:
        tables: A table per configuration of a zoo and an experiment.
        flat: All entries, for machines.
        missing: What there is no run of, and how to make one, in sentences.
        columns: Of `flat`.
    """

    tables: tuple[Table, ...]
    flat: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...]
    columns: tuple[str, ...] = FLAT


@dataclass(frozen=True)
class Reader:
    """How entries of a kind of experiment are read.

    Attributes:
        fits: Whether an outcome belongs into a grid.
        entries: Its entries.
        column: What of the paper an outcome is read beside; "" where it is in the table's title.
        notes: What is to be said under a table of outcomes that differ in their seed alone.
        heading: Over the rows' names.
        unit: Of the values.
    """

    fits: Callable[[Outcome, str], bool]
    entries: Callable[[Outcome, str], list[Entry]]
    column: Callable[[Outcome, str], str]
    notes: Callable[[Outcome, str], tuple[str, ...]]
    heading: str
    unit: Unit


READERS = {
    "probe": Reader(probed.fits, probed.entries, probed.column, probed.notes, "features", R2),
    "generate": Reader(
        generated.fits, generated.entries, generated.column, generated.notes, "start", PERCENT
    ),
    "transfer": Reader(
        transferred.fits,
        transferred.entries,
        transferred.column,
        transferred.notes,
        "start",
        PERCENT,
    ),
    "ablate": Reader(ablated.fits, ablated.entries, ablated.column, ablated.notes, "setting", LOSS),
}
"""Kind of experiment -> how it is read."""
OVER_SEEDS = "Mean of several: ± is the standard deviation over seeds, n their number."
TOGETHER = "Percent: test accuracy of the mean logits of n networks, ± over draws."
WITHOUT_RUNS = "no run in this store; make one: {}"


def collect(asked: Listed, outcomes: Sequence[Outcome]) -> Collected:
    """Collect a table of the paper from outcomes.

    Args:
        asked: Which table.
        outcomes: Of its stages, in the order they were made; of those that agree in configuration
            and seed the last counts.
    """
    reader = READERS[asked.experiment]
    fitting = [each for each in newest(outcomes) if reader.fits(each, asked.grid or asked.name)]
    groups = by_configuration(fitting)
    flat = [
        tuple(row)
        for group in groups
        for title, entries in (
            (_title(asked, group[0]), entries_of(asked, group)),
            (_together(asked, group[0]), ensembles_of(asked, group)),
        )
        for row in flat_rows(asked.name, title, entries)
    ]
    tables = [table for group in groups for table in tables_of(asked, group)]
    return Collected(tuple(tables), tuple(flat), missing(asked, fitting))


def tables_of(asked: Listed, group: Sequence[Outcome]) -> list[Table]:
    """Return the table of outcomes that differ in their seed alone, and that of their ensembles.

    Pages of runs show the same.

    Args:
        asked: Which table of the paper.
        group: One outcome or more, seeds ascending.
    """
    reader, first = READERS[asked.experiment], group[0]
    notes = list(reader.notes(first, asked.grid or asked.name))
    if differs := first.zoo.beside.differs:
        notes.append(f"Zoo {first.zoo.name} is not as published in: {', '.join(differs)}.")
    if len(group) > 1:
        notes.append(OVER_SEEDS)
    found = entries_of(asked, group)
    tables = [beside_table(_title(asked, first), reader.heading, found, reader.unit, notes)]
    if ensembles := ensembles_of(asked, group):
        notes = [TOGETHER, *([OVER_SEEDS] * (len(group) > 1))]
        title = _together(asked, first)
        tables.append(beside_table(title, reader.heading, ensembles, reader.unit, notes))
    return tables


def ensembles_of(asked: Listed, group: Sequence[Outcome]) -> list[Entry]:
    """Return the entries of ensembles that stand in a table of their own."""
    if asked.experiment != "generate":
        return []
    grid = asked.grid or asked.name
    return with_means([e for each in group for e in generated.ensemble_entries(each, grid)])


def entries_of(asked: Listed, group: Sequence[Outcome]) -> list[Entry]:
    """Return the entries of outcomes that differ in their seed alone, and their means."""
    reader, grid = READERS[asked.experiment], asked.grid or asked.name
    # What was not run says so once, however many seeds there are.
    found = dict.fromkeys(entry for each in group for entry in reader.entries(each, grid))
    return with_means(found)


def missing(asked: Listed, fitting: Sequence[Outcome]) -> tuple[str, ...]:
    """Say what of a table there is no run of, and how to make one."""
    if not fitting:
        return (f"{asked.title}: {WITHOUT_RUNS.format(asked.make)}",)
    there = {outcome.zoo.beside.zoo for outcome in fitting}
    left = {column: recipe for column, recipe in asked.recipes.items() if column not in there}
    if not left:
        return ()
    made = f"{asked.make}, with `zoos: [{{recipe: NAME}}]` in it, NAME {' or '.join(left.values())}"
    return (f"For the paper's {', '.join(left)}: {WITHOUT_RUNS.format(made)}",)


def newest(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the last outcome of every configuration and seed, in the order they were made."""
    last = {(outcome.configuration, outcome.seed): outcome for outcome in outcomes}
    kept = {*map(id, last.values())}
    return [outcome for outcome in outcomes if id(outcome) in kept]


def by_configuration(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Group outcomes that differ in their seed alone, seeds ascending."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.configuration, []).append(outcome)
    return [sorted(group, key=lambda each: each.seed or 0) for group in groups.values()]


def _together(asked: Listed, outcome: Outcome) -> str:
    return f"{asked.title.split(':')[0]}, ensembles (test accuracy, %): {outcome.zoo.name}"


def _title(asked: Listed, outcome: Outcome) -> str:
    subject = f"{outcome.zoo.name} to {outcome.onto.name}" if outcome.onto else outcome.zoo.name
    column = READERS[asked.experiment].column(outcome, asked.grid or asked.name)
    return f"{asked.title}: {subject}" + (f", beside the paper's {column}" if column else "")
