"""A table is a query over what a store holds; what is missing is said."""

import re
from pathlib import Path

import polars as pl
import pytest

from flows.report_tables import answer, overview_of
from sane_core.reporting.beside.catalogue import CATALOGUE, listed
from sane_core.reporting.table import Table
from schemas.errors import UserError
from tests.paper_tables.conftest import Made, accuracy, probed, sampled


def cells(table: Table, row: str, seed: str = "0") -> dict[str, str]:
    """Return the cells of a row by heading; of repeated headings the first stands."""
    at = table.columns.index("seed")
    (found,) = [cells for cells in table.rows if cells[0] == row and cells[at] == seed]
    return dict(reversed(list(zip(table.columns, found, strict=True))))


def test_ours_stands_beside_the_papers_with_the_difference_and_where_it_is_from(made: Made) -> None:
    artifact = made.generation(made.zoo())
    table, _ = answer("table3", made.store.uri).collected.tables
    row = cells(table, "SANE SUB")
    assert row["epoch 0"] == "91.0 ± 1.0"
    assert row["n"] == "2"
    assert row["paper"] == "86.7 ± 0.8"
    assert row["ours − paper"] == "+4.3"
    assert row["compared"] == "stand-in"
    key = artifact.uri.split("/")[-1]
    assert row["from"] == f"generation/{key[:8]}"
    assert table.title.endswith("digits-cnn, beside the paper's MNIST")
    assert any("not as published in: dataset" in note for note in table.notes)


def test_a_row_of_the_paper_that_was_not_run_is_there_and_says_so(made: Made) -> None:
    made.generation(made.zoo())
    table, _ = answer("table3", made.store.uri).collected.tables
    row = cells(table, "SANE GAUSS (not run)", "")
    assert (row["epoch 0"], row["paper"], row["ours − paper"]) == ("–", "20.8 ± 0.1", "–")


def test_seeds_have_a_row_each_and_a_mean_with_its_spread_over_them(made: Made) -> None:
    for seed, first in ((2, 0.86), (0, 0.90), (1, 0.88)):
        made.generation(made.zoo(seed=seed), sampled(first), seed)
    table, _ = answer("table3", made.store.uri).collected.tables
    shown = [row[table.columns.index("seed")] for row in table.rows if row[0] == "SANE SUB"]
    assert shown == ["0", "1", "2", "mean of 3"]
    assert [cells(table, "SANE SUB", str(seed))["epoch 0"] for seed in range(3)] == [
        "91.0 ± 1.0",
        "89.0 ± 1.0",
        "87.0 ± 1.0",
    ]
    assert len([row for row in table.rows if row[0] == "SANE GAUSS (not run)"]) == 1
    mean = cells(table, "SANE SUB", "mean of 3")
    assert (mean["epoch 0"], mean["n"], mean["from"]) == ("89.0 ± 2.0", "3", "")
    assert any("standard deviation over seeds" in note for note in table.notes)


def test_ensembles_have_a_table_of_their_own(made: Made) -> None:
    for seed in range(2):
        made.generation(made.zoo(seed=seed), seed=seed)
    _, table = answer("table3", made.store.uri).collected.tables
    assert table.title == "Table 3, ensembles (test accuracy, %): digits-cnn"
    assert cells(table, "SANE SUB", "1")["epoch 0"] == "97.0"
    assert cells(table, "SANE SUB", "mean of 2")["epoch 0"] == "97.0 ± 0.0"
    assert cells(table, "SANE SUB", "1")["compared"] == "stand-in"


def test_another_configuration_has_a_table_of_its_own(made: Made) -> None:
    made.generation(made.zoo())
    made.generation(made.zoo(members=50))
    assert len(answer("table3", made.store.uri).collected.tables) == 4


def test_of_equal_configuration_and_seed_the_newest_counts(made: Made) -> None:
    zoo = made.zoo()
    made.generation(zoo, sampled(0.50))
    made.generation(zoo, sampled(0.90))
    table, _ = answer("table3", made.store.uri).collected.tables
    assert cells(table, "SANE SUB")["epoch 0"] == "91.0 ± 1.0"


def test_what_is_missing_is_said_with_the_way_to_make_it(made: Made) -> None:
    made.zoo()
    nothing = answer("table4", made.store.uri)
    assert nothing.collected.tables == ()
    assert "no run in this store; make one: sane run deployments/" in nothing.rendered("text")
    made.generation(made.zoo())
    (sentence,) = answer("table3", made.store.uri).sentences
    assert sentence.startswith("For the paper's SVHN, CIFAR-10, STL: no run in this store")


def test_networks_stand_in_the_table_of_their_kind(made: Made) -> None:
    made.generation(made.zoo("cifar10-resnet18-narrow"))
    assert answer("table3", made.store.uri).collected.tables == ()
    table, _ = answer("table4", made.store.uri).collected.tables
    assert cells(table, "SANE SUB")["paper"] == "68.1 ± 0.7"


def test_halo_and_conditioning_have_a_table_of_their_own(made: Made) -> None:
    methods = ("sub", "naive", "halo", "bn_cond", "halo_bn_cond", "scratch")
    made.generation(made.zoo("cifar10-resnet18-narrow"), sampled(methods=methods))
    (table,) = answer("table7", made.store.uri).collected.tables
    names = [row[0] for row in table.rows]
    assert len(names) == 5
    assert not any("SUB" in name for name in names)
    both = next(row for row in table.rows if "64.8 ± 2.1" in row)
    assert "91.0 ± 1.0" in both
    other, _ = answer("table4", made.store.uri).collected.tables
    assert {row[0] for row in other.rows} & {*names} == {"from scratch"}


@pytest.mark.parametrize(
    ("name", "paper"),
    [("table1", "0.978"), ("table9", "0.978"), ("TABLE1_9", "0.978"), ("table10", "0.978")],
)
def test_probes_stand_in_every_table_of_their_zoo(made: Made, name: str, paper: str) -> None:
    made.artifact("probes", probed(), inputs={"tokens": made.zoo()["tokens"]})
    (table,) = answer(name, made.store.uri).collected.tables
    row = cells(table, "SANE, mean")
    assert (row["test accuracy"], row["n"]) == ("0.950 [0.930, 0.960]", "9")
    assert (row["paper"], row["ours − paper"]) == (paper, "-0.028")
    assert answer("table2", made.store.uri).collected.tables == ()


def test_views_stand_beside_table_6(made: Made) -> None:
    views = pl.DataFrame(
        {"aligned": [True], "first": ["aligned"], "second": ["permuted"]}
        | {"training": [0.2], "train": [0.1], "test": [0.09], "low": [0.08], "high": [0.1]}
    )
    made.artifact("ablation", {"views.parquet": views}, inputs={"tokens": made.zoo()["tokens"]})
    (table,) = answer("table6", made.store.uri).collected.tables
    row = cells(table, "aligned: aligned, permuted")
    assert (row["train runs"], row["paper"], row["ours − paper"]) == ("0.1000", "0.1070", "-0.0070")
    assert answer("figure6", made.store.uri).collected.tables == ()


def test_a_damaged_outcome_is_left_out_and_named(made: Made) -> None:
    zoo = made.zoo()
    good = made.generation(zoo, seed=0)
    bad = made.generation(zoo, seed=1)
    Path(bad.uri, "accuracy.parquet").write_bytes(b"")
    found = answer("table3", made.store.uri)
    table, _ = found.collected.tables
    assert {row[table.columns.index("from")] for row in table.rows} - {""} == {
        f"generation/{good.uri.split('/')[-1][:8]}"
    }
    assert re.search(r"generation/\w+ was left out: .*accuracy\.parquet", found.sentences[-1])


def test_an_outcome_whose_zoo_is_gone_is_left_out_and_nothing_is_uncommitted(made: Made) -> None:
    zoo = made.zoo()
    made.generation(zoo)
    made.store.forget(*zoo["zoo"].uri.split("/")[-2:])
    found = answer("table3", made.store.uri)
    assert found.collected.tables == ()
    assert "its zoo" in found.left_out[0] or "zoo it is of" in found.left_out[0]
    assert made.store.artifacts("generation")


def test_weights_are_not_read(made: Made) -> None:
    zoo = made.zoo()
    made.generation(zoo)
    Path(zoo["zoo"].uri, "weights.bin").unlink()
    assert len(answer("table3", made.store.uri).collected.tables) == 2


def test_an_unknown_table_lists_those_there_are(made: Made) -> None:
    with pytest.raises(UserError, match=r"must be one of table1, table2, .*front, got 'table99'"):
        answer("table99", made.store.uri)


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"store .*nowhere is not there"):
        answer("table3", str(tmp_path / "nowhere"))


def test_the_overview_says_what_there_is_of_each_table(made: Made) -> None:
    made.generation(made.zoo())
    lines = overview_of(made.store.uri).splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("table3 ", "table4 "))] == [
        "there",
        "none",
    ]
    assert [line.split()[0] for line in lines[4:]] == [each.name for each in CATALOGUE]


def test_every_way_to_make_a_table_is_there() -> None:
    root = Path(__file__).parents[2]
    for asked in CATALOGUE:
        for name in re.findall(r"deployments/\S+\.yaml", asked.make):
            assert (root / name).is_file(), (asked.name, name)
    assert {listed(f"table{number}").experiment for number in range(1, 18)} == {
        "probe",
        "generate",
        "transfer",
        "ablate",
        "preset",
    }


def test_ours_at_an_epoch_that_the_paper_has_not_stands_alone(made: Made) -> None:
    rows = [*sampled(), ("sub", 0, 0, 3, 0.5)]
    made.generation(made.zoo(), rows)
    table, _ = answer("table3", made.store.uri).collected.tables
    at = table.columns.index("epoch 3")
    assert table.columns[at + 1] == "epoch 5"
    assert cells(table, "SANE SUB")["epoch 5"] == "–"


def test_every_value_is_there_in_full_for_machines(made: Made) -> None:
    made.generation(made.zoo())
    text = answer("table3", made.store.uri).rendered("csv")
    lines = pl.read_csv(text.encode())
    row = lines.filter((pl.col("row") == "SANE SUB") & (pl.col("at") == "epoch 25"))
    assert lines.filter(pl.col("title").str.contains("ensembles"))["ours"].item() == 97.0
    assert row["ours"].item() == pytest.approx(93.5)
    assert row["paper"].item() == pytest.approx(92.3)
    assert row["difference"].item() == pytest.approx(1.2)
    assert row["source"].item().startswith("generation/")
    assert accuracy(sampled())["test_accuracy"].max() == pytest.approx(0.945)
