"""Moments of training latents: measured, kept in bundles, and what GAUSS draws from."""

import numpy as np
import pytest

from sane_core.api.bundle import packaged
from sane_core.api.moments import measure, of_embeddings, with_moments
from sane_core.api.sane import Sane
from sane_core.embedding.embed import encode
from sane_core.embedding.zoo import write_embedded_zoo
from sane_core.weights.files import read_tokens
from tests.api.stages import CONFIG, D_T, MLP, PREPROCESS, SEED, network, write_model
from tests.sampling.conftest import CNN, parts


def test_moments_are_over_all_tokens_of_all_networks(sane):
    networks = [network(MLP, seed) for seed in (0, 2, 100)]
    values = np.stack([each.values for each in sane.latents(networks)]).astype(np.float64)
    found = sane.with_latents(networks).description.zoos[0].latents
    np.testing.assert_allclose(found.mean, values.mean((0, 1)), atol=1e-7)
    np.testing.assert_allclose(found.std, values.std((0, 1)), atol=1e-7)
    assert sane.description.zoos[0].latents is None


def test_moments_follow_from_the_embeddings_of_the_train_split(sane, places, tmp_path):
    config = sane.description.embed
    write_embedded_zoo(tmp_path, sane.bundle.model, places.tokens[MLP] / "tokens", [0, 2], config)
    found = of_embeddings(tmp_path / "embeddings.parquet")
    part = read_tokens(places.tokens[MLP] / "tokens", "train", [0, 2])
    latents = encode(sane.bundle.model, part.values, part.positions, part.lengths, config)
    assert found is not None
    np.testing.assert_allclose(found.mean, latents.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(found.std, latents.std((0, 1)), atol=1e-6)


def test_a_sane_of_stages_takes_its_moments_from_their_embeddings(sane, places, tmp_path):
    config = sane.description.embed
    write_embedded_zoo(tmp_path, sane.bundle.model, places.tokens[MLP] / "tokens", [0, 2], config)
    model = write_model(tmp_path / "model", config=CONFIG.model_copy(update={"d_z": D_T}))
    given = {"name": "one", "preprocess": PREPROCESS, "seed": SEED}
    table = tmp_path / "embeddings.parquet"
    made = Sane.from_artifacts(places.tokens[MLP], model, **given, embeddings=[table])
    assert made.description.zoos[0].latents == of_embeddings(table)
    with pytest.raises(ValueError, match="embeddings of each zoo or of none, got 2 of 1"):
        Sane.from_artifacts(places.tokens[MLP], model, **given, embeddings=[table, table])


def test_a_sane_that_knows_its_moments_keeps_them_and_draws_without_prompts(sane, tmp_path):
    known = sane.with_latents([network(CNN, 2), network(CNN, 202)])
    known.save(tmp_path / "known")
    loaded = Sane.load(tmp_path / "known")
    assert loaded.description.zoos == known.description.zoos
    given = {"architecture": CNN, "method": "gauss", "n": 2, "candidates": 3, "rounds": 2}
    one, other = (each.sample(data=parts(CNN), **given) for each in (known, loaded))
    np.testing.assert_array_equal(one.latents, other.latents)
    assert one.provenance.latent_scale == "training"
    assert one.prompt.tolist() == [-1, -1]
    assert one.prompt_accuracy is None


def test_bandwidths_count_in_the_deviation_of_training_where_it_is_known(sane):
    prompts = [network(MLP, 2)]
    around = sane.latents(prompts)[0].values
    known = sane.with_latents([network(MLP, seed) for seed in (0, 2, 100, 102)])
    deviation = np.array(known.description.zoos[0].latents.std)
    found = known.sample(prompts=prompts, n=200, bandwidth=0.5)
    moved = (found.latents - around)[:, 0]
    np.testing.assert_allclose(moved.std(0), 0.5 * deviation, rtol=0.25)


def test_moments_of_another_width_are_refused(sane):
    wrong = measure([np.zeros((3, 5), np.float32)])
    with pytest.raises(ValueError, match="moments of latents must be of 24 dimensions"):
        with_moments(sane.description, {"mlps": wrong})


def test_networks_of_several_zoos_have_no_moments_together(sane):
    with pytest.raises(ValueError, match="networks must be of one zoo of this SANE, got of cnns"):
        sane.with_latents([network(MLP, 2), network(CNN, 2)])


@pytest.mark.parametrize("name", packaged())
def test_what_ships_draws_without_prompts(name):
    found = Sane.load(name).sample(method="gauss", n=2)
    assert len(found) == 2
