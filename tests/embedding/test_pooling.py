"""Poolings: what they are of the latents, where they are not available, who takes them."""

import numpy as np
import pytest
from pydantic import ValidationError

from sane_core.embedding.pooling import LARGEST_FULL, QUANTILES, not_available, pool, pool_by
from sane_core.probing.compare import compare, fit_all
from sane_core.probing.folds import fixed_sides
from sane_core.probing.targets import Target
from schemas.config.embed import POOLINGS, EmbedConfig
from schemas.config.probe import ProbeConfig

RNG = np.random.default_rng(0)
LATENTS = RNG.standard_normal((5, 9, 4)).astype(np.float32)
LAYER = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])


def test_mean_std_is_both_over_all_tokens():
    both = np.concatenate([LATENTS.mean(1), LATENTS.std(1)], axis=1)
    np.testing.assert_array_equal(pool_by("mean_std", LATENTS, LAYER), both)


@pytest.mark.parametrize("tokens", [1, 2, 9])
def test_quantiles_are_numpys_of_every_dimension(tokens):
    some = LATENTS[:, :tokens]
    expected = np.concatenate(list(np.quantile(some, QUANTILES, axis=1)), axis=1)
    np.testing.assert_allclose(pool_by("quantiles", some, LAYER[:tokens]), expected, atol=1e-6)


def test_mean_and_quantiles_forget_the_order_of_tokens_and_full_does_not():
    moved = LATENTS[:, ::-1]
    for pooling in ("mean", "mean_std", "quantiles"):
        one, other = (pool_by(pooling, each, LAYER) for each in (LATENTS, moved))
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert not np.allclose(pool_by("full", LATENTS, LAYER), pool_by("full", moved, LAYER))


def test_full_is_every_latent():
    np.testing.assert_array_equal(pool_by("full", LATENTS, LAYER).reshape(LATENTS.shape), LATENTS)


def test_a_model_of_one_token_has_every_pooling():
    pooled = pool("sane", LATENTS[:, :1], LAYER[:1])
    assert list(pooled) == [f"sane_{pooling}" for pooling in POOLINGS]
    assert all(np.isfinite(values).all() for values in pooled.values())
    np.testing.assert_array_equal(pooled["sane_mean_std"][:, 4:], 0)


def test_full_is_left_out_of_large_models_and_refused_where_it_is_asked_for():
    tokens = LARGEST_FULL // 4 + 1
    large, layer = np.zeros((1, tokens, 4), np.float32), np.zeros(tokens, int)
    assert "sane_full" in pool("sane", large[:, 1:], layer[1:])
    assert "sane_full" not in pool("sane", large, layer)
    assert not_available("full", tokens, 4).startswith(f"not available: {tokens} tokens of 4")
    assert not not_available("quantiles", tokens, 4)
    with pytest.raises(ValueError, match=f"full is not available: .* more than {LARGEST_FULL}"):
        pool_by("full", large, layer)


def test_only_the_poolings_asked_for_are_made():
    assert list(pool("pca", LATENTS, LAYER, ("full", "mean"))) == ["pca_full", "pca_mean"]


@pytest.mark.parametrize("poolings", [(), ("mean", "mean"), ("max",)])
def test_poolings_are_named_once_and_at_least_one(poolings):
    with pytest.raises(ValidationError):
        EmbedConfig(poolings=poolings)


def test_what_is_pooled_is_not_in_the_key_of_stages_that_pool_nothing():
    config = EmbedConfig(chunk=5, poolings=("mean",), tokens=True)
    assert config.passes() == EmbedConfig(chunk=5)


@pytest.mark.parametrize("best", POOLINGS)
def test_probes_choose_among_all_poolings_on_validation(best):
    """The target is one that this pooling alone tells."""
    latents = RNG.standard_normal((90, 6, 3)).astype(np.float32)
    target = RNG.standard_normal(90)
    features = pool("sane", latents, np.array([0, 0, 0, 1, 1, 1]))
    features[f"sane_{best}"] = np.c_[features[f"sane_{best}"], 50 * target]
    split = np.repeat(["train", "validation", "test"], 30)
    config, sides, epochs = ProbeConfig(bootstraps=3), fixed_sides(split), Target("epoch", target)
    fits = fit_all(features, [epochs], sides, config.lambdas)
    results = compare(fits, epochs, np.arange(90), sides, config, 0).results
    by_name = {result.features: result for result in results}
    assert by_name["sane_selected"].dimensions == features[f"sane_{best}"].shape[1]
