"""Images become network input exactly, and survive the way to disk and back."""

import numpy as np
import pytest

from sane_core.images.files import read_facts, read_images, write_images
from sane_core.images.images import PARTS, Images
from sane_core.images.normalize import measure
from sane_core.images.scratch import make_room
from schemas.errors import UserError


def some(rng, count=5, shape=(3, 4, 6), **scaling) -> Images:
    pixels = rng.integers(0, 256, (count, *shape), np.uint8)
    return Images(pixels, np.arange(count), **{"scale": 1 / 255, **scaling})


def test_numbers_are_scaled_and_normalized_with_one_rounding(rng):
    images = some(rng, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    mean, std = (np.array(v)[:, None, None] for v in (images.mean, images.std))
    expected = ((images.pixels.astype(float) * images.scale - mean) / std).astype(np.float32)
    assert np.array_equal(images.numbers(), expected)
    assert images.numbers().dtype == np.float32


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numbers_of_fractions_are_computed_like_those_of_bytes(rng, kind):
    pixels = rng.random((3, 2, 4, 4)).astype(kind)
    images = Images(pixels, np.zeros(3, np.int64), mean=(0.5, 0.5), std=(2.0, 4.0))
    expected = (pixels.astype(float) - 0.5) / np.array([2.0, 4.0])[:, None, None]
    assert np.array_equal(images.numbers(), expected.astype(np.float32))


def test_numbers_of_chosen_images_are_a_part_of_all_numbers(rng):
    images = some(rng)
    index = np.array([4, 0, 0])
    assert np.array_equal(images.numbers(index), images.numbers()[index])
    assert np.array_equal(images.take(index).numbers(), images.numbers()[index])
    assert images.take(slice(1, 3)).labels.tolist() == [1, 2]


def test_an_image_knows_its_shape_and_number(rng):
    assert (len(some(rng)), some(rng).shape) == (5, (3, 4, 6))


@pytest.mark.parametrize(
    ("pixels", "labels", "scaling", "message"),
    [
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int64), {}, r"pixels must be uint8.*got"),
        (np.zeros((2, 1, 3, 3), np.int32), np.zeros(2, np.int64), {}, "got int32"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros(3, np.int64), {}, r"labels must be int64 \[2"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros(2, np.int64), {"mean": (0, 0)}, "mean must"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros(2, np.int64), {"std": (0,)}, "std must be > 0"),
    ],
)
def test_what_are_no_images_is_refused(pixels, labels, scaling, message):
    with pytest.raises(ValueError, match=message):
        Images(pixels, labels, **scaling)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_written_images_are_read_back_exactly_as_memory_maps(tmp_path, rng, kind):
    scaling = {"scale": 1 / 3 / 255, "mean": (0.1, 1 / 3, 0.7), "std": (0.1, 0.2, 0.3)}
    parts = {
        name: Images(
            rng.integers(0, 256, (count, 3, 5, 4)).astype(kind),
            rng.integers(0, 7, count),
            **scaling,
        )
        for name, count in zip(PARTS, (7, 0, 3), strict=True)
    }
    write_images(tmp_path, parts, "mine", 7, "CC0")
    found = read_images(tmp_path)
    for name in PARTS:
        assert np.array_equal(found[name].pixels, parts[name].pixels)
        assert found[name].pixels.dtype == kind
        assert np.array_equal(found[name].labels, parts[name].labels)
        assert (found[name].scale, found[name].mean, found[name].std) == tuple(scaling.values())
    assert isinstance(found["train"].pixels, np.memmap)
    assert not found["train"].pixels.flags.writeable
    facts = read_facts(tmp_path)
    assert (facts.dataset, facts.classes, facts.licence) == ("mine", 7, "CC0")
    assert facts.parts == {"train": 7, "validation": 0, "test": 3}


def test_equal_images_are_written_as_equal_files(tmp_path, rng):
    parts = {name: some(rng) for name in PARTS}
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_images(tmp_path / folder, parts)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_many_blocks_are_written_like_one(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("sane_core.images.files.BLOCK_BYTES", 100)
    parts = {name: some(rng, 11) for name in PARTS}
    write_images(tmp_path, parts)
    assert np.array_equal(read_images(tmp_path)["test"].pixels, parts["test"].pixels)
    assert np.array_equal(np.load(tmp_path / "test_labels.npy"), np.arange(11))


def test_parts_that_are_missing_or_scaled_differently_are_not_written(tmp_path, rng):
    with pytest.raises(ValueError, match="parts must be train, validation, test, got train"):
        write_images(tmp_path, {"train": some(rng)})
    parts = {name: some(rng) for name in PARTS} | {"test": some(rng, scale=1.0)}
    with pytest.raises(ValueError, match="must be the same in all parts"):
        write_images(tmp_path, parts)


def test_damaged_folders_are_refused_by_a_sentence_that_names_the_file(tmp_path, rng):
    with pytest.raises(UserError, match=r"images\.json must describe"):
        read_images(tmp_path)
    write_images(tmp_path, {name: some(rng) for name in PARTS})
    labels = tmp_path / "test_labels.npy"
    np.save(labels, np.arange(4))
    with pytest.raises(UserError, match="must hold 5 test images and labels, got 5 and 4"):
        read_images(tmp_path)
    np.save(labels, np.array([object()]), allow_pickle=True)
    with pytest.raises(UserError, match=r"test_labels\.npy must be an array"):
        read_images(tmp_path)
    (tmp_path / "train_pixels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"train_pixels\.npy must be an array"):
        read_images(tmp_path)


def test_measured_numbers_are_those_of_the_pixels(rng):
    images = some(rng, 50)
    mean, std = measure(images)
    scaled = images.pixels / 255
    assert np.allclose(mean, scaled.mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(std, scaled.std((0, 2, 3)), rtol=1e-12)
    fractions = Images(scaled, images.labels)
    assert np.allclose(measure(fractions), (mean, std))


def test_a_channel_that_never_changes_is_divided_by_one():
    assert measure(Images(np.full((3, 1, 2, 2), 7, np.uint8), np.zeros(3, np.int64))) == (
        (7.0,),
        (1.0,),
    )


def test_room_on_disk_has_no_name_and_is_taken_at_once(tmp_path):
    room = make_room((3, 4), np.uint8, tmp_path)
    room[:] = 7
    assert isinstance(room, np.memmap)
    assert room.sum() == 84
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="space|large"):
        make_room((2**40, 2**19), np.uint8, tmp_path)
    assert not isinstance(make_room((0, 4), np.uint8, tmp_path), np.memmap)
