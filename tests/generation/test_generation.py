"""Sampling, baselines, novelty: the laws that the comparison rests on."""

from dataclasses import replace

import numpy as np
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.generation.baselines import average, interpolated, with_matched_noise, with_noise
from sane_core.generation.candidates import best_of, keep_best
from sane_core.generation.compare import draw_all, embed_prompts
from sane_core.generation.distributions.kde import sample_kde, sample_kde_by_dimension
from sane_core.generation.distributions.prior import sample_prior
from sane_core.generation.finetune import finetune
from sane_core.generation.generator import Generator
from sane_core.generation.novelty import error_overlap, mutual_overlap, nearest_distance
from sane_core.generation.sample import bootstrap, bootstrap_prior, subsample
from sane_core.images.dataset import split
from sane_core.images.registry import load_dataset
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.layers import layers_of
from sane_core.weights.standardize import identity
from sane_core.weights.tokens import lengths_of, positions_of
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import answers_of, score, stack
from sane_core.zoo.population.train import train
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.config.training import TrainingConfig

DIGITS_CNN = architecture_named("digits-cnn")
LAYERS = layers_of(DIGITS_CNN.shapes())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    digits = load_dataset("digits", tmp_path_factory.mktemp("data"))
    return split(digits, 0, 200, 100, 100)


@pytest.fixture(scope="module")
def population(images):
    config = TrainingConfig(epochs=12, batch=20, learning_rate=3e-3)
    members = members_of(config, range(6), 0)
    start = initialize(DIGITS_CNN, members, 0)
    trained = train(DIGITS_CNN, start, images["train"], members, config, 0)
    return {name: values.numpy() for name, values in trained.items()}


@pytest.fixture(scope="module")
def generator(images):
    shape = AutoencoderShape(73, 48, (48, 5, 20))
    config = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=6, d_projection=4)
    return Generator(
        model=build(shape, config, 0).eval(),
        architecture=DIGITS_CNN,
        layers=LAYERS,
        statistics=identity(LAYERS),
        positions=positions_of(LAYERS, 73),
        lengths=lengths_of(LAYERS, 73),
        mean=np.zeros(6),
        scale=np.ones(6),
        embed=EmbedConfig(),
        validation=images["validation"],
    )


def test_every_token_of_a_kde_sample_shares_its_prompt_and_its_noise():
    prompts = np.random.default_rng(0).standard_normal((5, 7, 3)).astype(np.float32)
    scale = np.array([1.0, 2.0, 3.0])
    latents, index = sample_kde(prompts, 40, 0.5, scale, np.random.default_rng(1))
    noise = latents - prompts[index]
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), atol=1e-6)
    np.testing.assert_allclose(noise[:, 0].std(0), 0.5 * scale, rtol=0.4)
    assert set(index) == set(range(5))


def test_dimensions_of_one_latent_are_drawn_from_different_prompts():
    prompts = np.arange(5, dtype=np.float32)[:, None, None] + np.zeros((5, 1, 3), np.float32)
    scale = np.array([1.0, 2.0, 3.0])
    exact = sample_kde_by_dimension(prompts, 200, 1e-9, scale, np.random.default_rng(0))
    assert exact.shape == (200, 1, 3)
    chosen = exact[:, 0].round()
    assert set(chosen.ravel()) == set(range(5))
    assert (chosen[:, 0] != chosen[:, 1]).mean() > 0.5
    same = np.full((4, 1, 3), 7, np.float32)
    noisy = sample_kde_by_dimension(same, 2000, 0.5, scale, np.random.default_rng(0))
    np.testing.assert_allclose(noisy[:, 0].std(0), 0.5 * scale, rtol=0.1)


def test_latents_per_token_have_no_density_per_dimension():
    prompts = np.zeros((4, 2, 3), np.float32)
    with pytest.raises(ValueError, match="prompts must have one latent each, got 2"):
        sample_kde_by_dimension(prompts, 3, 0.1, np.ones(3), np.random.default_rng(0))


def test_the_prior_has_the_training_latents_moments():
    drawn = sample_prior(50, 60, np.array([3.0]), np.array([2.0]), np.random.default_rng(0))
    assert drawn.shape == (60, 50, 1)
    assert drawn.mean() == pytest.approx(3, abs=0.1)
    assert drawn.std() == pytest.approx(2, abs=0.1)


def test_the_best_on_validation_are_kept_best_first(population, images):
    kept = keep_best(DIGITS_CNN, population, images["validation"], 3)
    correct, _ = score(DIGITS_CNN, stack(DIGITS_CNN, population), images["validation"])
    best = np.sort(correct.mean(1))[::-1][:3]
    np.testing.assert_allclose(kept.validation_accuracy, best)
    again, _ = score(DIGITS_CNN, stack(DIGITS_CNN, kept.weights), images["validation"])
    np.testing.assert_allclose(again.mean(1), best)


def test_models_that_are_not_finite_are_counted_and_never_kept(population, images):
    broken = {name: values.copy() for name, values in population.items()}
    for values in broken.values():
        values[:4] = np.nan
    kept = keep_best(DIGITS_CNN, broken, images["validation"], 5)
    assert len(kept) == 2 and kept.broken == 4
    assert all(np.isfinite(values).all() for values in kept.weights.values())
    assert (kept.candidate_accuracy[:4] == 0).all()


def test_candidates_of_which_none_is_finite_are_an_error(population, images):
    broken = {name: np.full_like(values, np.inf) for name, values in population.items()}
    kept = keep_best(DIGITS_CNN, broken, images["validation"], 2)
    with pytest.raises(ValueError, match="at least one of 6 candidates must be finite"):
        best_of([kept], 2)


def test_the_best_of_parts_are_the_best_of_all(population, images):
    together = keep_best(DIGITS_CNN, population, images["validation"], 3)
    halves = [
        keep_best(DIGITS_CNN, {n: v[half] for n, v in population.items()}, images["validation"], 3)
        for half in (slice(0, 2), slice(2, 6))
    ]
    best = best_of(halves, 3)
    np.testing.assert_array_equal(best.validation_accuracy, together.validation_accuracy)
    for name, values in together.weights.items():
        np.testing.assert_array_equal(best.weights[name], values)


def test_bootstrapping_never_sees_test_images_and_keeps_what_it_returns(generator):
    prompts = np.random.default_rng(0).standard_normal((4, 48, 6)).astype(np.float32)
    samples = bootstrap(generator, prompts, 8, 3, 0.1, 2, np.random.default_rng(0))
    decoded = generator.decode(samples.latents)
    for name, values in samples.weights.items():
        np.testing.assert_allclose(values, decoded[name], atol=1e-5)
    assert (np.diff(samples.validation_accuracy) <= 0).all()


def test_one_round_of_bootstrapping_is_subsampling(generator):
    prompts = np.random.default_rng(0).standard_normal((4, 48, 6)).astype(np.float32)
    once = bootstrap(generator, prompts, 8, 3, 0.1, 1, np.random.default_rng(5))
    sub = subsample(generator, prompts, 8, 3, 0.1, np.random.default_rng(5))
    np.testing.assert_array_equal(once.latents, sub.latents)


def test_the_prior_needs_no_prompt(generator):
    samples = bootstrap_prior(generator, 6, 2, 0.1, 2, np.random.default_rng(0))
    assert len(samples.validation_accuracy) == 2


@pytest.fixture(scope="module")
def one_latent(generator):
    shape = AutoencoderShape(73, 50, (48, 5, 20))
    config = AutoencoderConfig(
        d_model=16, heads=2, layers=1, d_z=6, d_projection=4, bottleneck="model"
    )
    return replace(generator, model=build(shape, config, 0).eval())


RECIPE = TrainingConfig(batch=20)
SMALL = GenerateConfig(candidates=6, keep=2, bootstrap_rounds=1, seeds=1)


def test_a_prior_over_one_latent_draws_one(one_latent):
    samples = bootstrap_prior(one_latent, 4, 2, 0.1, 1, np.random.default_rng(0))
    assert samples.latents.shape == (2, 1, 6)


def test_the_global_baseline_is_drawn_where_there_is_one(generator, one_latent, population):
    prompts = embed_prompts(generator, population)
    drawn = draw_all(generator, prompts, RECIPE, SMALL, 0, 0, one_latent)
    without = draw_all(generator, prompts, RECIPE, SMALL, 0, 0)
    assert drawn.keys() - without.keys() == {"global_kde30", "global_reconstruction"}
    for method, samples in without.items():
        for name, values in samples.weights.items():
            np.testing.assert_array_equal(drawn[method].weights[name], values)
    samples = drawn["global_kde30"]
    assert samples.latents.shape == (2, 1, 6)
    assert (np.diff(samples.validation_accuracy) <= 0).all()
    decoded = one_latent.decode(samples.latents)
    for name, values in samples.weights.items():
        np.testing.assert_allclose(values, decoded[name], atol=1e-5)


def norms(weights):
    return {
        layer.l: np.sqrt(
            sum(
                (weights[f"{layer.name}.{kind}"] ** 2)
                .reshape(len(weights[f"{layer.name}.{kind}"]), -1)
                .sum(1)
                for kind in ("weight", "bias")
            )
        )
        for layer in LAYERS
    }


def test_matched_noise_is_as_far_from_its_prompt_as_the_sample(population):
    samples = {name: values[:4] * 1.3 + 0.01 for name, values in population.items()}
    index = np.array([0, 2, 2, 5])
    noisy = with_matched_noise(population, samples, index, LAYERS, np.random.default_rng(0))
    ours = norms({name: noisy[name] - population[name][index] for name in population})
    theirs = norms({name: samples[name] - population[name][index] for name in population})
    for l in ours:
        np.testing.assert_allclose(ours[l], theirs[l], rtol=1e-4)
    assert not np.allclose(noisy["module_list.0.weight"], samples["module_list.0.weight"])


def test_noise_of_size_zero_gives_prompts_back(population):
    noisy = with_noise(population, LAYERS, 0.0, 9, np.random.default_rng(0))
    assert nearest_distance(noisy, population).max() < 1e-5


def test_interpolation_stands_between_two_different_prompts(population):
    half = interpolated(population, 0.5, 20, np.random.default_rng(0))
    assert nearest_distance(half, population).min() > 0.1
    whole = interpolated(population, 1.0, 20, np.random.default_rng(0))
    assert nearest_distance(whole, population).max() < 1e-5


def test_the_average_is_one_model(population):
    mean = average(population)
    np.testing.assert_allclose(
        mean["module_list.8.bias"][0], population["module_list.8.bias"].mean(0)
    )


def test_error_overlap_is_one_for_a_copy_and_zero_for_disjoint_errors():
    training = np.array([[1, 1, 0, 0], [0, 0, 1, 0]], bool)
    copy, disjoint, half = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]], bool)
    overlap = error_overlap(np.stack([copy, disjoint, half]), training)
    np.testing.assert_allclose(overlap, [1, 0, 0.5])


def test_mutual_overlap_leaves_a_model_out_of_its_own_comparison():
    assert mutual_overlap(np.array([[1, 0], [0, 1]], bool)) == 0
    assert mutual_overlap(np.array([[1, 0], [1, 0]], bool)) == 1


def test_finetuning_reports_every_origin_at_every_epoch(population, images):
    starts = {"trained": population, "scratch": {n: v * 0.1 for n, v in population.items()}}
    tuned = finetune(
        DIGITS_CNN,
        starts,
        images,
        TrainingConfig(batch=20, learning_rate=1e-3),
        epochs=(1, 2),
        seed=0,
        chunk=5,
    )
    assert list(tuned["trained"].accuracy) == [0, 1, 2]
    assert tuned["trained"].accuracy[0].shape == (6,)
    correct, _ = score(DIGITS_CNN, stack(DIGITS_CNN, population), images["test"])
    np.testing.assert_allclose(tuned["trained"].accuracy[0], correct.mean(1))
    assert tuned["trained"].accuracy[2].mean() > tuned["scratch"].accuracy[2].mean()
    answers = answers_of(DIGITS_CNN, stack(DIGITS_CNN, population), images["test"])
    together = answers.mean(0).argmax(1) == images["test"].labels
    assert tuned["trained"].ensemble[0] == pytest.approx(together.mean())
