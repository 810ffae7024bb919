"""Read a safetensors file: a length, a JSON header, the bytes of all tensors.

The tensors must fill the bytes after the header exactly, without gap or overlap. Arrays are views
of the bytes read.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.plain_json import read_json
from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused, is_plain_name, printable

# name in the file -> how its bytes are read, torch's name
DTYPES = {
    "F64": ("<f8", "float64"),
    "F32": ("<f4", "float32"),
    "F16": ("<f2", "float16"),
    "BF16": ("<u2", "bfloat16"),
    "I64": ("<i8", "int64"),
    "I32": ("<i4", "int32"),
    "I16": ("<i2", "int16"),
    "I8": ("i1", "int8"),
    "U64": ("<u8", "uint64"),
    "U32": ("<u4", "uint32"),
    "U16": ("<u2", "uint16"),
    "U8": ("u1", "uint8"),
    "BOOL": ("u1", "bool"),
}
_REMEDY = "Write it again with safetensors' save_file"


@dataclass(frozen=True)
class Entry:
    """A tensor as the header describes it; `start` and `stop` count from the file's start."""

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_safetensors(
    data: bytes, limits: Limits
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, Property]]:
    """Return the tensors of a safetensors file.

    Args:
        data: The file.
        limits: Bounds on what it may ask for.

    Returns:
        Entry -> array, entry -> dtype by torch's name, and the metadata.

    Raises:
        Refused: If the header does not match the bytes.
    """
    entries, metadata = _header(data, limits)
    arrays = {name: _array(data, entry) for name, entry in entries.items()}
    return arrays, {name: DTYPES[entry.kind][1] for name, entry in entries.items()}, metadata


def _header(data: bytes, limits: Limits) -> tuple[dict[str, Entry], dict[str, Property]]:
    """Return the header's entries, checked against the file, and its metadata."""
    length = int.from_bytes(data[:8], "little")
    if length > limits.header_bytes:
        raise Refused(
            f"a safetensors header must have at most {limits.header_bytes} bytes, got {length}",
            _REMEDY,
        )
    if 8 + length > len(data):
        raise _cut_off(8 + length, len(data))
    header = read_json(data[8 : 8 + length], limits.header_bytes, min(8, limits.nesting))
    if not isinstance(header, dict):
        raise Refused("a safetensors header must be an object", _REMEDY)
    metadata = _metadata(header.pop("__metadata__", {}), limits)
    if len(header) > limits.entries:
        raise Refused(f"a file must hold at most {limits.entries} tensors", _REMEDY)
    entries = {name: _entry(name, found, 8 + length, limits) for name, found in header.items()}
    _check_places(entries, 8 + length, len(data))
    return entries, metadata


def _entry(name: str, found: Any, offset: int, limits: Limits) -> Entry:
    """Check one entry by itself."""
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(found, dict) or found.keys() != keys:
        raise _wrong(name, f"must have {', '.join(sorted(keys))}")
    kind, shape, places = found["dtype"], found["shape"], found["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise _wrong(name, f"must be of {', '.join(DTYPES)}, got {printable(str(kind), 20)}")
    if not _are_counts(shape) or len(shape) > limits.dimensions:
        raise _wrong(name, "must have a plain shape")
    if not _are_counts(places) or len(places) != 2:
        raise _wrong(name, "must have two offsets")
    values = prod(shape)
    if values > limits.values or any(n > limits.values for n in shape):
        raise _wrong(name, f"must have at most {limits.values} values")
    if places[1] - places[0] != values * np.dtype(DTYPES[kind][0]).itemsize:
        raise _wrong(name, "has offsets that do not match its shape")
    return Entry(kind, tuple(shape), offset + places[0], offset + places[1])


def _check_places(entries: dict[str, Entry], start: int, stop: int) -> None:
    """Refuse gaps, overlaps and bytes that belong to no tensor."""
    at = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != at:
            raise _wrong(name, "overlaps another tensor or leaves a gap before it")
        at = entry.stop
    if at > stop:
        raise _cut_off(at, stop)
    if at < stop:
        raise Refused(f"the file must have {at} bytes, got {stop}", FETCH_AGAIN)


def _array(data: bytes, entry: Entry) -> np.ndarray:
    """Return a tensor's values, half precision widened to float32."""
    form, dtype = DTYPES[entry.kind]
    kind = np.dtype(form)
    count = (entry.stop - entry.start) // kind.itemsize
    # NumPy does not take an offset at the very end, where an empty tensor may lie.
    flat = np.frombuffer(data, kind, count, entry.start) if count else np.empty(0, kind)
    if dtype == "bfloat16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    elif dtype == "float16":
        flat = flat.astype(np.float32)
    elif dtype == "bool":
        flat = flat != 0
    array = flat.reshape(entry.shape)
    array.flags.writeable = False
    return array


def _metadata(found: Any, limits: Limits) -> dict[str, Property]:
    """Return the metadata, which safetensors keeps as texts."""
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise Refused("safetensors' metadata must be texts", _REMEDY)
    return {
        name: printable(value, limits.name_length)
        for name, value in found.items()
        if is_plain_name(name, limits.name_length)
    }


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 <= n < 2**63 for n in values)


def _cut_off(needed: int, found: int) -> Refused:
    return Refused(f"the file must have {needed} bytes, got {found}", FETCH_AGAIN, incomplete=True)


def _wrong(name: str, what: str) -> Refused:
    return Refused(f"the entry {printable(name, 80)} {what}", _REMEDY)
