"""Distributions over latents: what each shares between tokens, its moments, and its limits."""

import numpy as np
import pytest
import torch

from sane_core.generation.distributions.flow import fit_flow
from sane_core.generation.distributions.gauss import draw_gauss
from sane_core.generation.distributions.kde30 import best_prompts, draw_kde30
from sane_core.generation.distributions.kde_by_dimension import draw_by_dimension
from sane_core.generation.distributions.kde_model import draw_model
from sane_core.generation.distributions.kde_shared_noise import draw_shared_noise
from sane_core.generation.distributions.kde_token import draw_token
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.noise import around
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from schemas.config.flow import FlowConfig

SCALE = np.array([1.0, 2.0, 3.0])
MEAN = np.array([5.0, 0.0, -1.0])
KDES = {"shared_noise": draw_shared_noise, "model": draw_model, "token": draw_token}
QUICK = FlowConfig(width=16, steps=20, batch=32, solver_steps=4)


def prompts_of(models=6, tokens=7, flow=False):
    latents = rng().standard_normal((models, tokens, 3)).astype(np.float32)
    accuracy = np.linspace(0.5, 0.9, models)
    return PromptLatents(
        latents, MEAN, SCALE, accuracy, fit_flow(latents, QUICK, 0) if flow else None
    )


def rng(seed=1):
    return np.random.default_rng(seed)


def nearest(latents, prompts):
    """Return the prompt that each token is nearest to, int64 [count, N]."""
    return np.abs(latents[:, None] - prompts.latents[None]).sum(3).argmin(1)


def test_all_tokens_of_a_sample_share_prompt_and_noise():
    prompts = prompts_of()
    drawn = draw_shared_noise(prompts, 40, 0.5, rng())
    noise = drawn.latents - prompts.latents[drawn.prompt]
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), atol=1e-5)
    assert set(drawn.prompt) == set(range(6))


@pytest.mark.parametrize("name", ["model", "token"])
def test_tokens_have_noise_of_their_own_in_the_other_couplings(name):
    prompts = prompts_of(models=1)
    noise = KDES[name](prompts, 40, 0.5, rng()).latents - prompts.latents[0]
    assert np.abs(noise[:, 0] - noise[:, 1]).min(0).max() > 1e-4
    flat = noise.transpose(1, 0, 2).reshape(7, -1)
    correlation = np.corrcoef(flat)[np.triu_indices(7, 1)]
    assert np.abs(correlation).max() < 0.4


def test_one_model_is_one_prompt_under_coupling_model():
    prompts = prompts_of()
    drawn = draw_model(prompts, 50, 1e-4, rng())
    assert (nearest(drawn.latents, prompts) == drawn.prompt[:, None]).all()


def test_one_model_is_several_prompts_under_coupling_token():
    prompts = prompts_of()
    drawn = draw_token(prompts, 50, 1e-4, rng())
    chosen = nearest(drawn.latents, prompts)
    assert (chosen != chosen[:, :1]).any(1).all()
    assert (drawn.prompt == -1).all()


@pytest.mark.parametrize("name", KDES)
def test_the_moments_of_a_kde_are_those_of_prompts_and_noise(name):
    prompts = prompts_of(models=4, tokens=2)
    latents = KDES[name](prompts, 5_000, 0.7, rng()).latents
    variance = prompts.latents.var(0) + (0.7 * SCALE) ** 2
    np.testing.assert_allclose(latents.mean(0), prompts.latents.mean(0), atol=0.15)
    np.testing.assert_allclose(latents.std(0), np.sqrt(variance), rtol=0.05)


def test_the_prior_has_the_training_latents_moments_and_no_prompt():
    none = PromptLatents(np.empty((0, 50, 3), np.float32), MEAN, SCALE)
    drawn = draw_gauss(none, 400, 1, rng())
    np.testing.assert_allclose(drawn.latents.mean((0, 1)), MEAN, atol=0.1)
    np.testing.assert_allclose(drawn.latents.std((0, 1)), SCALE, rtol=0.03)
    assert (drawn.prompt == -1).all()
    half = draw_gauss(none, 400, 0.5, rng())
    np.testing.assert_allclose(half.latents.std((0, 1)), SCALE / 2, rtol=0.03)


def test_kde30_stands_on_the_best_prompts_and_numbers_them_as_given():
    prompts = prompts_of(models=10)
    drawn = draw_kde30(prompts, 60, 1e-5, rng())
    assert set(drawn.prompt) == {7, 8, 9}
    np.testing.assert_allclose(drawn.latents, prompts.latents[drawn.prompt], atol=1e-3)
    assert set(draw_shared_noise(prompts, 200, 0.1, rng()).prompt) == set(range(10))


def test_the_best_prompt_is_kept_however_few_there_are():
    assert best_prompts(prompts_of(models=1)).tolist() == [0]
    assert best_prompts(prompts_of(models=10), 0.5).tolist() == [9, 8, 7, 6, 5]


def test_a_dimension_comes_from_a_prompt_of_its_own():
    latents = np.arange(5, dtype=np.float32)[:, None, None] + np.zeros((5, 1, 3), np.float32)
    drawn = draw_by_dimension(PromptLatents(latents, MEAN, SCALE), 200, 1e-9, rng())
    chosen = drawn.latents[:, 0].round()
    assert (chosen[:, 0] != chosen[:, 1]).mean() > 0.5
    whole = draw_shared_noise(PromptLatents(latents, MEAN, SCALE), 200, 1e-9, rng())
    assert (whole.latents[:, 0, 0].round() == whole.latents[:, 0, 1].round()).all()


@pytest.mark.parametrize("name", ["shared_noise", "model", "kde30", "flow"])
def test_without_spread_samples_are_prompts(name):
    prompts = prompts_of(flow=True)
    for spread, least, most in ((1e-5, 0, 1e-3), (0.9, 0.3, np.inf)):
        drawn = DISTRIBUTIONS[name](prompts, 30, spread, rng())
        apart = np.abs(drawn.latents - prompts.latents[drawn.prompt]).max((1, 2)).mean()
        assert least <= apart < most


def test_without_spread_the_prior_and_the_pca_gaussian_are_means():
    prompts = prompts_of()
    drawn = DISTRIBUTIONS["gauss"](prompts, 5, 1e-6, rng())
    np.testing.assert_allclose(drawn.latents, np.broadcast_to(MEAN, (5, 7, 3)), atol=1e-3)
    drawn = DISTRIBUTIONS["pca_gaussian"](prompts, 5, 1e-6, rng())
    mean = np.broadcast_to(prompts.latents.mean(0), (5, 7, 3))
    np.testing.assert_allclose(drawn.latents, mean, atol=1e-4)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_same_generator_gives_the_same_bits(name):
    prompts = prompts_of(tokens=1 if name == "by_dimension" else 7, flow=True)
    first, again = (DISTRIBUTIONS[name](prompts, 9, 0.3, rng()) for _ in range(2))
    assert first.latents.tobytes() == again.latents.tobytes()
    assert first.latents.dtype == np.float32
    assert first.latents.shape == (9, *prompts.latents.shape[1:])
    assert first.prompt.dtype == np.int64
    np.testing.assert_array_equal(first.prompt, again.prompt)
    other = DISTRIBUTIONS[name](prompts, 9, 0.3, rng(2))
    assert (first.latents != other.latents).any((1, 2)).all()


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["shared_noise", "model", "token", "gauss"])
def test_threads_do_not_change_a_bit(name, threads):
    latents = rng().standard_normal((3, 900, 64)).astype(np.float32)
    prompts = PromptLatents(latents, np.zeros(64), np.ones(64))
    drawn = []
    for count in (1, 3):
        threads(count)
        drawn.append(DISTRIBUTIONS[name](prompts, 7, 0.3, rng()).latents.tobytes())
    assert drawn[0] == drawn[1]


def test_samples_drawn_together_have_different_noise():
    shape = (400, 11, 3)
    noise = around(lambda *_: np.zeros(3, np.float32), shape, np.ones(3), rng())
    assert len(np.unique(noise.reshape(400, -1), axis=0)) == 400
    assert len(np.unique(noise)) > 0.99 * noise.size


def test_noise_is_normal_to_the_fourth_moment_and_across_pieces():
    noise = around(lambda *_: np.zeros(64, np.float32), (2, 2000, 64), np.ones(64), rng())
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert (noise**2).mean() == pytest.approx(1, abs=0.01)
    assert (noise**4).mean() == pytest.approx(3, abs=0.06)
    assert np.abs(noise).max() > 4
    assert abs(np.corrcoef(noise[0, :512].ravel(), noise[0, 512:1024].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("name", ["shared_noise", "model", "token", "kde30", "gauss"])
def test_one_prompt_is_enough(name):
    prompts = prompts_of(models=1)
    drawn = DISTRIBUTIONS[name](prompts, 4, 0.1, rng())
    assert np.isfinite(drawn.latents).all()
    assert (drawn.latents[0] != drawn.latents[1]).any()


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS.keys() - {"gauss"}))
def test_without_prompts_only_the_prior_and_a_whole_flow_can_draw(name):
    none = PromptLatents(np.empty((0, 1, 3), np.float32), MEAN, SCALE, np.empty(0))
    with pytest.raises(ValueError, match="needs at least . prompts?, got 0"):
        DISTRIBUTIONS[name](none, 4, 0.1, rng())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("count", "spread", "message"),
    [
        (0, 0.1, "count must be >= 1, got 0"),
        (3, 0.0, "spread must be finite and > 0, got 0.0"),
        (3, -1.0, "spread must be finite and > 0, got -1.0"),
        (3, float("nan"), "spread must be finite and > 0, got nan"),
        (3, float("inf"), "spread must be finite and > 0, got inf"),
    ],
)
def test_counts_and_spreads_out_of_range_are_refused(name, count, spread, message):
    with pytest.raises(ValueError, match=message):
        DISTRIBUTIONS[name](prompts_of(tokens=1), count, spread, rng())


def test_kde30_needs_accuracies():
    prompts = PromptLatents(prompts_of().latents, MEAN, SCALE)
    with pytest.raises(ValueError, match="needs the prompts' validation_accuracy, got none"):
        draw_kde30(prompts, 3, 0.1, rng())
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\], got 0"):
        best_prompts(prompts_of(), 0)


def test_models_of_several_latents_have_no_density_per_dimension():
    with pytest.raises(ValueError, match="prompts must have one latent each, got 7"):
        draw_by_dimension(prompts_of(), 3, 0.1, rng())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": np.zeros((2, 3), np.float32)}, r"latents must have shape .*, got \[2, 3\]"),
        ({"latents": np.zeros((2, 0, 3), np.float32)}, r"must have shape .*, got \[2, 0, 3\]"),
        ({"latents": np.zeros((2, 7, 3))}, "latents must be float32, got float64"),
        ({"mean": np.zeros(4)}, r"mean must have shape \[3\], got \[4\]"),
        ({"scale": np.zeros((1, 3))}, r"scale must have shape \[3\], got \[1, 3\]"),
        ({"scale": np.array([1, -2, 1])}, "scale must be >= 0, got -2"),
        ({"scale": np.array([1, np.nan, 1])}, "scale must be finite"),
        ({"validation_accuracy": np.zeros(5)}, r"must have shape \[2\], got \[5\]"),
        ({"validation_accuracy": np.array([0, np.nan])}, "validation_accuracy must be finite"),
    ],
)
def test_latents_and_moments_that_do_not_fit_are_refused(change, message):
    fitting = {"latents": np.zeros((2, 7, 3), np.float32), "mean": MEAN, "scale": SCALE}
    with pytest.raises(ValueError, match=message):
        PromptLatents(**(fitting | change))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_prompts_that_are_not_finite_are_named(value):
    latents = np.zeros((4, 7, 3), np.float32)
    latents[2, 3, 1] = value
    with pytest.raises(ValueError, match=r"must be finite, leave out prompts \[2\]"):
        PromptLatents(latents, MEAN, SCALE)
