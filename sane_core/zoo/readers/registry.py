"""The readers there are: those of this folder, and third parties' of the entry-point group.

A package offers a reader by an entry point of the group `sane.zoo_readers` whose value is a class
without required arguments, or an instance. Nothing of a package is imported before it is asked.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

from sane_core.zoo.readers.huggingface import HuggingFace
from sane_core.zoo.readers.model_zoo import ModelZoo
from sane_core.zoo.readers.pytorchcv import Pytorchcv
from sane_core.zoo.readers.reader import Reader
from sane_core.zoo.readers.safetensors_folder import SafetensorsFolder
from sane_core.zoo.readers.sane_zoo import SaneZoo
from sane_core.zoo.readers.torch_folder import TorchFolder
from schemas.errors import UserError

GROUP = "sane.zoo_readers"

BUILT_IN: Mapping[str, Callable[[], Reader]] = {
    "model-zoo": ModelZoo,
    "sane": SaneZoo,
    "huggingface": HuggingFace,
    "pytorchcv": Pytorchcv,
    "safetensors": SafetensorsFolder,
    "torch": TorchFolder,
}


def reader_names() -> list[str]:
    """Return the names of all readers, sorted."""
    return sorted({*BUILT_IN, *_offered()})


def reader_named(name: str) -> Reader:
    """Return a reader.

    Raises:
        UserError: If there is none of that name, or it cannot be imported.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()
    offered = _offered()
    if name not in offered:
        raise UserError(f"reader must be one of {', '.join(reader_names())}, got {name!r}")
    return _load(offered[name])


def reader_of(source: str) -> Reader:
    """Return the most specific reader that recognises a source.

    Raises:
        UserError: If none does, or several do equally.
    """
    readers, broken = [make() for make in BUILT_IN.values()], []
    for entry in _offered().values():
        try:
            readers.append(_load(entry))
        except UserError as error:
            broken.append(str(error))
    best: list[Reader] = []
    for specificity in sorted({reader.specificity for reader in readers}, reverse=True):
        asked = [reader for reader in readers if reader.specificity == specificity]
        best = [reader for reader in asked if reader.recognises(source)]
        if best:
            break
    if not best:
        names = ", ".join(reader.name for reader in readers)
        raise UserError(
            f"a source must look like a zoo to one reader, got {source!r}, which none of {names} "
            "recognises; check that the folder is not empty, or name its reader"
            + "".join(f"; {said}" for said in broken)
        )
    if len(best) > 1:
        names = " and ".join(reader.name for reader in best)
        raise UserError(
            f"a source must look like a zoo to one reader, got {source!r}, which {names} "
            f"recognise; name the one meant (reader), as {best[0].name}"
        )
    return best[0]


def _offered() -> dict[str, EntryPoint]:
    """Return third parties' readers by name; nobody takes a built-in reader's."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    return {entry.name: entry for entry in found if entry.name not in BUILT_IN}


def _load(entry: EntryPoint) -> Reader:
    try:
        offered = entry.load()
        reader: Reader = offered() if isinstance(offered, type) else offered
    except Exception as error:  # a package of others may fail in any way
        raise UserError(
            f"reader {entry.name!r} ({entry.value}) cannot be loaded: {error}; repair or "
            "uninstall its package"
        ) from error
    return reader
