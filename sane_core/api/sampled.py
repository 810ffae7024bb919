"""What sampling gives back: networks, how good they are, and where they come from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from sane_core.api.provenance import Provenance
from sane_core.api.results import Read

SUMMARY = "samples.json"


@dataclass(frozen=True)
class Sampled:
    """Networks drawn and kept, best first.

    Attributes:
        networks: Modules where prompts were modules, else state dicts of the prompts' kind.
        validation_accuracy: Of each, float64 [networks]; None without data.
        prompt: Which prompt each stands on, int64 [networks]; -1 where it stands on none. In that
            prompt's order of units it is given, or else in the reference's.
        latents: Their latents, float32 [networks, N, d_z].
        candidate_accuracy: Of all that were drawn in the last round, float64 [candidates], 0 where
            not finite; None without data.
        broken: How many of these are not finite, and so are never kept.
        prompts: How each prompt was read.
        prompt_accuracy: Of each prompt, float64 [prompts]; None without data.
        baselines: Validation accuracies of what has seen no autoencoder and was selected the same
            way: `prompts selected`, and `noise`, prompts with noise as large as the samples are far
            from theirs. Empty if not asked for.
        provenance: All that it takes to draw them again.
        states: Entry -> float32 array of each in the plain module's names.
    """

    networks: list[Any]
    validation_accuracy: np.ndarray | None
    prompt: np.ndarray
    latents: np.ndarray = field(repr=False)
    candidate_accuracy: np.ndarray | None = field(repr=False)
    broken: int
    prompts: tuple[Read, ...] = field(repr=False)
    prompt_accuracy: np.ndarray | None
    baselines: Mapping[str, np.ndarray]
    provenance: Provenance = field(repr=False)
    states: list[dict[str, np.ndarray]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.networks)

    def state_dict(self, i: int) -> dict[str, torch.Tensor]:
        """Return a network as float32 state dict of the plain module, whatever prompts were."""
        return {name: torch.tensor(values) for name, values in self.states[i].items()}

    def header(self, i: int) -> dict[str, str]:
        """Return what is written into the header of a network's safetensors file."""
        return {"format": "pt", "sane": json.dumps(self.record(i) | self._shared())}

    def save(self, folder: str | Path) -> list[Path]:
        """Write a safetensors file per network, provenance in its header, and `samples.json`.

        Each is read back by `module.load_state_dict(safetensors.torch.load_file(path))`.

        Args:
            folder: Empty, or not there yet.

        Returns:
            The networks' files, best first.

        Raises:
            ValueError: If the folder holds anything.
        """
        folder = Path(folder)
        check_empty(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"sample-{i:03d}.safetensors" for i in range(len(self))]
        for i, path in enumerate(paths):
            save_file(self.states[i], path, metadata=self.header(i))
        text = json.dumps(self.summary(), indent=1, ensure_ascii=False)
        (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
        return paths

    def summary(self) -> dict[str, Any]:
        """Return accuracies and provenance as plain values."""
        records = [
            {"file": f"sample-{i:03d}.safetensors"} | self.record(i) for i in range(len(self))
        ]
        return {
            "samples": records,
            "candidate_accuracy": _plain(self.candidate_accuracy),
            "broken": self.broken,
            "prompt_accuracy": _plain(self.prompt_accuracy),
            "baselines": {name: _plain(values) for name, values in self.baselines.items()},
        } | self._shared()

    def record(self, i: int) -> dict[str, Any]:
        """Return what is known of one network, as plain values."""
        at, accuracy = int(self.prompt[i]), self.validation_accuracy
        return {
            "sample": i,
            "prompt": self.prompts[at].label if at >= 0 else None,
            "validation_accuracy": None if accuracy is None else float(accuracy[i]),
        }

    def _shared(self) -> dict[str, Any]:
        return {"provenance": self.provenance.model_dump(mode="json")}


def check_empty(folder: Path) -> None:
    """Refuse a folder with anything in it.

    Raises:
        ValueError: If it holds anything, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} must be an empty folder, or not be there; choose another one")


def _plain(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else values.tolist()
