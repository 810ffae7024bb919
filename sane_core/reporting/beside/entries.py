"""One number of ours beside one of the paper's: what every table of the paper is collected from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from sane_core.reporting.likeness import Likeness
from sane_core.reporting.paper import Published

MISSING = "–"


@dataclass(frozen=True)
class Unit:
    """How values are shown.

    Attributes:
        name: What is said of it.
        factor: What stored values are multiplied by; the paper's are stored as they are printed.
        digits: After the point.
    """

    name: str
    factor: float
    digits: int

    def text(self, value: float, sign: str = "") -> str:
        """Show a value that has been multiplied already."""
        return f"{value:{sign}.{self.digits}f}"


PERCENT = Unit("percent", 100.0, 1)
R2 = Unit("R²", 1.0, 3)
LOSS = Unit("share of the weights' variance", 1.0, 4)


@dataclass(frozen=True)
class Measured:
    """A value of ours, in the unit of its table.

    Attributes:
        mean: Mean over `n`.
        n: Models, tested runs, or seeds; 0 where it is not known.
        std: Standard deviation over them; None where there is one, or an interval instead.
        interval: 95 % interval, where there is one.
    """

    mean: float
    n: int = 0
    std: float | None = None
    interval: tuple[float, float] | None = None

    def text(self, unit: Unit) -> str:
        """Show the value with its spread."""
        shown = unit.text(self.mean)
        if self.interval:
            return f"{shown} [{', '.join(unit.text(end) for end in self.interval)}]"
        return shown if self.std is None else f"{shown} ± {unit.text(self.std)}"


@dataclass(frozen=True)
class Source:
    """Where a value of ours comes from.

    Attributes:
        artifact: Stage and key, `generation/6e80…`; "" where the page it stands on says it.
        seed: Of the run; None for a mean over seeds.
        seeds: Number of seeds averaged; 1 otherwise.
    """

    artifact: str = ""
    seed: int | None = None
    seeds: int = 1

    @property
    def told(self) -> str:
        """The seed, or how many there are."""
        if self.seeds > 1:
            return f"mean of {self.seeds}"
        return "" if self.seed is None else str(self.seed)


NOWHERE = Source()


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Attributes:
        row: Method, features or setting, as readers see it.
        at: What was measured: an epoch of fine-tuning, a property, a part.
        ours: None where it was not run.
        paper: None where the paper has no such cell.
        likeness: How alike the two are.
        source: Where ours comes from.
    """

    row: str
    at: str
    ours: Measured | None
    paper: Published | None
    likeness: Likeness
    source: Source = NOWHERE

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's; None unless both are there."""
        return self.ours.mean - self.paper.mean if self.ours and self.paper else None


def with_means(entries: Iterable[Entry]) -> list[Entry]:
    """Put the mean over seeds behind the entries of each row, where there are several seeds.

    Args:
        entries: Of one configuration; in the order that rows are to stand in.

    Returns:
        Row by row, seed by seed; then a mean whose spread is over the seeds' means.
    """
    rows: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        rows.setdefault(entry.row, {}).setdefault(entry.at, []).append(entry)
    ordered = []
    for cells in rows.values():
        several = [entry for found in cells.values() for entry in found]
        ordered += sorted(several, key=lambda e: (e.source.seed is None, e.source.seed or 0))
        ordered += [mean for found in cells.values() if (mean := _mean(found))]
    return ordered


def _mean(entries: list[Entry]) -> Entry | None:
    means = [entry.ours.mean for entry in entries if entry.ours]
    if len(means) < 2:
        return None
    over = Measured(fmean(means), len(means), stdev(means))
    return replace(entries[0], ours=over, source=Source(seeds=len(means)))
