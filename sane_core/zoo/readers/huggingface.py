"""Hugging Face models: folders with `config.json` and weights, or `hf:owner/name[@revision]`.

A model's licence is the one in the front matter of its README. Of a repository only safetensors (or
`.bin` where there are none), small JSON and the README are downloaded, and no weights at all where
the licence is not accepted; nothing of it is ever run.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.readers import safetensors_folder
from sane_core.zoo.readers.labels import Labels
from sane_core.zoo.readers.models import Model, models_in, read_linked_shards
from sane_core.zoo.readers.reader import LAYOUT, Found, Rejected, ScanOptions
from sane_core.zoo.readers.repository import download_repository
from sane_core.zoo.readers.sources import (
    Place,
    check_file,
    relative_name,
    state_lines,
    subfolders,
    walk,
)
from schemas.errors import UserError

PREFIX = "hf:"
_REPOSITORY = re.compile(r"hf:([\w.-]+/[\w.-]+|[\w.-]+)(?:@([\w./-]+))?", re.ASCII)
_README_BYTES = 256 * 1024
_DEEPEST = 2
"""Folders between a source and its models, at most: `owner/name`."""

Download = Callable[[str, str | None, tuple[str, ...]], Path]
"""(repository, revision, file patterns) -> folder with those files."""


@dataclass(frozen=True)
class HuggingFace:
    """Reads Hugging Face folders and repositories.

    Attributes:
        download: Gets files of a repository; through `huggingface_hub` if not given.
    """

    name: str = "huggingface"
    specificity: int = LAYOUT
    download: Download = download_repository

    def recognises(self, source: str) -> bool:
        """Whether it is a repository id or a folder with `config.json` beside weights."""
        if source.startswith(PREFIX):
            return True
        root = Path(source)
        return root.is_dir() and next(_model_folders(root), None) is not None

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find every model; of a repository id, download it first."""
        if source.startswith(PREFIX):
            licence, root = self._fetch(source, options)
            if root is None:
                yield Rejected(source, *_refusal(licence, options.licences))
                return
        else:
            root = Path(source)
        labels = Labels.load(root, options)
        for folder in _model_folders(root):
            yield from _scan_folder(folder, root, source, labels)

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every file; of a repository, its revision."""
        root: Path | None = Path(source)
        if source.startswith(PREFIX):
            _, root = self._fetch(source, options)
        if root is None:
            yield f"{source}\x1flicence"
            return
        yield from state_lines(walk(Place(root), _links_to(root)), root)

    def read(self, found: Found) -> Contents:
        """Read a model."""
        if found.path.name.endswith(safetensors_folder.INDEX) and found.path.is_symlink():
            return read_linked_shards(found.path)
        return read_tensors(found.path)

    def _fetch(self, source: str, options: ScanOptions) -> tuple[str | None, Path | None]:
        """Return a repository's licence, and its folder unless the licence is not accepted."""
        match = _REPOSITORY.fullmatch(source)
        if not match:
            raise UserError(
                f"a repository must read hf:owner/name or hf:owner/name@revision, got {source!r}"
            )
        repository, revision = match[1], match[2]
        small = self.download(repository, revision, ("README.md",))
        licence = licence_of(small / "README.md")
        if options.licences and licence not in options.licences:
            return licence, None
        wanted = ("*.safetensors", "*.bin", "*.json", "README.md", "zoo.csv", "zoo.parquet")
        return licence, self.download(repository, revision, wanted)


def licence_of(readme: Path) -> str | None:
    """Return the licence in a README's front matter, in lower case, or None.

    Args:
        readme: File that may be missing; only its first 256 KiB are looked at.
    """
    try:
        with readme.open("rb") as file:
            text = file.read(_README_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    front = re.match(r"---\r?\n(.*?)\r?\n---\s", text + "\n", re.DOTALL)
    named = front and re.search(
        r"^licen[sc]e:[ \t]*(?:\r?\n[ \t]*-[ \t]*)?([^\r\n#]+)", front[1], re.MULTILINE
    )
    return named[1].strip().strip("[]'\"").lower() or None if named else None


def _refusal(licence: str | None, accepted: tuple[str, ...]) -> tuple[str, str]:
    return (
        f"its licence must be one of {', '.join(accepted)}, got {licence or 'none'}",
        "accept the licence (licences) if it suits you",
    )


def _model_folders(root: Path, deepest: int = _DEEPEST) -> Iterator[Path]:
    """Yield the folders that hold a model, in sorted order."""
    if (root / "config.json").is_file() and next(_weights(root), None) is not None:
        yield root
    if deepest:
        for folder in subfolders(root):
            yield from _model_folders(folder, deepest - 1)


def _weights(folder: Path) -> Iterator[Path]:
    for pattern in ("*.safetensors", "*.safetensors.index.json", "pytorch_model*"):
        yield from sorted(folder.glob(pattern))


def _scan_folder(
    folder: Path, root: Path, source: str, labels: Labels
) -> Iterator[Found | Rejected]:
    name = relative_name(folder, root) if folder != root else _called(source)
    licence = licence_of(folder / "README.md") or licence_of(root / "README.md")
    inside = _links_to(root).resolve()
    checked: list[Path | Rejected] = [check_file(p, root, inside) or p for p in _weights(folder)]
    suffix, index = safetensors_folder.SUFFIX, safetensors_folder.INDEX
    found = list(models_in(checked, root, suffix, index, inside))
    models = [model for model in found if isinstance(model, Model)]
    yield from (entry for entry in found if isinstance(entry, Rejected))
    if not models:
        models = [Model(p) for p in checked if isinstance(p, Path) and p.name.endswith(".bin")]
    for model in models:
        file = relative_name(model.path, root)
        if model.path.name != "pytorch_model.bin" and model.path.name.endswith(".bin"):
            yield Rejected(
                file,
                "a sharded model must be safetensors, got .bin shards",
                "save it again with save_pretrained(folder, safe_serialization=True)",
            )
            continue
        whole = name if len(models) == 1 else file
        yield model.sized(labels.label(model.path, file, whole, licence))


def _called(source: str) -> str:
    """Return the name of the model that is the source itself."""
    return source.removeprefix(PREFIX) if source.startswith(PREFIX) else Path(source).resolve().name


def _links_to(root: Path) -> Path:
    """Return where links may lead: in a cache of huggingface_hub, files are links beside it."""
    parents = root.absolute().parents
    cached = (
        len(parents) > 1
        and parents[0].name == "snapshots"
        and parents[1].name.startswith("models--")
    )
    return parents[1] if cached else root
