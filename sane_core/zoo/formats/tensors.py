"""Read a checkpoint file, whatever wrote it, without running anything in it.

What the file is, its first bytes say, never its name. Whatever is in it, the answer is its
tensors or `Refused`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sane_core.zoo.formats.contents import Contents, check_values
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.plain_json import read_json
from sane_core.zoo.formats.refused import FETCH_AGAIN, RESAVE, Refused
from sane_core.zoo.formats.safetensors_file import read_safetensors
from sane_core.zoo.formats.shards import read_shards
from sane_core.zoo.formats.state_dict import arrays_of, unwrap, with_own_names
from sane_core.zoo.formats.torch_file import LEGACY_MAGIC, ZIP_MAGIC, load_legacy, load_zip
from sane_core.zoo.formats.whole_file import read_file

__all__ = ["Contents", "Limits", "check_values", "read_tensors"]

_TORCH: dict[bytes, Callable[[bytes, Limits], Any]] = {
    ZIP_MAGIC: load_zip,
    LEGACY_MAGIC: load_legacy,
}
_SHORTEST = 10  # a safetensors file: a length and {}
_FOREIGN = {
    b"\x80": ("another pickle", RESAVE),
    b"\x89HDF": ("an HDF5 file", "Convert it to safetensors with the library that wrote it"),
    b"\x1f\x8b": ("a gzip file", "Unpack it first"),
    b"\x93NUMPY": ("a NumPy array", "Save a state dict as safetensors"),
}


def read_tensors(path: Path, limits: Limits = Limits()) -> Contents:  # noqa: B008 (frozen)
    """Return what a checkpoint file holds.

    Reads PyTorch files (zip and older), safetensors, and the JSON index of sharded safetensors.

    Args:
        path: File, or a link to one.
        limits: Bounds on what it may ask for.

    Returns:
        Tensors under their own names, their dtypes, the plain values beside them, the digest.

    Raises:
        Refused: If the file cannot be used; the reason and the remedy say why. `incomplete` is
            True where it looks half-written.
        OSError: If it cannot be read.
    """
    data = read_file(path, limits.bytes)
    if data.startswith((ZIP_MAGIC, LEGACY_MAGIC)):
        return torch_contents(data, limits)
    digest = hashlib.sha256(data)
    if _is_safetensors(data):
        tensors, dtypes, properties = read_safetensors(data, limits)
    elif (index := _index(data, limits)) is not None:
        tensors, dtypes, properties = read_shards(path.parent, index, digest, limits)
    else:
        raise _unknown(data)
    if not tensors:
        raise Refused("the file must hold tensors, got none", RESAVE)
    names = with_own_names(list(tensors), limits)
    return Contents(
        dict(zip(names, tensors.values(), strict=True)),
        dict(zip(names, (dtypes[name] for name in tensors), strict=True)),
        properties,
        digest.hexdigest(),
    )


def torch_contents(data: bytes, limits: Limits = Limits()) -> Contents:  # noqa: B008 (frozen)
    """Return what a PyTorch file holds.

    Args:
        data: All bytes of the file.
        limits: Bounds on what it may ask for.

    Raises:
        Refused: If it is no PyTorch file, or cannot be used.
    """
    load = _TORCH.get(data[: len(ZIP_MAGIC)]) or _TORCH.get(data[: len(LEGACY_MAGIC)])
    if load is None:
        raise _unknown(data)
    state_dict, properties = unwrap(load(data, limits), limits)
    tensors, dtypes = arrays_of(state_dict, limits)
    return Contents(tensors, dtypes, properties, hashlib.sha256(data).hexdigest())


def _is_safetensors(data: bytes) -> bool:
    """Say whether a length and a header follow; as a text, JSON holds no zero bytes."""
    return data[8:9] == b"{" and (data[:1] != b"{" or data[4:8] == bytes(4))


def _index(data: bytes, limits: Limits) -> dict[str, Any] | None:
    """Return the index of a sharded checkpoint, or None if the file is something else."""
    if not data.startswith(b"{") or len(data) > limits.header_bytes:
        return None
    found = read_json(data, limits.header_bytes, limits.nesting)
    return found if isinstance(found, dict) and "weight_map" in found else None


def _unknown(data: bytes) -> Refused:
    """Say what a file is that no reader here takes."""
    starts = (ZIP_MAGIC, LEGACY_MAGIC)
    if len(data) < _SHORTEST or any(magic.startswith(data) for magic in starts):
        return Refused(
            f"the file is cut off: it has {len(data)} bytes", FETCH_AGAIN, incomplete=True
        )
    if data[257:262] == b"ustar":
        return Refused(
            "a tar archive is not a checkpoint (PyTorch before 0.1.10 wrote such)",
            f"Unpack it if it holds checkpoints. {RESAVE}",
        )
    for magic, (what, remedy) in _FOREIGN.items():
        if data.startswith(magic):
            return Refused(f"unknown format: {what} is not read here", remedy)
    return Refused("unknown format: neither a PyTorch file nor safetensors", RESAVE)
