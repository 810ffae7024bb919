"""Rounds: what is kept is drawn from again, around it and as the sampler says."""

import numpy as np
import pytest

from sane_core.generation import sample as sampling
from sane_core.generation.compare import Decoder, score_prompts
from sane_core.generation.distributions.flow import fit_flow
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.front import sweep
from sane_core.generation.sample import Sampler, sample, sampler_of
from schemas.config.flow import FlowConfig
from schemas.config.generate import GenerateConfig
from schemas.config.samplers import SamplerConfig
from tests.generation.digits import around


@pytest.fixture
def calls(monkeypatch):
    """(Distribution, spread) of every draw."""
    made = []

    def spied(name):
        def draw(prompts, count, spread, rng):
            made.append((name, spread))
            return DISTRIBUTIONS[name](prompts, count, spread, rng)

        return draw

    monkeypatch.setattr(sampling, "DISTRIBUTIONS", {name: spied(name) for name in DISTRIBUTIONS})
    return made


@pytest.fixture
def swept(generator, population, images):
    """Points of the front of one sampler alone."""

    def points(**asked):
        one = SamplerConfig(name="one", **asked)
        small = {"candidates": 6, "keep": 2, "seeds": 1, "bandwidth": 0.07}
        config = GenerateConfig(samplers=(one,), noise_sizes=(), interpolations=(), **small)
        decoders = {"sane": Decoder(generator, around(generator))}
        wrong = np.zeros((1, len(images["test"])), bool)
        prompts = score_prompts(generator, population)
        return sweep(decoders, prompts, images["test"], wrong, config, 0)

    return points


def test_bootstrapping_returns_what_it_keeps_best_first(generator):
    boot = Sampler("shared_noise", 0.1, rounds=2)
    samples = sample(generator, around(generator), boot, 8, 3, np.random.default_rng(0))
    decoded = generator.decode(samples.latents)
    for name, values in samples.weights.items():
        np.testing.assert_allclose(values, decoded[name], atol=1e-5)
    assert (np.diff(samples.validation_accuracy) <= 0).all()


def test_a_bootstrapped_sample_stands_on_the_prompt_that_it_descends_from(generator):
    boot = Sampler("shared_noise", 1e-3, rounds=3)
    prompts = around(generator)
    samples = sample(generator, prompts, boot, 8, 3, np.random.default_rng(0))
    np.testing.assert_allclose(samples.latents, prompts.latents[samples.prompt], atol=0.05)


def test_later_rounds_draw_from_what_was_kept(generator):
    prompts, rng = around(generator), np.random.default_rng
    once = sample(generator, prompts, Sampler("model", 0.1), 8, 1, rng(5))
    again = sample(generator, prompts, Sampler("model", 0.1, rounds=2), 8, 3, rng(5))
    assert not np.array_equal(once.latents[0], again.latents[0])
    assert len(set(again.prompt)) <= 3


@pytest.mark.parametrize("distribution", ["gauss", "flow"])
def test_without_prompts_a_sampler_begins_from_the_training_latents(generator, distribution):
    latents = around(generator).latents
    flow = fit_flow(latents, FlowConfig(rank=2, width=4, steps=5), 0)
    none = PromptLatents(latents[:0], generator.mean, generator.scale, flow=flow)
    sampler = Sampler(distribution, 1.0, rounds=2)
    samples = sample(generator, none, sampler, 6, 2, np.random.default_rng(0))
    assert len(samples) == 2 and (samples.prompt == -1).all()


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ({"spread": 0.4}, [("shared_noise", 0.4), ("shared_noise", 0.4)]),
        ({"distribution": "gauss"}, [("gauss", 1.0), ("shared_noise", 0.07)]),
        (
            {"distribution": "gauss", "then": "model", "then_spread": 0.3},
            [("gauss", 1.0), ("model", 0.3)],
        ),
        ({"distribution": "gauss", "then": "model"}, [("gauss", 1.0), ("model", 0.07)]),
        ({"spread": 0.4, "then_spread": 0.2}, [("shared_noise", 0.4), ("shared_noise", 0.2)]),
    ],
    ids=["as-before", "after-gauss", "both", "coupling", "spread"],
)
def test_later_rounds_draw_from_what_the_sampler_says(generator, calls, asked, drawn):
    config = GenerateConfig(candidates=4, keep=2, bandwidth=0.07)
    prompts = around(generator)
    settled = sampler_of(
        SamplerConfig(name="one", rounds=2, **asked), config, generator, prompts, 0
    )
    sample(generator, prompts, settled, 4, 2, np.random.default_rng(0))
    assert calls == drawn


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ({}, [("shared_noise", 0.1), ("shared_noise", 0.3)]),
        (
            {"rounds": 3},
            [("shared_noise", spread) for spread in (0.1, 0.1, 0.1, 0.3, 0.3, 0.3)],
        ),
        (
            {"rounds": 2, "then_spread": 0.2},
            [("shared_noise", spread) for spread in (0.1, 0.2, 0.3, 0.2)],
        ),
        (
            {"distribution": "gauss", "rounds": 2, "then": "model"},
            [("gauss", 0.1), ("model", 0.07), ("gauss", 0.3), ("model", 0.07)],
        ),
    ],
    ids=["one-round", "boot", "then-spread", "gauss"],
)
def test_a_sweep_draws_all_rounds_of_a_sampler(swept, calls, asked, drawn):
    points = swept(sweep=(0.1, 0.3), **asked)
    assert [point.knob for point in points] == [0.1, 0.3]
    assert calls == drawn


def test_swept_rounds_end_elsewhere_than_one_round_does(swept):
    once, again, boot = (swept(sweep=(0.5,), rounds=n)[0] for n in (1, 1, 3))
    assert once == again
    assert (boot.accuracy, boot.candidate_accuracy) != (once.accuracy, once.candidate_accuracy)


@pytest.mark.parametrize("asked", [{"then": "model"}, {"then_spread": 0.2}])
def test_what_later_rounds_draw_from_is_refused_where_there_are_none(asked):
    with pytest.raises(ValueError, match="rounds of sampler one must be > 1 where then"):
        SamplerConfig(name="one", **asked)
    with pytest.raises(ValueError, match="then"):
        SamplerConfig(name="one", rounds=2, then="gauss")
