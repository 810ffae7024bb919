"""Ingest a zoo that was made elsewhere: weights, checkpoints, and what could not be used.

Streaming: besides a short row per checkpoint, memory holds one row group and the files being read.
Two ingestions of equal files give equal bytes, whatever the order of directory listings and the
number of threads.
"""

import hashlib
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from sane_core.zoo.checkpoints_table import Ingested, checkpoints_table, last_accuracies
from sane_core.zoo.fingerprints import Placed
from sane_core.zoo.finish import finish_zoo
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.loading import Loaded, load_all, rejection
from sane_core.zoo.matching import Matcher
from sane_core.zoo.readers.reader import Reader, Rejected
from sane_core.zoo.readers.registry import reader_named, reader_of
from sane_core.zoo.selection import Selection, options_of, select
from sane_core.zoo.weight_shards import RowGroup, ShardWriter, plan_shards
from schemas.config.ingest import IngestConfig
from schemas.errors import SaneError


def ingest(
    source: Path | str,
    folder: Path,
    scratch: Path,
    config: IngestConfig,
    seed: int,
    reader: Reader | None = None,
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Turn a foreign zoo into Parquet.

    Runs are numbered from 0 in the order that their layout gives them, else in the natural order of
    their names; a number stays unused where all of a run was quarantined. Fewer than 3 usable runs
    cannot be split: they are all `test`.

    Args:
        source: Folder, file, glob, or whatever else the reader takes.
        folder: Gets `weights/part-*.parquet`, `checkpoints`, `duplicates` and
            `quarantine.parquet`.
        scratch: Gets `quarantine.parquet` where ingestion fails.
        config: What to take and what to demand; its `source` is not looked at.
        seed: The run's seed; splits come from it.
        reader: Reads the source; chosen by `config.reader` if not given.
        on_checkpoint: Called with (checkpoints done, checkpoints in all) after each.

    Returns:
        Metrics: `zoo.runs`, `zoo.checkpoints`, `zoo.quarantined` (pending ones not counted),
        `zoo.pending`, and the known mean accuracies over the last epoch of every run.

    Raises:
        UserError: If no reader fits, or the request cannot be carried out.
        SaneError: If nothing is usable, or too much was quarantined.
    """
    reader = reader or reader_for(source, config)
    matcher = Matcher(config.architecture, config.mixed)
    selection = select(str(source), reader, config)
    quarantine = selection.quarantine
    report = scratch / "quarantine.parquet"
    quarantine.check_share(config.max_quarantined, report)
    ingested: list[Ingested] = []
    prints: list[Placed] = []
    outcomes = _write_weights(folder / "weights", selection, reader, matcher, config, prints)
    with closing(outcomes):
        for outcome in outcomes:
            if isinstance(outcome, Rejected):
                quarantine.add(outcome)
                quarantine.check_share(config.max_quarantined, report)
            else:
                ingested.append(outcome)
            if on_checkpoint:
                on_checkpoint(len(ingested) + quarantine.added, len(selection.found))
    if not ingested:
        quarantine.write(report)
        raise SaneError(
            f"a zoo must have at least one usable checkpoint, got none in {str(source)!r}: "
            f"{quarantine.summary()}; every file and reason is in {report}"
        )
    table = checkpoints_table(ingested, config)
    shares = (config.train_share, config.validation_share)
    copies = finish_zoo(folder, table, prints, *shares, seed)
    quarantine.write(folder / "quarantine.parquet")
    return (
        copies
        | {
            "zoo.runs": float(len({checkpoint.run for checkpoint in ingested})),
            "zoo.checkpoints": float(len(ingested)),
            "zoo.quarantined": float(len(quarantine.counted())),
            "zoo.pending": float(len(quarantine.pending())),
        }
        | last_accuracies(table)
    )


def reader_for(source: Path | str, config: IngestConfig) -> Reader:
    """Return the reader that a configuration names, or that recognises the source.

    Raises:
        UserError: If there is none.
    """
    return reader_of(str(source)) if config.reader == "auto" else reader_named(config.reader)


def source_digest(source: Path | str, reader: Reader, config: IngestConfig) -> str:
    """Return a digest that changes when what `ingest` would read may have changed.

    Of names, sizes and times of change (ns) rather than of contents: hashing would read a large zoo
    twice. So a zoo that was copied or touched is ingested again, into equal files.

    Args:
        source: What would be ingested.
        reader: What would read it.
        config: How; its table is a file too.
    """
    digest = hashlib.sha256(reader.name.encode())
    for line in reader.state(str(source), options_of(config)):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _write_weights(
    folder: Path,
    selection: Selection,
    reader: Reader,
    matcher: Matcher,
    config: IngestConfig,
    prints: list[Placed],
) -> Generator[Ingested | Rejected]:
    """Write the weights shard by shard; yield what became of every checkpoint, note its print."""
    folder.mkdir()
    parts, group = 0, RowGroup()
    for shard in plan_shards(selection.found, config.shard_bytes):
        with ShardWriter(folder / f"part-{parts:05d}.parquet", group) as writer:
            for loaded in load_all(
                reader, shard, config.weight_threshold, selection.require_metrics
            ):
                yield _write(writer, loaded, selection, matcher, prints)
        parts += writer.path.exists()


def _write(
    writer: ShardWriter,
    loaded: Loaded | Rejected,
    selection: Selection,
    matcher: Matcher,
    prints: list[Placed],
) -> Ingested | Rejected:
    if isinstance(loaded, Rejected):
        return loaded
    found = loaded.found
    try:
        shapes = {name: values.shape for name, values in loaded.entries.items()}
        architecture = matcher.match(shapes, loaded.found.architecture)
    except Refused as refused:
        return rejection(found, refused)
    run = selection.runs[found.run]
    place = writer.add(run, found.epoch, loaded.entries, loaded.dtypes)
    if loaded.fingerprint is not None:
        prints.append(Placed(run, found.epoch, loaded.fingerprint, place))
    return Ingested(found, run, architecture, loaded.sha256, loaded.metrics, loaded.properties)
