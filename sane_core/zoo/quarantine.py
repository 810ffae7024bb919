"""What could not be ingested, and why: nothing is skipped without a row.

All text is printable. Half-written checkpoints of a training still running are pending: they do not
count as a fault of the zoo.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.zoo.formats.refused import printable
from sane_core.zoo.readers.reader import Rejected
from schemas.errors import SaneError
from schemas.tables import QUARANTINE

_TEXT = 1000
"""Characters of one cell, at most."""


@dataclass
class Quarantine:
    """Collects what was rejected.

    Attributes:
        newest: Run -> its newest epoch; only that one can be pending.
        checkpoints: How many the source has, rejected ones included.
        rejected: Everything rejected so far.
        added: How many of them were rejected after they were opened.
    """

    newest: dict[str, int]
    checkpoints: int
    rejected: list[Rejected] = field(default_factory=list)
    added: int = 0

    def add(self, rejected: Rejected) -> None:
        """Keep a rejection."""
        self.rejected.append(rejected)
        self.added += 1

    def pending(self) -> list[Rejected]:
        """Return what is half-written by a training still running."""
        return [entry for entry in self.rejected if self._is_pending(entry)]

    def counted(self) -> list[Rejected]:
        """Return what counts as a fault of the zoo."""
        return [entry for entry in self.rejected if not self._is_pending(entry)]

    def check_share(self, allowed: float, report: Path) -> None:
        """Fail if more was rejected than is allowed, and leave the rows where they can be read.

        Args:
            allowed: Largest share, of the checkpoints that are not pending.
            report: Parquet file to write before failing.

        Raises:
            SaneError: With the most frequent reasons.
        """
        # The common case; nothing needs to be counted for it.
        if len(self.rejected) <= allowed * (self.checkpoints - len(self.rejected)):
            return
        counted, total = len(self.counted()), self.checkpoints - len(self.pending())
        if counted <= allowed * total:
            return
        self.write(report)
        raise SaneError(
            f"at most {100 * allowed:g} % of the checkpoints may be quarantined "
            f"(max_quarantined), got {counted} of {total}: {self.summary()}; every file and "
            f"reason is in {report}"
        )

    def summary(self) -> str:
        """Return the two most frequent reasons and what to do."""
        reasons = Counter((entry.reason, entry.remedy) for entry in self.rejected)
        return "; ".join(
            f"{count} x {printable(reason, 300)} ({printable(remedy)})"
            for (reason, remedy), count in reasons.most_common(2)
        )

    def write(self, path: Path) -> None:
        """Write the table, sorted by file."""
        rows = sorted(self.rejected, key=lambda entry: (entry.file, entry.reason))
        columns: dict[str, list[object]] = {
            "file": [_shown(entry.file) for entry in rows],
            "run": [_shown(entry.run) for entry in rows],
            "epoch": [entry.epoch for entry in rows],
            "reason": [_shown(entry.reason) for entry in rows],
            "remedy": [_shown(entry.remedy) for entry in rows],
            "pending": [self._is_pending(entry) for entry in rows],
        }
        table = pa.table(
            [pa.array(columns[name], QUARANTINE.field(name).type) for name in QUARANTINE.names],
            schema=QUARANTINE,
        )
        pq.write_table(table, path, compression="zstd")

    def _is_pending(self, entry: Rejected) -> bool:
        newest = self.newest.get(entry.run) if entry.run is not None else None
        return entry.incomplete and entry.epoch is not None and entry.epoch == newest


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text, _TEXT)
