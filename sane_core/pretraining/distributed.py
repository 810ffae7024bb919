"""Data-parallel processes on one machine: gloo between CPUs, nccl between GPUs.

`ALONE` is one process that needs none of it. Whoever calls starts the processes (`torchrun`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, and which of them this is.

    Attributes:
        rank: Number of this one; 0 alone writes.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mean over all processes of a tensor that each has, on its device."""
        return self._reduced(values, dist.ReduceOp.SUM) / self.size

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum over all processes."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def smallest(self, values: torch.Tensor) -> torch.Tensor:
        """Return the smallest over all processes, element by element."""
        return self._reduced(values, dist.ReduceOp.MIN)

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Return a module whose backward pass leaves the mean of all gradients."""
        if self.size == 1:
            return module
        devices = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True)

    def _reduced(self, values: torch.Tensor, how: "dist.ReduceOp.RedOpType") -> torch.Tensor:
        if self.size == 1:
            return values
        reduced = values.clone()
        dist.all_reduce(reduced, how)
        return reduced


ALONE = Ranks()
"""A training of one process."""


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the process group that `torchrun` has prepared; leave it at the end.

    Args:
        device: Of this process.
    """
    own = None if device.type == "cpu" else device
    dist.init_process_group("gloo" if own is None else "nccl", device_id=own)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
