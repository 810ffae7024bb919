"""SVHN, STL-10, Tiny ImageNet, arrays and folders are read as they were meant."""

import numpy as np
import pytest

from sane_core.images.arrays import read_npz
from sane_core.images.pixels import decode
from sane_core.images.registry import load_dataset
from sane_core.images.stl10 import read_stl10
from sane_core.images.svhn import read_svhn
from sane_core.images.tiny_imagenet import read_tiny_imagenet
from sane_core.images.tree import read_tree
from schemas.errors import UserError


def save_mat(path, pixels, labels):
    from scipy.io import savemat

    savemat(path, {"X": pixels, "y": labels}, do_compression=True)
    return path


def test_svhn_moves_the_image_axis_and_calls_class_10_zero(tmp_path, rng):
    pixels = rng.integers(0, 256, (32, 32, 3, 4), np.uint8)
    path = save_mat(tmp_path / "train.mat", pixels, np.array([[10], [1], [9], [2]], np.uint8))
    found = read_svhn([path, path])
    assert found.train.labels.tolist() == [0, 1, 9, 2]
    assert np.array_equal(found.train.pixels[2], pixels[:, :, :, 2].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((32, 32, 3, 2), np.uint8), [[1], [11]], "labels from 1 to 10, got 11"),
        (np.zeros((32, 32, 3, 2), np.uint8), [[1]], r"got \[32, 32, 3, 2\] and \[1, 1\]"),
        (np.zeros((28, 28, 1, 2), np.uint8), [[1], [2]], r"must hold X \[32, 32, 3, images\]"),
        (np.zeros((32, 32, 3, 2)), [[1], [2]], "must hold bytes as X, got float64"),
    ],
)
def test_other_matlab_files_are_refused(tmp_path, pixels, labels, message):
    path = save_mat(tmp_path / "train.mat", pixels, np.array(labels, np.uint8))
    with pytest.raises(UserError, match=message):
        read_svhn([path, path])


@pytest.mark.parametrize("cut", [0, 100, 130, -40])
def test_a_damaged_matlab_file_is_told(tmp_path, rng, cut):
    pixels = rng.integers(0, 256, (32, 32, 3, 2), np.uint8)
    path = save_mat(tmp_path / "train.mat", pixels, np.array([[1], [2]], np.uint8))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"train\.mat must"):
        read_svhn([path, path])


@pytest.fixture
def stl10(rng) -> dict[str, bytes]:
    pixels = rng.integers(0, 256, (2, 3, 96, 96), np.uint8)
    data = {"X": pixels.swapaxes(2, 3).tobytes(), "y": bytes([1, 10])}
    files = {f"stl10_binary/{part}_{k}.bin": data[k] for part in ("train", "test") for k in "Xy"}
    return files | {"stl10_binary/unlabeled_X.bin": b"", "pixels": pixels.tobytes()}


@pytest.mark.parametrize("packing", ["folder", "tar.gz"])
def test_stl10_is_stored_column_by_column_and_counts_from_1(tmp_path, pack, stl10, packing):
    pixels = np.frombuffer(stl10.pop("pixels"), np.uint8).reshape(2, 3, 96, 96)
    found = read_stl10([pack[packing](tmp_path / "stl10", stl10)])
    assert np.array_equal(found.train.pixels, pixels)
    assert found.train.labels.tolist() == [0, 9]


def test_damaged_stl10_is_told(tmp_path, pack, stl10):
    files = stl10 | {"stl10_binary/train_X.bin": stl10["stl10_binary/train_X.bin"][:-1]}
    with pytest.raises(UserError, match=r"train_X\.bin must hold 27648 bytes for each of the 2"):
        read_stl10([pack["folder"](tmp_path / "short", files)])
    files = stl10 | {"stl10_binary/test_y.bin": bytes([0, 1])}
    with pytest.raises(UserError, match=r"test_y\.bin must hold labels from 1 to 10, got 0"):
        read_stl10([pack["folder"](tmp_path / "zero", files)])


@pytest.fixture
def tiny(image) -> dict[str, bytes]:
    """Two classes, of which the second's name sorts first; the annotations come last."""
    files = {}
    for place, wnid in enumerate(("n00000002", "n00000001")):
        for number in range(3):
            pixels = np.full((64, 64, 3), 100 * place + 10 * number, np.uint8)
            files[f"tiny/train/{wnid}/images/{wnid}_{number}.JPEG"] = image(pixels, "JPEG")
        files[f"tiny/train/{wnid}/{wnid}_boxes.txt"] = b"boxes"
    files["tiny/val/images/val_0.JPEG"] = image(np.full((64, 64), 200, np.uint8), "JPEG")  # grey
    files["tiny/val/images/val_1.JPEG"] = image(np.full((64, 64, 3), 50, np.uint8), "JPEG")
    files["tiny/val/images/val_2.JPEG"] = image(np.full((64, 64, 3), 60, np.uint8), "JPEG")
    files["tiny/test/images/test_0.JPEG"] = b"not looked at"
    files["tiny/val/val_annotations.txt"] = (
        b"val_0.JPEG\tn00000001\t0\t0\t62\t57\nval_1.JPEG\tn00000002\t0\t0\t1\t1\n"
        b"val_2.JPEG\tn00000009\t0\t0\t1\t1\n"
    )
    return files


@pytest.mark.parametrize("packing", ["folder", "tar", "tar.gz", "zip"])
def test_tiny_imagenet_is_the_same_in_every_packing(tmp_path, pack, tiny, packing):
    found = read_tiny_imagenet([pack[packing](tmp_path / "tiny", tiny)], tmp_path)
    assert found.classes == 2
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.train.pixels[:, 0, 0, 0].tolist() == [100, 110, 120, 0, 10, 20]
    assert found.test is not None
    assert found.test.labels.tolist() == [0, 1]  # the third image's class is not there
    assert found.test.pixels[0].min() == found.test.pixels[0].max() == 200
    assert found.test.shape == (3, 64, 64)


def test_validation_images_may_also_lie_in_folders_by_class(tmp_path, pack, tiny):
    moved = {name: data for name, data in tiny.items() if "/val/" not in name}
    moved["tiny/val/n00000002/images/a.JPEG"] = tiny["tiny/val/images/val_1.JPEG"]
    moved["tiny/val/n00000001/b.JPEG"] = tiny["tiny/val/images/val_0.JPEG"]
    found = read_tiny_imagenet([pack["folder"](tmp_path / "tiny", moved)])
    assert found.test is not None and found.test.labels.tolist() == [0, 1]
    assert found.test.pixels[:, 0, 0, 0].tolist() == [200, 50]


def test_damaged_tiny_imagenet_is_told(tmp_path, pack, tiny, image):
    name = "tiny/train/n00000001/images/n00000001_0.JPEG"
    annotations = "tiny/val/val_annotations.txt"
    wrong = image(np.zeros((32, 64, 3), np.uint8), "JPEG")
    for number, (change, message) in enumerate(
        [
            ({name: wrong}, r"n00000001_0\.JPEG of .* must have 64x64 pixels, got 64x32"),
            ({name: tiny[name][:-200]}, r"n00000001_0\.JPEG of .* must be a JPEG or PNG"),
            ({name: b"GIF89a"}, r"n00000001_0\.JPEG of .* must be a JPEG or PNG"),
            ({annotations: b"val_0.JPEG\tn00000001\n"}, r"and val_1\.JPEG is not there"),
            ({annotations: b"val_0.JPEG\n"}, "must hold lines of file and class"),
        ]
    ):
        source = pack["zip"](tmp_path / str(number), tiny | change)
        with pytest.raises(UserError, match=message):
            read_tiny_imagenet([source])
    source = pack["zip"](tmp_path / "other", {"a.txt": b""})
    with pytest.raises(UserError, match="must hold train/CLASS/images"):
        read_tiny_imagenet([source])


def test_a_file_that_is_there_twice_is_refused(tmp_path, tar, tiny):
    import tarfile

    source = tar(tmp_path / "tiny", tiny)
    with tarfile.open(source, "a") as archive:
        archive.addfile(tarfile.TarInfo("tiny/val/val_annotations.txt"))
    with pytest.raises(UserError, match=r"got 'tiny/val/val_annotations\.txt' twice"):
        read_tiny_imagenet([source])


def test_the_real_part_of_tiny_imagenet_is_read(real):
    dataset = load_dataset("tiny-imagenet", real)
    assert dataset.test is not None
    assert np.bincount(dataset.train.labels).tolist() == [500] * 10
    assert np.bincount(dataset.test.labels).tolist() == [50] * 10
    assert dataset.train.shape == (3, 64, 64)
    grey = (dataset.train.pixels == dataset.train.pixels[:, :1]).all((1, 2, 3)).sum()
    grey += (dataset.test.pixels == dataset.test.pixels[:, :1]).all((1, 2, 3)).sum()
    assert grey >= 27


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(6, 8, 8, 3), (6, 3, 8, 8), (6, 8, 8)])
def test_arrays_are_read_with_channels_first_or_last(tmp_path, rng, kind, shape):
    pixels = rng.integers(0, 2, shape).astype(kind)
    labels = np.array([[0], [1], [2], [0], [1], [2]], np.uint8)
    np.savez_compressed(
        tmp_path / "a.npz", x_train=pixels, y_train=labels, x_test=pixels[:2], y_test=labels[:2]
    )
    found = read_npz(tmp_path / "a.npz")
    expected = pixels.transpose(0, 3, 1, 2) if shape[-1] == 3 else pixels.reshape(6, -1, 8, 8)
    assert np.array_equal(found.train.pixels, expected)
    assert found.classes == 3
    assert found.test is not None and len(found.test) == 2
    assert found.train.scale == (1 / 255 if kind == np.uint8 else 1)


def test_arrays_without_a_test_part_have_no_official_split(tmp_path):
    np.savez(tmp_path / "a.npz", pixels=np.zeros((2, 4, 4), np.uint8), labels=[0, 1])
    assert load_dataset("npz:a.npz", tmp_path).test is None


def test_an_ambiguous_layout_must_be_told(tmp_path):
    arrays = {"pixels": np.zeros((2, 3, 3, 3), np.uint8), "labels": [0, 1]}
    arrays["pixels"][0, 0] = 9
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=r"got \[2, 3, 3, 3\]; add an array `layout`"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **arrays, layout="NCHW")
    assert read_npz(tmp_path / "a.npz").train.pixels[0, 0].min() == 9
    np.savez(tmp_path / "a.npz", **arrays, layout="NHWC")
    assert read_npz(tmp_path / "a.npz").train.pixels[0, :, 0].min() == 9


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": np.zeros((2, 4, 4), np.uint8)}, "must hold x_train and y_train, or pixels"),
        ({"x_train": np.zeros((2, 4, 4), np.uint8)}, "must hold x_train and y_train, or pixels"),
        ({"labels": [0, 1, 2]}, "a label for each of the 2 images of pixels, got 3"),
        ({"labels": [0.5, 1]}, "must be whole numbers"),
        ({"labels": [-1, 1]}, "labels from 0 to 1, got -1"),
        ({"pixels": np.full((2, 4, 4), 1.5)}, r"in \[0, 1\], got float64 from 1.5 to 1.5"),
        ({"pixels": np.full((2, 4, 4), np.nan)}, r"in \[0, 1\], got float64 from nan"),
        ({"pixels": np.zeros((2, 4, 4), np.int64)}, "got int64"),
        ({"pixels": np.zeros((2, 2, 4, 4), np.uint8)}, "must have 1 or 3 channels"),
        ({"pixels": np.zeros((2, 16), np.uint8)}, r"must be \[images, height, width\]"),
        ({"test_pixels": np.zeros((2, 4, 4), np.uint8)}, "must hold test_labels beside"),
        ({"labels": np.array([print, 1], object)}, "must be an .npz of plain arrays"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    whole = {"pixels": np.zeros((2, 4, 4), np.uint8), "labels": [0, 1]}
    chosen = arrays if len(arrays) == 1 and "must hold x_train" in message else whole | arrays
    np.savez(tmp_path / "a.npz", **chosen)
    with pytest.raises(UserError, match=message):
        read_npz(tmp_path / "a.npz")


def test_an_array_that_claims_more_than_it_holds_takes_no_memory(tmp_path, pack):
    import io

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (2**40,)}
    )
    pack["zip"](tmp_path / "a.npz", {"pixels.npy": header.getvalue(), "labels.npy": b""})
    with pytest.raises(UserError, match=r"whose header claims 10995116279"):
        read_npz(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"a\.npz must be an \.npz"):
        read_npz(tmp_path / "a.npz")


@pytest.fixture
def tree(tmp_path, pack, image):
    files = {
        f"{part}/{name}/{number}.{suffix}": image(
            np.full((6, 4, 3), 10 * value + number, np.uint8), kind
        )
        for part in ("train", "test")
        for value, name in enumerate(("cat", "dog"))
        for number, (suffix, kind) in enumerate((("png", "PNG"), ("jpg", "JPEG")))
    }
    return pack["folder"](tmp_path / "tree", files | {"train/cat/readme.txt": b"no image"})


def test_folders_are_classes_in_the_order_of_their_names(tree):
    found = read_tree(tree)
    assert found.train.labels.tolist() == [0, 0, 1, 1]
    assert found.train.shape == (3, 6, 4)
    assert found.train.pixels[::2, 0, 0, 0].tolist() == [0, 10]
    assert found.test is not None and len(found.test) == 4


def test_images_are_grey_where_every_one_is(tmp_path, pack, image):
    grey = image(np.full((4, 4), 9, np.uint8))
    files = {"train/a/1.png": grey, "train/b/1.png": grey}
    found = read_tree(pack["folder"](tmp_path / "tree", files))
    assert found.train.shape == (1, 4, 4)
    assert found.test is None


def test_images_of_several_sizes_need_a_size(tree, image):
    (tree / "train" / "dog" / "9.png").write_bytes(image(np.full((9, 9, 3), 70, np.uint8)))
    with pytest.raises(
        UserError, match=r"one size unless `size` is given, got 4x6 \(0.png\) and 9x9 \(9.png\)"
    ):
        read_tree(tree)
    found = read_tree(tree, size=5)
    assert found.train.shape == (3, 5, 5)
    assert (found.train.pixels[-1] == 70).all()


def test_damaged_folders_are_told(tmp_path, tree, image):
    with pytest.raises(UserError, match="for two classes or more, got 0 classes and 0 images"):
        read_tree(tmp_path)
    (tree / "train" / "dog" / "0.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"dog/0\.png must be a JPEG or PNG image"):
        read_tree(tree)
    (tree / "train" / "dog" / "0.png").unlink()
    (tree / "test" / "cow").mkdir()
    with pytest.raises(UserError, match=r"test/cow must be one of the classes of train \(cat, dog"):
        read_tree(tree)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(image, monkeypatch):
    monkeypatch.setattr("sane_core.images.pixels.MAX_PIXELS", 100)
    with pytest.raises(UserError, match="big.png must be grey or colour .* at most 100 pixels"):
        decode(image(np.zeros((20, 20), np.uint8)), "big.png")
    with pytest.raises(UserError, match="got mode I;16"):
        decode(image(np.zeros((5, 5), np.uint16)), "deep.png")
