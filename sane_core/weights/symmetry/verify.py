"""Verify symmetries: applied at random, every group must keep what the network computes."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sane_core.seeding import rng_for
from sane_core.weights.symmetry.derive import Inputs
from sane_core.weights.symmetry.groups import PermutationGroup, Symmetries
from sane_core.weights.symmetry.permute import permute, random_permutations, random_signs

TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest change of an output, relative to the largest output."""


def verify(
    module: nn.Module,
    symmetries: Symmetries,
    inputs: Inputs,
    seed: int = 0,
    tolerance: float | None = None,
    signs: bool = False,
) -> dict[str, float]:
    """Permute every group at random, alone and then all together, and compare the outputs.

    Args:
        module: The network, with the weights to try it on; it is not changed, and run in
            evaluation mode.
        symmetries: What to verify.
        inputs: What to run it on.
        seed: The permutations are drawn from it.
        tolerance: Largest change of an output, relative to the largest output; by the dtype of the
            weights if not given.
        signs: Whether units flip their signs as well, where they may.

    Returns:
        Group name -> the largest relative change of an output by this group alone; `""` -> by all.

    Raises:
        ValueError: If a group, or all together, change an output by more than the tolerance.
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    network = copy.deepcopy(module).eval()
    weights = {name: value.detach().numpy()[None] for name, value in network.state_dict().items()}
    dtypes = [p.dtype for p in network.parameters() if p.dtype in TOLERANCES]
    allowed = tolerance or max([TOLERANCES[dtype] for dtype in dtypes], default=1e-4)
    rng = rng_for(seed, "verify")
    before = _outputs(network, given)
    changes = {}
    for groups in (*((group,) for group in symmetries.groups), symmetries.groups):
        name = groups[0].name if len(groups) == 1 and groups is not symmetries.groups else ""
        moved = _moved(weights, groups, rng, signs)
        changed = copy.deepcopy(network)
        changed.load_state_dict({k: torch.as_tensor(v[0]) for k, v in moved.items()})
        changes[name] = _relative_change(before, _outputs(changed, given))
        if not changes[name] <= allowed:
            what = f"group {name}" if name else "all groups together"
            raise ValueError(
                f"permuting {what} of network {type(module).__name__} must keep its outputs to "
                f"{allowed}, but one changed by {changes[name]} of the largest"
            )
    return changes


def _moved(
    weights: dict[str, np.ndarray],
    groups: Sequence[PermutationGroup],
    rng: np.random.Generator,
    signs: bool,
) -> dict[str, np.ndarray]:
    permutations = random_permutations(groups, 1, rng)
    return permute(weights, groups, permutations, random_signs(groups, 1, rng) if signs else None)


def _outputs(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    with torch.no_grad():
        return _tensors(network(*inputs))


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value.double()]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [tensor for each in value for tensor in _tensors(each)]
    return []


def _relative_change(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    largest = max((float(each.abs().max()) for each in before if each.numel()), default=0.0)
    change = max(
        (float((a - b).abs().max()) for a, b in zip(before, after, strict=True) if a.numel()),
        default=0.0,
    )
    return change / largest if largest else change
