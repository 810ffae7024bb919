"""What a reader of foreign zoos is: it finds checkpoints, and reads them one at a time.

`scan` opens no tensors and gives the same order whatever the order of the directory listing; `read`
runs no code of a file. Text of a file may be anything; whoever shows it makes it printable.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sane_core.zoo.formats.contents import Contents, Property

METRICS = (
    "test_accuracy",
    "validation_accuracy",
    "train_accuracy",
    "test_loss",
    "validation_loss",
    "train_loss",
)
"""What is known of a checkpoint's behaviour; accuracies are fractions, losses nats."""

FORMAT, LAYOUT = 1, 2
"""How specific a reader is: it knows a file format, or how a whole zoo is laid out."""


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that a reader found and did not open.

    Attributes:
        run: What the run is called in its zoo.
        epoch: Training epoch; 0 where nothing says it.
        path: File to open.
        file: The same file as tables show it, relative to the source.
        number: Number that the layout gives the run; runs are sorted by it, then by name.
        bytes: Size of the file or files.
        properties: Hyper-parameters and whatever else is known.
        metrics: Some of `METRICS`.
        licence: As its source names it.
        architecture: As its source names it.
    """

    run: str
    epoch: int
    path: Path
    file: str
    number: int = 0
    bytes: int = 0
    properties: Mapping[str, Property] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    licence: str | None = None
    architecture: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that cannot be used.

    Attributes:
        file: As tables show it, relative to the source.
        reason: What must hold and does not.
        remedy: What to do.
        run: Its run, where that is known.
        epoch: Its epoch, where that is known.
        incomplete: Half-written, as far as one can tell.
    """

    file: str
    reason: str
    remedy: str
    run: str | None = None
    epoch: int | None = None
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What a user says about a source.

    Attributes:
        pattern: Form of file names (`labels.NamePattern`), or None.
        table: CSV or Parquet with properties, relative to the source, or None.
        licences: Licences accepted, or none for any; a reader may save a download by them.
    """

    pattern: str | None = None
    table: str | None = None
    licences: tuple[str, ...] = ()


class Reader(Protocol):
    """One layout of zoos. Instances hold no state of a scan."""

    @property
    def name(self) -> str:
        """What `--reader` calls it."""

    @property
    def specificity(self) -> int:
        """`LAYOUT` or `FORMAT`: where several recognise a source, the most specific reads it."""

    def recognises(self, source: str) -> bool:
        """Whether the source looks like this layout; looks at names, opens at most small files."""

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find every checkpoint, in an order that depends on names and contents alone."""

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give a line for everything that, when it changes, may change what is ingested."""

    def read(self, found: Found) -> Contents:
        """Read one checkpoint.

        Raises:
            Refused: If it cannot be used.
        """
