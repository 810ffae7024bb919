"""Images are split once, by seed, into parts that share no image."""

import numpy as np
import pytest

from sane_core.zoo.images import PARTS, read_images, split_digits, write_images


def test_the_parts_share_no_image_and_have_the_asked_sizes():
    from sklearn.datasets import load_digits

    parts = split_digits(0, 1000, 297, 500)
    assert [len(parts[part].labels) for part in PARTS] == [1000, 297, 500]
    joined = np.concatenate([parts[part].pixels[:, 0] for part in PARTS])
    available = load_digits().images.astype(np.float32) / 16
    assert sorted(map(bytes, joined)) == sorted(map(bytes, available))


def test_pixels_lie_between_0_and_1_and_labels_between_0_and_9():
    part = split_digits(0, 300, 10, 10)["train"]
    assert part.pixels.shape == (300, 1, 8, 8)
    assert (part.pixels.min(), part.pixels.max()) == (0, 1)
    assert set(part.labels) == set(range(10))


def test_the_split_follows_the_seed():
    first, again, other = (split_digits(seed, 100, 10, 10)["test"] for seed in (0, 0, 1))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_more_images_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"must be <= 1797 for digits, got 1000 \+ 298 \+ 500"):
        split_digits(0, 1000, 298, 500)


def test_written_images_are_read_back(tmp_path):
    parts = split_digits(0, 30, 10, 20)
    write_images(tmp_path / "images.npz", parts)
    found = read_images(tmp_path / "images.npz")
    for part in PARTS:
        assert np.array_equal(found[part].pixels, parts[part].pixels)
        assert np.array_equal(found[part].labels, parts[part].labels)
