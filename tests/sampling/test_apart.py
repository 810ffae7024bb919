"""Validation and test images are told apart by their content."""

import numpy as np
import pytest

from sane_core.images.apart import check_apart, selected_on, shared_with
from sane_core.images.images import Images


def of(pixels: np.ndarray, scale: float = 1.0) -> Images:
    return Images(pixels, np.zeros(len(pixels), np.int64), scale)


def test_an_image_in_both_is_found_whatever_its_label_and_place():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 3, 3), np.uint8)
    test = Images(pixels[[5, 2]], np.array([7, 8]))
    assert shared_with(of(pixels), test).tolist() == [False, False, True, False, False, True]
    with pytest.raises(ValueError, match="but 2 of the 6 validation images of mine are test"):
        check_apart(of(pixels), test, "mine")


def test_images_that_differ_in_one_pixel_are_apart():
    pixels = np.zeros((2, 1, 3, 3))
    other = pixels.copy()
    other[:, 0, 0, 0] = 1e-3
    check_apart(of(pixels), of(other), "mine")
    assert shared_with(of(pixels), of(pixels)).all()


STORED = {
    "bytes": lambda pixels: of(pixels, 1 / 255),
    "float32": lambda pixels: of(pixels.astype(np.float32) / np.float32(255)),
    "float64": lambda pixels: of(pixels / 255),
    "unscaled": lambda pixels: of(pixels.astype(np.float32), 1 / 255),
}


@pytest.mark.parametrize("test", STORED)
@pytest.mark.parametrize("validation", STORED)
def test_an_image_is_found_however_it_is_stored(validation, test):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    brighter = np.clip(levels, 1, None)
    ours = STORED[validation](np.concatenate([brighter, levels]))
    assert shared_with(ours, STORED[test](levels)).tolist() == [False, True]
    with pytest.raises(ValueError, match="but 1 of the 2 validation images of mine are test"):
        check_apart(ours, STORED[test](levels), "mine")


def test_images_of_another_shape_are_other_images():
    pixels = np.zeros((2, 1, 2, 8))
    assert not shared_with(of(pixels), of(pixels.reshape(2, 1, 4, 4))).any()


def test_what_a_publisher_has_put_in_both_parts_is_left_out_and_refused_elsewhere():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 3, 3), np.uint8)
    parts = {"validation": of(pixels), "test": of(pixels[:1])}
    assert len(selected_on(parts, "mnist")) == 5
    with pytest.raises(ValueError, match="but 1 of the 6 validation images of npz:mine are test"):
        selected_on(parts, "npz:mine")
