"""The control that runs the networks: the same inputs for all, as the plain module answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from sane_core.architectures.registry import architecture_named
from sane_core.probing.outputs import answers, random_inputs

NETWORK = architecture_named("mlp[size=4]")
RESNET = architecture_named("resnet18[size=8,width=2]")


def stacked(network, count: int) -> tuple[list[torch.nn.Module], dict[str, np.ndarray]]:
    torch.manual_seed(0)
    modules = [network.build().eval() for _ in range(count)]
    states = [module.state_dict() for module in modules]
    names = [name for name, v in states[0].items() if v.is_floating_point()]
    return modules, {name: np.stack([s[name].numpy() for s in states]) for name in names}


@pytest.mark.parametrize("network", [NETWORK, RESNET], ids=["mlp", "resnet"])
def test_networks_answer_as_their_modules_do(network) -> None:
    modules, weights = stacked(network, 3)
    pixels = random_inputs(network, 5, 0)
    with torch.no_grad():
        wanted = torch.stack([functional.log_softmax(m(pixels), -1).flatten() for m in modules])
    np.testing.assert_allclose(answers(network, weights, pixels), wanted, atol=1e-4)


def test_inputs_are_the_same_for_all_and_others_by_another_seed() -> None:
    assert torch.equal(random_inputs(NETWORK, 4, 1), random_inputs(NETWORK, 4, 1))
    assert not torch.equal(random_inputs(NETWORK, 4, 1), random_inputs(NETWORK, 4, 2))


def test_a_networks_own_activation_counts() -> None:
    _, weights = stacked(NETWORK, 2)
    pixels = random_inputs(NETWORK, 5, 0)
    plain = answers(NETWORK, weights, pixels)
    varied = answers(NETWORK, weights, pixels, ("tanh", "gelu"))
    same = answers(NETWORK, weights, pixels, (None, None))
    np.testing.assert_array_equal(plain, same)
    assert not np.allclose(varied[0], plain[0]) or not np.allclose(varied[1], plain[1])


def test_what_cannot_be_run_says_why() -> None:
    _, weights = stacked(RESNET, 1)
    pixels = random_inputs(RESNET, 2, 0)
    without = {name: v for name, v in weights.items() if "running" not in name}
    with pytest.raises(ValueError, match="cannot be run without their entries .*running"):
        answers(RESNET, without, pixels)
    broken = {name: np.full_like(v, 1e38) for name, v in weights.items()}
    with pytest.raises(ValueError, match="1 networks give answers that are not finite"):
        answers(RESNET, broken, pixels)


def test_a_network_that_cannot_be_built_is_an_error() -> None:
    def nothing() -> torch.nn.Module:
        raise RuntimeError("no such network")

    network = replace(NETWORK, name="none", build=nothing)
    with pytest.raises(RuntimeError, match="no such network"):
        answers(network, {}, torch.zeros(1, 1, 4, 4))
