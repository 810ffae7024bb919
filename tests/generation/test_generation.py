"""Sampling, baselines, novelty: the laws that the comparison rests on."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from sane_core.generation.baselines import average, interpolated, with_matched_noise, with_noise
from sane_core.generation.candidates import best_of, keep_best
from sane_core.generation.compare import Decoder, draws_of, embed_prompts, score_prompts
from sane_core.generation.distributions.bandwidth import scott
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.finetune import finetune
from sane_core.generation.novelty import (
    error_overlap,
    mutual_overlap,
    nearest_distance,
    pairwise_distance,
)
from sane_core.generation.sample import sampler_of
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.zoo.population.score import answers_of, score, stack
from schemas.config.generate import BASELINES, GenerateConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.config.samplers import Distribution, SamplerConfig
from schemas.config.training import TrainingConfig
from tests.generation.digits import DIGITS_CNN, LAYERS, around


def test_the_best_on_validation_are_kept_best_first(population, images):
    kept = keep_best(DIGITS_CNN, population, images["validation"], 3, device="cpu")
    correct, _ = score(DIGITS_CNN, stack(DIGITS_CNN, population), images["validation"])
    best = np.sort(correct.mean(1))[::-1][:3]
    np.testing.assert_allclose(kept.validation_accuracy, best)
    again, _ = score(DIGITS_CNN, stack(DIGITS_CNN, kept.weights), images["validation"])
    np.testing.assert_allclose(again.mean(1), best)


def test_models_that_are_not_finite_are_counted_and_never_kept(population, images):
    broken = {name: values.copy() for name, values in population.items()}
    for values in broken.values():
        values[:4] = np.nan
    kept = keep_best(DIGITS_CNN, broken, images["validation"], 5, device="cpu")
    assert len(kept) == 2 and kept.broken == 4
    assert all(np.isfinite(values).all() for values in kept.weights.values())
    assert (kept.candidate_accuracy[:4] == 0).all()


def test_candidates_of_which_none_is_finite_are_an_error(population, images):
    broken = {name: np.full_like(values, np.inf) for name, values in population.items()}
    kept = keep_best(DIGITS_CNN, broken, images["validation"], 2, device="cpu")
    with pytest.raises(ValueError, match="at least one of 6 candidates must be finite"):
        best_of([kept], 2)


def test_the_best_of_parts_are_the_best_of_all(population, images):
    together = keep_best(DIGITS_CNN, population, images["validation"], 3, device="cpu")
    halves = [
        keep_best(
            DIGITS_CNN,
            {n: v[half] for n, v in population.items()},
            images["validation"],
            3,
            device="cpu",
        )
        for half in (slice(0, 2), slice(2, 6))
    ]
    best = best_of(halves, 3)
    np.testing.assert_array_equal(best.validation_accuracy, together.validation_accuracy)
    for name, values in together.weights.items():
        np.testing.assert_array_equal(best.weights[name], values)


@pytest.mark.parametrize(
    ("spread", "expected"), [(0.2, 0.2), (None, 0.07), ("scott", None), ("validation", None)]
)
def test_a_bandwidth_is_given_or_found(generator, spread, expected):
    config = GenerateConfig(candidates=4, keep=2, bandwidth=0.07, bandwidths=(0.01, 0.4))
    one = SamplerConfig(name="one", spread=spread)
    prompts = around(generator)
    settled = sampler_of(one, config, generator, prompts, 0)
    expected = expected or (scott(prompts, "shared_noise") if spread == "scott" else None)
    assert settled.spread == expected or (expected is None and settled.spread in (0.01, 0.4))


def test_a_spread_of_what_has_no_bandwidth_is_a_number():
    with pytest.raises(ValidationError, match="spread of sampler one must be a number"):
        SamplerConfig(name="one", distribution="gauss", spread="scott")
    with pytest.raises(ValidationError, match="must be > 0, got"):
        SamplerConfig(name="one", sweep=(0.1, 0.0))


def test_names_of_samplers_are_their_own():
    with pytest.raises(ValidationError, match=r"must be unique.*got \['noise'\]"):
        GenerateConfig(samplers=(SamplerConfig(name="noise"),))
    with pytest.raises(ValidationError, match=r"finetune_methods must be of sub, .*got \['subs'\]"):
        GenerateConfig(finetune_methods=("subs",))


def test_the_names_of_distributions_in_configurations_are_those_there_are():
    assert set(get_args(Distribution)) == set(DISTRIBUTIONS)


@pytest.fixture(scope="module")
def one_latent(generator):
    shape = AutoencoderShape(73, 50, (48, 5, 20))
    config = AutoencoderConfig(
        d_model=16, heads=2, layers=1, d_z=6, d_projection=4, bottleneck="model"
    )
    return replace(generator, model=build(shape, config, 0).eval())


RECIPE = TrainingConfig(batch=20)
SMALL = GenerateConfig(candidates=6, keep=2, seeds=1)


def test_the_global_baseline_is_drawn_where_there_is_one(generator, one_latent, population):
    prompts = score_prompts(generator, population)
    sane, other = (Decoder(g, embed_prompts(g, prompts)) for g in (generator, one_latent))
    drawn = next(draws_of({"sane": sane, "global": other}, prompts, RECIPE, SMALL, 0))
    without = next(draws_of({"sane": sane}, prompts, RECIPE, SMALL, 0))
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


def test_samplers_of_a_decoder_that_is_not_there_are_left_out(generator, population):
    prompts = score_prompts(generator, population)
    sane = Decoder(generator, embed_prompts(generator, prompts))
    samplers = (SamplerConfig(name="sub"), SamplerConfig(name="sharp", decoder="sharpened"))
    config = SMALL.model_copy(update={"samplers": samplers})
    without = next(draws_of({"sane": sane}, prompts, RECIPE, config, 0))
    both = next(draws_of({"sane": sane, "sharpened": sane}, prompts, RECIPE, config, 0))
    assert both.keys() - without.keys() == {"sharp", "sharpened_reconstruction"}
    assert both.keys() - {"sub", "sharp"} <= set(BASELINES)


def test_prompts_that_are_not_finite_are_refused(generator, population):
    broken = {name: values.copy() for name, values in population.items()}
    broken["module_list.0.weight"][2] = np.nan
    with pytest.raises(ValueError, match="prompts must be finite .* got 1 of 6"):
        score_prompts(generator, broken)


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


def test_distance_between_models_leaves_each_models_own_out():
    models = {"w": np.array([[0.0, 0], [3, 0]]), "b": np.array([[0.0], [4]])}
    assert pairwise_distance(models) == pytest.approx(5)
    assert pairwise_distance({"w": np.ones((3, 2))}) == 0
    assert pairwise_distance({"w": np.ones((1, 2))}) == 0


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
        device="cpu",
    )
    assert list(tuned["trained"].accuracy) == [0, 1, 2]
    assert tuned["trained"].accuracy[0].shape == (6,)
    correct, _ = score(DIGITS_CNN, stack(DIGITS_CNN, population), images["test"])
    np.testing.assert_allclose(tuned["trained"].accuracy[0], correct.mean(1))
    assert tuned["trained"].accuracy[2].mean() > tuned["scratch"].accuracy[2].mean()
    answers = answers_of(DIGITS_CNN, stack(DIGITS_CNN, population), images["test"])
    together = answers.mean(0).argmax(1) == images["test"].labels
    assert tuned["trained"].ensemble[0] == pytest.approx(together.mean())
