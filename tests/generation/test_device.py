"""Networks run where the autoencoder is: all of them, all the time."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sane_core.generation import candidates, generator
from sane_core.generation.candidates import joined
from sane_core.generation.finetune import AT_ONCE, finetune, models_at_once
from sane_core.generation.sample import Sampler, sample
from sane_core.generation.zoo import generate_from_zoo
from sane_core.zoo.population import memory
from tests.generation.devices import watch
from tests.generation.resnets import (
    ARCHITECTURE,
    CONFIG,
    EMBED,
    EPOCHS,
    RECIPE,
    noise_images,
)

EVERYTHING = CONFIG.model_copy(
    update={
        "finetune_epochs": (1,),
        "finetune_models": 1,
        "noise_sizes": (0.1,),
        "interpolations": (0.2,),
        "prompt_counts": (1,),
    }
)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_generation_runs_every_network_on_the_device_of_the_generator(
    sources, tmp_path, monkeypatch
):
    called = watch(monkeypatch)
    generate_from_zoo(sources, RECIPE, EPOCHS, EVERYTHING, EMBED, 0, tmp_path)
    assert {*called} == {"score", "answers_of", "condition", "train"}


def test_a_call_that_does_not_say_where_is_noticed(given, monkeypatch):
    watch(monkeypatch)
    with pytest.raises(AssertionError, match="score must run on cpu:0, got None"):
        candidates.score(ARCHITECTURE, given.prompts.weights, given.images["test"])
    with pytest.raises(AssertionError, match="condition must run on cpu:0, got cpu"):
        generator.condition(ARCHITECTURE, {}, given.generator.conditioning, device="cpu")


def moved(known, device):
    return replace(known, model=copy.deepcopy(known.model).to(device))


def test_a_generator_is_where_its_autoencoder_is(given):
    assert given.generator.device == given.trained.device
    assert moved(given.generator, "meta").device == "meta"


def test_networks_pass_in_parts_as_they_do_at_once(given, monkeypatch):
    latents, prompt = given.decoders["sane"].prompts.latents, np.arange(3)

    def made():
        whole = given.generator.reconstruct(latents, prompt)
        return given.generator.encode(given.prompts.weights), whole

    at_once = made()
    monkeypatch.setattr(generator, "AT_ONCE", 2 * ARCHITECTURE.parameter_count())
    assert [*given.generator.parts(3)] == [slice(0, 2), slice(2, 3)]
    in_parts = made()
    np.testing.assert_allclose(in_parts[0], at_once[0], atol=1e-6)
    assert in_parts[1].keys() == at_once[1].keys()
    for name, values in at_once[1].items():
        assert in_parts[1][name].dtype == values.dtype
        np.testing.assert_allclose(in_parts[1][name], values, atol=1e-5)


def test_parts_are_joined_in_their_order():
    whole = {"a": np.arange(10.0).reshape(5, 2), "b": np.arange(5)}
    parts = ({name: v[cut] for name, v in whole.items()} for cut in (slice(2), slice(2, 5)))
    for name, values in joined(parts, 5).items():
        np.testing.assert_array_equal(values, whole[name])
        assert values.dtype == whole[name].dtype
    assert joined([whole], 5) is whole


def test_a_gpu_trains_as_many_as_it_can_hold_and_a_cpu_always_as_many(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 2**40)
    assert models_at_once(ARCHITECTURE, RECIPE, 0, "cuda:1") == AT_ONCE
    monkeypatch.setattr(memory, "free_bytes", lambda _: 2**25)
    assert 1 < models_at_once(ARCHITECTURE, RECIPE, 0, "cuda:1") < AT_ONCE
    assert models_at_once(ARCHITECTURE, RECIPE, 0, "cpu") == AT_ONCE


def drawn_on(device, given):
    """Samples around the prompts, and the accuracy of the prompts after an epoch of training."""
    there = moved(given.generator, device)
    rng = np.random.default_rng(0)
    samples = sample(there, given.decoders["sane"].prompts, Sampler(), 20, 5, rng)
    tuned = finetune(
        ARCHITECTURE,
        {"prompts": given.prompts.weights},
        noise_images(ARCHITECTURE.input_shape),
        RECIPE,
        epochs=[1],
        seed=0,
        chunk=AT_ONCE,
        device=there.device,
    )
    return samples, tuned["prompts"].accuracy


@GPU
def test_a_gpu_keeps_the_candidates_that_a_cpu_keeps(given):
    (ours, tuned), (theirs, known) = (drawn_on(device, given) for device in ("cuda", "cpu"))
    np.testing.assert_array_equal(ours.latents, theirs.latents)
    np.testing.assert_allclose(ours.validation_accuracy, theirs.validation_accuracy, atol=1e-9)
    np.testing.assert_allclose(ours.validation_loss, theirs.validation_loss, rtol=1e-3)
    for name, values in theirs.weights.items():
        assert isinstance(ours.weights[name], np.ndarray)
        np.testing.assert_allclose(ours.weights[name], values, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(tuned[0], known[0])
    np.testing.assert_allclose(tuned[1], known[1], atol=0.1)
