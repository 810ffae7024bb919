"""The models among the weight files of one folder: single files, and indices with their shards.

A shard belongs to the index that names it and is no model of its own.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.plain_json import read_json
from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.formats.whole_file import read_file
from sane_core.zoo.readers.reader import Found, Rejected
from sane_core.zoo.readers.sources import check_file, relative_name, size_of


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        path: Its file, or its index.
        shards: The files that the index names.
    """

    path: Path
    shards: tuple[Path, ...] = ()

    def sized(self, found: Found | Rejected) -> Found | Rejected:
        """Return what was found with the bytes of all files."""
        if isinstance(found, Rejected) or not self.shards:
            return found
        return replace(found, bytes=found.bytes + sum(map(size_of, self.shards)))


def models_in(
    files: Iterable[Path | Rejected],
    root: Path,
    suffix: str,
    index: str,
    inside: Path | None = None,
) -> Iterator[Model | Rejected]:
    """Yield the models of one folder, indices first.

    Args:
        files: Files of the folder.
        root: Folder of the source.
        suffix: Of single files, as `.safetensors`.
        index: Of indices, as `.safetensors.index.json`.
        inside: Resolved folder that links may lead to; the root if not given.
    """
    files = list(files)
    yield from (file for file in files if isinstance(file, Rejected))
    usable = [file for file in files if isinstance(file, Path)]
    taken: set[Path] = set()
    for path in usable:
        if path.name.endswith(index):
            try:
                shards = _shards(path)
            except (Refused, OSError) as error:
                remedy = error.remedy if isinstance(error, Refused) else "check the file"
                yield Rejected(relative_name(path, root), str(error), remedy)
                continue
            taken |= shards
            checked = (check_file(shard, root, inside) for shard in sorted(shards))
            if wrong := next(filter(None, checked), None):
                reason = f"shard {wrong.file}: {wrong.reason}"
                yield Rejected(relative_name(path, root), reason, wrong.remedy)
                continue
            yield Model(path, tuple(sorted(shards)))
    yield from (Model(p) for p in usable if p.name.endswith(suffix) and p not in taken)


def _shards(path: Path) -> set[Path]:
    """Return the files beside an index that it names; names with folders are nobody's shards."""
    found = read_json(path)
    names = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(names, dict):
        raise Refused("an index must hold a weight_map", "download it again")
    return {
        path.parent / name
        for name in set(map(str, names.values()))
        if "/" not in name and name not in ("", ".", "..")
    }


def read_linked_shards(index: Path) -> Contents:
    """Read a sharded model whose shards are links, as in a cache of downloads.

    `sha256` is of the index and then the digests of the shards by name.

    Raises:
        Refused: If a shard cannot be used, or lacks an entry that the index promises.
    """
    data = read_file(index, Limits().header_bytes)
    places: dict[str, str] = read_json(data)["weight_map"]
    shards = {path.name: read_tensors(path.resolve()) for path in sorted(_shards(index))}
    digest = hashlib.sha256(data)
    for contents in shards.values():
        digest.update(contents.sha256.encode())
    tensors, dtypes = {}, {}
    for entry, file in places.items():
        if file not in shards or entry not in shards[file].tensors:
            raise Refused(f"entry {entry} must stand in shard {file}, got none", FETCH_AGAIN)
        tensors[entry] = shards[file].tensors[entry]
        dtypes[entry] = shards[file].dtypes[entry]
    return Contents(tensors, dtypes, {}, digest.hexdigest())
