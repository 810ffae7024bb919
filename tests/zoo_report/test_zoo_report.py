"""What the page of a zoo shows, and what it never does."""

import re
from html import unescape
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sane_core.reporting.table import read_tables
from sane_core.reporting.zoo_report import tables
from sane_core.reporting.zoo_report.draw import draw_zoo_report
from sane_core.reporting.zoo_report.facts import read_zoo
from sane_core.reporting.zoo_report.scratch import column_of
from sane_core.reporting.zoo_report.summary import summary

METRICS = ("test_accuracy", "train_accuracy", "validation_accuracy", "generalization_gap")
UNKNOWN = dict.fromkeys((*METRICS, "test_loss", "validation_loss", "train_loss"))
HOSTILE = '<script>alert("$x")</script>\x1b[31m\n\u202e&'


def rows_of(zoo: Path, name: str, *dataset: str | None) -> list[tuple[str, ...]]:
    return list(getattr(tables, f"{name}_table")(read_zoo(zoo), *dataset).rows)


def test_the_page_its_figures_and_tables_are_written(zoo, tmp_path):
    page = draw_zoo_report(zoo, tmp_path / "out")
    assert page == tmp_path / "out" / "zoo.html"
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert figures == {"over_epochs.png", "last.png"}
    assert page.read_text().count("<img ") == 2


def test_equal_zoos_give_equal_bytes(zoo, tmp_path, add_quarantine):
    add_quarantine(shape=3, header=3)
    for out in ("one", "two"):
        draw_zoo_report(zoo, tmp_path / out, "mnist")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_runs_and_checkpoints_are_counted_per_split(zoo, tmp_path):
    assert [row[:4] for row in rows_of(zoo, "splits")] == [
        ("train", "3", "12", "0–25"),
        ("validation", "3", "12", "0–25"),
        ("test", "3", "12", "0–25"),
        ("all", "9", "36", "0–25"),
    ]


def test_every_run_counts_at_its_own_last_epoch(zoo, tmp_path):
    """Run 0 ends at epoch 5, with accuracy 0.25; the others at 25 with 0.85 and more."""
    path = zoo / "checkpoints.parquet"
    table = pq.read_table(path)
    ended = pc.and_(pc.equal(table["run"], 0), pc.equal(table["epoch"], 25))
    pq.write_table(table.filter(pc.invert(ended)), path)
    assert rows_of(zoo, "splits")[0][5] == "65.1 ± 28.4"


def test_weights_are_counted_without_buffers(zoo, tmp_path):
    assert rows_of(zoo, "architectures") == [("mlp", "9", "36", "50")]
    assert dict(summary(zoo))["size"].endswith("1,800 weights")


def test_the_papers_zoo_stands_beside_where_it_has_the_data_set(zoo, tmp_path):
    draw_zoo_report(zoo, tmp_path, "mnist")
    paper = {row[0]: row[-1] for row in rows_of(zoo, "accuracy", "mnist")}
    assert paper == {"0": "10.0", "1": "20.6 ± 1.6", "5": "36.7 ± 5.2", "25": "83.3 ± 2.6"}
    assert "paper, epoch 25: 83.3 ± 2.6" in (tmp_path / "zoo.html").read_text()


@pytest.mark.parametrize("name", [None, "digits"])
def test_the_paper_is_left_out_where_it_has_not(zoo, name):
    assert len(rows_of(zoo, "accuracy", name)[0]) == len(rows_of(zoo, "accuracy", "mnist")[0]) - 1


def test_the_name_of_a_data_set_that_is_not_the_papers_is_not_shown(bare, tmp_path):
    page = draw_zoo_report(bare, tmp_path, "my <images>").read_text()
    assert "paper" not in page
    assert "images" not in page


@pytest.mark.parametrize(
    ("name", "column"),
    [("cifar-10", "CIFAR-10"), ("cifar10", "CIFAR-10"), ("STL-10", "STL"), ("svhn", "SVHN")],
)
def test_a_data_set_is_known_however_it_is_spelt(name, column):
    assert column_of(name) == column
    assert column_of("cifar100") is None


def test_few_values_of_a_hyperparameter_are_listed_and_many_are_a_range(zoo, tmp_path):
    found = dict(rows_of(zoo, "hyperparameters"))
    assert found == {"learning_rate": "0.01 – 0.09 (9 values)", "optimizer": "adam × 9"}


def test_a_zoo_that_knows_no_metrics_still_has_a_page(write_zoo, tmp_path):
    zoo = write_zoo(**UNKNOWN, hyperparameters=None, licence=None)
    page = draw_zoo_report(zoo, tmp_path, "mnist").read_text()
    assert "<img" not in page
    assert "nan" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL).lower()
    assert rows_of(zoo, "licences") == [("not given", "9", "36")]
    assert dict(rows_of(zoo, "hyperparameters"))["optimizer"] == "not given"


def test_columns_that_are_missing_altogether_are_unknown(zoo, tmp_path):
    path = zoo / "checkpoints.parquet"
    pq.write_table(pq.read_table(path, columns=["zoo", "run", "epoch", "split"]), path)
    page = draw_zoo_report(zoo, tmp_path).read_text()
    assert "None are known." in page
    assert rows_of(zoo, "architectures") == [("unknown", "9", "36", "50")]


def test_losses_that_are_not_finite_are_unknown(write_zoo, tmp_path):
    zoo = write_zoo(test_loss=float("nan"), train_loss=float("inf"))
    assert {row[-1] for row in rows_of(zoo, "splits")} == {"–"}


def test_what_was_quarantined_is_grouped_by_reason(bare, tmp_path, add_quarantine):
    add_quarantine(shape=9, header=2)
    page = draw_zoo_report(bare, tmp_path).read_text()
    first, second, third = rows_of(bare, "quarantine")
    assert first[:3] == ("9", "shape is wrong", "mend shape")
    assert first[3].endswith("shape/5.pt, and 3 more")
    assert second[:2] == ("2", "header is wrong")
    assert third[:2] == ("1 pending", "it ends early")
    assert "remedy: mend header" in page


def test_a_long_quarantine_is_cut_and_says_so(bare, tmp_path, add_quarantine):
    add_quarantine(pending=False, **{f"reason{i}": 1 for i in range(50)})
    page = draw_zoo_report(bare, tmp_path).read_text()
    assert len(rows_of(bare, "quarantine")) == 30
    assert "20 more reasons are not shown." in page


def test_duplicates_are_shown_by_run(zoo, tmp_path, add_duplicates):
    add_duplicates(1, 5, 25)
    assert rows_of(zoo, "duplicates") == [
        ("8 (seed=8)", "2 (seed=2)", "near", "3", "1–25", "0.25", "test / train")
    ]
    assert dict(summary(zoo))["duplicates"] == "3; 2 runs in 1 group"


def test_no_duplicates_and_nobody_looked_are_told_apart(bare, tmp_path, add_duplicates):
    unknown = draw_zoo_report(bare, tmp_path).read_text()
    assert "Nobody has looked for them yet" in unknown
    add_duplicates()
    none = draw_zoo_report(bare, tmp_path).read_text()
    assert "None were found." in none
    assert "Nobody has looked" not in none


def test_hostile_text_is_escaped_and_printable(write_zoo, tmp_path):
    names = dict.fromkeys(("zoo", "run_name", "architecture", "licence"), HOSTILE)
    zoo = write_zoo(**names, hyperparameters={"optimizer": HOSTILE})
    page = draw_zoo_report(zoo, tmp_path).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not set("\x1b\u202e") & set(page)
    assert all(text.isprintable() for pair in summary(zoo) for text in pair)


def test_an_unknown_split_is_counted_and_never_drawn(write_zoo, tmp_path):
    zoo = write_zoo(split="$\\frac{")
    draw_zoo_report(zoo, tmp_path)
    assert [row[:3] for row in rows_of(zoo, "splits")] == [("all", "9", "36")]


def test_the_page_needs_nothing_else_and_runs_nothing(zoo, tmp_path, add_duplicates):
    add_duplicates(1)
    page = draw_zoo_report(zoo, tmp_path).read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("#", "data:image/png;base64,")) for source in sources)
    assert "default-src 'none'" in page
    assert "<script" not in page
    targets = [source[1:] for source in sources if source.startswith("#")]
    assert len(targets) == 6
    assert all(f'id="{target}"' in page for target in targets)


def test_every_cell_is_on_the_page(bare, tmp_path, add_quarantine, add_duplicates):
    add_quarantine(shape=2)
    add_duplicates(5)
    page = unescape(draw_zoo_report(bare, tmp_path).read_text())
    tables = read_tables(tmp_path / "tables.json").values()
    assert all(cell in page for table in tables for row in table.rows for cell in row)


def test_a_figure_of_an_earlier_report_does_not_stay(zoo, tmp_path):
    out = tmp_path / "out"
    draw_zoo_report(zoo, out)
    path = zoo / "checkpoints.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["test_accuracy"]), path)
    draw_zoo_report(zoo, out)
    assert [file.name for file in (out / "figures").iterdir()] == ["over_epochs.png"]


def test_a_folder_that_is_no_zoo_is_named(tmp_path):
    with pytest.raises(ValueError, match="must have a checkpoints.parquet, got none in"):
        draw_zoo_report(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zoo_without_checkpoints_is_named(zoo, tmp_path):
    path = zoo / "checkpoints.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(ValueError, match="must have at least one checkpoint"):
        summary(zoo)


def test_a_zoo_whose_weights_are_elsewhere_still_has_its_counts(zoo):
    (zoo / "weights" / "part-00000.parquet").unlink()
    found = dict(summary(zoo))
    assert found["checkpoints"] == "36; 4 epochs kept, 0–25"
    assert found["weights of one network"] == "–; mlp"
