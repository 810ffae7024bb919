"""Datasets are split once, by seed, into parts that share no image; every shape can be had."""

import numpy as np
import pytest

from sane_core.images.dataset import Dataset, check_labels, split
from sane_core.images.digits import read_digits
from sane_core.images.images import PARTS, Images
from sane_core.images.resize import convert, resize, to_grey
from sane_core.seeding import rng_for
from schemas.errors import UserError


def numbered(first: int, count: int) -> Images:
    """Images that can be told apart: their label is their number, their pixels are too."""
    labels = np.arange(first, first + count)
    pixels = np.repeat(labels.astype(np.float64), 4).reshape(-1, 1, 2, 2) / 1000
    return Images(pixels, labels)


@pytest.fixture
def dataset() -> Dataset:
    return Dataset("some", numbered(0, 100), numbered(500, 20), 1000, "CC0")


def test_validation_comes_out_of_the_training_images_and_test_out_of_the_test_images(dataset):
    parts = split(dataset, 0, 70, 10, 5)
    labels = {part: set(parts[part].labels.tolist()) for part in PARTS}
    assert {part: len(labels[part]) for part in PARTS} == {"train": 70, "validation": 10, "test": 5}
    assert labels["train"] | labels["validation"] < set(range(100))
    assert not labels["train"] & labels["validation"]
    assert labels["test"] < set(range(500, 520))
    for part in PARTS:
        assert np.array_equal(parts[part].pixels[:, 0, 0, 0] * 1000, parts[part].labels)


def test_what_is_not_counted_is_the_rest(dataset):
    parts = split(dataset, 0)
    assert {part: len(parts[part]) for part in PARTS} == {"train": 90, "validation": 10, "test": 20}
    whole = Dataset("whole", numbered(0, 100), None, 100, "CC0")
    parts = split(whole, 0)
    assert {part: len(parts[part]) for part in PARTS} == {"train": 70, "validation": 10, "test": 20}
    assert sorted(np.concatenate([parts[part].labels for part in PARTS])) == list(range(100))


def test_the_split_follows_the_seed(dataset):
    first, again, other = (split(dataset, seed, 30, 10, 5) for seed in (0, 0, 1))
    for part in PARTS:
        assert np.array_equal(first[part].labels, again[part].labels)
        assert not np.array_equal(first[part].labels, other[part].labels)


def test_more_images_than_there_are_are_refused_by_their_numbers(dataset):
    with pytest.raises(
        ValueError, match=r"^train \+ validation images must be <= 100 for some, got 91 \+ 10$"
    ):
        split(dataset, 0, 91, 10, 20)
    with pytest.raises(ValueError, match="^test images must be <= 20 for some, got 21$"):
        split(dataset, 0, 10, 10, 21)
    digits = Dataset("digits", *read_digits()[:2], 10, "")
    with pytest.raises(
        ValueError,
        match=r"^train \+ validation \+ test images must be <= 1797 for digits, "
        r"got 1000 \+ 298 \+ 500$",
    ):
        split(digits, 0, 1000, 298, 500)


def test_digits_are_drawn_by_one_permutation_and_their_numbers_are_sixteenths():
    from sklearn.datasets import load_digits

    raw = load_digits()
    order = rng_for(3, "images").permutation(1797)
    expected = (raw.images / 16).astype(np.float32)[:, None][order]
    parts = split(Dataset("digits", *read_digits()[:2], 10, ""), 3, 1000, 297, 500)
    joined = np.concatenate([parts[part].numbers() for part in PARTS])
    assert joined.tobytes() == expected.tobytes()
    assert np.array_equal(np.concatenate([parts[part].labels for part in PARTS]), raw.target[order])
    assert parts["train"].pixels.dtype == np.uint8


def test_a_whole_number_of_pixels_is_averaged_and_rounded():
    pixels = np.array([[0, 1, 10, 20], [2, 2, 30, 41]], np.uint8).reshape(1, 1, 2, 4)
    pixels = np.concatenate([pixels, pixels], axis=2)
    assert resize(pixels, 2)[0, 0].tolist() == [[1, 25], [1, 25]]
    assert resize(pixels / 1.0, 2)[0, 0].tolist() == [[1.25, 25.25], [1.25, 25.25]]


def test_other_sizes_are_interpolated_and_keep_what_is_constant(rng):
    constant = np.full((2, 3, 32, 32), 77, np.uint8)
    assert np.array_equal(resize(constant, 28), np.full((2, 3, 28, 28), 77))
    assert np.allclose(resize(constant / 255, 28), 77 / 255)
    noise = rng.integers(0, 256, (4, 1, 32, 32), np.uint8)
    assert abs(resize(noise, 28).mean() - noise.mean()) < 2
    assert resize(noise, 28).std() < noise.std()  # antialiased
    assert resize(noise, 48).shape == (4, 1, 48, 48)


def test_an_image_of_its_size_already_stays_as_it_is(rng):
    noise = rng.integers(0, 256, (2, 1, 8, 8), np.uint8)
    assert resize(noise, 8) is noise


def test_grey_is_the_luma_that_pillow_computes(rng):
    from PIL import Image

    pixels = rng.integers(0, 256, (3, 3, 8, 8), np.uint8)
    expected = [np.asarray(Image.fromarray(p.transpose(1, 2, 0)).convert("L")) for p in pixels]
    assert np.array_equal(to_grey(pixels)[:, 0], expected)
    assert np.abs(to_grey(pixels / 255) - to_grey(pixels) / 255).max() <= 0.51 / 255
    one = pixels[:, :1]
    assert to_grey(one) is one
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        to_grey(pixels[:, :2])


def test_converting_block_by_block_gives_what_one_block_gives(rng, monkeypatch, tmp_path):
    images = Images(rng.integers(0, 256, (25, 3, 32, 32), np.uint8), np.arange(25), 1 / 255)
    order = rng.permutation(25)[:20]
    whole = convert(images, order, size=28, grey=True)
    monkeypatch.setattr("sane_core.images.resize.BLOCK", 7)
    blocks = convert(images, order, size=28, grey=True, scratch=tmp_path)
    assert whole.shape == (1, 28, 28)
    assert np.array_equal(whole.pixels, blocks.pixels)
    assert isinstance(blocks.pixels, np.memmap)
    assert np.array_equal(blocks.labels, order)


def test_labels_out_of_range_are_refused_by_the_name_of_their_file():
    assert check_labels(np.array([1, 10], np.uint8), 10, "y", first=1).tolist() == [0, 9]
    with pytest.raises(UserError, match=r"^y\.bin must hold labels from 1 to 10, got 0"):
        check_labels(np.array([1, 0], np.uint8), 10, "y.bin", first=1)
