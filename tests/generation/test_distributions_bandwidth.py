"""Bandwidths: Scott's rule against its own reference, and the choice on validation."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from sane_core.generation.distributions.bandwidth import DIMENSIONS, choose, scott
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.registry import DISTRIBUTIONS


def prompts_of(latents, scale=None):
    d_z = latents.shape[2]
    return PromptLatents(latents, np.zeros(d_z), np.ones(d_z) if scale is None else scale)


def drawn(models=50, tokens=1, d_z=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((models, tokens, d_z)).astype(np.float32)


def test_scotts_factor_is_that_of_scipy():
    latents = drawn()
    sigma = np.sqrt((latents.var(0, ddof=1)).mean())
    factor = gaussian_kde(latents[:, 0].T, "scott").factor
    assert scott(prompts_of(latents), "shared_noise") == pytest.approx(sigma * factor, rel=1e-5)


@pytest.mark.parametrize(
    ("distribution", "dimensions"),
    [("shared_noise", 3), ("token", 3), ("model", 300), ("by_dimension", 1)],
)
def test_the_exponent_counts_the_dimensions_that_noise_is_drawn_in(distribution, dimensions):
    prompts = prompts_of(drawn(tokens=100))
    h = scott(prompts, distribution)
    sigma = np.sqrt(prompts.latents.var(0, ddof=1).mean())
    assert h == pytest.approx(sigma * 50 ** (-1 / (dimensions + 4)), rel=1e-4)


def test_of_kde30_only_the_prompts_that_it_keeps_count():
    latents = drawn(models=20)
    latents[:6] *= 10
    prompts = PromptLatents(latents, np.zeros(3), np.ones(3), np.linspace(1, 0, 20))
    kept = PromptLatents(latents[:6], np.zeros(3), np.ones(3))
    assert scott(prompts, "kde30") == pytest.approx(scott(kept, "shared_noise"))
    with pytest.raises(ValueError, match="at least 2 prompts, got 1"):
        scott(prompts.only(np.arange(4)), "kde30")


def test_scotts_bandwidth_is_in_units_of_the_training_latents():
    latents = drawn()
    once = scott(prompts_of(latents), "model")
    assert scott(prompts_of(latents, np.full(3, 10.0)), "model") == pytest.approx(once / 10)
    assert scott(prompts_of(latents * 4), "model") == pytest.approx(once * 4)


def test_tokens_that_differ_among_each_other_do_not_widen_it():
    latents = drawn(tokens=300)
    offset = 100 * drawn(models=1, tokens=300, seed=1)
    once = scott(prompts_of(latents), "model")
    assert scott(prompts_of(latents + offset), "model") == pytest.approx(once, rel=1e-3)


def test_a_latent_dimension_that_never_varied_is_left_out():
    latents = drawn()
    latents[:, :, 0] = 1
    wide = np.array([0.0, 1.0, 1.0])
    expected = scott(prompts_of(latents[:, :, 1:]), "by_dimension")
    assert scott(prompts_of(latents, wide), "by_dimension") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.ones((1, 2, 3), np.float32), "at least 2 prompts, got 1: give a bandwidth"),
        (np.ones((4, 2, 3), np.float32), "all are equal: give a bandwidth"),
    ],
)
def test_prompts_without_a_deviation_have_no_bandwidth(latents, message):
    with pytest.raises(ValueError, match=message):
        scott(prompts_of(latents), "model")


def test_only_kdes_have_a_bandwidth():
    assert DIMENSIONS.keys() < DISTRIBUTIONS.keys()
    with pytest.raises(ValueError, match="gauss has no bandwidth"):
        scott(prompts_of(drawn()), "gauss")


def test_the_best_on_validation_is_chosen_and_among_equals_the_largest():
    scores = {0.1: 0.7, 0.5: 0.9, 0.2: 0.9, 1.0: 0.3}
    assert choose(list(scores), scores.__getitem__) == 0.5
    assert choose([0.2, 0.5], scores.__getitem__) == 0.5
    assert choose([0.2, 0.1], scores.__getitem__) == 0.2


def test_every_candidate_is_scored_once():
    asked = []
    choose([0.1, 0.2, 0.3], lambda h: asked.append(h) or h)
    assert asked == [0.1, 0.2, 0.3]


def test_a_score_that_is_no_number_never_wins():
    assert choose([0.1, 0.2], lambda h: 0.5 if h == 0.1 else float("nan")) == 0.1
    with pytest.raises(ValueError, match="has a score that is a number"):
        choose([0.1, 0.2], lambda h: float("nan"))


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], "at least one bandwidth, got none"),
        ([0.1, 0.0], r"finite and > 0, got \[0.1, 0.0\]"),
        ([float("inf")], r"finite and > 0, got \[inf\]"),
    ],
)
def test_candidates_out_of_range_are_refused(candidates, message):
    with pytest.raises(ValueError, match=message):
        choose(candidates, lambda h: h)
