"""`sane report` answers in a terminal and in files, and a run's page says the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.report_tables import answer
from sane_core.reporting.beside.pages import of_generation
from tasks.outcomes import outcomes_of
from tests.paper_tables.conftest import Made, sampled

PAGE_LEAVES_OUT = {"seed", "from"}


def sane(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["report", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {done.exception}"
    return done.output


def test_a_table_is_printed(made: Made) -> None:
    made.generation(made.zoo())
    assert "91.0 ± 1.0" in sane("table3", "--store", made.store.uri)


@pytest.mark.parametrize(
    ("name", "start"),
    [("t.md", "### Table 3"), ("t.csv", "table,title,row"), ("t.html", "<!doctype html>")],
)
def test_the_ending_of_the_file_chooses_the_format(
    made: Made, tmp_path: Path, name: str, start: str
) -> None:
    made.generation(made.zoo())
    out = tmp_path / "new" / name
    told = sane("table3", "--store", made.store.uri, "--out", str(out))
    assert out.read_text(encoding="utf-8").startswith(start)
    assert "For the paper's SVHN" in told


def test_a_table_without_a_drawing_says_so(made: Made, tmp_path: Path) -> None:
    made.zoo()
    told = sane("table3", "--store", made.store.uri, "--out", str(tmp_path / "t.png"))
    assert told.startswith("UserError: there is no drawing of table3")


def test_neither_name_nor_list_is_refused(made: Made) -> None:
    assert "give the name of a table, or --list" in sane("--store", made.store.uri)
    assert "not both" in sane("table3", "--list", "--store", made.store.uri)


def test_the_list_names_every_table(made: Made) -> None:
    made.zoo()
    told = sane("--list", "--store", made.store.uri)
    assert "table17" in told
    assert "figure5" in told


def test_a_page_and_the_command_agree_cell_by_cell(made: Made) -> None:
    methods = ("sub", "naive", "halo", "scratch")
    made.generation(made.zoo("cifar10-resnet18-narrow"), sampled(methods=methods))
    (outcome,) = outcomes_of(made.store, ["generation"]).outcomes
    shown = of_generation(replace(outcome, key="", seed=None))
    for ours, name in (("accuracy", "table4"), ("table7", "table7")):
        table = answer(name, made.store.uri).collected.tables[0]
        kept = [at for at, column in enumerate(table.columns) if column not in PAGE_LEAVES_OUT]
        assert shown[ours].rows == tuple(tuple(row[at] for at in kept) for row in table.rows)
        assert (shown[ours].title, shown[ours].notes) == (table.title, table.notes)
