"""The artifacts of an MLflow run: listed where they lie, and a checkpoint downloaded from afar.

No name leads out of a run's artifacts or out of the folder of a download; nothing is opened here
but the index of shards, and that is plain JSON.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import url2pathname

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.plain_json import read_json
from sane_core.zoo.formats.refused import Refused, is_plain_name, printable
from sane_core.zoo.readers.labels import SUFFIXES as NUMBERED_SUFFIXES
from sane_core.zoo.readers.reader import Rejected
from sane_core.zoo.readers.safetensors_folder import INDEX, SUFFIX
from sane_core.zoo.readers.sources import Place, relative_name, size_of, walk
from sane_core.zoo.readers.torch_folder import NO_NETWORKS

if TYPE_CHECKING:
    from tasks.tracking_experiment import MlflowClient

SUFFIXES = (*NUMBERED_SUFFIXES, ".ckpt")
"""Of checkpoints; `.ckpt` are PyTorch Lightning's."""
MODEL = "MLmodel"
"""File that makes its folder a model of MLflow."""

_SHARD = re.compile(r"(.*)-\d+-of-\d+", re.A)
_MOST_FILES = 10_000
_DEEPEST = 8
"""Files of a run that is not on this machine, and folders they lie in, at most."""


class File(NamedTuple):
    """An artifact: where it is within its run, and on this machine if it is there."""

    path: PurePosixPath
    bytes: int
    local: Path | None = None


def is_of_use(path: PurePosixPath) -> bool:
    """Whether a name is that of a checkpoint, or says that its folder is a model."""
    name = path.name
    return name == MODEL or (name.endswith(SUFFIXES) and name not in NO_NETWORKS)


def is_index(path: PurePosixPath | Path) -> bool:
    """Whether a name is that of an index of shards."""
    return path.name.endswith(INDEX)


def index_of(path: PurePosixPath) -> PurePosixPath | None:
    """Return the index that a shard belongs to, None for what is no shard."""
    shard = _SHARD.fullmatch(stem(path))
    return path.with_name(f"{shard[1]}{INDEX}") if shard else None


def stem(path: PurePosixPath) -> str:
    """Return a file's name without the suffix of a checkpoint."""
    return path.name.removesuffix(next((s for s in SUFFIXES if path.name.endswith(s)), ""))


def artifacts_of(client: "MlflowClient", run: str, uri: str) -> Iterator[File | Rejected]:
    """Yield the artifacts of a run; what is rejected is named relative to them.

    Args:
        client: Asked where they are not on this machine.
        run: The run's id.
        uri: Where MLflow keeps its artifacts.
    """
    root = _local_folder(uri)
    return _on_this_machine(root) if root else _elsewhere(client, run)


def download(
    client: "MlflowClient", run: str, artifact: PurePosixPath, folder: Path, limits: Limits
) -> Path:
    """Return a checkpoint's copy in a folder; an index brings its shards.

    Raises:
        Refused: The index cannot be read, or the copy is not in the folder.
    """
    path = _download(client, run, artifact, folder)
    for shard in _shards(path, limits) if is_index(path) else ():
        _download(client, run, artifact.parent / shard, folder)
    return path


def _local_folder(uri: str) -> Path | None:
    """Return the folder of artifacts that are on this machine, None of others."""
    if re.match(r"(?!file:)[\w+.-]+:", uri):
        return None
    path = uri.removeprefix("file:")
    if path.startswith("//"):
        host, _, path = path.removeprefix("//").partition("/")
        if host not in ("", "localhost"):
            return None
        path = f"/{path}"
    return Path(url2pathname(path)).absolute()


def _on_this_machine(root: Path) -> Iterator[File | Rejected]:
    """Yield the artifacts below a folder, which need not be there."""
    for path in walk(Place(root)) if root.is_dir() else ():
        if isinstance(path, Path):
            yield File(PurePosixPath(relative_name(path, root)), size_of(path), path)
        elif is_of_use(PurePosixPath(path.file)):
            yield path


def _elsewhere(client: "MlflowClient", run: str) -> Iterator[File | Rejected]:
    """Yield the artifacts of a run as its store lists them."""
    folders = [PurePosixPath()]
    files = 0
    while folders:
        folder = folders.pop(0)
        for found in client.list_artifacts(run, str(folder) if folder.parts else None):
            path, files = PurePosixPath(found.path), files + 1
            if not _is_plain(found.path) or path.parent != folder:
                yield Rejected(
                    printable(found.path),
                    "the name of an artifact must be a plain path",
                    "log it under another name; nothing was opened",
                )
            elif files > _MOST_FILES or len(path.parts) > _DEEPEST + 1:
                yield Rejected(
                    found.path,
                    f"a run must have at most {_MOST_FILES} artifacts in {_DEEPEST} levels of "
                    "folders; what follows was not looked at",
                    "log checkpoints to a run of their own",
                )
                if files > _MOST_FILES:
                    return
            elif found.is_dir:
                folders.append(path)
            else:
                yield File(path, found.file_size or 0)


def _is_plain(name: object) -> bool:
    """Whether a name is a relative path that leads nowhere else."""
    return (
        is_plain_name(name, 1000)
        and "\\" not in name
        and not {"", ".", ".."} & set(name.split("/"))
    )


def _download(client: "MlflowClient", run: str, artifact: PurePosixPath, folder: Path) -> Path:
    """Return an artifact's copy in a folder."""
    path = Path(client.download_artifacts(run, str(artifact), str(folder)))
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Refused("a download must stay in its folder", "Do not use this artifact store")
    return path


def _shards(index: Path, limits: Limits) -> list[str]:
    """Return the shards that an index names; of other names, `read_tensors` has the word."""
    found = read_json(index, limits.header_bytes, limits.nesting)
    names = found.get("weight_map") if isinstance(found, dict) else None
    named = {str(name) for name in names.values()} if isinstance(names, dict) else set()
    return sorted(
        name
        for name in named
        if _is_plain(name)
        and name.endswith(SUFFIX)
        and index_of(PurePosixPath(name)) == PurePosixPath(index.name)
    )
