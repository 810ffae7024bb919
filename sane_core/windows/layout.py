"""What a window set holds, and where its bytes lie in an FFCV file (`.beton`, format version 2).

A `.beton` is a header, a table of fields, a row per sample (a pointer per array, the value of each
integer), pages of arrays, and at the end the table of allocations. Samples are of one size, so all
addresses follow from their number. The file is written and read here with numpy alone, so it can be
compiled, checked, and trained from, where FFCV cannot be installed.

A page holds whole samples only, and the last one is as long as the others.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

SCHEMA_VERSION = 2
FFCV_FORMAT = 2
MIN_PAGE = 8 << 20
MAX_PAGE = 1 << 31

HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("fields", "<u2"),
        ("page_size", "<u4"),
        ("samples", "<u8"),
        ("allocations_at", "<u8"),
    ]
)
FIELD = np.dtype([("type", "u1"), ("name", "S16"), ("arguments", "u1", 1024)])
ARRAY_ARGUMENTS = np.dtype([("shape", "<u8", 32), ("text_length", "<u8")])
ALLOCATION = np.dtype([("sample", "<u8"), ("at", "<u8"), ("size", "<u8")])
INTEGER_FIELD, ARRAY_FIELD = 1, 4


class ArrayField(NamedTuple):
    """How one array of a sample is stored: its numpy dtype and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the array in one sample."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class WindowSpec:
    """What every sample (window) of a set looks like, and how many there are.

    Attributes:
        samples: Number of windows S.
        views: Views V of each window: the aligned one and k permuted ones, V = 1 + k.
        length: Window length W, in tokens.
        d_t: Values per token.
        dtype: Precision of the stored tokens; float16 is stored as the bits of an int16.
        position_dtype: Integer type of the stored positions [n, l, k].
        schema_version: Version of this layout; a reader accepts its own only.
    """

    samples: int
    views: int
    length: int
    d_t: int
    dtype: Literal["float32", "float16"]
    position_dtype: Literal["int16", "int32"]
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def arrays(self) -> dict[str, ArrayField]:
        """The array fields of a sample, in the order of the file."""
        views, length = self.views, self.length
        return {
            "tokens": ArrayField(
                "<f4" if self.dtype == "float32" else "<i2", (views, length, self.d_t)
            ),
            "positions": ArrayField(
                "<i2" if self.position_dtype == "int16" else "<i4", (length, 3)
            ),
            "lengths": ArrayField("<i2", (views, length)),
        }

    @property
    def integers(self) -> tuple[str, ...]:
        """The integer fields of a sample (int64), in the order of the file, after the arrays."""
        return ("run", "epoch")

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all fields of a sample, in the order of the file."""
        return (*self.arrays, *self.integers)

    @property
    def page_size(self) -> int:
        """Bytes of a page: the power of two >= 8 MiB that holds at least 8 samples."""
        return max(MIN_PAGE, 1 << (8 * self.sample_bytes - 1).bit_length())

    @property
    def sample_bytes(self) -> int:
        """Bytes of the arrays of a sample, one behind the other."""
        return sum(field.size for field in self.arrays.values())

    @property
    def samples_per_page(self) -> int:
        """Samples of a page that is full."""
        return self.page_size // self.sample_bytes

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-self.samples // self.samples_per_page)

    @property
    def first_page(self) -> int:
        """Address of the first page: a multiple of the page size."""
        return -(-(self.rows_at + self.samples * self.row.itemsize) // self.page_size) * (
            self.page_size
        )

    @property
    def allocations_at(self) -> int:
        """Address of the table of allocations."""
        return self.first_page + self.pages * self.page_size

    @property
    def offsets(self) -> dict[str, int]:
        """Where each array begins within its sample."""
        starts = accumulate((field.size for field in self.arrays.values()), initial=0)
        return dict(zip(self.arrays, starts, strict=False))

    @property
    def row(self) -> np.dtype:
        """The row of one sample: an address per array, the value of each integer."""
        return np.dtype(
            [(name, "<u8") for name in self.arrays] + [(name, "<i8") for name in self.integers]
        )

    @property
    def rows_at(self) -> int:
        """Address of the first sample's row."""
        return HEADER.itemsize + FIELD.itemsize * len(self.fields)

    @property
    def allocation_bytes(self) -> int:
        """Bytes of the allocation table, which ends the file: an entry per array of a sample."""
        return self.samples * len(self.arrays) * ALLOCATION.itemsize

    def addresses(self) -> np.ndarray:
        """Return where each sample begins, uint64 [S]."""
        page, place = np.divmod(np.arange(self.samples, dtype=np.uint64), self.samples_per_page)
        return self.first_page + page * self.page_size + place * self.sample_bytes


def head_of(spec: WindowSpec, runs: np.ndarray, epochs: np.ndarray) -> bytes:
    """Return what precedes the pages, but the zeros up to the first: header, fields and rows.

    Args:
        spec: What the samples look like.
        runs: integers [S]: the run of each sample.
        epochs: integers [S]: its epoch.
    """
    header = np.zeros(1, HEADER)
    header["version"], header["fields"] = FFCV_FORMAT, len(spec.fields)
    header["page_size"], header["samples"] = spec.page_size, spec.samples
    header["allocations_at"] = spec.allocations_at
    fields = np.zeros(len(spec.fields), FIELD)
    for field, name in zip(fields, spec.fields, strict=True):
        field["name"], field["type"] = name.encode(), INTEGER_FIELD
        if name in spec.arrays:
            field["type"] = ARRAY_FIELD
            field["arguments"][:] = _arguments(spec.arrays[name])
    rows = np.zeros(spec.samples, spec.row)
    addresses = spec.addresses()
    for name, offset in spec.offsets.items():
        rows[name] = addresses + offset
    rows["run"], rows["epoch"] = runs, epochs
    return header.tobytes() + fields.tobytes() + rows.tobytes()


def allocations_of(spec: WindowSpec) -> bytes:
    """Return the table that ends the file: sample, address and size of every array."""
    table = np.zeros((spec.samples, len(spec.arrays)), ALLOCATION)
    addresses = spec.addresses()
    table["sample"] = np.arange(spec.samples)[:, None]
    for number, (name, offset) in enumerate(spec.offsets.items()):
        table["at"][:, number] = addresses + offset
        table["size"][:, number] = spec.arrays[name].size
    return table.tobytes()


def read_rows(path: Path, spec: WindowSpec) -> np.ndarray:
    """Return the row of every sample (dtype `spec.row` [S]) of a verified file."""
    return np.fromfile(path, dtype=spec.row, count=spec.samples, offset=spec.rows_at)


def tables_digest(path: Path, spec: WindowSpec) -> str:
    """Return the SHA-256 of all that is not window data: header, fields, rows, allocations.

    The extents come from `spec`, never from the file, so that a damaged file cannot mislead.
    """
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        digest.update(file.read(min(size, spec.rows_at + spec.samples * spec.row.itemsize)))
        file.seek(max(0, size - spec.allocation_bytes))
        digest.update(file.read())
    return digest.hexdigest()


def differences(path: Path, spec: WindowSpec) -> list[str]:
    """Return in words where header and field table of the file at `path` differ from `spec`."""
    header = np.fromfile(path, dtype=HEADER, count=1)[0]
    wanted = {
        "version": FFCV_FORMAT,
        "fields": len(spec.fields),
        "page_size": spec.page_size,
        "samples": spec.samples,
    }
    found = [
        f"{name} is {header[name]}, not {value}"
        for name, value in wanted.items()
        if header[name] != value
    ]
    if found:
        return found
    stored = np.fromfile(path, dtype=FIELD, count=len(spec.fields), offset=HEADER.itemsize)
    return [
        f"field {name} is {_describe(field)}, not {text}"
        for field, (name, text) in zip(stored, _descriptions(spec).items(), strict=True)
        if _describe(field) != text or field["name"] != name.encode()
    ]


def _arguments(field: ArrayField) -> np.ndarray:
    """Return how FFCV describes an array, uint8 [1024]: its shape, and its dtype as JSON."""
    text = json.dumps(np.dtype(field.dtype).descr).encode()
    arguments = np.zeros(1, ARRAY_ARGUMENTS)
    arguments["shape"][0, : len(field.shape)] = field.shape
    arguments["text_length"] = len(text)
    described = arguments.tobytes() + text
    return np.frombuffer(described.ljust(FIELD["arguments"].itemsize, b"\0"), np.uint8)


def _descriptions(spec: WindowSpec) -> dict[str, str]:
    arrays = {name: f"{field.dtype} {list(field.shape)}" for name, field in spec.arrays.items()}
    return arrays | dict.fromkeys(spec.integers, "an integer")


def _describe(field: np.void) -> str:
    if field["type"] == INTEGER_FIELD:
        return "an integer"
    if field["type"] != ARRAY_FIELD:
        return f"of type {field['type']}"
    raw = field["arguments"].tobytes()
    arguments = np.frombuffer(raw, dtype=ARRAY_ARGUMENTS, count=1)[0]
    text = raw[ARRAY_ARGUMENTS.itemsize :][: int(arguments["text_length"])]
    shape = [int(extent) for extent in arguments["shape"] if extent]
    return f"{json.loads(text)[0][1]} {shape}"
