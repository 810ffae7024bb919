"""Batch-norm conditioning: statistics as PyTorch itself would measure them, weights untouched."""

import numpy as np
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.generation.batch_norm import Conditioning, condition, has_running_statistics
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.training import TrainingConfig

RESNET = architecture_named("resnet18[width=2,size=8]")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (70, 3, 8, 8), np.uint8)
    return Images(pixels, rng.integers(0, 10, 70), scale=1 / 255)


@pytest.fixture(scope="module")
def population():
    members = members_of(TrainingConfig(), range(3), 0)
    started = initialize(RESNET, members, 0)
    generator = torch.Generator().manual_seed(0)
    return {
        name: values + 0.3 * torch.rand(values.shape, generator=generator)
        if values.is_floating_point()
        else values + 7
        for name, values in started.items()
    }


@pytest.mark.parametrize("way", ["patches", "vmap", "loop"])
def test_statistics_are_those_of_a_module_that_averages_cumulatively(population, images, way):
    conditioning = Conditioning(images, batches=3, batch=16, seed=1)
    found = condition(RESNET, population, conditioning, way=way)
    for member in range(3):
        module = RESNET.build()
        module.load_state_dict({name: values[member] for name, values in population.items()})
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None
        module.train()
        with torch.no_grad():
            for chosen in conditioning.chosen():
                module(torch.from_numpy(images.numbers(chosen)))
        for name, values in module.state_dict().items():
            torch.testing.assert_close(found[name][member], values, rtol=2e-4, atol=2e-5)


def test_trained_entries_are_not_touched(population, images):
    found = condition(RESNET, population, Conditioning(images, 2, 16))
    for name in RESNET.shapes():
        assert torch.equal(found[name], population[name])


def test_what_the_statistics_were_before_does_not_matter(population, images):
    moved = {n: v + 5 if n in RESNET.buffers() else v for n, v in population.items()}
    conditioning = Conditioning(images, 2, 16)
    once, again = (condition(RESNET, each, conditioning) for each in (population, moved))
    assert all(torch.equal(once[name], again[name]) for name in once)
    without = {name: population[name] for name in RESNET.shapes()}
    new = condition(RESNET, without, conditioning)
    assert all(torch.equal(once[name], new[name]) for name in once)


def test_other_images_give_other_statistics(population, images):
    one, other = (condition(RESNET, population, Conditioning(images, 2, 16, s)) for s in (0, 1))
    assert not torch.equal(one["bn1.running_mean"], other["bn1.running_mean"])


def test_images_are_flipped_and_cropped_as_in_training(population, images):
    plain, moved = (Conditioning(images, 2, 16, crop=crop) for crop in (0, 2))
    one, other = (each.inputs(torch.device("cpu"), torch.float32) for each in (plain, moved))
    for chosen, straight, cropped in zip(plain.chosen(), one, other, strict=True):
        np.testing.assert_allclose(straight.numpy(), images.numbers(chosen), atol=1e-6)
        assert (cropped == 0).sum() > (straight == 0).sum()
        for before, after in zip(straight, cropped, strict=True):
            shifted = {tuple(part.ravel()) for part in _crops(before.numpy(), 2)}
            assert tuple(after.numpy().ravel()) in shifted
    mirrored = Conditioning(images, 2, 16, flip=True).inputs(torch.device("cpu"), torch.float32)
    pairs = [pair for each in zip(one, mirrored, strict=True) for pair in zip(*each, strict=True)]
    same = [torch.equal(before, after) for before, after in pairs]
    turned = [torch.equal(before, after.flip(2)) for before, after in pairs]
    assert 5 < sum(same) < 27 and sum(same) + sum(turned) == len(pairs)
    found = [condition(RESNET, population, each)["bn1.running_mean"] for each in (plain, moved)]
    assert not torch.equal(*found)


def _crops(image, crop):
    padded = np.pad(image, ((0, 0), (crop, crop), (crop, crop)))
    height, width = image.shape[1:]
    shifts = range(2 * crop + 1)
    return [padded[:, i : i + height, j : j + width] for i in shifts for j in shifts]


def test_networks_without_running_statistics_stay_as_they_are(images):
    plain = architecture_named("digits-cnn")
    assert not has_running_statistics(plain) and has_running_statistics(RESNET)
    start = initialize(plain, members_of(TrainingConfig(), range(2), 0), 0)
    found = condition(plain, start, Conditioning(images, 2, 16))
    assert all(torch.equal(found[name], start[name]) for name in start)


@pytest.mark.parametrize(
    ("batches", "batch", "message"),
    [
        (0, 16, "batches >= 1 of at least 2 images, got 0 of 16"),
        (1, 1, "batches >= 1 of at least 2 images, got 1 of 1"),
        (1, 71, "batches of 71 needs as many images, got 70"),
    ],
)
def test_what_leaves_nothing_to_measure_is_refused(images, batches, batch, message):
    with pytest.raises(ValueError, match=message):
        Conditioning(images, batches, batch)
