"""Images in two parts are found by their content."""

import numpy as np
import pytest

from sane_core.images.images import Images
from sane_core.images.overlap import refuse_overlap, shared_images
from tests.transfer_learning.made import pictures


def test_shared_images_are_found_wherever_they_stand():
    first, second = pictures(9, (1, 4, 4), 0), pictures(7, (1, 4, 4), 1)
    pixels = second.pixels.copy()
    pixels[[5, 2]] = first.pixels[[0, 8]]
    np.testing.assert_array_equal(
        shared_images(first, Images(pixels, second.labels, 1 / 255)), [[0, 5], [8, 2]]
    )


def test_one_pixel_makes_another_image():
    first = pictures(3, (1, 4, 4), 0)
    pixels = first.pixels.copy()
    pixels[:, 0, 0, 0] ^= 1
    refuse_overlap(first, Images(pixels, first.labels, 1 / 255))
    with pytest.raises(ValueError, match=r"got 3 of 3 that are \(validation image 0 is test"):
        refuse_overlap(first, first)


def test_images_of_another_shape_are_other_images():
    assert len(shared_images(pictures(3, (1, 4, 4), 0), pictures(3, (1, 2, 8), 0))) == 0
