"""The resumable state of a training in a file: tensors (safetensors) and facts (JSON), no pickle.

A file is whole or not there, and knows the SHA-256 of its content. The one before it is kept: where
the newest is damaged, training goes on from that one. As every draw is known by its step, the end
is the same.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sane_core.windows.reader import WindowReader
from schemas.config.pretrain import PretrainConfig

NEWEST, BEFORE = "state.safetensors", "state.previous.safetensors"
VERSION = 1


@dataclass(frozen=True)
class State:
    """What a training goes on from.

    Attributes:
        tensors: By name, on the CPU.
        facts: What JSON can hold.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


class DamagedState(ValueError):
    """A state file that is not what was written."""


def write_state(folder: Path, state: State, identity: Mapping[str, Any]) -> None:
    """Write a state; the newest one so far becomes the one before, which is removed.

    Args:
        folder: Gets the files.
        state: To be written.
        identity: Of the training, as JSON can hold it: what must be equal to go on.
    """
    tensors = {name: value.cpu().contiguous() for name, value in state.tensors.items()}
    facts = json.dumps(state.facts)
    metadata = {
        "version": str(VERSION),
        "identity": json.dumps(identity),
        "facts": facts,
        "sha256": _digest(tensors, facts),
    }
    newest, temporary = folder / NEWEST, folder / f"{NEWEST}.tmp"
    # No more than two of them at any moment, as without a previous one.
    (folder / BEFORE).unlink(missing_ok=True)
    save_file(tensors, temporary, metadata)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    if newest.exists():
        newest.replace(folder / BEFORE)
    temporary.replace(newest)


def read_state(
    folder: Path, identity: Mapping[str, Any], on_note: Callable[[str], None]
) -> State | None:
    """Read the newest state that is whole.

    Args:
        folder: Where `write_state` wrote.
        identity: Of this training.
        on_note: Told of a damaged file, which is removed.

    Returns:
        The state; None if there is none that is whole, and training begins anew.

    Raises:
        ValueError: If it is the state of another training; names what differs.
    """
    for name in (NEWEST, BEFORE):
        path = folder / name
        if not path.exists():
            continue
        try:
            return _read(path, identity)
        except DamagedState as error:
            on_note(f"{path} is damaged ({error}) and was left out")
            # Another process of the same training may have done so.
            path.unlink(missing_ok=True)
    return None


def identity_of(
    config: PretrainConfig,
    shape: Mapping[str, Any],
    seed: int,
    readers: Sequence[WindowReader],
    data: str,
) -> dict[str, Any]:
    """Return what must be equal for a training to go on, as JSON can hold it.

    Args:
        config: All of it but how often the state is kept.
        shape: Of the autoencoder.
        seed: The run's seed.
        readers: Of the windows; which runs, epochs and sets there are.
        data: Digest of the windows themselves.
    """
    digest = hashlib.sha256(data.encode())
    for reader in readers:
        for rows in (reader.runs, reader.epochs, reader.sets):
            digest.update(np.ascontiguousarray(rows).data)
    identity = {
        "pretrain": config.model_dump(mode="json", exclude={"save_minutes"}),
        "shape": shape,
        "seed": seed,
        "windows": digest.hexdigest(),
    }
    parsed: dict[str, Any] = json.loads(json.dumps(identity))
    return parsed


def differences(here: object, there: object, name: str = "") -> list[str]:
    """Return what differs between two nested values, a phrase each."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        keys = sorted({*here, *there}, key=str)
        pairs = [(here.get(key), there.get(key), f"{name}.{key}" if name else key) for key in keys]
        return [phrase for pair in pairs for phrase in differences(*pair)]
    return [] if here == there else [f"{name} is {here!r} and was {there!r}"]


def _read(path: Path, identity: Mapping[str, Any]) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DamagedState(str(error)) from None
    if metadata.get("version") != str(VERSION):
        raise DamagedState(f"its version must be {VERSION}, got {metadata.get('version')}")
    if _digest(tensors, metadata["facts"]) != metadata["sha256"]:
        raise DamagedState("its SHA-256 is not that of its content")
    found = differences(identity, json.loads(metadata["identity"]))
    if found:
        raise ValueError(
            f"a resumed training must be the one that began, but {'; '.join(found)}: restore that, "
            f"or remove {path.parent} to begin anew"
        )
    return State(tensors, json.loads(metadata["facts"]))


def _digest(tensors: Mapping[str, torch.Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {[*value.shape]}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
