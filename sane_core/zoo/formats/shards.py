"""Read a checkpoint that lies in several safetensors files, by its index.

Shards are plain files beside the index, and every entry stands in exactly one of them: the one
that the index says.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused, is_plain_name, printable
from sane_core.zoo.formats.safetensors_file import read_safetensors
from sane_core.zoo.formats.whole_file import read_file

_REMEDY = "Save the model again with save_pretrained"


def read_shards(
    folder: Path, index: dict[str, Any], digest: "hashlib._Hash", limits: Limits
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, Property]]:
    """Return the tensors of all shards.

    Args:
        folder: Folder of the index.
        index: The index; `weight_map` says entry -> shard.
        digest: Takes in the shards' bytes, in the order of their names.
        limits: Bounds on the whole checkpoint.

    Returns:
        Entry -> array in the index's order, entry -> dtype, and the index's plain metadata.

    Raises:
        Refused: If a shard is missing, is no plain file of the folder, or holds other entries.
        OSError: If a shard cannot be read.
    """
    shard_of = _weight_map(index, limits)
    arrays: dict[str, np.ndarray] = {}
    dtypes: dict[str, str] = {}
    left = limits.bytes
    for shard in sorted(set(shard_of.values())):
        data = read_file(_inside(folder, shard), left)
        left -= len(data)
        digest.update(data)
        found, kinds, _ = _read_shard(shard, data, limits)
        if found.keys() != {name for name, place in shard_of.items() if place == shard}:
            raise Refused(f"{printable(shard)} must hold the entries the index says", FETCH_AGAIN)
        arrays |= found
        dtypes |= kinds
    properties = _metadata(index.get("metadata"), limits)
    return {name: arrays[name] for name in shard_of}, dtypes, properties


def _weight_map(index: dict[str, Any], limits: Limits) -> dict[str, str]:
    """Return entry -> shard, both plain names."""
    found = index.get("weight_map")
    if not isinstance(found, dict) or not found:
        raise Refused("an index must have a weight_map", _REMEDY)
    if len(found) > limits.entries:
        raise Refused(f"an index must have at most {limits.entries} entries", _REMEDY)
    for shard in found.values():
        plain = is_plain_name(shard, 255) and shard not in (".", "..")
        if not plain or "/" in shard or "\\" in shard:
            raise Refused(
                f"a shard must be the name of a file beside the index, "
                f"got {printable(str(shard)[:200])}",
                "Do not use this index; nothing it names was opened",
            )
    return found


def _inside(folder: Path, shard: str) -> Path:
    """Return a shard's path, which no link leads out of the folder."""
    path = folder / shard
    if path.is_symlink() and path.resolve().parent != folder.resolve():
        raise Refused(
            f"{printable(shard)} is a link out of the folder",
            "Copy the files the links lead to into one folder",
        )
    if not path.exists():
        raise Refused(f"the shard {printable(shard)} is missing", FETCH_AGAIN, incomplete=True)
    return path


def _read_shard(
    shard: str, data: bytes, limits: Limits
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, Property]]:
    try:
        return read_safetensors(data, limits)
    except Refused as refused:
        reason = f"{printable(shard)}: {refused.reason}"
        raise Refused(reason, refused.remedy, incomplete=refused.incomplete) from None


def _metadata(found: Any, limits: Limits) -> dict[str, Property]:
    """Return the plain values of the index's metadata."""
    if not isinstance(found, dict):
        return {}
    return {
        name: printable(value, limits.name_length) if isinstance(value, str) else value
        for name, value in found.items()
        if is_plain_name(name, limits.name_length) and isinstance(value, str | int | float)
    }
