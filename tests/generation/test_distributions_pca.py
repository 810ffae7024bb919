"""The PCA-Gaussian: moments of whole models, however long they are."""

import tracemalloc

import numpy as np
import pytest

from sane_core.generation.distributions.gram import components_of, directions_of
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.pca_gaussian import draw_pca_gaussian


def prompts_of(latents):
    return PromptLatents(latents.astype(np.float32), np.zeros(2), np.ones(2))


def correlated(models, seed=0):
    """Models of 3 tokens that vary together, along three directions."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((models, 3)) * [3, 2, 0.5]
    return (factors @ rng.standard_normal((3, 6)) + np.arange(6)).reshape(models, 3, 2)


def covariance(latents):
    return np.cov(latents.reshape(len(latents), -1), rowvar=False)


def test_mean_and_covariance_over_whole_models_are_the_prompts_own():
    prompts = prompts_of(correlated(30))
    drawn = draw_pca_gaussian(prompts, 60_000, 1, np.random.default_rng(0)).latents
    expected = covariance(prompts.latents)
    np.testing.assert_allclose(covariance(drawn), expected, atol=0.03 * expected.max())
    np.testing.assert_allclose(drawn.mean(0), prompts.latents.mean(0), atol=0.1)


def test_spread_scales_the_standard_deviation():
    prompts = prompts_of(correlated(30))
    drawn = draw_pca_gaussian(prompts, 60_000, 0.5, np.random.default_rng(0)).latents
    expected = covariance(prompts.latents) / 4
    np.testing.assert_allclose(covariance(drawn), expected, atol=0.03 * expected.max())


def test_a_lower_rank_leaves_the_smaller_components_out():
    prompts = prompts_of(correlated(30))
    two = draw_pca_gaussian(prompts, 5_000, 1, np.random.default_rng(0), rank=2).latents
    values = np.linalg.eigvalsh(covariance(two))[::-1]
    expected = np.linalg.eigvalsh(covariance(prompts.latents))[::-1]
    np.testing.assert_allclose(values[:2], expected[:2], rtol=0.1)
    assert values[2] < 1e-6 < expected[2]


def test_fewer_prompts_than_the_rank_span_what_they_can():
    prompts = prompts_of(correlated(3))
    drawn = draw_pca_gaussian(prompts, 40_000, 1, np.random.default_rng(0), rank=20).latents
    expected = covariance(prompts.latents)
    np.testing.assert_allclose(covariance(drawn), expected, atol=0.04 * expected.max())
    assert np.linalg.matrix_rank(covariance(drawn), tol=1e-4) == 2


def test_equal_prompts_are_all_there_is_to_draw():
    prompts = prompts_of(np.ones((4, 3, 2)))
    drawn = draw_pca_gaussian(prompts, 5, 1, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.latents, np.ones((5, 3, 2)), atol=1e-6)


def test_one_prompt_has_no_covariance():
    with pytest.raises(ValueError, match="needs at least 2 prompts, got 1"):
        draw_pca_gaussian(prompts_of(np.ones((1, 3, 2))), 5, 1, np.random.default_rng(0))


def test_a_rank_below_one_is_refused():
    prompts = prompts_of(correlated(5))
    with pytest.raises(ValueError, match="rank must be >= 1, got 0"):
        draw_pca_gaussian(prompts, 5, 1, np.random.default_rng(0), rank=0)


def test_components_are_those_of_a_singular_value_decomposition(monkeypatch):
    monkeypatch.setattr("sane_core.generation.distributions.gram.BLOCK", 4)
    rows = correlated(12).reshape(12, -1).astype(np.float32)
    found = components_of(rows, 3)
    mean, directions = directions_of(rows, found)
    u, s, v = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.s, s[:3], rtol=1e-5)
    np.testing.assert_allclose(np.abs((directions * v[:3]).sum(1)), 1, atol=1e-5)
    np.testing.assert_allclose(mean + (found.u * found.s) @ directions, rows, atol=1e-4)
    np.testing.assert_allclose(found.deviation, s[:3] / np.sqrt(11), rtol=1e-5)


def test_long_models_take_memory_for_their_samples_and_not_for_a_square():
    tokens = 40_000
    latents = np.random.default_rng(0).standard_normal((3, tokens, 2), np.float32)
    tracemalloc.start()
    draw_pca_gaussian(prompts_of(latents), 2, 1, np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * latents.nbytes < (tokens * 2) ** 2
