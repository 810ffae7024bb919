from pathlib import Path

import polars as pl
import pytest

from sane_core.reporting.costs import StageCost, costs_table
from sane_core.reporting.draw import ReportSources
from sane_core.reporting.table import Table, read_tables, write_tables
from sane_core.reporting.tables import (
    choices_table,
    novelty_table,
    probes_table,
    zoo_table,
)


def cells(table: Table, row: str) -> dict[str, str]:
    """Return the cells of a row by heading; of repeated headings the first stands."""
    (found,) = [cells for cells in table.rows if cells[0] == row]
    return dict(reversed(list(zip(table.columns, found, strict=True))))


def test_probes_stand_beside_the_papers(sources: ReportSources) -> None:
    table = probes_table(pl.read_parquet(sources.probe / "probes.parquet"))
    statistics = cells(table, "s(W), layer statistics")
    assert statistics["test accuracy"] == "0.880 [0.849, 0.902]"
    assert statistics["paper, MNIST (stand-in)"] == "0.987"
    assert cells(table, "W, flattened weights")["epoch"] == "-7.580 [-7.611, -7.558]"
    assert cells(table, "PCA of tokens, mean")["paper, MNIST (stand-in)"] == "–"
    assert any("stand-in" in note for note in table.notes)


def test_ours_come_first_and_an_unknown_baseline_last(sources: ReportSources) -> None:
    probes = pl.read_parquet(sources.probe / "probes.parquet")
    renamed = probes.with_columns(features=pl.col("features").replace("sane_mean", "a_new_one"))
    order = [row[0] for row in probes_table(renamed).rows]
    assert order[0] == "SANE, pooling selected"
    assert order[-1] == "a_new_one"


def test_choices_show_lambda_and_the_validation_score(sources: ReportSources) -> None:
    table = choices_table(pl.read_parquet(sources.probe / "probes.parquet"))
    row = cells(table, "SANE, mean")
    assert row["λ"] == "0.003"
    assert row["validation R²"] == "0.821"
    assert row["test accuracy: dim."] == "30"


def test_a_quantity_that_was_not_measured_shows_as_a_dash(sources: ReportSources) -> None:
    samples = pl.read_parquet(sources.generation / "samples.parquet")
    nothing = samples.with_columns(distance=pl.lit(None, pl.Float64), overlap=pl.lit(float("nan")))
    row = cells(novelty_table(nothing), "SANE SUB")
    assert (row["nearest distance"], row["error overlap"]) == ("–", "–")
    assert row["validation acc., kept"] == "94.0"


def test_the_zoo_is_counted_per_split(sources: ReportSources) -> None:
    table = zoo_table(pl.read_parquet(sources.zoo / "checkpoints.parquet"))
    assert [row[:3] for row in table.rows] == [
        ("train", "5", "30"),
        ("validation", "2", "12"),
        ("test", "2", "12"),
    ]
    assert cells(table, "test")["gap"] == "1.0 ± 0.0"


def test_costs_add_up_and_tell_what_was_cached() -> None:
    table = costs_table(
        [StageCost("digits", "zoo", 60.04, True), StageCost("digits", "pretrain", 300.0, False)]
    )
    assert table.rows == (
        ("digits", "zoo", "60.0", "yes"),
        ("digits", "pretrain", "300.0", "no"),
        ("all", "in this run", "300.0", "no"),
        ("all", "ever", "360.0", "–"),
    )


def test_tables_survive_their_file(tmp_path: Path) -> None:
    tables = {"one": Table("Title ± λ", ("a", "b"), (("x", "1"), ("y", "–")), ("note",))}
    write_tables(tmp_path / "tables.json", tables)
    assert read_tables(tmp_path / "tables.json") == tables


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every row of table 'T' must have 2 cells, got 1"):
        Table("T", ("a", "b"), (("only one",),))
