"""Flips and crops of many members' batches are those of each image alone."""

import numpy as np
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.images.images import Images
from sane_core.zoo.population.augment import Batches, draw_epoch
from sane_core.zoo.population.train import train
from schemas.config.training import TrainingConfig

CPU = torch.device("cpu")


@pytest.fixture(params=[np.uint8, np.float32, np.float64], ids=["bytes", "float32", "float64"])
def images(request):
    """Images that are not square, each of its own numbers."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, (9, 2, 5, 4)).astype(request.param)
    return Images(pixels, np.arange(9), 1 / 255, (0.5, 0.2), (0.3, 2.0))


def one_by_one(images, chosen, flips, shifts, flip, crop):
    """Augment every image by itself: border, crop, mirror, numbers."""
    out = np.empty((*chosen.shape, *images.shape))
    height, width = images.shape[1:]
    for place in np.ndindex(*chosen.shape):
        bordered = np.pad(images.pixels[chosen[place]], ((0, 0), (crop, crop), (crop, crop)))
        row, column = shifts[place] if crop else (0, 0)
        image = bordered[:, row : row + height, column : column + width].astype(np.float64)
        image = image[:, :, ::-1] if flip and flips[place] else image
        mean, std = (np.reshape(v or d, (-1, 1, 1)) for v, d in ((images.mean, 0), (images.std, 1)))
        out[place] = (image * images.scale - mean) / std
    return out


def drawn(crop, members=3, batch=7):
    rng = np.random.default_rng(1)
    chosen = np.stack([rng.permutation(9)[:batch] for _ in range(members)])
    flips = rng.random((members, batch)) < 0.5
    return chosen, flips, rng.integers(0, 2 * crop + 1, (members, batch, 2))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [0, 1, 3])
def test_a_batch_is_what_each_image_alone_becomes(images, flip, crop):
    draws = drawn(crop)
    batches = Batches(images, CPU, torch.float64, flip, crop)
    pixels, labels = batches.take(*map(torch.from_numpy, draws))
    np.testing.assert_allclose(pixels, one_by_one(images, *draws, flip, crop), atol=1e-12)
    assert np.array_equal(labels, images.labels[draws[0]])


def test_crops_without_a_border_keep_the_image(images):
    chosen, flips, shifts = map(torch.from_numpy, drawn(0))
    plain = Batches(images, CPU, torch.float64, flip=False, crop=0)
    kept, _ = plain.take(chosen, flips, shifts)
    np.testing.assert_allclose(kept, plain.numbers(torch.from_numpy(images.pixels)[chosen]))


def test_mirroring_twice_keeps_the_image_and_once_does_not(images):
    chosen, _, shifts = map(torch.from_numpy, drawn(0))
    batches = Batches(images, CPU, torch.float64, flip=True, crop=0)
    flipped, _ = batches.take(chosen, torch.ones_like(chosen, dtype=torch.bool), shifts)
    plain, _ = batches.take(chosen, torch.zeros_like(chosen, dtype=torch.bool), shifts)
    assert torch.equal(flipped.flip(-1), plain)
    assert not torch.equal(flipped, plain)


@pytest.mark.parametrize("mean", [(), (0.5, 0.2)])
@pytest.mark.parametrize("std", [(), (0.3, 2.0)])
def test_numbers_are_those_that_images_give(mean, std):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 3), np.uint8)
    images = Images(pixels, np.zeros(6, np.int64), 1 / 255, mean, std)
    batches = Batches(images, CPU, torch.float32, flip=False, crop=0)
    np.testing.assert_allclose(batches.numbers(batches.pixels), images.numbers(), atol=1e-6)


def test_numbers_are_rounded_to_bfloat16_once():
    pixels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    images = Images(pixels, np.zeros(256, np.int64), 1 / 255, (0.1307,), (0.3081,))
    batches = Batches(images, CPU, torch.bfloat16, flip=False, crop=0)
    expected = torch.from_numpy(images.numbers()).bfloat16()
    assert torch.equal(batches.numbers(batches.pixels), expected)


def test_read_only_images_stay_as_they_are(images):
    images.pixels.setflags(write=False)
    batches = Batches(images, CPU, torch.float64, flip=True, crop=1)
    batches.pixels.zero_()
    assert images.pixels.min() >= 1


def test_an_epoch_is_drawn_from_seed_run_and_epoch_alone():
    first = draw_epoch(50, 3, 4, 1, crop=2)
    for other in (
        draw_epoch(50, 3, 4, 2, 2),
        draw_epoch(50, 3, 5, 1, 2),
        draw_epoch(50, 4, 4, 1, 2),
    ):
        assert not torch.equal(other.order, first.order)
        assert not torch.equal(other.flips, first.flips)
        assert not torch.equal(other.shifts, first.shifts)
    again = draw_epoch(50, 3, 4, 1, crop=1)
    assert torch.equal(again.order, first.order)
    assert torch.equal(again.flips, first.flips)


def test_every_image_is_seen_once_and_half_are_mirrored_and_every_shift_is_drawn():
    draws = draw_epoch(2000, 3, 4, 1, crop=2)
    assert torch.equal(draws.order.sort().values, torch.arange(2000))
    assert draws.flips.double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert {tuple(shift) for shift in draws.shifts.tolist()} == {
        (row, column) for row in range(5) for column in range(5)
    }


def test_nothing_is_augmented_unless_the_recipe_says_so(make_member, make_images, in_float64):
    architecture = architecture_named("mlp[classes=4,size=4,hidden=5]")
    members, images = [make_member(0)], make_images(architecture, 12)
    start = in_float64(architecture, members)

    def trained(**recipe):
        config = TrainingConfig(batch=5, epochs=1, **recipe)
        return train(architecture, start, images, members, config, 3)["module_list.1.weight"]

    assert torch.equal(trained(), trained(flip=False, crop=0))
    assert not torch.equal(trained(), trained(flip=True))
    assert not torch.equal(trained(), trained(crop=1))
