"""What cannot be sampled is refused in one sentence that says what to do."""

import re

import numpy as np
import pytest
import torch

from sane_core.images.images import Images
from schemas.config.images import ImagesConfig
from tests.api.stages import MLP, RESNET, network
from tests.sampling.conftest import CNN, SHAPES, images, parts

DEEPER = "resnet34[size=8,width=2]"
LITTLE = {"candidates": 3, "n": 2}


def refused(sane, message: str, **given) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        sane.sample(**LITTLE | given)
    assert "\n" not in str(raised.value)


def test_prompts_of_unequal_architecture(sane):
    prompts = [network(MLP, 2), network(CNN, 2)]
    refused(
        sane,
        r"prompts must be of one architecture, got models\[0\] of mlp\[size=4\] and models\[1\] of "
        "digits-cnn",
        prompts=prompts,
        data=parts(MLP),
    )


@pytest.mark.parametrize("name", [DEEPER, CNN])
def test_prompts_of_another_architecture_than_the_one_asked_for(sane, name):
    message = rf"of the architecture that is sampled, {re.escape(name)}, got models\[0\], which is "
    message += r"not \(missing: .*\): train one or a few .*, or run the experiment transfer with"
    refused(sane, message, architecture=name, prompts=[network(RESNET, 2)], data=parts(RESNET))


@pytest.mark.parametrize("method", ["sub", "boot", "kde30"])
def test_an_architecture_without_prompts_but_by_gauss(sane, method):
    message = f"method {method} draws around prompts, got none; .* method 'gauss'"
    refused(sane, message, architecture=MLP, data=parts(MLP), method=method)


def test_gauss_where_moments_of_training_are_not_known(sane):
    message = r"does not hold those of zoo mlps; measure them \(`sane model latents`\), or give"
    refused(sane, message, architecture=MLP, data=parts(MLP), method="gauss")


def test_gauss_without_a_zoo_named(sane):
    named = r"architecture \(or zoo\) must name one zoo of this SANE, mlps .*, got"
    refused(sane, f"{named} none named", method="gauss")
    refused(sane, f"{named} cnn;", architecture="cnn", method="gauss")
    refused(sane, "zoo must be|must name one zoo", zoo="other", method="gauss")


def test_gauss_of_networks_whose_batch_norms_no_token_holds(sane):
    known = sane.with_latents([network(RESNET, 2)])
    data = parts(RESNET)
    message = "entry .* is in no token and no prompt has it; give prompts, or cut it into tokens"
    refused(known, message, architecture=RESNET, data=data, method="gauss")


def test_images_of_another_size(sane):
    message = r"images of shape \[1, 4, 4\] for mlp\[size=4\], got \[1, 8, 8\]; resize them"
    refused(sane, message, prompts=[network(MLP, 2)], data=parts(CNN))


def test_data_with_more_classes(sane):
    data = images(MLP, 40, 0)
    more = Images(data.pixels, data.labels + 1, data.scale)
    message = r"data must have the 10 classes of mlp\[size=4\], got 11; take networks trained on"
    refused(sane, message, prompts=[network(MLP, 2)], data=more)


def test_a_dataset_with_fewer_classes(sane, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 4, 4), np.uint8)
    np.savez(tmp_path / "few.npz", pixels=pixels, labels=np.arange(40) % 3)
    config = ImagesConfig(dataset=f"npz:{tmp_path / 'few.npz'}")
    refused(sane, "must have the 10 classes of .*, got 3;", prompts=[network(MLP, 2)], data=config)


def test_networks_beyond_the_tables_of_positions(sane):
    large = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 1000))
    message = "Sequential in tokens of 24 weights is too large for this SANE: position n must be <"
    large.input_shape = (1, 4, 4)
    refused(sane, message, prompts=[large])


def test_prompts_that_are_not_finite(sane):
    state = network(MLP, 2)
    next(iter(state.values()))[0] = float("nan")
    refused(sane, "weights must be finite in float32, got nan in", prompts=state, data=parts(MLP))
    large = {name: value * 1e30 for name, value in network(MLP, 2).items()}
    refused(
        sane, "prompts must give finite answers on data, got 1 of 1", prompts=large, data=parts(MLP)
    )


def test_samples_that_are_all_not_finite(sane, monkeypatch):
    def broken(self, latents):
        return {
            name: np.full((len(latents), *shape), np.nan, np.float32)
            for name, shape in self.architecture.shapes().items()
        }

    monkeypatch.setattr("sane_core.generation.generator.Generator.decode", broken)
    refused(sane, "at least one of 3 candidates", prompts=[network(MLP, 2)], data=parts(MLP))
    refused(sane, "at least one of 2 samples must be finite", prompts=[network(MLP, 2)])


def test_validation_images_that_are_test_images(sane):
    data = parts(MLP)
    pixels = data["validation"].pixels.copy()
    pixels[3] = data["test"].pixels[7]
    shared = Images(pixels, data["validation"].labels, 1 / 255)
    message = "1 of the 40 validation images of the images given are test images; take them out"
    refused(sane, message, prompts=[network(MLP, 2)], data=data | {"validation": shared})


def test_validation_images_of_a_file_that_are_test_images(sane, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
    arrays = {"pixels": pixels, "labels": np.arange(40) % 10}
    again = {"test_pixels": pixels, "test_labels": arrays["labels"]}
    np.savez(tmp_path / "own.npz", **arrays, **again)
    config = ImagesConfig(dataset=f"npz:{tmp_path / 'own.npz'}")
    refused(sane, "of the 4 validation images of", prompts=[network(MLP, 2)], data=config)


def test_data_that_is_none(sane):
    nothing = Images(np.empty((0, *SHAPES[MLP]), np.uint8), np.empty(0, np.int64))
    prompts = [network(MLP, 2)]
    refused(
        sane, "must hold train images, the images given has none", prompts=prompts, data=nothing
    )
    refused(sane, "data must be images, .* got validation", prompts=prompts, data={"validation": 1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "boot"}, "method boot must have validation images .* got no data"),
        ({"method": "kde30"}, "method kde30 must have validation images"),
        ({"bandwidth": "validation"}, "bandwidth 'validation' must have validation images"),
        ({"baselines": True}, "baselines must have validation images"),
    ],
)
def test_what_selects_without_data(sane, given, message):
    refused(sane, message, prompts=[network(MLP, 2)], **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 4}, r"n must be <= candidates \(3\), got 4"),
        ({"n": 0}, "n must be greater than or equal to 1, got 0"),
        ({"bandwidth": 0}, "bandwidth must be finite and > 0, got 0"),
        ({"method": "flow"}, "method must be 'sub', 'boot', 'gauss' or 'kde30', got 'flow'"),
        ({"bandwidth": "scott"}, "Scott's rule needs at least 2 prompts, got 1"),
        ({"bandwidth": "scott", "method": "gauss"}, "bandwidth must be a number for method gauss"),
    ],
)
def test_numbers_that_are_out_of_range(sane, given, message):
    refused(sane, message, prompts=[network(MLP, 2)], data=parts(MLP), **given)
