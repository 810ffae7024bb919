"""Members of a zoo that are trained at once, resumed after a kill at the epoch they were in."""

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import PARTS, Images
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.score import score
from sane_core.zoo.population.train import Training
from schemas.config.zoo import ZooConfig

SCORES = "scores"

TAKEN = {SCORES, "epoch", "steps", "file", "allow_pickle"}
"""Names in kept files that no entry of a network may have."""


class Chunk:
    """Some members; their kept epochs are files of their own folder in the scratch."""

    def __init__(
        self,
        config: ZooConfig,
        architecture: Architecture,
        members: Sequence[Member],
        seed: int,
        way: str,
        scratch: Path,
    ) -> None:
        """Name the folder after the members and the way, so that only what is its own is taken up.

        Args:
            config: The zoo's.
            architecture: The zoo's.
            members: Who is trained.
            seed: The run's seed.
            way: How they are run at once.
            scratch: Where kept epochs lie.

        Raises:
            ValueError: If an entry has a name that the kept files use themselves.
        """
        for name in architecture.outline.state_dict():
            if name in TAKEN or name.startswith("optimizer."):
                raise ValueError(
                    f"no entry of {architecture.name} may be named {', '.join(sorted(TAKEN))} or "
                    f"optimizer.*, got {name!r}; rename it"
                )
        self.config, self.architecture, self.members = config, architecture, members
        self.seed, self.way = seed, way
        self.folder = scratch / f"runs-{members[0].run:05d}-{members[-1].run:05d}-{way}"

    def train(
        self,
        images: Mapping[str, Images],
        device: str,
        on_epoch: Callable[[int], None] | None = None,
    ) -> None:
        """Train what is not yet trained.

        Args:
            images: Images by part; members are trained on `train`, scored on all.
            device: Where.
            on_epoch: Called with the number of members after each epoch, epoch 0 included.
        """
        self.folder.mkdir(exist_ok=True)
        start = initialize(self.architecture, self.members, self.seed, self.config.initial_bias)
        training = Training(
            self.architecture,
            start,
            images["train"],
            self.members,
            self.config,
            self.seed,
            way=self.way,
            device=device,
        )
        state = self.folder / "state.npz"
        kept = _load(state)
        done = -1
        if kept is not None:
            training.restore({name: torch.from_numpy(values) for name, values in kept.items()})
            done = training.epoch
        for epoch in range(self.config.epochs + 1):
            if epoch > done:
                if epoch:
                    training.advance()
                self._keep(training, images, device)
                _save(state, {name: v.cpu().numpy() for name, v in training.state().items()})
            if on_epoch:
                on_epoch(len(self.members))

    def _keep(self, training: Training, images: Mapping[str, Images], device: str) -> None:
        """Write an epoch's weights and scores [members, parts, (accuracy, loss)]."""
        if training.epoch not in self.config.kept_epochs():
            return
        population = training.population
        results = []
        for part in PARTS:
            seen = images[part]
            if part == "train" and self.config.scored:
                seen = seen.take(slice(self.config.scored))
            correct, loss = score(
                self.architecture,
                population,
                seen,
                members=self.members,
                way=self.way,
                device=device,
            )
            results.append(np.stack([correct.mean(1), loss], axis=1))
        entries = {name: values.cpu().numpy() for name, values in population.items()}
        _save(self._epoch_file(training.epoch), entries | {SCORES: np.stack(results, axis=1)})

    def entries(self, epoch: int) -> dict[str, np.ndarray]:
        """Return a kept epoch: state-dict entry -> [members, ...]."""
        names = [*self.architecture.outline.state_dict()]
        with np.load(self._epoch_file(epoch), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}

    def scores(self) -> np.ndarray:
        """Return the scores [members, kept epochs, parts, (accuracy, loss)]."""
        kept = []
        for epoch in self.config.kept_epochs():
            with np.load(self._epoch_file(epoch), allow_pickle=False) as arrays:
                kept.append(arrays[SCORES])
        return np.stack(kept, axis=1)

    def _epoch_file(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}.npz"


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays whole or not at all, also where the power fails."""
    temporary = path.with_suffix(".tmp.npz")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _load(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays; None where there are none, or a damaged file, which is not taken up."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, ValueError, EOFError, BadZipFile, zlib.error):
        return None
