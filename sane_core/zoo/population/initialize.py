"""Draw the weights that members start from (paper §3; Schürholt et al., 2022)."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import torch
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.seeding import seed_for
from sane_core.zoo.population.members import Member

Population = dict[str, torch.Tensor]
"""State-dict entry -> every member's, [members, ...]; buffers included."""

DRAWS: Mapping[str, Callable[..., torch.Tensor]] = {
    "uniform01": lambda w, g: w.uniform_(0, 1, generator=g),
    "uniform": lambda w, g: w.uniform_(-0.1, 0.1, generator=g),
    "normal": lambda w, g: w.normal_(0, 0.1, generator=g),
    "truncated_normal": lambda w, g: nn.init.trunc_normal_(w, std=0.1, a=-0.2, b=0.2, generator=g),
    "kaiming_uniform": lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g),
    "kaiming_normal": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
    "xavier_uniform": lambda w, g: nn.init.xavier_uniform_(w, generator=g),
    "xavier_normal": lambda w, g: nn.init.xavier_normal_(w, generator=g),
}
"""Initialization -> how a weight of two or more axes is drawn, in place."""


_BUILDING = Lock()


def build(architecture: Architecture, seed: int = 0) -> nn.Module:
    """Build a module whose own draws come from `seed` alone.

    A module draws from PyTorch's global generator, of which there is one for all threads: one
    module is built at a time, and the generator is put back afterwards.
    """
    with _BUILDING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return architecture.build()


def initialize(
    architecture: Architecture, members: Sequence[Member], seed: int, bias: float | None = None
) -> Population:
    """Draw every member.

    Args:
        architecture: What to initialize.
        members: Member i is drawn from `(seed, "initialize", members[i].run)` alone.
        seed: The run's seed.
        bias: What every bias of a convolution or linear layer starts from, if given.

    Returns:
        Population of `len(members)` members, float32 (counters int64).
    """
    drawn = [_draw(architecture, member, seed, bias) for member in members]
    return {name: torch.stack([state[name] for state in drawn]) for name in drawn[0]}


def _draw(
    architecture: Architecture, member: Member, seed: int, bias: float | None
) -> dict[str, torch.Tensor]:
    module = build(architecture, seed_for(seed, "initialize", member.run))
    generator = torch.Generator().manual_seed(seed_for(seed, "weights", member.run))
    with torch.no_grad():
        for layer in module.modules():
            weight = getattr(layer, "weight", None)
            if not isinstance(weight, nn.Parameter) or weight.dim() < 2:
                continue
            if member.initialization != "default":
                DRAWS[member.initialization](weight, generator)
            if bias is not None and isinstance(getattr(layer, "bias", None), nn.Parameter):
                layer.bias.fill_(bias)  # type: ignore[operator]
    return {name: values.detach() for name, values in module.state_dict().items()}
