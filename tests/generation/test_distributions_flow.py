"""Latent flow matching: it finds what a Gaussian cannot, and starts as far away as it is told."""

import numpy as np
import pytest
import torch

from sane_core.generation.distributions.flow import fit_flow
from sane_core.generation.distributions.flow_draw import draw_flow
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.pca_gaussian import draw_pca_gaussian
from sane_core.generation.distributions.velocity import follow
from schemas.config.flow import FlowConfig

CONFIG = FlowConfig(width=64, steps=600)
QUICK = FlowConfig(width=16, steps=20, batch=32)


def two_kinds(models=300):
    """Models of 2 tokens, of two kinds: all latents near -1, or all near +1."""
    rng = np.random.default_rng(0)
    sign = np.where(rng.random((models, 1, 1)) < 0.5, -1, 1)
    return (sign + 0.15 * rng.standard_normal((models, 2, 2))).astype(np.float32)


def with_flow(latents, config=CONFIG):
    return PromptLatents(latents, np.zeros(2), np.ones(2), flow=fit_flow(latents, config, 0))


def shares(drawn):
    """Return the shares of samples near -1, between, and near +1."""
    middle = drawn.latents.mean((1, 2))
    return (middle < -0.5).mean(), (np.abs(middle) <= 0.5).mean(), (middle > 0.5).mean()


@pytest.fixture(scope="module")
def mixture():
    return with_flow(two_kinds())


def test_a_flow_carries_noise_to_both_kinds_of_models(mixture):
    below, between, above = shares(draw_flow(mixture, 1000, 1, np.random.default_rng(0)))
    assert below > 0.35
    assert above > 0.35
    assert between < 0.05


def test_a_gaussian_draws_models_between_the_kinds(mixture):
    _, between, _ = shares(draw_pca_gaussian(mixture, 1000, 1, np.random.default_rng(0)))
    assert between > 0.25


def test_a_flow_keeps_the_mean_and_the_covariance(mixture):
    drawn = draw_flow(mixture, 2000, 1, np.random.default_rng(0)).latents.reshape(2000, -1)
    rows = mixture.latents.reshape(300, -1)
    np.testing.assert_allclose(drawn.mean(0), rows.mean(0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(rows.T), atol=0.15)


def test_a_prompt_noised_a_little_stays_of_its_kind_and_noised_away_it_does_not(mixture):
    little = draw_flow(mixture, 300, 0.2, np.random.default_rng(0))
    kinds = np.sign(mixture.latents.mean((1, 2)))
    assert (np.sign(little.latents.mean((1, 2))) == kinds[little.prompt]).mean() > 0.95
    most = draw_flow(mixture, 300, 0.97, np.random.default_rng(0))
    assert (np.sign(most.latents.mean((1, 2))) == kinds[most.prompt]).mean() < 0.75


def test_pure_noise_stands_on_no_prompt_and_needs_none(mixture):
    drawn = draw_flow(mixture, 5, 1, np.random.default_rng(0))
    assert (drawn.prompt == -1).all()
    none = mixture.only(np.empty(0, int))
    again = draw_flow(none, 5, 1, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.latents, again.latents)
    with pytest.raises(ValueError, match="needs at least 1 prompt, got 0"):
        draw_flow(none, 5, 0.5, np.random.default_rng(0))


def test_towards_pure_noise_a_draw_changes_without_a_jump(mixture):
    whole = draw_flow(mixture, 50, 1, np.random.default_rng(0)).latents
    almost = draw_flow(mixture, 50, 1 - 1e-6, np.random.default_rng(0)).latents
    np.testing.assert_allclose(almost, whole, atol=1e-3)


def test_what_lies_outside_the_components_is_kept_near_a_prompt():
    latents = np.random.default_rng(0).standard_normal((40, 5, 2)).astype(np.float32)
    prompts = with_flow(latents, QUICK.model_copy(update={"rank": 2}))
    drawn = draw_flow(prompts, 20, 1e-4, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.latents, latents[drawn.prompt], atol=2e-3)
    whole = draw_flow(prompts, 20, 1, np.random.default_rng(0)).latents.reshape(20, -1)
    assert np.linalg.matrix_rank(whole - prompts.flow.mean, tol=1e-3) == 2


def test_a_fit_is_a_matter_of_its_seed():
    latents = two_kinds(50)
    draws = [
        draw_flow(
            PromptLatents(latents, np.zeros(2), np.ones(2), flow=fit_flow(latents, QUICK, seed)),
            4,
            1,
            np.random.default_rng(0),
        ).latents
        for seed in (0, 0, 1)
    ]
    assert draws[0].tobytes() == draws[1].tobytes()
    assert (draws[0] != draws[2]).any()


def test_a_fit_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    fit_flow(two_kinds(20), QUICK, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_the_solver_is_of_second_order():
    def field(x, time):
        return x * time

    exact = np.exp(0.5)
    errors = [
        abs(follow(field, torch.ones(1, 1, dtype=torch.float64), 0, n).item() - exact)
        for n in (10, 20)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_a_flow_that_is_missing_or_of_another_shape_is_refused(mixture):
    rng = np.random.default_rng(0)
    plain = PromptLatents(mixture.latents, mixture.mean, mixture.scale)
    with pytest.raises(ValueError, match="needs a flow, got none"):
        draw_flow(plain, 3, 0.5, rng)
    longer = PromptLatents(
        np.zeros((2, 3, 2), np.float32), np.zeros(2), np.ones(2), None, mixture.flow
    )
    with pytest.raises(ValueError, match=r"\[N, d_z\] = \[2, 2\], got \[3, 2\]"):
        draw_flow(longer, 3, 0.5, rng)
    with pytest.raises(ValueError, match="spread must be <= 1 for a flow"):
        draw_flow(mixture, 3, 1.5, rng)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((1, 2, 2), np.float32), r"at least 2 models, got \[1, 2, 2\]"),
        (np.zeros((4, 2), np.float32), r"at least 2 models, got \[4, 2\]"),
        (np.zeros((4, 2, 2), np.float32), "models that differ, all latents are equal"),
        (np.full((4, 2, 2), np.nan, np.float32), "needs finite latents"),
    ],
)
def test_latents_that_no_flow_can_be_fitted_to_are_refused(latents, message):
    with pytest.raises(ValueError, match=message):
        fit_flow(latents, QUICK, 0)
