"""A SANE that averages over views embeds a new network as it embedded the zoo."""

import numpy as np
import pytest

from sane_core.api.sane import Sane
from sane_core.embedding.zoo import embed_zoo
from schemas.config.embed import EmbedConfig
from tests.api.stages import MLP, RESNET, SEED, network

EMBED = EmbedConfig(chunk=16, halo=4, batch=3, views=3)


@pytest.fixture(scope="module")
def averaging(make) -> Sane:
    return make(MLP, RESNET, embed=EMBED)


@pytest.mark.parametrize("name", [MLP, RESNET])
def test_new_networks_get_the_embeddings_that_the_stage_gives(averaging, places, name):
    model, tokens = averaging.bundle.model, places.tokens[name] / "tokens"
    stage = embed_zoo(model, tokens, (2,), EMBED, seed=SEED)
    (row,) = np.flatnonzero(stage.runs == 3)
    for pooling in ("mean", "layers"):
        found = averaging.embed(network(name, 302), pooling=pooling).vectors
        np.testing.assert_allclose(found, stage.vectors[f"sane_{pooling}"][row], atol=1e-5)
    alone = embed_zoo(model, tokens, (2,), EMBED.model_copy(update={"views": 1}))
    assert not np.allclose(stage.vectors["sane_mean"], alone.vectors["sane_mean"], atol=1e-4)


def test_latents_of_tokens_and_reconstructions_are_those_of_the_aligned_network(averaging, make):
    once, state = make(MLP, RESNET), network(MLP, 302)
    for found, expected in zip(
        (averaging.embed(state, level="token").vectors, *averaging.reconstruct(state).values()),
        (once.embed(state, level="token").vectors, *once.reconstruct(state).values()),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_bundle_keeps_its_views(averaging, tmp_path):
    averaging.save(tmp_path / "bundle")
    again = Sane.load(tmp_path / "bundle")
    assert again.description.embed.views == 3
    state = network(MLP, 302)
    np.testing.assert_array_equal(again.embed(state).vectors, averaging.embed(state).vectors)
