"""Bring new networks into a zoo's frame: the order, and where asked the signs, of its reference.

One way for the networks that users give, that a gate is tried on and that come from another zoo:
raw weights are matched, and of them the trained entries alone, as the tokens stage does it (paper
§2, "Model Alignment").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sane_core.architectures.registry import architecture_named
from sane_core.weights.align import match
from sane_core.weights.alignment import Alignment, unaligned
from sane_core.weights.files import read_layers, read_statistics, read_tokens
from sane_core.weights.shards import one_architecture, reference_of, stored_groups, within
from sane_core.weights.standardize import unstandardize
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.tokens import detokenize
from sane_core.zoo.files import read_checkpoint
from schemas.config.preprocess import PreprocessConfig


@dataclass(frozen=True)
class Frame:
    """What networks are aligned to, and how.

    Attributes:
        reference: Trained entry -> float32 [...]; entries that it lacks are not looked at.
        groups: Units of the architecture that may be permuted.
        config: As the zoo was made into tokens.
        seed: That of the tokens stage.
        device: Where networks are matched.
    """

    reference: Mapping[str, np.ndarray]
    groups: tuple[PermutationGroup, ...]
    config: PreprocessConfig
    seed: int
    device: str = "cpu"

    def find(self, weights: Mapping[str, np.ndarray], runs: Sequence[int]) -> Alignment:
        """Match networks to the reference, or leave them as they are if the zoo was left so.

        Args:
            weights: Entry -> float32 [models, ...], raw.
            runs: What each is called in the alignment.
        """
        groups = within(self.groups, [name for name in self.reference if name in weights])
        if not self.config.align or not groups:
            return unaligned(groups, runs)
        sweeps, signs = self.config.max_sweeps, self.config.signs
        found = match(self.reference, weights, groups, self.seed, sweeps, signs, self.device)
        return Alignment(tuple(runs), found.permutations, found.signs)

    def apply(
        self, found: Alignment, weights: Mapping[str, np.ndarray], runs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Align networks by what was found of their runs.

        Args:
            found: By run.
            weights: Entry -> array [models, ...].
            runs: The run of each, int64 [models].
        """
        return found.apply(weights, runs, within(self.groups, weights))


def read_frame(tokens: Path, zoo: Path | None, config: PreprocessConfig, seed: int) -> Frame:
    """Read a zoo's frame.

    Args:
        tokens: Folder of the tokens stage.
        zoo: Folder of the zoo stage; without it only entries that are cut into tokens are matched.
        config: As the zoo was made into tokens.
        seed: That of the tokens stage.

    Raises:
        ValueError: If the architecture cannot be built here.
    """
    table = pq.read_table(tokens / "checkpoints.parquet", columns=["architecture"])
    network = architecture_named(one_architecture(table))
    groups = stored_groups(symmetries_of(network).groups, network)
    return Frame(read_reference(tokens, zoo), groups, config, seed)


def read_reference(tokens: Path, zoo: Path | None) -> dict[str, np.ndarray]:
    """Read the reference of a zoo, trained entry -> float32 [...].

    Args:
        tokens: Folder of the tokens stage.
        zoo: Folder of the zoo stage; without it the reference is put together from its tokens, and
            lacks what no token is cut from.
    """
    table = pq.read_table(tokens / "checkpoints.parquet")
    run, epoch = reference_of(table)
    if zoo is None:
        return _from_tokens(tokens, run, epoch)
    shapes = architecture_named(one_architecture(table)).shapes()
    entries, _ = read_checkpoint(zoo / "weights", run, epoch)
    return {name: entries[name].reshape(shape) for name, shape in shapes.items()}


def _from_tokens(tokens: Path, run: int, epoch: int) -> dict[str, np.ndarray]:
    """Put the reference together from its tokens: it stands in its own order there."""
    part = read_tokens(tokens / "tokens", "train", [epoch])
    layers = read_layers(tokens / "layers.parquet")
    statistics = read_statistics(tokens / "layers.parquet")
    values = detokenize(part.values[part.runs == run], layers)
    weights = unstandardize(values, layers, statistics)
    return {name: np.ascontiguousarray(each[0]) for name, each in weights.items()}
