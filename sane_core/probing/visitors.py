"""The test runs of another zoo, in the frame in which a SANE takes them.

One SANE trained on both zoos together embeds each in its own frame: aligned to its own reference,
standardized by its own statistics. The SANE of the first zoo alone takes the second's networks as
it takes any new network: aligned to the first zoo's reference, standardized by its statistics. That
takes one architecture.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sane_core.probing.checkpoints import Checkpoints
from sane_core.probing.features import statistics
from sane_core.weights.alignment import Alignment
from sane_core.weights.files import TokenSet
from sane_core.weights.frame import Frame
from sane_core.weights.streaming import places_of
from sane_core.weights.tokens import tokenize


@dataclass(frozen=True)
class Zoo:
    """A zoo that probes go from or to.

    Attributes:
        name: What it is called.
        tokens: Folder of the preprocess stage.
        epochs: Epochs to test on.
        zoo: Folder of the zoo stage; without it, networks are brought into another zoo's frame by
            the entries that are cut into tokens alone.
    """

    name: str
    tokens: Path
    epochs: tuple[int, ...]
    zoo: Path | None = None


@dataclass(frozen=True)
class Visitors:
    """Test runs of another zoo.

    Attributes:
        checkpoints: Their tokens, in the frame that the SANE takes them in.
        statistics: Their s(W), float64 [checkpoints, 7 * L].
    """

    checkpoints: Checkpoints
    statistics: np.ndarray


def visitors(home: Checkpoints, zoo: Zoo, frame: Frame | None) -> Visitors:
    """Return the test runs of another zoo, in their own frame or the one that is given.

    Args:
        home: The first zoo.
        zoo: The other.
        frame: That of the first zoo.

    Raises:
        ValueError: If there is no such run, token sizes differ, or, for a frame that is not their
            own, architectures.
    """
    places = places_of(zoo.tokens / "checkpoints.parquet", "test", zoo.epochs)
    if not places:
        raise ValueError(
            f"zoo {zoo.name} must have test runs at the epochs "
            f"{', '.join(map(str, zoo.epochs))}, got none"
        )
    away = Checkpoints(zoo.tokens, {"test": places}, zoo.zoo)
    if home.d_t != away.d_t:
        raise ValueError(
            f"zoos must have one token size to share a SANE, got {home.d_t} and {away.d_t}; set "
            "preprocess.d_t"
        )
    if frame is None:
        return Visitors(away, statistics(away))
    if home.layers != away.layers:
        raise ValueError(
            "zoos must be of one architecture for the SANE of one to embed the other; train one "
            "on both (together: true)"
        )
    found = _aligned(away, frame)

    def bring(part: TokenSet) -> np.ndarray:
        weights = away.as_trained(away.entries(part), part)
        aligned = frame.apply(found, weights, part.runs)
        return tokenize(aligned, home.layers, home.d_t, home.statistics)

    return Visitors(replace(away, bring=bring), statistics(away))


def _aligned(away: Checkpoints, frame: Frame) -> Alignment:
    """Align runs to the reference at their last epoch here, for all their epochs."""
    ends = away.last_of_runs()
    found = [
        frame.find(ends.as_trained(ends.entries(part), part), part.runs.tolist())
        for part in ends.pieces()
    ]
    return Alignment(
        sum((each.runs for each in found), ()),
        {
            k: np.concatenate([each.permutations[k] for each in found])
            for k in found[0].permutations
        },
        {k: np.concatenate([each.signs[k] for each in found]) for k in found[0].signs},
    )
