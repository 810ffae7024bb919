"""Networks of one architecture together, so that they are aligned and encoded in batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sane_core.api.bundle import Bundle
from sane_core.api.given import Given
from sane_core.api.networks import Network, Said, network_of
from sane_core.api.prepare import Prepared, prepare
from sane_core.api.results import Read

T = TypeVar("T")

UNASKED = "not aligned: align=False"
UNTRAINED = "not aligned: this SANE was trained without alignment"


@dataclass(frozen=True)
class Group:
    """Networks of one architecture.

    Attributes:
        network: What they have in common.
        members: Their places among the networks given.
        prepared: Their tokens.
        readings: How each was read.
    """

    network: Network
    members: tuple[int, ...]
    prepared: Prepared
    readings: tuple[Read, ...]


def grouped(
    given: Sequence[Given], bundle: Bundle, said: Said, align: bool, device: str
) -> list[Group]:
    """Find out what each network is, and prepare those that are alike together.

    Raises:
        ValueError: As `network_of` and `prepare`.
    """
    members: dict[Network, list[int]] = {}
    for i, each in enumerate(given):
        members.setdefault(network_of(each, bundle.description, said), []).append(i)
    return [
        _group([given[i] for i in at], tuple(at), network, bundle, align, device)
        for network, at in members.items()
    ]


def in_order(groups: Sequence[Group], values: Sequence[Iterable[T]]) -> list[T]:
    """Return what belongs to each network, in the order in which networks were given.

    Args:
        groups: All groups.
        values: Of every group, one per member.
    """
    pairs = [
        (at, value)
        for group, own in zip(groups, values, strict=True)
        for at, value in zip(group.members, own, strict=True)
    ]
    return [value for _, value in sorted(pairs, key=lambda pair: pair[0])]


def _group(
    given: Sequence[Given],
    members: tuple[int, ...],
    network: Network,
    bundle: Bundle,
    align: bool,
    device: str,
) -> Group:
    described = bundle.description
    note = network.note
    if not align:
        note = UNASKED
    elif not described.preprocess.align:
        note = UNTRAINED
    prepared = prepare(given, network, bundle, not note, device)
    zoo = None if network.zoo is None else described.zoos[network.zoo].name
    readings = tuple(Read(each.label, network.name, zoo, not note, note) for each in given)
    return Group(network, members, prepared, readings)


def shared_positions(groups: Sequence[Group]) -> np.ndarray:
    """Return the positions of the tokens of all networks, int64 [N, 3].

    Raises:
        ValueError: If networks have as many tokens, but not of the same layers.
    """
    first, *others = (group.prepared.positions for group in groups)
    if any(not np.array_equal(first, other) for other in others):
        raise ValueError(
            "networks must have tokens at the same positions to stand in one array, got those of "
            f"{', '.join(group.network.name for group in groups)}; take the latents of each "
            "architecture on its own"
        )
    return first


def stacked(parts: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Stack the vectors of networks.

    Args:
        parts: A vector or matrix per network.
        names: Architectures among them, for the message.

    Raises:
        ValueError: If they differ in shape.
    """
    if len({part.shape for part in parts}) > 1:
        raise ValueError(
            "networks must have vectors of one length to stand in one array, got those of "
            f"{', '.join(names)}; embed each architecture on its own, or take pooling='mean', "
            "'mean_std' or 'quantiles' and level='model'"
        )
    return np.stack(parts)
