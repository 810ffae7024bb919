"""The analyses of several zoos as one, so that their networks stand side by side (Figures 3 to 11).

Only what one SANE encoded can be compared: ẑ_l is in the units of its latent space.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.analysis.correlate import Correlation, correlate
from sane_core.analysis.network import FEATURES

TABLES = ("layers.parquet", "networks.parquet", "spectra.parquet")


def join(folders: Sequence[Path], folder: Path) -> dict[str, float]:
    """Write the tables of `analyse_zoo` for all of some zoos.

    Args:
        folders: What `analyse_zoo` wrote, one per zoo.
        folder: Gets the tables.

    Returns:
        Metrics `analysis.together.networks` and those of `correlation_metrics`.
    """
    for name in TABLES:
        tables = [pq.read_table(each / name) for each in folders]
        pq.write_table(pa.concat_tables(tables), folder / name, compression="zstd")
    networks = pq.read_table(folder / "networks.parquet")
    last = networks.filter(networks["last"])
    found = correlation_metrics(last, "analysis.together")
    return {"analysis.together.networks": float(len(last))} | found


def correlation_metrics(networks: pa.Table, prefix: str) -> dict[str, float]:
    """Return `<prefix>.<coefficient>.<feature>` of test accuracy, where available."""
    found = {}
    for feature, each in correlations(networks).items():
        if not each.note:
            values = asdict(each)
            for name in ("pearson", "spearman", "kendall"):
                found[f"{prefix}.{name}.{feature}"] = values[name]
    return found


def correlations(networks: pa.Table) -> dict[str, Correlation]:
    """Correlate every feature of networks with their test accuracy.

    Args:
        networks: Rows of `ANALYSED_NETWORKS`, one per network.
    """
    accuracy = _floats(networks, "test_accuracy")
    return {feature: correlate(_floats(networks, feature), accuracy) for feature in FEATURES}


def series_of(architecture: str) -> str:
    """Return what architectures of several depths have in common.

    `cifar-resnet20[width=8]` is of the series `cifar-resnet`; a factory is one of its own.
    """
    name = architecture if ":" in architecture else architecture.partition("[")[0]
    return re.sub(r"\d+$", "", name) or name


def _floats(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = pc.fill_null(table[name], np.nan).to_numpy()
    return values
