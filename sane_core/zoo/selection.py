"""Which checkpoints of a source to read, in which order, and what is rejected unopened."""

from collections.abc import Iterator
from dataclasses import dataclass

from sane_core.zoo.quarantine import Quarantine
from sane_core.zoo.readers.reader import Found, Reader, Rejected, ScanOptions
from sane_core.zoo.readers.sources import natural_key
from schemas.config.ingest import IngestConfig
from schemas.errors import UserError


@dataclass(frozen=True)
class Selection:
    """What a scan gave.

    Attributes:
        found: Checkpoints to read, by run and epoch.
        runs: Run -> its number.
        quarantine: What is rejected already.
        require_metrics: Whether the test accuracy must be known.
    """

    found: list[Found]
    runs: dict[str, int]
    quarantine: Quarantine
    require_metrics: bool


def options_of(config: IngestConfig) -> ScanOptions:
    """Return what a configuration says to a reader."""
    licences = tuple(licence.lower() for licence in config.licences)
    return ScanOptions(config.pattern, config.table, licences)


def select(source: str, reader: Reader, config: IngestConfig) -> Selection:
    """Scan a source.

    Raises:
        UserError: If there is no checkpoint at all.
    """
    newest: dict[str, int] = {}
    entries = []
    for entry in reader.scan(source, options_of(config)):
        if entry.run is not None and entry.epoch is not None:
            newest[entry.run] = max(entry.epoch, newest.get(entry.run, 0))
        if _is_wanted(entry.epoch, config):
            entries.append(entry)
    if not entries:
        last = "the last" if config.last_epoch is None else config.last_epoch
        raise UserError(
            f"a zoo must have at least one checkpoint, got none in {source!r} (reader "
            f"{reader.name}, epochs {config.first_epoch} to {last}); check the path, the reader "
            "and the epochs"
        )
    rejected = [entry for entry in entries if isinstance(entry, Rejected)]
    kept = []
    found = _in_order([entry for entry in entries if isinstance(entry, Found)])
    for outcome in _without_faults(found, config):
        if isinstance(outcome, Rejected):
            rejected.append(outcome)
        else:
            kept.append(outcome)
    needed = config.require_metrics
    if needed is None:
        needed = any("test_accuracy" in checkpoint.metrics for checkpoint in kept)
    runs = {run: i for i, run in enumerate(dict.fromkeys(c.run for c in kept))}
    return Selection(kept, runs, Quarantine(newest, len(entries), rejected), needed)


def _is_wanted(epoch: int | None, config: IngestConfig) -> bool:
    """Whether the configuration keeps an epoch; what has none is never passed over silently."""
    if epoch is None:
        return True
    last = epoch if config.last_epoch is None else config.last_epoch
    return config.first_epoch <= epoch <= last and epoch % config.every == 0


def _in_order(found: list[Found]) -> list[Found]:
    # One key per run, shared by its checkpoints: they are larger than what they sort.
    keys = {run: natural_key(run) for run in {checkpoint.run for checkpoint in found}}
    return sorted(found, key=lambda c: (c.number, keys[c.run], c.run, c.epoch, c.file))


def _without_faults(found: list[Found], config: IngestConfig) -> Iterator[Found | Rejected]:
    """Yield each checkpoint, or what speaks against it before it is opened."""
    kept: Found | None = None
    accepted = options_of(config).licences
    for checkpoint in found:
        licence = checkpoint.licence or config.licence
        wrong: tuple[str, str] | None = None
        if kept and (kept.run, kept.epoch) == (checkpoint.run, checkpoint.epoch):
            wrong = (
                f"an epoch of a run must stand once, and {kept.file} is the same one",
                "remove one of them, or tell them apart by a pattern or a table",
            )
        elif accepted and (licence or "").lower() not in accepted:
            wrong = (
                f"its licence must be one of {', '.join(accepted)}, got {licence or 'none'}",
                "accept the licence (licences) if it suits you",
            )
        if wrong:
            yield Rejected(checkpoint.file, *wrong, checkpoint.run, checkpoint.epoch)
        else:
            kept = checkpoint
            yield checkpoint
