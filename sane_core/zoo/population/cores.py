"""Groups of members side by side, one core each.

Groups depend on the network and the batch alone and no operation reaches across members, so a
result depends neither on timing nor on the number of cores.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

GROUP_NUMBERS = 2**20
"""Activations a group has in flight, so that they stay near the core."""

GROUP_MEMBERS = 32
"""Members of a group at most, so that populations of 64 already keep two cores busy."""

KEPT_BYTES = 2**25 - 2**16
"""Size of the block that teaches glibc to keep freed memory: just below the largest it heeds."""


def groups_of(members: int, numbers: int) -> list[slice]:
    """Cut members into groups of about equal size.

    Args:
        members: How many there are.
        numbers: Activations of one member's batch.
    """
    largest = min(GROUP_MEMBERS, max(1, GROUP_NUMBERS // numbers))
    return evenly(members, -(-members // largest))


def evenly(members: int, groups: int) -> list[slice]:
    """Cut members into so many groups of about equal size."""
    bounds = np.linspace(0, members, groups + 1).astype(int).tolist()
    return [slice(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]


def on_cores(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the work for all items on as many cores as PyTorch has threads, each item on one core.

    The operations are too small to be shared by cores; whole groups are not. One large block is
    freed first, because glibc hands smaller ones back to the system after every step until it has
    seen that, and faulting them in again cost a third of a step.
    """
    torch.empty(KEPT_BYTES, dtype=torch.uint8)
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)
