"""Draw the analysis of one zoo, or of several together: `figures/*.png` and `tables.json`."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from sane_core.reporting import analysis_figures, analysis_tables
from sane_core.reporting.canvas import save
from sane_core.reporting.table import Table, write_tables

SCALABLE = ("front",)
"""Figures that are written as SVG beside the PNG."""


def of_the_analysis(folder: Path) -> tuple[dict[str, Figure], dict[str, Table]]:
    """Return figures and tables by name.

    Args:
        folder: With `layers.parquet`, `networks.parquet` and, if there is one, `spectra.parquet`.
    """
    networks = pl.read_parquet(folder / "networks.parquet")
    layers = pl.read_parquet(folder / "layers.parquet")
    last = networks.filter("last")
    ends = layers.join(last.select("zoo", "run", "epoch"), on=["zoo", "run", "epoch"], how="semi")
    drawn = {"analysis_layers": analysis_figures.over_layers(ends)}
    written = {"analysis_means": analysis_tables.means_table(last)}
    if last["test_accuracy"].count():
        drawn["analysis_accuracy"] = analysis_figures.accuracy(last)
        written["analysis_correlations"] = analysis_tables.correlations_table(last)
    spectra = folder / "spectra.parquet"
    found = pl.read_parquet(spectra) if spectra.exists() else pl.DataFrame()
    if len(found):
        drawn["analysis_spectra"] = analysis_figures.spectra(found)
        written["analysis_spectra"] = analysis_tables.spectra_table(found)
    if missing := analysis_tables.missing_table(ends):
        written["analysis_missing"] = missing
    return drawn, written


def write_drawn(folder: Path, drawn: Mapping[str, Figure], written: Mapping[str, Table]) -> None:
    """Write figures into `figures/`, and tables; a figure to be shown elsewhere as SVG too."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        for ending in (".png", ".svg") if name in SCALABLE else (".png",):
            save(figure, folder / "figures" / f"{name}{ending}")
    write_tables(folder / "tables.json", written)
