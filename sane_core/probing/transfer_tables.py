"""What probes of one zoo tell of another, as tables and metrics."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.probing.compare import Compared
from sane_core.probing.scores import ProbeResult
from sane_core.probing.selections import COMBINED, SELECTED, STATISTICS
from sane_core.probing.tables import unavailable_records, write_records

REPORTED = (SELECTED, COMBINED, STATISTICS, "weights")
"""Features of which a transfer is reported, beside SANE's poolings."""


@dataclass(frozen=True)
class TransferResult:
    """How well features tell a number of another zoo's test runs, with the 95 % interval.

    `chosen`: the features that a selection chose, on the source's validation runs.
    """

    source: str
    zoo: str
    features: str
    target: str
    test_r2: float
    low: float
    high: float
    kendall: float
    chosen: str
    runs: int


@dataclass(frozen=True)
class TransferDifference:
    """What features `a` score above `b` there, with the 95 % interval of the paired bootstrap."""

    source: str
    zoo: str
    target: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    share_above: float
    runs: int


def results_of(compared: Compared, source: str, zoo: str, runs: int) -> list[TransferResult]:
    """Return a row per kind of features that is reported.

    Args:
        compared: One target.
        source: The zoo fitted on.
        zoo: The zoo tested on.
        runs: Tested.
    """
    return [
        TransferResult(
            source=source,
            zoo=zoo,
            features=row.features,
            target=row.target,
            test_r2=row.test_r2,
            low=row.low,
            high=row.high,
            kendall=row.kendall,
            chosen=row.chosen,
            runs=runs,
        )
        for row in compared.results
        if isinstance(row, ProbeResult)
        and (row.features in REPORTED or row.features.startswith("sane_"))
    ]


def differences_of(compared: Compared, source: str, zoo: str) -> list[TransferDifference]:
    """Return a row per claim; arguments as of `results_of`."""
    rows = [asdict(row) for row in compared.differences]
    for row in rows:
        row.pop("measure")
    return [TransferDifference(source=source, zoo=zoo, **row) for row in rows]


def write_transfer(
    folder: Path,
    results: Sequence[TransferResult],
    differences: Sequence[TransferDifference],
    missing: list[dict[str, str]],
) -> None:
    """Write `transfer`, `transfer_comparisons` and `unavailable`, all Parquet."""
    write_records(folder / "transfer.parquet", TransferResult, results)
    write_records(folder / "transfer_comparisons.parquet", TransferDifference, differences)
    pq.write_table(
        pa.Table.from_pylist(missing, schema=unavailable_records()), folder / "unavailable.parquet"
    )


def transfer_metrics(
    results: Sequence[TransferResult], differences: Sequence[TransferDifference]
) -> dict[str, float]:
    """Return every number of the tables by name."""
    metrics: dict[str, float] = {}
    for row in results:
        of = f"{row.target}.{row.features}.{row.source}.to.{row.zoo}"
        metrics |= {
            f"probe.transfer.r2.{of}": row.test_r2,
            f"probe.transfer.r2.{of}.low": row.low,
            f"probe.transfer.r2.{of}.high": row.high,
            f"probe.transfer.kendall.{of}": row.kendall,
        }
    for claim in differences:
        of = f"{claim.target}.{claim.a}.{claim.b}.{claim.source}.to.{claim.zoo}"
        metrics |= {
            f"probe.transfer.difference.{of}": claim.difference,
            f"probe.transfer.difference.{of}.low": claim.low,
            f"probe.transfer.difference.{of}.high": claim.high,
        }
    return metrics
