"""Refinement: drawn latents answer better, nothing else changes, equal seeds are equal."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sane_core.generation.compare import Decoder, samplers_of
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.front import sweep
from sane_core.generation.generator import Generator
from sane_core.generation.material import Material, Sources, open_material
from sane_core.generation.refine import images_of_steps, networks_at_once, refine
from sane_core.generation.sample import Sampler, sample
from sane_core.generation.sharpen_zoo import SharpenSources, sharpen_on_zoo
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.refine import RefineConfig
from schemas.config.samplers import SamplerConfig
from schemas.config.training import TrainingConfig
from tests.sharpening.toy import EPOCHS
from tests.sharpening.toy import configured as sharpening

CONFIG = GenerateConfig(prompt_epoch=3, candidates=6, keep=2, seeds=1)
TARGETS = ("labels", "prompts", "ensemble")
PROMPT = np.array([0, 1, 2, 0])


@pytest.fixture(scope="module")
def given(sources: SharpenSources, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Generation from a decoder that has learned something."""
    model = tmp_path_factory.mktemp("model")
    sharpen_on_zoo(sources, sharpening(steps=60, networks=8), EmbedConfig(), 0, model)
    folders = Sources(sources.images, sources.tokens, model, sources.zoo)
    return open_material(folders, EPOCHS, CONFIG, EmbedConfig(), 0, TrainingConfig())


@pytest.fixture(scope="module")
def decoder(given: Material) -> Decoder:
    return given.decoders["sane"]


@pytest.fixture(scope="module")
def drawn(decoder: Decoder) -> np.ndarray:
    latents = decoder.prompts.latents[PROMPT]
    noise = np.random.default_rng(1).standard_normal(latents.shape)
    return (latents + 0.5 * decoder.generator.scale * noise).astype(np.float32)


def configured(**changes: object) -> RefineConfig:
    return RefineConfig(**{"steps": 5, "learning_rate": 0.1, "images": 32, **changes})


def refined(generator: Generator, drawn: np.ndarray, seed: int = 0, **changes) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return refine(generator, drawn, PROMPT[: len(drawn)], configured(**changes), rng)


def with_labels(generator: Generator, labels: np.ndarray) -> Generator:
    refining = generator.refining
    other = replace(refining, images=replace(refining.images, labels=labels))
    return replace(generator, refining=other)


@pytest.mark.parametrize("target", TARGETS)
def test_answers_come_closer_to_the_target(decoder, drawn, target: str) -> None:
    losses: dict[int, float] = {}
    config = configured(steps=40, target=target, images=200)
    rng = np.random.default_rng(0)
    refine(decoder.generator, drawn, PROMPT, config, rng, lambda s, loss: losses.update({s: loss}))
    assert (losses[39] < losses[0]).all()
    assert losses[39].mean() < 0.95 * losses[0].mean()


def test_refined_networks_are_right_more_often(decoder, drawn) -> None:
    generator = decoder.generator
    latents = refined(generator, drawn, steps=60, target="labels", images=100)
    before, after = (
        generator.select_decoded(z, PROMPT, 4).candidate_accuracy.mean() for z in (drawn, latents)
    )
    assert after > before + 0.1


def test_without_steps_nothing_changes(decoder, drawn) -> None:
    assert np.array_equal(refined(decoder.generator, drawn, steps=0), drawn)
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    refine(decoder.generator, drawn, PROMPT, configured(steps=0), rng)
    assert rng.random() == untouched.random()


def test_without_steps_a_sampler_keeps_the_models_that_it_keeps_unrefined(decoder) -> None:
    plain, none = (
        sample(
            decoder.generator,
            decoder.prompts,
            Sampler("model", 0.3, 2, refine=way),
            6,
            2,
            np.random.default_rng(3),
        )
        for way in (None, configured(steps=0))
    )
    assert np.array_equal(plain.latents, none.latents)


def test_encoder_and_decoder_stay_bit_for_bit(decoder, drawn) -> None:
    model = decoder.generator.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    latents = refined(decoder.generator, drawn)
    assert not np.array_equal(latents, drawn)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("target", TARGETS)
def test_labels_are_read_with_labels_alone(decoder, drawn, target: str) -> None:
    generator = decoder.generator
    permuted = np.random.default_rng(0).permutation(generator.refining.images.labels)
    other = with_labels(generator, permuted)
    first, second = (refined(g, drawn, target=target) for g in (generator, other))
    assert np.array_equal(first, second) == (target != "labels")


def test_equal_seeds_give_equal_latents(decoder, drawn) -> None:
    first, again, other = (refined(decoder.generator, drawn, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_becomes_of_one_candidate_does_not_depend_on_the_others(decoder, drawn) -> None:
    together = refined(decoder.generator, drawn, pull=0.1)
    alone = refined(decoder.generator, drawn[:1], pull=0.1)
    moved = np.abs(together[0] - drawn[0]).max()
    assert np.abs(together[0] - alone[0]).max() < 0.05 * moved


def test_candidates_that_do_not_fit_together_are_refined_in_parts(
    decoder, drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = refined(decoder.generator, drawn)
    monkeypatch.setattr("sane_core.generation.refine.AT_ONCE", 1)
    assert networks_at_once(decoder.generator, 32) == 1
    apart = refined(decoder.generator, drawn)
    assert np.abs(together - apart).max() < 0.05 * np.abs(together - drawn).max()


def test_a_pull_keeps_latents_near_the_drawn_ones(decoder, drawn) -> None:
    free, held = (
        np.abs(refined(decoder.generator, drawn, steps=30, pull=pull) - drawn).mean()
        for pull in (0.0, 100.0)
    )
    assert held < 0.5 * free


def test_a_candidate_that_steps_lead_astray_stays_where_it_was_drawn(
    decoder, drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    downhill = torch.autograd.grad
    everything = {"images": 200, "target": "labels", "steps": 10}
    near = refined(decoder.generator, drawn, **everything)
    assert not (near == drawn).all((1, 2)).any()
    monkeypatch.setattr(torch.autograd, "grad", lambda loss, at: (-downhill(loss, at)[0],))
    assert np.array_equal(refined(decoder.generator, drawn, **everything), drawn)


def test_a_dimension_that_never_varies_stays(decoder, drawn) -> None:
    scale = decoder.generator.scale.copy()
    scale[2] = 0.0
    moved = refined(replace(decoder.generator, scale=scale), drawn) - drawn
    assert (moved[..., 2] == 0).all()
    assert np.abs(np.delete(moved, 2, axis=2)).max() > 0


def test_a_candidate_that_is_not_finite_does_not_touch_the_others(decoder, drawn) -> None:
    broken = drawn.copy()
    broken[1] = np.nan
    latents = refined(decoder.generator, broken)
    assert np.isfinite(latents[[0, 2, 3]]).all()
    assert not np.array_equal(latents[0], drawn[0])


def test_every_step_asks_other_images() -> None:
    wanted = images_of_steps(200, configured(), np.random.default_rng(0))
    assert [len(set(each)) for each in wanted] == [32] * 5
    assert not np.array_equal(wanted[0], wanted[1])
    few = images_of_steps(7, configured(), np.random.default_rng(0))
    assert [sorted(each) for each in few] == [[*range(7)]] * 5


def test_every_round_is_refined_and_keeps_the_first_prompt(decoder) -> None:
    rounds = Sampler("model", 0.3, rounds=2, refine=configured(target="prompts"))
    kept = sample(decoder.generator, decoder.prompts, rounds, 6, 2, np.random.default_rng(0))
    assert len(kept) == 2
    assert set(kept.prompt) <= {0, 1, 2}


def test_samplers_and_sweeps_are_refined(given: Material) -> None:
    refinement = configured(steps=3, target="labels")
    samplers = (
        SamplerConfig(name="plain", distribution="model", spread=0.3, sweep=(0.3,)),
        SamplerConfig(
            name="labels", distribution="model", spread=0.3, sweep=(0.3,), refine=refinement
        ),
    )
    small = {"samplers": samplers, "noise_sizes": (), "interpolations": ()}
    config = CONFIG.model_copy(update=small)
    draws = samplers_of(given.decoders, config, 0)
    plain, other = (draws[name](np.random.default_rng(0)) for name in ("plain", "labels"))
    assert not np.isin(other.latents, plain.latents).all()
    swept = sweep(given.decoders, given.prompts, given.images["test"], given.wrong, config, 0)
    assert [point.sampler for point in swept] == ["plain", "labels"]


def test_fewer_prompts_are_fewer_to_answer_like(decoder) -> None:
    fewer = decoder.only(np.array([1])).generator.refining
    whole = decoder.generator.refining.prompts
    assert all(np.array_equal(values, whole[n][[1]]) for n, values in fewer.prompts.items())


def test_samples_on_no_prompt_have_no_prompt_to_answer_like(decoder, drawn) -> None:
    nowhere = np.array([-1, 0, -1, 1])
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"one prompt each, got 2 of 4 that do not: take .*ensem"):
        refine(decoder.generator, drawn, nowhere, configured(target="prompts"), rng)
    together = refine(decoder.generator, drawn, nowhere, configured(target="ensemble"), rng)
    assert np.isfinite(together).all()


def test_what_there_is_nothing_to_refine_on_is_refused(decoder, drawn) -> None:
    generator = decoder.generator
    with pytest.raises(ValueError, match="refinement needs train images .* got none"):
        refined(replace(generator, refining=None), drawn)
    without = replace(generator, refining=replace(generator.refining, prompts={}))
    with pytest.raises(ValueError, match=r"refine.target ensemble needs prompts.*target: labels"):
        refined(without, drawn)
    assert np.isfinite(refined(without, drawn, target="labels")).all()
    with pytest.raises(ValueError, match=r"shape \[candidates, N, d_z\] and a prompt each, got"):
        refine(generator, drawn, PROMPT[:2], configured(), np.random.default_rng(0))


def test_gauss_needs_no_prompts_to_be_refined_on_labels(decoder) -> None:
    known = decoder.prompts
    none = PromptLatents(known.latents[:0], known.mean, known.scale)
    way = Sampler("gauss", 1.0, refine=configured(target="labels"))
    kept = sample(decoder.generator, none, way, 4, 2, np.random.default_rng(0))
    assert (kept.prompt == -1).all()


def test_a_sampler_that_reads_labels_says_so_in_its_name() -> None:
    reads = RefineConfig(target="labels")
    with pytest.raises(ValueError, match="must have 'labels' in its name.*call it sub_labels"):
        SamplerConfig(name="sub", refine=reads)
    assert SamplerConfig(name="sub_labels", refine=reads)
    assert SamplerConfig(name="sub", refine=RefineConfig())


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"learning_rate": 0.0}, {"images": 0}, {"pull": -1.0}, {"target": "x"}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        configured(**wrong)
