"""The commit of a file of windows, and its check: a `.beton` counts only with its `.beton.json`.

FFCV opens truncated, half-written and altered files without a word, and then returns zeros or
crashes; so nothing reads a `.beton` that `verify_beton` has not passed.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from sane_core.windows.layout import (
    SCHEMA_VERSION,
    WindowSpec,
    differences,
    read_rows,
    tables_digest,
)
from schemas.errors import DamagedWindows


@dataclass(frozen=True)
class Sidecar:
    """What was committed; written last, beside the `.beton`.

    Attributes:
        spec: What the samples look like.
        size: Bytes of the `.beton`.
        sha256: SHA-256 of the whole `.beton`, in hex.
        tables_sha256: SHA-256 of its header, fields, rows and allocations, in hex.
    """

    spec: WindowSpec
    size: int
    sha256: str
    tables_sha256: str

    def to_json(self) -> str:
        """Return the text of the sidecar file: equal sidecars give equal bytes."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def sidecar_path(path: Path) -> Path:
    """Return where the sidecar of the `.beton` at `path` lies."""
    return path.with_name(path.name + ".json")


def verify_beton(path: Path, *, d_t: int | None = None, length: int | None = None) -> Sidecar:
    """Check a `.beton`; size and tables at every call, the SHA-256 once per file and process.

    Args:
        path: The `.beton`.
        d_t: Values per token that the caller needs; None takes any.
        length: Window length in tokens that the caller needs; None takes any.

    Returns:
        The sidecar, whose `spec` says what the samples look like.

    Raises:
        DamagedWindows: The file is missing, uncommitted, truncated or altered, was compiled by
            another schema, or is not of the `d_t` or `length` asked for.
    """
    sidecar = _read_sidecar(path)
    spec = sidecar.spec
    size = path.stat().st_size
    if size != sidecar.size:
        raise damaged(path, f"has {size} bytes where {sidecar.size} were committed")
    if tables_digest(path, spec) != sidecar.tables_sha256:
        raise damaged(path, "has altered tables (header, fields or sample addresses)")
    if found := differences(path, spec):
        raise damaged(path, f"differs from its sidecar: {', '.join(found)}")
    if not np.array_equal(read_rows(path, spec)["tokens"], spec.addresses()):
        raise damaged(path, "differs from its sidecar: samples are not where they must be")
    if file_digest(path) != sidecar.sha256:
        raise damaged(path, "was altered after it was committed (its SHA-256 differs)")
    for name, wanted, got in (("d_t", d_t, spec.d_t), ("length", length, spec.length)):
        if wanted is not None and wanted != got:
            raise damaged(path, f"was compiled with {name} {got}, but {name} {wanted} is needed")
    return sidecar


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read once per process while the file stays the same."""
    stat = path.stat()
    return _digest(os.path.realpath(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=256)
def _digest(path: str, _size: int, _mtime_ns: int, _inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_sidecar(path: Path) -> Sidecar:
    if not path.is_file():
        raise damaged(path, "is missing")
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        raise damaged(path, f"has no sidecar {sidecar.name}, so it was never committed")
    try:
        content = json.loads(sidecar.read_bytes())
        version = content["spec"]["schema_version"]
        if version != SCHEMA_VERSION:
            raise damaged(
                path, f"was compiled by windows schema {version}, this code reads {SCHEMA_VERSION}"
            )
        return TypeAdapter(Sidecar).validate_python(content)
    except (ValueError, LookupError, TypeError):
        raise damaged(path, f"has an unreadable sidecar {sidecar.name}") from None


def damaged(path: Path, what: str) -> DamagedWindows:
    """Return the error that says what is wrong with a file of a window set, and the remedy."""
    return DamagedWindows(f"{path} {what}; delete its folder and run the windows stage again")
