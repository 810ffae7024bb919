"""The one file in a zip archive that was packed to be downloaded, unpacked in memory.

Nothing is written to disk, so no name in an archive ever becomes a path; and no more is unpacked
than a bound, whatever the archive says of its sizes.
"""

import io
import zipfile
import zlib

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused, printable

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def unpack(data: bytes, name: str, limits: Limits = Limits()) -> bytes:  # noqa: B008 (frozen)
    """Return the file in an archive.

    Args:
        data: All bytes of the archive.
        name: What the only file in it must be called.
        limits: Bound on its bytes.

    Returns:
        All bytes of the file.

    Raises:
        Refused: If the archive is damaged, holds anything else than this file, or the file is
            larger than the bound, encrypted or packed in an uncommon way.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = _only_entry(archive, name)
            _check_entry(entry, limits)
            with archive.open(entry) as packed:
                unpacked = packed.read(limits.bytes + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        said = printable(str(error), 80) or type(error).__name__
        raise Refused(
            f"the archive must be a whole zip archive, got: {said}", FETCH_AGAIN
        ) from None
    if len(unpacked) > limits.bytes:
        raise _too_large(limits)
    return unpacked


def _only_entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    entries = archive.infolist()
    # The name as the archive has it: `filename` is what Python made of it.
    if len(entries) != 1 or entries[0].orig_filename != name:
        found = ", ".join(printable(entry.orig_filename, 80) for entry in entries[:3])
        more = f" and {len(entries) - 3} more" if len(entries) > 3 else ""
        raise Refused(
            f"an archive must hold one file, {printable(name)}, got {found or 'none'}{more}",
            "Do not use this archive; nothing of it was unpacked",
        )
    return entries[0]


def _check_entry(entry: zipfile.ZipInfo, limits: Limits) -> None:
    if entry.file_size > limits.bytes:
        raise _too_large(limits)
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise Refused("the file in an archive must be plain or deflated", "Unpack it first")


def _too_large(limits: Limits) -> Refused:
    return Refused(
        f"the file in an archive must have at most {limits.bytes} bytes",
        "Unpack it first if it is meant to be this large",
    )
