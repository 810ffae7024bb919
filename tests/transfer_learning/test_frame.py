"""A frame of prompts: statistics and alignment measured from them come back with the sample."""

import numpy as np
import pytest
import torch

from sane_core.generation.transfer_frame import frame_of_prompts, in_frame
from sane_core.weights.standardize import standardize, unstandardize
from sane_core.zoo.population.score import logits, stack
from schemas.config.preprocess import PreprocessConfig
from tests.transfer_learning.made import CNN, RESNET, drawn

CONFIG = PreprocessConfig()


def answers(architecture, weights, pixels):
    return logits(architecture, stack(architecture, weights), pixels).numpy()


@pytest.fixture(scope="module", params=[CNN, RESNET], ids=["cnn", "resnet"])
def prompts(request):
    architecture = request.param
    weights = drawn(architecture, 4)
    return architecture, weights, frame_of_prompts(architecture, weights, 2, CONFIG, 0)


def test_prompts_come_back_bit_for_bit_in_their_own_order(prompts):
    _, weights, frame = prompts
    aligned = frame.into(weights)
    assert any(not np.array_equal(aligned[name], weights[name]) for name in weights)
    back = frame.back(aligned, np.arange(4))
    for name, values in weights.items():
        np.testing.assert_array_equal(back[name], values)


def test_alignment_to_the_best_prompt_keeps_what_prompts_compute(prompts):
    architecture, weights, frame = prompts
    pixels = torch.rand(5, *architecture.input_shape, generator=torch.Generator().manual_seed(0))
    wanted = answers(architecture, weights, pixels)
    np.testing.assert_allclose(
        answers(architecture, frame.into(weights), pixels), wanted, rtol=1e-3, atol=1e-3
    )


def test_the_best_prompt_is_the_reference_and_stays_as_it_is(prompts):
    architecture, weights, frame = prompts
    aligned = frame.into(weights)
    for name in architecture.shapes():
        np.testing.assert_array_equal(aligned[name][2], weights[name][2])
        np.testing.assert_array_equal(frame.frame.reference[name], weights[name][2])


def test_statistics_of_the_prompts_bring_them_to_mean_0_and_deviation_1_and_back(prompts):
    _, weights, frame = prompts
    aligned = frame.into(weights)
    standard = standardize(aligned, frame.layers, frame.statistics)
    for layer in frame.layers:
        pooled = np.concatenate([standard[name].ravel() for name in layer.entries])
        assert pooled.mean() == pytest.approx(0, abs=1e-4)
        assert pooled.std() == pytest.approx(1, abs=1e-4)
    for name, values in unstandardize(standard, frame.layers, frame.statistics).items():
        np.testing.assert_allclose(values, aligned[name], rtol=1e-5, atol=1e-6)


def test_statistics_of_other_prompts_do_not_bring_them_back(prompts):
    architecture, weights, frame = prompts
    larger = {name: values * 2 for name, values in weights.items()}
    others = frame_of_prompts(architecture, larger, 2, CONFIG, 0)
    standard = standardize(frame.into(weights), frame.layers, frame.statistics)
    wrong = unstandardize(standard, frame.layers, others.statistics)
    name = frame.layers[0].weight
    assert not np.allclose(wrong[name], frame.into(weights)[name], rtol=1e-2)


def test_one_prompt_is_enough():
    weights = drawn(CNN, 1)
    frame = frame_of_prompts(CNN, weights, 0, CONFIG, 0)
    for name, values in frame.into(weights).items():
        np.testing.assert_array_equal(values, weights[name])
    assert np.isfinite(frame.statistics.scale).all() and (frame.statistics.scale > 0).all()


def test_a_sample_without_a_prompt_stays_in_the_order_of_the_reference(prompts):
    _, weights, frame = prompts
    aligned = frame.into(weights)
    back = frame.back(aligned, np.array([-1, 1, -1, 3]))
    for name, values in weights.items():
        np.testing.assert_array_equal(back[name][[0, 2]], aligned[name][[0, 2]])
        np.testing.assert_array_equal(back[name][[1, 3]], values[[1, 3]])


def test_unequal_prompts_are_refused():
    weights = drawn(CNN, 3)
    fewer = weights | {"module_list.3.weight": weights["module_list.3.weight"][:2]}
    with pytest.raises(ValueError, match=r"module_list.3.weight must have shape \(3, 6, 8, 3, 3\)"):
        frame_of_prompts(CNN, fewer, 0, CONFIG, 0)
    with pytest.raises(ValueError, match="prompts must all be of resnet18.*got None"):
        frame_of_prompts(RESNET, weights, 0, CONFIG, 0)


def test_a_zoos_frame_takes_its_own_architecture_alone():
    weights = drawn(CNN, 2)
    own = frame_of_prompts(CNN, drawn(CNN, 3, seed=1), 0, CONFIG, 0)
    taken = in_frame(own.frame, own.layers, own.statistics, CNN, weights)
    assert taken.statistics is own.statistics
    with pytest.raises(ValueError, match="must be of the zoo's architecture.*frame: prompts"):
        in_frame(own.frame, own.layers, own.statistics, RESNET, drawn(RESNET, 2))
