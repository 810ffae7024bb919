"""The report of a transfer: a table per target, and panels side by side."""

import polars as pl

from sane_core.reporting.page import ZooReport, write_page
from sane_core.reporting.table import Table, write_tables
from sane_core.reporting.transfer_figures import targets
from sane_core.reporting.transfer_tables import target_table

FACTS = {
    "target": "task",
    "architecture": "digits-cnn",
    "zoo_architecture": "digits-cnn",
    "dataset": "mnist",
    "images": {"train": 40, "validation": 20, "test": 20},
    "prompts": "zoo",
    "prompt_count": 2,
    "prompt_epochs": 25,
    "prompt_validation_accuracy": [0.5, 0.7],
    "new_head": False,
    "candidates": 9,
    "bandwidth": 0.05,
}


def rows(target="task", lengths=(5,)):
    return pl.DataFrame(
        [
            {
                "target": target,
                "method": method,
                "repeat": 0,
                "model": model,
                "length": length,
                "epoch": epoch,
                "test_accuracy": 0.1 * model + 0.1 * epoch,
            }
            for method in ("scratch", "sub")
            for model in (0, 1)
            for length in lengths
            for epoch in (0, length)
        ]
    )


def ensembles(lengths=(5,)):
    return pl.DataFrame(
        [
            {"method": "sub", "models": 2, "length": n, "epoch": n, "test_accuracy": 0.9}
            for n in lengths
        ]
    )


SAMPLES = pl.DataFrame(
    [{"method": "sub", "validation_accuracy": 0.6, "overlap": float("nan"), "distance": 1.5}]
)


def test_a_target_shows_every_start_at_every_epoch_and_its_ensemble():
    table = target_table(FACTS, rows(), ensembles(), SAMPLES)
    assert table.columns[:4] == ("start", "n", "epoch 0", "epoch 5")
    sub, scratch = table.rows
    assert sub == ("SANE SUB", "2", "5.0 ± 5.0", "55.0 ± 5.0", "90.0", "60.0", "–", "1.50")
    assert scratch[4:] == ("–", "–", "–", "–")
    assert any("validation accuracy 60.0 ± 10.0" in note for note in table.notes)


def test_whole_fine_tunings_of_several_lengths_stand_side_by_side():
    table = target_table(FACTS, rows(lengths=(5, 15)), ensembles((5, 15)), SAMPLES)
    assert table.columns[2:6] == ("epoch 0 of 5", "epoch 5 of 5", "epoch 0 of 15", "epoch 15 of 15")


def test_new_heads_say_what_samples_were_selected_on():
    table = target_table(FACTS | {"new_head": True}, rows(), ensembles(), SAMPLES)
    assert any("selected with the zoo's head on the zoo's validation" in n for n in table.notes)


def test_tables_say_whose_images_decoders_were_sharpened_on():
    def notes(**facts):
        return " ".join(target_table(FACTS | facts, rows(), ensembles(), SAMPLES).notes)

    assert "Sharpened" not in notes()
    assert "trained on the zoo's own train images" in notes(sharpened_on="zoo")
    assert "trained on this target's train images" in notes(sharpened_on="target")


def test_the_page_shows_a_table_for_every_target(tmp_path):
    tables = {
        f"transferred:{name}": target_table(FACTS | {"target": name}, rows(), ensembles(), SAMPLES)
        for name in ("one", "two")
    }
    write_tables(tmp_path / "tables.json", tables)
    costs = Table("costs", ("stage",), ())
    page = write_page(tmp_path, "page", [ZooReport("zoo", tmp_path, {}, {})], costs, {}).read_text()
    assert "Transfer to one:" in page and "Transfer to two:" in page


def test_a_figure_has_a_panel_for_every_target():
    figure = targets(pl.concat([rows(f"task-{i}") for i in range(4)]))
    assert [axes.get_title(loc="left") for axes in figure.axes[:4]] == [
        f"task-{i}" for i in range(4)
    ]
