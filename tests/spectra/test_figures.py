"""Figures and tables of the analysis: what they say, and equal bytes for equal data."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sane_core.analysis.network import FEATURES
from sane_core.reporting.analysis_draw import of_the_analysis, write_drawn
from sane_core.reporting.analysis_figures import COLUMNS, accuracy, over_layers, spectra
from sane_core.reporting.analysis_tables import correlations_table, missing_table, spectra_table
from sane_core.reporting.sections import SECTIONS
from schemas.analysis_tables import ANALYSED_LAYERS, ANALYSED_NETWORKS, SPECTRA

RNG = np.random.default_rng(0)


def networks(count: int, zoos: int = 2) -> pl.DataFrame:
    rows = [
        {
            "zoo": f"zoo-{i % zoos}",
            "run": i,
            "epoch": 5,
            "architecture": f"{('resnet', 'vgg')[i % 2]}{10 + i % zoos}",
            "split": "train",
            "last": True,
            "layers": 3,
            "weights": 100,
            "test_accuracy": 0.5 + 0.01 * i,
        }
        | {feature: float(i + RNG.normal()) for feature in FEATURES}
        for i in range(count)
    ]
    return pl.DataFrame(rows, schema_overrides=_types(ANALYSED_NETWORKS))


def layers_of(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {name: row[name] for name in ("zoo", "run", "epoch", "architecture")}
        | {"l": l, "name": f"layer{l}", "tokens": 4, "distance": 0.1}
        | {"note": "" if l else "no spread: 1 token"}
        | {feature: None if l == 0 and feature == "spread" else float(l) for feature in FEATURES}
        for row in table.to_dicts()
        for l in range(3)
    ]
    return pl.DataFrame(rows, schema_overrides=_types(ANALYSED_LAYERS))


def spectra_of(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {name: row[name] for name in ("zoo", "run", "epoch", "architecture")}
        | {"last": last, "layer": "fc", "edge": 1.0}
        | {"eigenvalues": RNG.exponential(size=30).tolist()}
        | {"distances": RNG.exponential(size=30).astype(np.float32).tolist()}
        for row in table.to_dicts()
        for last in (False, True)
    ]
    return pl.DataFrame(rows, schema_overrides=_types(SPECTRA))


def _types(schema: object) -> dict[str, pl.DataType]:
    table = pl.from_arrow(schema.empty_table())  # type: ignore[attr-defined]
    return dict(table.schema)


def titles(figure: object) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]  # type: ignore[attr-defined]


def test_correlations_are_written_with_n_and_only_over_enough_networks() -> None:
    many, few = titles(accuracy(networks(24))), titles(accuracy(networks(19)))
    assert all(title.startswith("n = 24: Pearson +") for title in many)
    assert few == ["n = 19\nno correlation below 20 networks"] * 6


def test_networks_without_an_accuracy_are_not_counted() -> None:
    table = networks(24).with_columns(
        test_accuracy=pl.when(pl.col("run") < 5).then(None).otherwise("test_accuracy")
    )
    assert titles(accuracy(table))[0] == "n = 19\nno correlation below 20 networks"


def test_each_series_has_a_row_of_curves_with_one_per_zoo() -> None:
    figure = over_layers(layers_of(networks(8, zoos=4)))
    assert len(figure.axes) == 6
    assert titles(figure)[0] == "resnet: log spectral norm"
    assert titles(figure)[5] == "vgg: SANE, ẑ"
    assert len(figure.axes[0].lines) == 2
    assert figure.axes[2].lines[0].get_xdata().tolist() == [1, 2]  # layer 0 has no spread


def test_many_zoos_share_the_figure_of_spectra() -> None:
    figure = spectra(spectra_of(networks(8, zoos=8)))
    assert len(figure.axes) <= 2 * COLUMNS


def test_the_tables_say_what_the_figures_do() -> None:
    table = networks(24)
    rows = correlations_table(table).rows
    assert {row[0] for row in rows} == {"all", "resnet", "vgg", "within zoos"}
    assert [row[2] for row in rows if row[0] == "vgg"] == ["12"] * len(FEATURES)
    missing = missing_table(layers_of(table))
    assert missing
    assert missing.rows == (("no spread: 1 token", "layer0", "24"),)
    found = spectra_table(spectra_of(networks(1, zoos=1))).rows
    assert [row[2] for row in found] == ["first", "last"]


def test_what_only_differs_between_zoos_does_not_correlate_within_them() -> None:
    zoo = np.repeat([0.0, 1.0], 15)
    noise = np.random.default_rng(0).standard_normal((2, 30))
    values = {"alpha": 9 * zoo + noise[0], "test_accuracy": zoo + 0.1 * noise[1]}
    table = networks(30).with_columns(
        zoo=pl.Series([f"zoo-{int(each)}" for each in zoo]),
        **{name: pl.Series(each) for name, each in values.items()},
    )
    rows = {row[0]: row[3] for row in correlations_table(table).rows if row[1] == "α"}
    assert float(rows["all"]) > 0.9
    assert abs(float(rows["within zoos"])) < 0.4


def test_equal_tables_give_equal_files(tmp_path: Path) -> None:
    table = networks(4)
    table.write_parquet(tmp_path / "networks.parquet")
    layers_of(table).write_parquet(tmp_path / "layers.parquet")
    spectra_of(table).write_parquet(tmp_path / "spectra.parquet")
    for out in ("a", "b"):
        (tmp_path / out).mkdir()
        write_drawn(tmp_path / out, *of_the_analysis(tmp_path))
    names = sorted(path.name for path in (tmp_path / "a/figures").iterdir())
    assert names == ["analysis_accuracy.png", "analysis_layers.png", "analysis_spectra.png"]
    for name in (*(f"figures/{name}" for name in names), "tables.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("empty", ["accuracy", "spread"])
def test_what_is_not_there_is_left_out_or_said(tmp_path: Path, empty: str) -> None:
    column = {"accuracy": "test_accuracy"}.get(empty, empty)
    table = networks(4).with_columns(pl.lit(None, pl.Float64).alias(column))
    table.write_parquet(tmp_path / "networks.parquet")
    layers = layers_of(table)
    if column in layers.columns:
        layers = layers.with_columns(pl.lit(None, pl.Float64).alias(column))
    layers.write_parquet(tmp_path / "layers.parquet")
    write_drawn(tmp_path, *of_the_analysis(tmp_path))
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert ("analysis_accuracy" in drawn) == (empty != "accuracy")
    written = json.loads((tmp_path / "tables.json").read_text())
    means = written["analysis_means"]
    at = means["columns"].index({"accuracy": "test acc.", "spread": "SANE, ẑ"}[empty])
    assert {row[at] for row in means["rows"]} == {"–"}


def test_the_page_has_a_place_for_everything_that_is_drawn(tmp_path: Path) -> None:
    table = networks(4)
    table.write_parquet(tmp_path / "networks.parquet")
    layers_of(table).write_parquet(tmp_path / "layers.parquet")
    spectra_of(table).write_parquet(tmp_path / "spectra.parquet")
    drawn, written = of_the_analysis(tmp_path)
    section = next(section for section in SECTIONS if section.anchor == "analysis")
    assert drawn.keys() == section.figures.keys()
    assert written.keys() == set(section.tables)
