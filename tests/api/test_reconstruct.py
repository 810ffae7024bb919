"""What was given comes back as it was given, reconstructed, units where they stood."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sane_core.api.given import take
from sane_core.api.networks import Said, network_of
from sane_core.api.prepare import prepare, restore
from sane_core.embedding.embed import decode, encode
from sane_core.weights.align import squared_distance
from sane_core.weights.files import read_statistics, read_tokens
from sane_core.weights.standardize import unstandardize
from sane_core.weights.tokens import detokenize
from tests.api.stages import MLP, RESNET, network
from tests.api.test_embed import LAST, module_of, near_the_reference, reordered

NORM = "bn1"


@pytest.mark.parametrize("name", [MLP, RESNET])
def test_restoring_undoes_preparing_whatever_the_order_of_units(resnet_sane, name):
    bundle, states = resnet_sane.bundle, [network(name, LAST), reordered(name, LAST)]
    given = [take(state, "it") for state in states]
    found = network_of(given[0], bundle.description, Said())
    prepared = prepare(given, found, bundle, True, "cpu")
    weights = restore(prepared.tokens, prepared)
    for i, state in enumerate(states):
        for entry, values in weights.items():
            np.testing.assert_allclose(values[i], state[entry].numpy(), atol=1e-6)


def test_a_reconstruction_is_what_the_decoder_says(sane, places):
    record = sane.description.zoos[0]
    part = read_tokens(places.tokens[MLP] / "tokens", "train", [record.epoch])
    at = part.runs == record.run
    place = (part.positions, part.lengths)
    config, model = sane.description.embed, sane.bundle.model
    latents = encode(model, part.values[at], *place, config)
    weights = detokenize(decode(model, latents, *place, config), record.layers)
    statistics = read_statistics(places.tokens[MLP] / "layers.parquet")
    wanted = unstandardize(weights, record.layers, statistics)
    found = sane.reconstruct(near_the_reference(sane)[0])
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), values[0], atol=1e-5)


def test_a_state_dict_comes_back_with_all_entries_dtypes_and_names(resnet_sane):
    state = {f"module.{k}": v for k, v in network(RESNET, LAST).items()}
    state |= {k: v.to(torch.bfloat16) for k, v in state.items() if k.endswith("fc.weight")}
    before = {k: v.clone() for k, v in state.items()}
    found = resnet_sane.reconstruct(state)
    assert list(found) == list(state)
    for name, value in found.items():
        assert (value.dtype, value.shape) == (state[name].dtype, state[name].shape)
        assert torch.equal(state[name], before[name])
        kept = NORM in name or not value.is_floating_point()
        if kept:
            assert torch.equal(value, state[name])
    assert not torch.equal(found["module.conv1.weight"], state["module.conv1.weight"])


def test_arrays_come_back_as_arrays(sane):
    state = {k: v.double().numpy() for k, v in network(MLP, LAST).items()}
    found = sane.reconstruct(state)
    assert {v.dtype for v in found.values()} == {np.dtype(np.float64)}


def test_a_module_comes_back_as_a_new_module_that_runs(resnet_sane):
    module = module_of(RESNET, LAST).eval()
    before = copy.deepcopy(module.state_dict())
    found = resnet_sane.reconstruct(module)
    assert type(found) is type(module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    state = resnet_sane.reconstruct(before)
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, state[name])
    images = torch.rand(2, 3, 8, 8)
    assert found(images).shape == module(images).shape
    assert not torch.allclose(found(images), module(images))


def test_a_file_comes_back_as_a_state_dict_of_its_dtypes(sane, tmp_path):
    state = {k: v.half() for k, v in network(MLP, LAST).items()}
    save_file(state, tmp_path / "a.safetensors")
    (found,) = sane.reconstruct([tmp_path / "a.safetensors"])
    assert {name: value.dtype for name, value in found.items()} == dict.fromkeys(
        state, torch.float16
    )


class Tied(nn.Module):
    """Two layers that share a weight."""

    input_shape = (1, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(x.flatten(1))))


def test_weights_that_a_module_shares_are_shared_in_the_copy(sane):
    module = Tied()
    found = sane.reconstruct(module)
    assert found.a.weight is found.b.weight
    assert found.a.weight is not module.a.weight
    assert not torch.equal(found.a.weight, module.a.weight)


def test_reconstructing_a_reordered_network_reorders_the_reconstruction(sane):
    one, other = near_the_reference(sane)
    first, second = sane.reconstruct([one, other])
    reference = {k: v.numpy() for k, v in first.items()}
    same = {k: v.numpy()[None] for k, v in second.items()}
    assert squared_distance(reference, same)[0] > 1e-3
    inputs = torch.rand(5, 1, 4, 4)
    outputs = []
    for state in (first, second):
        module = module_of(MLP, 0)
        module.load_state_dict(state)
        outputs.append(module(inputs))
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-4, rtol=1e-4)
