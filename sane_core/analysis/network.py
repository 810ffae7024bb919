"""What is known of each layer of a network, and its means over layers, as Parquet tables (§4)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.analysis.spectra import SPECTRAL, Metrics
from sane_core.analysis.spread import mean_over_layers
from sane_core.weights.layers import Layer
from schemas.analysis_tables import ANALYSED_LAYERS, ANALYSED_NETWORKS

FEATURES = ("spread", *SPECTRAL)
"""What every layer has, and every network the mean of."""


@dataclass(frozen=True)
class Network:
    """A checkpoint.

    Attributes:
        zoo: Its zoo; the file of a network on its own.
        run: Its run.
        epoch: Its epoch.
        architecture: What it is.
        split: Of its run; "" where there are none.
        last: Whether it is its run's last.
        test_accuracy: Fraction; None where it is not known.
    """

    zoo: str
    run: int
    epoch: int
    architecture: str
    split: str = ""
    last: bool = True
    test_accuracy: float | None = None


@dataclass(frozen=True)
class Analysed:
    """The layers of a checkpoint.

    Attributes:
        network: The checkpoint.
        layers: Its layers.
        tokens: Tokens of each; None without a SANE.
        spread: ẑ_l of each, float64 [layers]; None without a SANE.
        spread_note: Why no layer has one; "" where they have, or none was asked for.
        metrics: Spectral metrics of each.
    """

    network: Network
    layers: tuple[Layer, ...]
    tokens: tuple[int, ...] | None
    spread: np.ndarray | None
    spread_note: str
    metrics: Sequence[Metrics]

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of `ANALYSED_LAYERS` for each layer."""
        own = self.network
        common = {name: getattr(own, name) for name in ("zoo", "run", "epoch", "architecture")}
        found = []
        for i, (layer, metrics) in enumerate(zip(self.layers, self.metrics, strict=True)):
            tokens = None if self.tokens is None else self.tokens[i]
            spread = np.nan if self.spread is None else float(self.spread[i])
            notes = [note for note in (metrics.note, self._why(tokens, spread)) if note]
            values = asdict(metrics) | {"spread": spread, "note": "; ".join(notes)}
            found.append(common | {"l": layer.l, "name": layer.name, "tokens": tokens} | values)
        return found

    def summary(self) -> dict[str, Any]:
        """Return its row of `ANALYSED_NETWORKS`."""
        rows = self.rows()
        values = np.array([[row[name] for row in rows] for name in FEATURES], np.float64)
        return {
            **asdict(self.network),
            "layers": len(rows),
            "weights": sum(layer.size for layer in self.layers),
            **dict(zip(FEATURES, mean_over_layers(values).tolist(), strict=True)),
        }

    def _why(self, tokens: int | None, spread: float) -> str:
        if isfinite(spread):
            return ""
        if self.spread is None:
            return self.spread_note
        return f"no spread: {tokens} token{'' if tokens == 1 else 's'}"


def write_analysis(folder: Path, analysed: Sequence[Analysed]) -> None:
    """Write `layers.parquet` and `networks.parquet`."""
    layers = [row for each in analysed for row in each.rows()]
    write_rows(folder / "layers.parquet", layers, ANALYSED_LAYERS)
    networks = [each.summary() for each in analysed]
    write_rows(folder / "networks.parquet", networks, ANALYSED_NETWORKS)


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows; a number that is not finite becomes null."""
    columns = {name: [_there(row[name]) for row in rows] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def _there(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
