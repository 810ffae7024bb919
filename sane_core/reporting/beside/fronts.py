"""The front of accuracy and novelty, of every run of generation: as a table and as the figure."""

from collections.abc import Sequence
from math import isfinite

import polars as pl
from matplotlib.figure import Figure

from sane_core.generation.front_gap import Gap, Point, front_gap
from sane_core.reporting.beside.catalogue import Listed
from sane_core.reporting.beside.collect import Collected, by_configuration, missing, newest
from sane_core.reporting.beside.layout import shortened
from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.front_figure import curves_of, front
from sane_core.reporting.names import SAMPLERS, in_order, name_of
from sane_core.reporting.table import Table
from sane_core.reporting.verdict import verdict

BASELINES = ("noise", "interpolation")
GAP_NOTES = (
    "Mean advantage in accuracy, in points, over the error overlaps up to 0.7 that both fronts "
    "have, in brackets the 95 % interval over seeds; a front is the upper hull of its points, and "
    "noise and interpolation count together.",
)
REFERENCES = ("prompts", "prompts_selected")
"""Marks beside the curves."""
COLUMNS = ("sampler", "knob", "seeds", "error overlap", "test accuracy", "from")
FLAT = (
    "table",
    "zoo",
    "sampler",
    "knob",
    "seeds",
    "overlap",
    "overlap_half_interval",
    "accuracy",
    "accuracy_half_interval",
    "source",
)
NOTES = (
    "Mean over seeds ± half of its 95 % interval (Student's t); accuracy in percent, of the "
    "networks kept by validation accuracy; error overlap: the largest with any training network.",
    "Samplers are ordered by their best accuracy at overlaps of 0.7 and below. The paper has no "
    "such figure.",
)


def collect(asked: Listed, outcomes: Sequence[Outcome]) -> Collected:
    """Collect the fronts of all configurations, the newest first."""
    groups = _groups(outcomes)
    tables = [
        table
        for group in groups
        for table in (_table(asked, group), gaps_table(points_of(group), group[0].zoo.name))
        if table
    ]
    flat = tuple(row for group in groups for row in _flat(asked, group))
    fitting = [outcome for group in groups for outcome in group]
    return Collected(tuple(tables), flat, missing(asked, fitting), FLAT)


def figure(outcomes: Sequence[Outcome]) -> Figure | None:
    """Draw the newest configuration's front; None if there is none."""
    groups = _groups(outcomes)
    return front(points_of(groups[0]), references_of(groups[0])) if groups else None


def points_of(group: Sequence[Outcome]) -> pl.DataFrame:
    """Return the points of all outcomes; draws of several runs count as so many seeds."""
    read = [pl.read_parquet(each.folder / "front.parquet") for each in group]
    seeds = 1 + max(max(rows["seed"].to_list(), default=0) for rows in read)
    return pl.concat([rows.with_columns(pl.col("seed") + i * seeds) for i, rows in enumerate(read)])


def gaps_table(points: pl.DataFrame, zoo: str) -> Table | None:
    """Show how far each front lies above that of noise and interpolation together.

    Args:
        points: A row per (sampler, knob, seed), columns as of `FrontPoint`.
        zoo: Its name.

    Returns:
        The table; None where there is nothing to compare.
    """
    baselines = _points(points.filter(pl.col("sampler").is_in(BASELINES)))
    rows = []
    for sampler in in_order({*points["sampler"]} - {*BASELINES}, SAMPLERS):
        own = _points(points.filter(sampler=sampler))
        if not baselines or {p.seed for p in own} != {p.seed for p in baselines}:
            continue
        gap = front_gap(own, baselines)
        if isfinite(gap.mean):
            rows.append((name_of(sampler, SAMPLERS).label, *_told(gap)))
    if not rows:
        return None
    columns = ("sampler", "points above", "verdict", "seeds", "at error overlaps")
    return Table(f"Fronts above noise and interpolation: {zoo}", columns, tuple(rows), GAP_NOTES)


def _told(gap: Gap) -> tuple[str, ...]:
    low, high = 100 * gap.low, 100 * gap.high
    known = isfinite(gap.low)
    interval = f" [{low:+.1f}, {high:+.1f}]" if known else ""
    compared = [(a, b) for a, b in gap.ranges.values() if isfinite(a)]
    between = f"{min(a for a, _ in compared):.2f} to {max(b for _, b in compared):.2f}"
    decided = verdict(low, high) if known else "one seed decides nothing"
    return f"{100 * gap.mean:+.1f}{interval}", decided, str(len(compared)), between


def _points(rows: pl.DataFrame) -> list[Point]:
    return [
        Point(row["seed"], row["overlap"], row["accuracy"]) for row in rows.iter_rows(named=True)
    ]


def references_of(group: Sequence[Outcome]) -> pl.DataFrame:
    """Return columns method, accuracy, overlap of the prompts."""
    if not all(each.has("accuracy.parquet") and each.has("samples.parquet") for each in group):
        return pl.DataFrame(schema={"method": pl.String, "accuracy": float, "overlap": float})
    accuracy = _of_all(group, "accuracy.parquet", ["method", "epoch", "test_accuracy"])
    samples = _of_all(group, "samples.parquet", ["method", "overlap"])
    zero_shot = (
        accuracy.filter(epoch=0)
        .group_by("method", maintain_order=True)
        .agg(accuracy=pl.col("test_accuracy").mean())
    )
    overlap = samples.group_by("method", maintain_order=True).agg(pl.col("overlap").mean())
    return (
        zero_shot.join(overlap, on="method")
        .filter(pl.col("method").is_in(REFERENCES))
        .drop_nulls()
        .sort("method")
    )


def _of_all(group: Sequence[Outcome], file: str, columns: list[str]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(each.folder / file, columns=columns) for each in group])


def _groups(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    drawn = [outcome for outcome in newest(outcomes) if outcome.has("front.parquet")]
    return by_configuration(drawn[::-1])


def _table(asked: Listed, group: Sequence[Outcome]) -> Table:
    sources = ", ".join(shortened(each.source.artifact) for each in group)
    rows = []
    for curve in curves_of(points_of(group)):
        for row in curve.points.iter_rows(named=True):
            overlap = f"{row['overlap']:.3f} ± {row['overlap_half']:.3f}"
            accuracy = f"{100 * row['accuracy']:.1f} ± {100 * row['accuracy_half']:.1f}"
            line = (curve.name.label, f"{row['knob']:g}", str(row["seeds"]), overlap, accuracy)
            rows.append((*line, sources))
    return Table(f"{asked.title}: {group[0].zoo.name}", COLUMNS, tuple(rows), NOTES)


def _flat(asked: Listed, group: Sequence[Outcome]) -> list[tuple[str, ...]]:
    sources = " ".join(each.source.artifact for each in group)
    measured = ("overlap", "overlap_half", "accuracy", "accuracy_half")
    return [
        (
            *(asked.name, group[0].zoo.name, curve.sampler, f"{row['knob']:g}", str(row["seeds"])),
            *(f"{row[name]:.6g}" for name in measured),
            sources,
        )
        for curve in curves_of(points_of(group))
        for row in curve.points.iter_rows(named=True)
    ]
