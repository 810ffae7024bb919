"""Read and check checkpoints on threads, in order, a few files ahead; take their fingerprints.

What cannot be used becomes a `Rejected`; one bad file, or one bad reader, stops nothing.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sane_core.zoo.fingerprints import Fingerprint, fingerprint_of
from sane_core.zoo.formats.contents import Property, check_values
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.readers.metrics import percent_to_fraction, split_metrics
from sane_core.zoo.readers.reader import Found, Reader, Rejected
from sane_core.zoo.weight_entries import weights_of
from sane_core.zoo.weight_shards import float32_entries

AHEAD_BYTES = 64 * 2**20
"""Bytes of files read ahead, beyond the one that is waited for."""
AHEAD_FILES = 256
SMALL = 2**20
"""Bytes of a file that is not worth a thread."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        found: Where it is.
        entries: Entry -> float32 array.
        dtypes: Entry -> dtype in the file.
        fingerprint: Of its weights; None where it is like nothing.
        sha256: Of the file.
        metrics: What the scan and the file say.
        properties: What the scan and the file say.
    """

    found: Found
    entries: Mapping[str, np.ndarray]
    dtypes: Mapping[str, str]
    fingerprint: Fingerprint | None
    sha256: str
    metrics: Mapping[str, float]
    properties: Mapping[str, Property]


def load_all(
    reader: Reader,
    found: Sequence[Found],
    weight_threshold: float,
    require_metrics: bool,
    threads: int | None = None,
) -> Iterator[Loaded | Rejected]:
    """Read checkpoints.

    Args:
        reader: Reads one; is called from several threads.
        found: What to read.
        weight_threshold: Largest |weight|.
        require_metrics: Whether the test accuracy must be known.
        threads: How many, 0 for the caller's own; chosen by the size of the files if not given.

    Yields:
        An outcome for each, in the same order.
    """
    if threads is None:
        threads = _threads_for(found)
    if not threads:
        yield from (_load(reader, c, weight_threshold, require_metrics) for c in found)
        return
    waiting: deque[tuple[Found, Future[Loaded | Rejected]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="load") as pool:
        try:
            for checkpoint in found:
                while waiting and (
                    ahead + checkpoint.bytes > AHEAD_BYTES or len(waiting) >= AHEAD_FILES
                ):
                    done, future = waiting.popleft()
                    ahead -= done.bytes
                    yield future.result()
                    del future
                future = pool.submit(_load, reader, checkpoint, weight_threshold, require_metrics)
                waiting.append((checkpoint, future))
                ahead += checkpoint.bytes
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()


def _threads_for(found: Sequence[Found]) -> int:
    """Return as many as there are cores, at most 4; none for small files.

    Reading a small file is Python code, which threads only get in the way of: 590 CNNs a second
    without, 380 with two threads on two cores. Large files are hashed and copied outside Python.
    """
    if not found or sum(checkpoint.bytes for checkpoint in found) < SMALL * len(found):
        return 0
    return min(4, len(os.sched_getaffinity(0)))


def _load(
    reader: Reader, found: Found, weight_threshold: float, require_metrics: bool
) -> Loaded | Rejected:
    try:
        contents = reader.read(found)
        check_values(contents, weight_threshold)
        entries = float32_entries(contents)
    except Refused as refused:
        return rejection(found, refused)
    except OSError as error:
        reason = f"the file must be readable, got: {error.strerror or error}"
        return Rejected(found.file, reason, "check the file", found.run, found.epoch)
    except MemoryError:
        raise
    except Exception as error:  # a reader of others may fail in any way
        reason = f"reader {reader.name} failed: {type(error).__name__}: {error}"
        return Rejected(found.file, reason, "report it to its author", found.run, found.epoch)
    metrics, properties = found.metrics, found.properties
    if contents.properties:
        said, others = split_metrics(percent_to_fraction([contents.properties])[0])
        metrics, properties = said | dict(metrics), others | dict(properties)
    if require_metrics and "test_accuracy" not in metrics:
        return Rejected(
            found.file,
            "its test accuracy must be known, and nothing says it",
            "complete the result file or the table, or do not require it (require_metrics)",
            found.run,
            found.epoch,
            incomplete=True,  # a training still running may be about to write it
        )
    dtypes, sha256 = contents.dtypes, contents.sha256
    fingerprint = fingerprint_of(weights_of(entries, dtypes))
    return Loaded(found, entries, dtypes, fingerprint, sha256, metrics, properties)


def rejection(found: Found, refused: Refused) -> Rejected:
    """Return a refusal as a row of the quarantine."""
    remedy = refused.remedy
    if refused.incomplete:
        remedy = f"none needed if its training still runs: the next ingestion reads it. {remedy}"
    return Rejected(found.file, refused.reason, remedy, found.run, found.epoch, refused.incomplete)
