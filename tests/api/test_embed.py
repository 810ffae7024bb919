"""Networks are embedded as the stages embed them, whatever they are given as."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sane_core.architectures.registry import architecture_named
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import permute, random_permutations
from tests.api.stages import CONFIG, MLP, RESNET, network

RUN = 3
LAST = 100 * RUN + 2


def module_of(name: str, seed: int) -> nn.Module:
    module = architecture_named(name).build()
    module.load_state_dict(network(name, seed))
    return module


def reordered(name: str, seed: int) -> dict[str, torch.Tensor]:
    """A network whose units stand in another order; it computes the same."""
    groups = groups_of(architecture_named(name))
    state = network(name, seed)
    weights = {k: v.numpy()[None] for k, v in state.items()}
    moved = permute(weights, groups, random_permutations(groups, 1, np.random.default_rng(1)))
    return {k: torch.tensor(v[0]) for k, v in moved.items()}


@pytest.mark.parametrize("name", [MLP, RESNET])
def test_latents_are_those_that_the_stages_give(resnet_sane, latents_of_stage, name):
    found = resnet_sane.embed(network(name, LAST), level="token")
    np.testing.assert_allclose(found.vectors, latents_of_stage(resnet_sane, name, RUN), atol=1e-5)
    assert found.networks[0].aligned
    assert len(found.positions) == len(found.vectors)


def test_a_module_a_state_dict_arrays_and_files_are_embedded_alike(sane, tmp_path):
    state = network(MLP, LAST)
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pt")
    arrays = {name: value.numpy() for name, value in state.items()}
    wrapped = {f"module.{name}": value for name, value in state.items()}
    module = nn.DataParallel(module_of(MLP, LAST))
    given = [state, arrays, wrapped, module, tmp_path / "a.safetensors", str(tmp_path / "a.pt")]
    found = sane.embed(given)
    assert len(found.vectors) == len(given)
    np.testing.assert_allclose(found.vectors, found.vectors[:1].repeat(len(given), 0), atol=1e-6)
    assert {each.zoo for each in found.networks} == {"mlps"}
    np.testing.assert_allclose(sane.embed(state).vectors, found.vectors[0], atol=1e-6)


def near_the_reference(sane) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The reference model itself, and with its units in another order.

    Matching may end in another optimum for networks that are like no other, as random ones are.
    """
    zoo = sane.description.zoos[0]
    seed = 100 * zoo.run + zoo.epoch
    return network(MLP, seed), reordered(MLP, seed)


def test_the_order_of_units_does_not_change_an_embedding(sane):
    vectors = sane.embed(near_the_reference(sane)).vectors
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_without_alignment_the_order_of_units_does(sane):
    found = sane.embed(near_the_reference(sane), align=False)
    assert not np.allclose(found.vectors[0], found.vectors[1], atol=1e-4)
    assert [each.note for each in found.networks] == ["not aligned: align=False"] * 2


def test_the_mean_is_the_centre_of_gravity_and_layers_are_mean_and_deviation(sane):
    state = network(MLP, LAST)
    latents = sane.embed(state, level="token")
    mean = sane.embed(state, pooling="mean").vectors
    np.testing.assert_allclose(mean, latents.vectors.mean(0), atol=1e-6)
    first = latents.vectors[latents.positions[:, 1] == 0]
    both = np.concatenate([first.mean(0), first.std(0)])
    np.testing.assert_allclose(sane.embed(state).vectors[: len(both)], both, atol=1e-6)


def test_numpy_takes_an_embedding_for_its_vectors(sane):
    found = sane.embed([network(MLP, 1), network(MLP, 2)])
    np.testing.assert_array_equal(np.asarray(found), found.vectors)
    assert np.asarray(found, dtype=np.float64).dtype == np.float64


def test_networks_of_several_architectures_come_back_in_the_order_given(resnet_sane):
    given = [network(MLP, 1), network(RESNET, 2), network(MLP, 3)]
    found = resnet_sane.embed(given, pooling="mean")
    assert [each.zoo for each in found.networks] == ["mlps", "resnets", "mlps"]
    for state, vector in zip(given, found.vectors, strict=True):
        alone = resnet_sane.embed(state, pooling="mean").vectors
        np.testing.assert_allclose(vector, alone, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "mean_std", "quantiles"])
def test_a_network_of_one_token_is_embedded_beside_longer_ones(sane, pooling):
    one = nn.Linear(4, 1)
    found = sane.embed([network(MLP, 1), one], pooling=pooling)
    assert np.isfinite(found.vectors).all()
    alone = sane.embed(one, pooling=pooling)
    np.testing.assert_allclose(found.vectors[1], alone.vectors, atol=1e-5)
    assert sane.embed(one, level="token").vectors.shape[0] == 1


def test_latents_of_networks_of_any_lengths_come_in_the_order_given(resnet_sane):
    given = [network(MLP, 1), network(RESNET, 2), network(MLP, 3)]
    for state, found in zip(given, resnet_sane.latents(given), strict=True):
        alone = resnet_sane.embed(state, level="token")
        np.testing.assert_allclose(found.values, alone.vectors, atol=1e-5)
        np.testing.assert_array_equal(found.positions, alone.positions)
        assert found.network.architecture == alone.networks[0].architecture


def test_all_latents_of_a_large_network_are_refused_as_an_embedding(sane, monkeypatch):
    monkeypatch.setattr("sane_core.embedding.pooling.LARGEST_FULL", 10)
    with pytest.raises(ValueError, match="pooling full is not available: .* more than 10"):
        sane.embed(network(MLP, 1), pooling="full")


def test_vectors_of_several_lengths_are_refused_with_the_way_out(resnet_sane):
    with pytest.raises(ValueError, match="vectors of one length .* take pooling='mean'"):
        resnet_sane.embed([network(MLP, 1), network(RESNET, 2)])


def test_latents_that_stand_at_different_positions_are_refused(sane):
    wide, narrow = (nn.Sequential(nn.Linear(4, a), nn.Linear(a, b)) for a, b in ((3, 5), (5, 3)))
    assert len(sane.embed([wide, narrow], pooling="mean").vectors) == 2
    assert len(sane.embed([wide, wide], level="token").positions) == 8
    with pytest.raises(ValueError, match="same positions .* each architecture on its own"):
        sane.embed([wide, narrow], level="token")


@pytest.mark.parametrize("how", [{"pooling": "max"}, {"level": "layer"}])
def test_an_unknown_pooling_or_level_is_refused(sane, how):
    with pytest.raises(
        ValueError,
        match="pooling must be one of layers, mean, mean_std, quantiles, full and level model",
    ):
        sane.embed(network(MLP, 1), **how)


def test_a_network_with_more_positions_than_the_table_is_refused_before_it_is_run(sane):
    said = r"mlp\[size=64\] in tokens of 24 weights is too large .* n must be < 900 .*unseen: clamp"
    with pytest.raises(ValueError, match=said):
        sane.embed(network("mlp[size=64]", 0))


def test_a_sane_that_clamps_takes_more_positions_than_its_table(make):
    config = CONFIG.model_copy(update={"unseen": "clamp"})
    found = make(MLP, config=config).embed(network("mlp[size=64]", 0), pooling="mean")
    assert np.isfinite(found.vectors).all()


def test_a_sane_with_one_latent_per_network_embeds_to_it_and_reconstructs(make):
    config = CONFIG.model_copy(update={"bottleneck": "model"})
    sane = make(MLP, config=config, window=400)
    state = network(MLP, LAST)
    vector = sane.embed(state).vectors
    assert vector.shape == (config.d_z,)
    latent = sane.embed(state, level="token")
    np.testing.assert_array_equal(latent.vectors, vector[None])
    with pytest.raises(ValueError, match="this one has one for a whole network"):
        sane.latents(state)
    assert latent.positions is None
    assert sane.reconstruct(state).keys() == state.keys()
    with pytest.raises(ValueError, match="pooling must be one of global .* got 'mean'"):
        sane.embed(state, pooling="mean")


def test_importing_the_package_does_not_import_torch_and_asking_for_sane_does():
    script = (
        "import sys, sane_core\n"
        "assert 'torch' not in sys.modules\n"
        "from sane_core import Sane\n"
        "assert 'torch' in sys.modules and Sane.__name__ == 'Sane'\n"
        "assert not {'polars', 'ffcv', 'prefect', 'mlflow'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
