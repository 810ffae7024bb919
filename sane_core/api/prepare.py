"""From weights to tokens and back, as the tokens stage does it (paper §2; Algorithm 1, i–iii).

`restore(prepare(models))` gives the weights back up to the rounding of standardization, units where
they stood.

A network of a zoo that the SANE was trained on takes the zoo's reference and statistics. The
permutation of a run is found at its last epoch there; here each network is aligned on its own. An
unseen network is aligned to the first that is given (or to another one, if asked for) and
standardized by the statistics of all that are given with it, so that its tokens depend on these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sane_core.api.bundle import Bundle, Reference
from sane_core.api.description import Description
from sane_core.api.given import Given
from sane_core.api.networks import Network
from sane_core.weights.alignment import Alignment, unaligned
from sane_core.weights.frame import Frame
from sane_core.weights.layers import Layer
from sane_core.weights.shards import within
from sane_core.weights.standardize import Statistics, measure, unstandardize
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.tokens import detokenize, lengths_of, positions_of, tokenize


@dataclass(frozen=True)
class Prepared:
    """Networks of one architecture as tokens, with what takes them back.

    Attributes:
        tokens: float32 [models, N, d_t], aligned, standardized, zero where padded.
        positions: int64 [N, 3], `[n, l, k]`.
        lengths: int64 [N], real weights per token.
        layers: What they were cut from.
        statistics: What they were standardized by.
        alignment: How units were moved, by the number of the model.
        groups: Units that were moved, as far as they touch layers.
    """

    tokens: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    layers: tuple[Layer, ...]
    statistics: Statistics
    alignment: Alignment
    groups: tuple[PermutationGroup, ...]


def prepare(
    models: Sequence[Given],
    network: Network,
    bundle: Bundle,
    align: bool,
    device: str,
    reference: int = 0,
) -> Prepared:
    """Align, standardize and tokenize networks.

    Args:
        models: Networks of one architecture.
        network: Their architecture.
        bundle: The SANE that they are for.
        align: Whether units are reordered.
        device: Where they are matched.
        reference: Which of them unseen networks are aligned to.

    Raises:
        ValueError: If the SANE has no positions for so many tokens, or a weight in a layer is not
            of floating point.
    """
    layers, d_t = network.layers, bundle.description.shape.d_t
    positions = positions_of(layers, d_t)
    check_positions(network, positions, bundle)
    entries = [name for layer in layers for name in layer.entries]
    stacked = {name: np.stack([m.entries[name] for m in models]) for name in network.trained}
    found = _alignment(stacked, network, bundle, align, device, reference)
    groups = within(network.groups, entries)
    weights = found.apply({k: stacked[k] for k in entries}, np.arange(len(models)), groups)
    statistics = _statistics(weights, network, bundle.description)
    return Prepared(
        tokens=tokenize(weights, layers, d_t, statistics),
        positions=positions,
        lengths=lengths_of(layers, d_t),
        layers=layers,
        statistics=statistics,
        alignment=found,
        groups=groups,
    )


def restore(tokens: np.ndarray, prepared: Prepared) -> dict[str, np.ndarray]:
    """Put tokens back into weights, units where they stood: entry -> float32 [models, ...]."""
    weights = detokenize(tokens, prepared.layers)
    weights = unstandardize(weights, prepared.layers, prepared.statistics)
    return prepared.alignment.unapply(weights, np.arange(len(tokens)), prepared.groups)


def _alignment(
    stacked: Mapping[str, np.ndarray],
    network: Network,
    bundle: Bundle,
    align: bool,
    device: str,
    first: int,
) -> Alignment:
    """Match raw weights to the reference; only trained entries that it has are looked at."""
    models = range(len(next(iter(stacked.values()))))
    reference: Reference = {name: values[first] for name, values in stacked.items()}
    if network.zoo is not None:
        reference = bundle.references[network.zoo]
    if not align:
        return unaligned(within(network.groups, reference), models)
    described = bundle.description
    frame = Frame(reference, network.groups, described.preprocess, described.seed, device)
    return frame.find(stacked, models)


def _statistics(
    weights: Mapping[str, np.ndarray], network: Network, description: Description
) -> Statistics:
    if network.zoo is None:
        return measure(weights, network.layers, description.preprocess.standardize)
    return description.zoos[network.zoo].statistics.measured()


def check_positions(network: Network, positions: np.ndarray, bundle: Bundle) -> None:
    """Refuse a network that the SANE has no positions for.

    Args:
        network: What tokens are cut from.
        positions: int64 [N, 3] of these tokens.
        bundle: The SANE.

    Raises:
        ValueError: If a position lies beyond the tables, and the SANE refuses those.
    """
    try:
        bundle.model.check_positions(positions)
    except ValueError as error:
        raise ValueError(
            f"{network.name} in tokens of {bundle.description.shape.d_t} weights is too large for "
            f"this SANE: {error}"
        ) from error
