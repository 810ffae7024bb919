"""idx files are read exactly, and no header is believed beyond what its file can hold."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from sane_core.images.idx import read_idx, read_idx_pairs
from sane_core.images.registry import load_dataset
from schemas.errors import UserError


@pytest.fixture
def pixels(rng) -> np.ndarray:
    return rng.integers(0, 256, (5, 4, 3), np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_values_are_read_back(tmp_path, idx, pixels, packed):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx(pixels)) if packed else idx(pixels))
    assert np.array_equal(read_idx(path, 3), pixels)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "must hold the 60 bytes that its header claims, (got 59|but)"),
        (lambda data: data + b"x", "must hold the 60 bytes that its header claims, got more"),
        (lambda data: b"\0\0\x0d" + data[3:], r"must begin with the idx header 00000803"),
        (lambda data: data[:7], "must begin with the idx header"),
        (lambda data: b"", "must begin with the idx header 00000803 and 3 sizes, got nothing"),
    ],
)
def test_damage_is_told_by_the_name_of_the_file(tmp_path, idx, pixels, packed, change, message):
    path = tmp_path / "train-images"
    data = change(idx(pixels))
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(UserError, match=f"train-images {message}"):
        read_idx(path, 3)


@pytest.mark.parametrize("cut", [5, 30, -4])
def test_a_truncated_gzip_is_told(tmp_path, idx, pixels, cut):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(pixels))[:cut])
    with pytest.raises(UserError, match=r"images\.gz cannot be read"):
        read_idx(path, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_much_takes_no_memory(tmp_path, packed):
    data = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**16, 2**16) + bytes(100)
    path = tmp_path / "huge"
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="its header claims, but a file of its length holds"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_no_more_is_unpacked_than_the_header_claims(tmp_path, idx, pixels):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(pixels) + bytes(2**26), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="claims, got more"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_images_and_labels_that_do_not_belong_together_are_refused(tmp_path, idx, pixels):
    paths = [tmp_path / name for name in ("train-x", "train-y", "test-x", "test-y")]
    for path in paths[::2]:
        path.write_bytes(idx(pixels))
    for path in paths[1::2]:
        path.write_bytes(idx(np.arange(5, dtype=np.uint8)))
    found = read_idx_pairs(paths, 10)
    assert found.train.shape == (1, 4, 3)
    assert found.test is not None and found.test.labels.tolist() == [0, 1, 2, 3, 4]
    paths[3].write_bytes(idx(np.arange(4, dtype=np.uint8)))
    with pytest.raises(UserError, match="test-y must hold a label for each of the 5 images"):
        read_idx_pairs(paths, 10)
    paths[3].write_bytes(idx(np.full(5, 10, np.uint8)))
    with pytest.raises(UserError, match="test-y must hold labels from 0 to 9, got 10"):
        read_idx_pairs(paths, 10)


def test_a_dataset_of_another_size_is_not_taken_for_the_known_one(tmp_path, idx, pixels):
    (tmp_path / "mnist").mkdir()
    for part in ("train", "t10k"):
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels))
        labels = idx(np.zeros(5, np.uint8))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(UserError, match="mnist must have 60000 train images, got 5"):
        load_dataset("mnist", tmp_path)


def test_mnist_is_the_published_one(real):
    dataset = load_dataset("mnist", real)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.test)) == (60_000, 10_000)
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    scaled = dataset.train.numbers()  # the mean and deviation that everyone normalizes with
    assert abs(scaled.mean() - 0.1307) < 1e-4
    assert abs(scaled.std() - 0.3081) < 1e-4
