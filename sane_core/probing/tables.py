"""What the probe stage leaves: tables, and flat metrics.

- `probes.parquet`: a row per (features, number), `ProbeResult`.
- `classes.parquet`: a row per (features, class), `ClassResult`.
- `comparisons.parquet`: a row per claim, `Difference`.
- `intervals.parquet`: a row per (features, number), `Coverage`.
- `gate.parquet`: a row per set of networks the gate was tried on, `Alarms`.
- `unavailable.parquet`: what could not be had, and why.
- `predictions.parquet`: predicted and true values of tested checkpoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.probing.compare import Compared
from sane_core.probing.conformal import Coverage
from sane_core.probing.folds import all_tested
from sane_core.probing.gate import Gate
from sane_core.probing.judge import Alarms
from sane_core.probing.scores import ClassResult, Difference, ProbeResult
from sane_core.probing.selections import COMBINED, SELECTED, STATISTICS

SHOWN = (SELECTED, COMBINED, STATISTICS)
"""Features whose predictions are kept."""
_TYPES: dict[Any, pa.DataType] = {str: pa.string(), float: pa.float64(), int: pa.int64()}


@dataclass(frozen=True)
class Probed:
    """Everything that was found.

    Attributes:
        compared: A record per target.
        rows: Target -> int, the rows of the zoo that its record is of.
        runs: int [rows of the zoo].
        epochs: int [rows of the zoo].
        coverages: Of intervals.
        gate: The gate.
        alarms: What it said.
        unavailable: "target" or "features" -> name -> why it is not there.
    """

    compared: Sequence[Compared]
    rows: Mapping[str, np.ndarray]
    runs: np.ndarray
    epochs: np.ndarray
    coverages: Sequence[Coverage]
    gate: Gate
    alarms: Sequence[Alarms]
    unavailable: Mapping[str, Mapping[str, str]]

    @property
    def numbers(self) -> list[ProbeResult]:
        """Results for numbers."""
        return [r for each in self.compared for r in each.results if isinstance(r, ProbeResult)]

    @property
    def classes(self) -> list[ClassResult]:
        """Results for classes."""
        return [r for each in self.compared for r in each.results if isinstance(r, ClassResult)]

    @property
    def differences(self) -> list[Difference]:
        """Every claim."""
        return [row for each in self.compared for row in each.differences]


def write_probed(folder: Path, probed: Probed) -> dict[str, float]:
    """Write every table; return the metrics."""
    for name, kind, rows in (
        ("probes", ProbeResult, probed.numbers),
        ("classes", ClassResult, probed.classes),
        ("comparisons", Difference, probed.differences),
        ("intervals", Coverage, probed.coverages),
    ):
        write_records(folder / f"{name}.parquet", kind, rows)
    alarms = [asdict(row) | {"asked": probed.gate.asked} for row in probed.alarms]
    pq.write_table(pa.Table.from_pylist(alarms), folder / "gate.parquet")
    _write_unavailable(folder / "unavailable.parquet", probed)
    _write_predictions(folder / "predictions.parquet", probed)
    return metrics_of(probed)


def metrics_of(probed: Probed) -> dict[str, float]:
    """Return flat metrics.

    `probe.r2.<target>.<features>` with `.low` and `.high`, `probe.kendall.<target>.<features>`,
    `probe.accuracy.<target>.<features>` with `.low` and `.high`, `probe.majority.<target>`,
    `probe.difference.<target>.<a>.<b>` with `.low`, `.high` and `.share_above`,
    `probe.interval.<target>.<features>.coverage` and `.width` where there were runs enough,
    `probe.gate.false_alarms`,
    `probe.gate.detected.<kind>`.
    """
    metrics: dict[str, float] = {}
    for number in probed.numbers:
        of = f"{number.target}.{number.features}"
        metrics |= _with_ends(f"probe.r2.{of}", number.test_r2, number)
        metrics[f"probe.kendall.{of}"] = number.kendall
    for row in probed.classes:
        name = f"probe.accuracy.{row.target}.{row.features}"
        metrics |= _with_ends(name, row.test_accuracy, row)
        metrics[f"probe.majority.{row.target}"] = row.majority
    for claim in probed.differences:
        name = f"probe.difference.{claim.target}.{claim.a}.{claim.b}"
        metrics |= _with_ends(name, claim.difference, claim)
        metrics[f"{name}.share_above"] = claim.share_above
    for held in (row for row in probed.coverages if np.isfinite(row.width)):
        name = f"probe.interval.{held.target}.{held.features}"
        metrics |= {f"{name}.coverage": held.coverage, f"{name}.width": held.width}
    for alarm in probed.alarms:
        own = alarm.networks == "test"
        name = "false_alarms" if own else f"detected.{alarm.networks}"
        metrics[f"probe.gate.{name}"] = alarm.foreign
    return metrics


def write_records(path: Path, kind: type, rows: Sequence[Any]) -> None:
    """Write dataclass records, a column per field; none give an empty table with its columns."""
    schema = pa.schema([(field.name, _TYPES[field.type]) for field in fields(kind)])
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), path)


def _with_ends(
    name: str, value: float, row: ProbeResult | ClassResult | Difference
) -> dict[str, float]:
    return {name: value, f"{name}.low": row.low, f"{name}.high": row.high}


def _write_unavailable(path: Path, probed: Probed) -> None:
    rows = [
        {"kind": kind, "name": name, "reason": reason}
        for kind, found in probed.unavailable.items()
        for name, reason in found.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=unavailable_records()), path)


def unavailable_records() -> pa.Schema:
    """Return the schema of what could not be had, and why."""
    return pa.schema([(name, pa.string()) for name in ("kind", "name", "reason")])


def _write_predictions(path: Path, probed: Probed) -> None:
    tables = []
    for each in probed.compared:
        at = all_tested(each.sides)
        rows = probed.rows[each.target.name][at]
        for features in (name for name in SHOWN if name in each.predictions):
            columns = {
                "features": pa.array([features] * len(at), pa.string()),
                "target": pa.array([each.target.name] * len(at), pa.string()),
                "run": probed.runs[rows],
                "epoch": probed.epochs[rows],
                "truth": each.target.values[at],
                "prediction": each.predictions[features],
            }
            if not each.target.classes:
                tables.append(pa.table(columns))
    if not tables:
        names = {"features": pa.string(), "target": pa.string(), "run": pa.int64()}
        names |= {"epoch": pa.int64(), "truth": pa.float64(), "prediction": pa.float64()}
        tables = [pa.schema(list(names.items())).empty_table()]
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")
