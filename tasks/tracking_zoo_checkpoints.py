"""Which artifacts of an MLflow run are its checkpoints, of which epochs, and why others are not.

What MLflow logged as a model of its own is a pickled module, and refused; only safetensors in its
folder are read.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.readers.name_pattern import NamePattern
from sane_core.zoo.readers.reader import Rejected
from sane_core.zoo.readers.safetensors_folder import INDEX, SUFFIX
from tasks.tracking_zoo_artifacts import MODEL, File, index_of, is_index, is_of_use, stem
from tasks.tracking_zoo_epochs import LARGEST_EPOCH, epoch_in
from tasks.tracking_zoo_runs import Run, typed

LOG_WEIGHTS = (
    "log the weights: torch.save(model.state_dict(), path), then mlflow.log_artifact(path, "
    "'checkpoint_<epoch>'); or safetensors"
)
_NAME_EPOCH = (
    "log checkpoints under their epoch, as checkpoint_12/weights.pt, or say where it stands by a "
    "pattern (pattern), as stage{epoch}.pt"
)
_PICKLED = "an MLflow model holds a pickled module, which would have to run code to be read"
_COPY = re.compile(r"(?:.*[^a-z])?(?:last|latest|best|final)(?:[^a-z].*)?", re.I | re.A)


class Checkpoint(NamedTuple):
    """A checkpoint, its epoch, and what else the pattern found in its name."""

    file: File
    epoch: int
    properties: Mapping[str, Property]


def checkpoints_of(
    run: Run, pattern: NamePattern | None
) -> tuple[list[Checkpoint], list[Rejected]]:
    """Return the checkpoints of a run with their epochs, and what is none or has none."""
    files, rejected = _networks(run)
    numbered: list[Checkpoint] = []
    others: list[File] = []
    for file in files:
        fields = pattern.match(str(file.path)) if pattern else {}
        if fields is None:
            reason = f"its name must fit the pattern {pattern.text!r}"
            rejected.append(_rejected(run, file.path, reason, "change the pattern"))
            continue
        said = fields.pop("epoch", None)
        epoch = int(said) if said else epoch_in(file.path, run.history.clock)
        if epoch is None:
            others.append(file)
        else:
            properties = {key: typed(text) for key, text in fields.items()}
            numbered.append(Checkpoint(file, min(epoch, LARGEST_EPOCH), properties))
    if len(others) == 1 and not numbered:
        return [Checkpoint(others[0], run.history.last_epoch, {})], rejected
    # Beside numbered ones, "best" and "last" are copies of some of them.
    rejected += [
        _rejected(run, file.path, "its epoch must be known, and its path has none", _NAME_EPOCH)
        for file in others
        if not (numbered and _COPY.fullmatch(stem(file.path)))
    ]
    return numbered, rejected


def rejected_model(model: str, run: Run | None) -> Rejected:
    """Return the refusal of a model of MLflow 3, which lies outside its run's artifacts."""
    return Rejected(f"models/{model}", _PICKLED, LOG_WEIGHTS, run.name if run else None)


def _networks(run: Run) -> tuple[list[File], list[Rejected]]:
    """Return the files that hold networks; an index has the bytes of its shards too."""
    files, pickled = _unpickled(run)
    indices = {file.path for file in files if is_index(file.path)}
    shards = dict.fromkeys(indices, 0)
    found: list[File] = []
    rejected = list(run.refused)
    for file in files:
        index = index_of(file.path)
        if index in indices:
            shards[index] += file.bytes
        elif index:
            reason = "a shard must be safetensors and lie beside its index"
            remedy = "save it again with save_pretrained(folder, safe_serialization=True)"
            rejected.append(_rejected(run, file.path, reason, remedy))
        else:
            found.append(file)
    found = [file._replace(bytes=file.bytes + shards.get(file.path, 0)) for file in found]
    return found, rejected + pickled


def _unpickled(run: Run) -> tuple[list[File], list[Rejected]]:
    """Return a run's weight files, and the models of MLflow that have none but their pickle."""
    models = {file.path.parent for file in run.files if file.path.name == MODEL}
    found: list[File] = []
    pickled = set(models)
    for file in run.files:
        model = next((folder for folder in file.path.parents if folder in models), None)
        is_safe = model is None or file.path.name.endswith((SUFFIX, INDEX))
        if is_safe and is_of_use(file.path) and file.path.name != MODEL:
            found.append(file)
            pickled.discard(model)
    return found, [_rejected(run, m / MODEL, _PICKLED, LOG_WEIGHTS) for m in sorted(pickled)]


def _rejected(run: Run, path: PurePosixPath, reason: str, remedy: str) -> Rejected:
    return Rejected(f"{run.id}/{path}", reason, remedy, run.name)
