"""Tables of reconstruction and of ablations: ours in their place, beside the paper's."""

from pathlib import Path

import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sane_core.reporting.ablation_figures import MOST, layers, views
from sane_core.reporting.ablation_tables import inference_table, sizes_table, views_table
from sane_core.reporting.draw import ReportSources
from sane_core.reporting.pretraining_tables import reconstruction_table, trained_table


def read(folder: Path | None, name: str) -> pl.DataFrame:
    assert folder
    return pl.read_parquet(folder / f"{name}.parquet")


def test_views_stand_beside_the_papers(sources: ReportSources) -> None:
    table = views_table(read(sources.ablation, "views"))
    assert table.rows[0] == (
        *("no", "permuted", "permuted", "0.1100", "0.0500", "0.0600 [0.0500, 0.0700]"),
        *("0.304", "0.167"),
    )
    assert [row[-2:] for row in table.rows[1:]] == [
        ("0.148", "0.082"),
        ("0.107", "0.082"),
        ("0.072", "0.082"),
    ]
    assert any("stand-in" in note for note in table.notes)


def test_sizes_say_what_compute_they_had(sources: ReportSources) -> None:
    table = sizes_table(read(sources.ablation, "window_sizes"))
    assert [row[:4] for row in table.rows] == [
        ("8", "64", "8", "1,200"),
        ("16", "32", "8", "1,200"),
        ("48", "10", "8", "1,200"),
    ]
    assert table.rows[0][-1] == "0.0800"


def test_windows_at_inference_are_compared_with_that_of_training(sources: ReportSources) -> None:
    table = inference_table(read(sources.ablation, "inference"))
    assert [(row[0], row[1], row[4]) for row in table.rows] == [
        ("8", "0", ""),
        ("8", "4", ""),
        ("16", "0", "yes"),
        ("48 (whole)", "0", ""),
    ]
    assert table.rows[2][3] == "1.00"
    assert table.rows[0][3] == f"{0.051 / 0.041:.2f}"


def test_reconstruction_names_the_windows_and_what_it_is_a_mean_of(
    sources: ReportSources,
) -> None:
    own = read(sources.evaluation, "evaluation")
    table = reconstruction_table({"SANE": own, "another": own.filter(pl.col("split") != "train")})
    assert [row[:2] for row in table.rows] == [
        ("SANE", "windows of 16, as in training"),
        ("SANE", "whole networks"),
        ("another", "windows of 16, as in training"),
        ("another", "whole networks"),
    ]
    assert table.rows[0][2:] == (
        *("0.0370 [0.0350, 0.0400]", "0.0370 [0.0350, 0.0400]"),
        "0.0410 [0.0390, 0.0440]",
    )
    assert table.rows[2][2] == "–"
    assert "test 12 of 2 runs" in table.notes[0]


def test_the_model_is_described_by_the_metrics_there_are(sources: ReportSources) -> None:
    assert trained_table(sources.metrics).rows == (
        ("parameters of the autoencoder", "1,430,000"),
        ("latents per weight", "1.97"),
        ("reconstruction in validation, both views", "0.0390"),
    )


def test_of_many_layers_some_are_drawn(sources: ReportSources) -> None:
    one = read(sources.evaluation, "evaluation").filter(layer="conv1", trained=True)
    many = pl.concat(
        one.with_columns(l=pl.lit(l, pl.Int64), layer=pl.lit(f"layer{l}")) for l in range(101)
    )
    axes = layers(many).axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert 1 < len(names) <= MOST
    assert names[0] == "layer0"


def test_the_legend_of_the_views_covers_no_bar(sources: ReportSources) -> None:
    figure = views(read(sources.ablation, "views"))
    FigureCanvasAgg(figure).draw()
    (legend,) = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    assert not legend.get_window_extent().overlaps(figure.axes[0].get_window_extent())
