"""Verify symmetries: applied at random, every group must keep what the network computes."""

import copy
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from sane_core.seeding import rng_for
from sane_core.weights.symmetry.derive import Inputs
from sane_core.weights.symmetry.groups import PermutationGroup, Symmetries
from sane_core.weights.symmetry.permute import permute, random_permutations, random_signs

TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest change of an output, relative to its largest number."""


def verify(
    module: nn.Module,
    symmetries: Symmetries,
    inputs: Inputs,
    seed: int = 0,
    tolerance: float | None = None,
    signs: bool = False,
    together: bool = False,
) -> dict[str, float]:
    """Permute every group at random, alone and then all together, and compare the outputs.

    No group keeps its order, or all of its signs where they may flip. Every output of the network
    is compared with its own largest number, so that a large one does not hide another.

    Args:
        module: The network, with the weights to try it on; it is not changed, and run in
            evaluation mode.
        symmetries: What to verify.
        inputs: What to run it on.
        seed: The permutations are drawn from it.
        tolerance: Largest change of an output, relative to its largest number; by the dtype of the
            weights if not given.
        signs: Whether units flip their signs as well, where they may.
        together: Try all groups together first, and each alone only if that fails, to name it:
            large networks have many groups.

    Returns:
        Group name -> the largest relative change of an output by this group alone (not if
        `together`); `""` -> by all.

    Raises:
        ValueError: If a group, or all together, change an output by more than the tolerance, or the
            network returns no tensor that could be compared.
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    network = copy.deepcopy(module).eval()
    weights = {name: value.detach().numpy()[None] for name, value in network.state_dict().items()}
    dtypes = [p.dtype for p in network.parameters() if p.dtype in TOLERANCES]
    allowed = tolerance or max([TOLERANCES[dtype] for dtype in dtypes], default=1e-4)
    rng = rng_for(seed, "verify")
    before = _outputs(network, given)
    changed = copy.deepcopy(network)

    def change_by(groups: Sequence[PermutationGroup]) -> float:
        moved = _moved(weights, groups, rng, signs)
        changed.load_state_dict({k: torch.as_tensor(v[0]) for k, v in moved.items()})
        return _relative_change(before, _outputs(changed, given))

    def small(change: float, what: str) -> float:
        if not change <= allowed:
            raise ValueError(
                f"permuting {what} of network {type(module).__name__} must keep its outputs to "
                f"{allowed}, but one changed by {change} of its largest number"
            )
        return change

    by_all = change_by(symmetries.groups)
    alone: Sequence[PermutationGroup] = symmetries.groups
    if together and by_all <= allowed:
        alone = ()
    changes = {group.name: small(change_by((group,)), f"group {group.name}") for group in alone}
    return changes | {"": small(by_all, "all groups together")}


def changes_of_models(
    module: nn.Module,
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    inputs: torch.Tensor,
) -> np.ndarray:
    """Return how far other weights change what each model computes.

    Args:
        module: The network; its weights do not count, and it must not be used by others meanwhile.
        before: Entry -> array [models, ...]; entries left out are those of the module.
        after: The same entries.
        inputs: What to run every model on.

    Returns:
        The largest change of an output of each model, relative to that model's largest, float64
        [models].
    """
    network = module.eval()

    def outputs(weights: Mapping[str, np.ndarray], model: int) -> list[torch.Tensor]:
        own = {name: torch.tensor(values[model]) for name, values in weights.items()}
        with torch.no_grad():
            return _numbers(network, functional_call(network, own, (inputs,)))

    models = range(len(next(iter(before.values()))))
    return np.array([_relative_change(outputs(before, i), outputs(after, i)) for i in models])


def _moved(
    weights: dict[str, np.ndarray],
    groups: Sequence[PermutationGroup],
    rng: np.random.Generator,
    signs: bool,
) -> dict[str, np.ndarray]:
    permutations = random_permutations(groups, 1, rng)
    for values in permutations.values():
        if (values[0] == np.arange(values.shape[1])).all():
            values[0] = np.roll(values[0], 1)
    flips = random_signs(groups, 1, rng) if signs else {}
    for values in flips.values():
        if (values[0] == 1).all():
            values[0, 0] = -1
    return permute(weights, groups, permutations, flips)


def _outputs(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    with torch.no_grad():
        return _numbers(network, network(*inputs))


def _numbers(network: nn.Module, value: object) -> list[torch.Tensor]:
    """Return the tensors among what a network returned.

    Raises:
        ValueError: If there is none with a number in it.
    """
    found = [tensor for tensor in _tensors(value) if tensor.numel()]
    if not found:
        raise ValueError(
            f"network {type(network).__name__} must return tensors, or tuples, lists or "
            f"dictionaries of them, to be compared, got {type(value).__name__}"
        )
    return found


def _tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        real = torch.view_as_real(value) if value.is_complex() else value
        yield real.double()
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(each)


def _relative_change(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    """Return the largest change of a tensor, relative to its own largest number if that is not 0.

    NaN, which is within no tolerance, if any change is.
    """
    changes = []
    for ours, theirs in zip(before, after, strict=True):
        largest = float(ours.abs().max())
        change = float((ours - theirs).abs().max())
        changes.append(change / largest if largest else change)
    return float(np.max(changes))
