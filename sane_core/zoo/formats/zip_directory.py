"""The directory of a zip archive, as PyTorch writes it, read without unpacking anything.

Every record lies uncompressed inside the file, under a plain name below one folder, and no two
names are equal. What two zip readers could read differently is refused: PyTorch's own reader, which
comes after, sees the same records.
"""

import re
import stat
import struct
from dataclasses import dataclass

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import FETCH_AGAIN, RESAVE, Refused, printable

MAGIC = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX32 = 0xFFFFFFFF
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Record:
    """A file inside the archive: `data[start:stop]`."""

    start: int
    stop: int


def records_of(data: bytes, limits: Limits) -> dict[str, Record]:
    """Return where each record lies.

    Args:
        data: The archive.
        limits: Bound on the number of records.

    Returns:
        Name without the archive's folder ("data.pkl", "data/0") -> record.

    Raises:
        Refused: If the archive is cut off, compressed, encrypted, inconsistent, or holds links,
            absolute names, names with "..", or two equal names.
    """
    start, size, count = _directory(data)
    if count > limits.entries:
        raise Refused(f"an archive must hold at most {limits.entries} records, got {count}", RESAVE)
    records: dict[str, Record] = {}
    folded: set[str] = set()
    folder, position = "", start
    for _ in range(count):
        name, record, position = _entry(data, position, start, limits)
        folder = folder or name.split("/")[0]
        if not name.startswith(folder + "/"):
            raise _inconsistent(f"{printable(name)} is not in the folder {printable(folder)}")
        # PyTorch looks names up without regard to case.
        if name.lower() in folded:
            raise _inconsistent(f"two records are called {printable(name)}")
        folded.add(name.lower())
        records[name[len(folder) + 1 :]] = record
    if position != start + size:
        raise _inconsistent("its directory does not end where it says")
    if sum(record.stop - record.start for record in records.values()) > start:
        raise _inconsistent("its records overlap")
    return records


def _directory(data: bytes) -> tuple[int, int, int]:
    """Return start, size and number of entries of the directory at the end of the file."""
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != b"PK\x05\x06":
        raise Refused(
            "the archive is cut off: it has no directory at its end", FETCH_AGAIN, incomplete=True
        )
    _, disk, first_disk, _, count, size, start, comment = _END.unpack_from(data, end)
    if disk not in (0, 0xFFFF) or first_disk not in (0, 0xFFFF) or comment:
        raise _inconsistent("it is one of several parts or carries a comment")
    if data[end - _LOCATOR.size : end - _LOCATOR.size + 4] == b"PK\x06\x07":
        end, size, start, count = _directory64(data, end, (size, start, count))
    if start + size != end:
        raise _inconsistent("its directory does not lie where it says")
    return start, size, count


def _directory64(data: bytes, end: int, short: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the 64-bit end record's place, and size, start and number of entries from it."""
    _, _, place, _ = _LOCATOR.unpack_from(data, end - _LOCATOR.size)
    if place != end - _LOCATOR.size - _END64.size or data[place : place + 4] != b"PK\x06\x06":
        raise _inconsistent("its 64-bit directory does not lie where it says")
    *_, count, size, start = _END64.unpack_from(data, place)
    sentinels = (_MAX32, _MAX32, 0xFFFF)
    for old, new, sentinel in zip(short, (size, start, count), sentinels, strict=True):
        if old not in (new, sentinel):
            raise _inconsistent("its two directories differ")
    return place, size, start, count


def _entry(data: bytes, at: int, stop: int, limits: Limits) -> tuple[str, Record, int]:
    """Return name and place of the entry at `at`, and where the next entry starts."""
    if at + _ENTRY.size > len(data) or data[at : at + 4] != b"PK\x01\x02":
        raise _inconsistent("its directory is damaged")
    fields = _ENTRY.unpack_from(data, at)
    flags, method, packed, size = fields[3], fields[4], fields[8], fields[9]
    name_length, extra_length, comment_length, disk = fields[10:14]
    attributes, offset = fields[15], fields[16]
    after_name = at + _ENTRY.size + name_length
    raw_name = data[at + _ENTRY.size : after_name]
    after = after_name + extra_length
    wide = _wide(data[after_name:after], (size, packed, offset))
    size, packed, offset = wide
    name = _checked_name(raw_name, limits)
    if flags & 0x2041 or disk not in (0, 0xFFFF):
        raise _inconsistent(f"{printable(name)} is encrypted or in another part")
    if method != 0 or packed != size:
        raise Refused(f"records must be stored uncompressed, {printable(name)} is not", RESAVE)
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG):
        raise Refused(f"an archive must hold plain files, {printable(name)} is a link", RESAVE)
    return name, _place(data, offset, size, stop, raw_name), after + comment_length


def _wide(extra: bytes, short: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return size, packed size and offset, from the 64-bit field where the short ones are full."""
    fields, at = b"", 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            fields = extra[at + 4 : at + 4 + length]
            break
        at += 4 + length
    values = []
    for value in short:
        if value == _MAX32:
            if len(fields) < 8:
                raise _inconsistent("a 64-bit size is missing")
            value, fields = int.from_bytes(fields[:8], "little"), fields[8:]
        values.append(value)
    return values[0], values[1], values[2]


def _place(data: bytes, offset: int, size: int, stop: int, raw_name: bytes) -> Record:
    """Return where the bytes of a record lie, as its local header says."""
    if offset + _LOCAL.size > stop or data[offset : offset + 4] != MAGIC:
        raise _inconsistent("a record's header does not lie where the directory says")
    fields = _LOCAL.unpack_from(data, offset)
    after_header = offset + _LOCAL.size
    if data[after_header : after_header + fields[9]] != raw_name or fields[3] != 0:
        raise _inconsistent("a record's header differs from the directory")
    start = after_header + fields[9] + fields[10]
    if start + size > stop:
        raise _inconsistent(f"a record claims {size} bytes, {max(stop - start, 0)} are left")
    return Record(start, start + size)


def _checked_name(raw: bytes, limits: Limits) -> str:
    """Return a record's name; it never becomes a path, and could not leave a folder if it did."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _inconsistent("a record's name is not UTF-8") from None
    if not name.isprintable() or len(name) > limits.name_length:
        raise _inconsistent(f"a record is called {printable(name)}")
    parts = name.split("/")
    if not parts[0] or "\\" in name or ".." in parts or _DRIVE.match(name):
        raise Refused(
            f"names in an archive must stay below its folder, got {printable(name)}",
            "Do not use this file; nothing of it was unpacked",
        )
    return name


def _inconsistent(what: str) -> Refused:
    """Return the refusal of an archive that PyTorch did not write like this."""
    return Refused(f"the archive is damaged: {what}", f"{FETCH_AGAIN}. {RESAVE}")
