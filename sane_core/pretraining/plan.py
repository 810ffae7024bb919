"""Every batch of a training and every draw in it, known by seed, epoch and step alone.

So a run that was killed goes on at any step with what an undisturbed one would see there, and
data-parallel processes agree without a word.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from sane_core.seeding import rng_for, seed_for
from sane_core.windows.batches import epoch_windows, run_disjoint_batches
from schemas.config.pretrain import PretrainConfig

MANY = 0.1
"""Share of an epoch's windows that may fill no batch without a word."""


class Place(NamedTuple):
    """A step of training, all from 0.

    Attributes:
        epoch: Its epoch.
        step: Its number within the epoch.
    """

    epoch: int
    step: int


class Plan:
    """The batches of every epoch, and the sources of what a step draws.

    Attributes:
        lengths: Steps of each epoch.
        shares: Windows of each set in the batches of the first epoch.
    """

    def __init__(
        self, runs: np.ndarray, sets: np.ndarray, config: PretrainConfig, seed: int
    ) -> None:
        """Count the steps.

        Args:
            runs: int64 [S], the run of each window.
            sets: int64 [S], the set of each window.
            config: Epochs, batch and weights of the sets.
            seed: The run's seed.

        Raises:
            ValueError: If an epoch has no full batch, or sets and weights do not fit.
        """
        self.runs, self.sets, self.config, self.seed = runs, sets, config, seed
        count = int(sets.max(initial=0)) + 1
        self.weights = config.weights or (1.0,) * count
        if len(self.weights) != count:
            raise ValueError(
                f"pretrain.weights must name one weight for each of {count} window sets, got "
                f"{len(self.weights)}"
            )
        self.batches = lru_cache(maxsize=1)(self._batches)
        # Greedy batches are as many as the runs' window counts say, whatever was drawn.
        alike = all(float(weight).is_integer() for weight in self.weights)
        lengths = [len(self.batches(e)) for e in range(1 if alike else config.epochs)]
        self.lengths = lengths * config.epochs if alike else lengths
        used = self.sets[np.concatenate(self.batches(0))]
        self.shares = np.bincount(used, minlength=count).tolist()

    def steps(self, epochs: int | None = None) -> int:
        """Return the steps of the first epochs, or of all."""
        return sum(self.lengths[:epochs])

    def left_out(self) -> str | None:
        """Return what a user should know of windows that fill no batch, if they are many."""
        counts = np.bincount(self.sets, minlength=len(self.weights))
        drawn = round(sum(w * n for w, n in zip(self.weights, counts.tolist(), strict=True)))
        missing = drawn - sum(self.shares)
        if missing <= MANY * drawn:
            return None
        return (
            f"{missing} of {drawn} windows of an epoch are left out, as no batch holds two of one "
            f"run and a few runs have most of the windows: a pretrain.batch below "
            f"{self.config.batch} takes more of them"
        )

    def parts(self, epoch: int, step: int, rank: int, ranks: int) -> list[tuple[np.ndarray, slice]]:
        """Return what a process reads of an epoch, from a step on.

        Args:
            epoch: From 0.
            step: First step, within the epoch.
            rank: Number of the process.
            ranks: Of so many.

        Returns:
            For every step, `config.accumulate` times: window indices, and which of the batch's
            windows these are.
        """
        size = self.config.batch // self.config.accumulate
        own = size // ranks
        starts = [part * size + rank * own for part in range(self.config.accumulate)]
        rows = [slice(start, start + own) for start in starts]
        return [(batch[part], part) for batch in self.batches(epoch)[step:] for part in rows]

    def asked(self, place: Place) -> int | None:
        """Return the number of the behaviour loss in a step, from 0; None where it has none."""
        behaviour = self.config.behaviour
        number = self.steps(place.epoch) + place.step
        if not behaviour.weight or number % behaviour.every:
            return None
        return number // behaviour.every

    def generator(
        self, name: str, place: Place, device: torch.device | str = "cpu"
    ) -> torch.Generator:
        """Return the source of what a step draws under a name."""
        source = torch.Generator(device)
        return source.manual_seed(seed_for(self.seed, name, place.epoch, place.step))

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """Return the batches of an epoch, window indices int64 [batch] each."""
        weighted = any(weight != 1 for weight in self.weights)
        windows = np.arange(len(self.runs))
        if weighted:
            draw = rng_for(self.seed, "windows", epoch)
            windows = epoch_windows(self.sets, self.weights, draw)
        runs = self.runs[windows]
        found = len(np.unique(runs))
        if found < self.config.batch:
            raise ValueError(
                f"an epoch must have windows of at least {self.config.batch} runs to fill a batch, "
                f"as no batch holds two of one run; got {len(windows)} windows of {found} runs: "
                f"set pretrain.batch to {found} or less, or train on more networks"
            )
        draw = rng_for(self.seed, "batches", epoch)
        batches = run_disjoint_batches(runs, self.config.batch, draw, drop_last=True)
        return [windows[batch] for batch in batches]
