"""CIFAR in three packings; hostile pickles do nothing but end in a sentence."""

import gzip
import pickle
import pickletools
import struct

import numpy as np
import pytest

from sane_core.images.cifar_binary import read_cifar_binary
from sane_core.images.cifar_jpeg import read_cifar_jpeg
from sane_core.images.cifar_python import read_cifar_python
from sane_core.images.registry import load_dataset
from sane_core.images.unpickle import unpickle
from schemas.errors import UserError

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


@pytest.fixture
def batches(rng) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Four images and labels for every file of CIFAR-10."""
    return {
        name: (rng.integers(0, 256, (4, 3, 32, 32), np.uint8), rng.integers(0, 10, 4))
        for name in [*TRAIN, "test_batch"]
    }


def binary(batches) -> dict[str, bytes]:
    return {
        f"cifar-10-batches-bin/{name}.bin": b"".join(
            bytes([label]) + pixels.tobytes() for pixels, label in zip(*batch, strict=True)
        )
        for name, batch in batches.items()
    }


def python2(pixels: np.ndarray, labels: list[int], key: bytes = b"labels") -> bytes:
    """Write a batch like the published ones: protocol 2 of Python 2, text as bytes."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    rows = pixels.reshape(len(pixels), -1)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85"
        + text(b"b")
        + b"\x87R(K\x01J%b\x4d\x00\x0c\x86" % struct.pack("<i", len(rows))
        + b"cnumpy\ndtype\nq\x02"
        + text(b"u1")
        + b"K\x00K\x01\x87Rq\x03(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + text(rows.tobytes())
        + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    entries = text(b"data") + array + text(key) + numbers + text(b"batch_label") + text(b"batch 1")
    return b"\x80\x02}(" + entries + b"u."


def python(batches) -> dict[str, bytes]:
    return {
        f"cifar-10-batches-py/{name}": python2(pixels, labels.tolist())
        for name, (pixels, labels) in batches.items()
    }


def check(found, batches) -> None:
    assert np.array_equal(found.train.pixels, np.concatenate([batches[n][0] for n in TRAIN]))
    assert np.array_equal(found.train.labels, np.concatenate([batches[n][1] for n in TRAIN]))
    assert np.array_equal(found.test.pixels, batches["test_batch"][0])
    assert np.array_equal(found.test.labels, batches["test_batch"][1])


@pytest.mark.parametrize("packing", ["folder", "tar", "tar.gz", "zip"])
@pytest.mark.parametrize(
    ("write", "read"), [(binary, read_cifar_binary), (python, read_cifar_python)]
)
def test_every_packing_and_version_gives_the_same_images(
    tmp_path, batches, pack, packing, write, read
):
    check(read([pack[packing](tmp_path / "cifar", write(batches))], 10), batches)


def test_the_fine_labels_of_cifar100_are_read(tmp_path, rng, pack):
    pixels, fine = rng.integers(0, 256, (4, 3, 32, 32), np.uint8), [0, 99, 5, 50]
    record = [
        bytes([19, label]) + image.tobytes() for image, label in zip(pixels, fine, strict=True)
    ]
    files = {f"cifar-100-binary/{part}.bin": b"".join(record) for part in ("train", "test")}
    found = read_cifar_binary([pack["tar.gz"](tmp_path / "binary", files)], 100)
    assert found.train.labels.tolist() == fine
    assert np.array_equal(found.train.pixels, pixels)
    files = dict.fromkeys(
        ("cifar-100-python/train", "cifar-100-python/test"), python2(pixels, fine, b"fine_labels")
    )
    found = read_cifar_python([pack["tar.gz"](tmp_path / "python", files)], 100)
    assert found.train.labels.tolist() == fine
    assert np.array_equal(found.train.pixels, pixels)


def test_damaged_binary_files_are_told_by_their_names(tmp_path, batches, pack):
    files = binary(batches)
    name = "cifar-10-batches-bin/data_batch_3.bin"
    for data, message in (
        (files[name][:-1], r"data_batch_3\.bin must hold whole records of 3073 bytes, got 12291"),
        (b"", r"data_batch_3\.bin must hold whole records"),
        (b"\x0a" + files[name][1:], r"data_batch_3\.bin must hold labels from 0 to 9, got 10"),
    ):
        folder = pack["folder"](tmp_path / "some", files | {name: data})
        with pytest.raises(UserError, match=message):
            read_cifar_binary([folder], 10)
    del files[name]
    with pytest.raises(UserError, match=r"must hold data_batch_3\.bin; get the file again"):
        read_cifar_binary([pack["tar.gz"](tmp_path / "few", files)], 10)


@pytest.mark.parametrize("protocol", range(5))
def test_a_pickle_of_this_python_is_read_up_to_protocol_4(rng, protocol):
    pixels = rng.integers(0, 256, (3, 3072), np.uint8)
    for array in (pixels, np.asfortranarray(pixels)):
        batch = {"data": array, "labels": [1, 2, 3], "filenames": ["a", "b"], "text": b"\xff"}
        found = unpickle(pickle.dumps(batch, protocol), "batch")
        assert isinstance(found, dict)
        assert np.array_equal(found.pop("data"), pixels)
        assert found == {"labels": [1, 2, 3], "filenames": ["a", "b"], "text": b"\xff"}


class Hostile:
    """A pickle of this writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_write_a_file_is_refused_and_writes_none(tmp_path, protocol):
    path = tmp_path / "written"
    data = pickle.dumps({"data": Hostile(path)}, protocol)
    with pytest.raises(UserError, match=r"byte arrays, got the name (io|_io|__builtin__)\.open"):
        unpickle(data, "batch")
    assert not path.exists()
    pickle.loads(data)["data"].close()  # noqa: S301 (where a pickle is run, the same bytes write)
    assert path.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(np.arange(3)), "an array of something else than bytes"),
        (pickle.dumps(np.array([print], object)), "got"),
        (pickle.dumps({1: 2}), "a key of type int"),
        (pickle.dumps({(): 2}), "a key of type tuple"),
        (pickle.dumps(np.dtype("u1")), "a name as a value"),
        (b"cnumpy\nndarray\n.", "a name as a value"),
        (b"cnumpy\nndarray\n)R.", "a call"),
        (b"cos\nsystem\n(S'true'\ntR.", "the name os.system"),
        (b"(ios\nsystem\n.", "the instruction INST"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "the instruction NEWOBJ"),
        (b"\x82\x01.", "the instruction EXT1"),
        (b"Pid\n.", "the instruction PERSID"),
        (b"K\x01K\x02a.", "an append to int"),
        (b"N}b.", "a state for NoneType"),
    ],
)
def test_what_is_no_plain_data_is_refused(data, message):
    with pytest.raises(UserError, match=rf"batch must be a pickle of plain.*{message}"):
        unpickle(data, "batch")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        pickle.dumps({"data": [1, 2, 3]})[:-3],
        b"\x8e" + b"\xff" * 8 + b".",
        b"r\xff\xff\xff\x7f.",
        b"j\x07\x00\x00\x00.",
        b"N.N"[:1] + b"N.",
        b"t.",
        b"\x80\x09garbage",
        gzip.compress(b"nothing", mtime=0),
        b"}q\x00S'itself'\nh\x00s.",
    ],
)
def test_a_damaged_pickle_is_told(data):
    with pytest.raises(UserError, match="^batch must be a (whole )?pickle"):
        unpickle(data, "batch")


def test_every_truncation_and_many_changes_of_a_batch_end_in_a_value_or_a_sentence(rng):
    data = python2(rng.integers(0, 256, (1, 3, 32, 32), np.uint8), [3])
    head = next(at for op, _, at in pickletools.genops(data) if op.name == "BINSTRING" and at > 200)
    for length in range(head):
        with pytest.raises(UserError):
            unpickle(data[:length], "batch")
    for place in rng.integers(0, head, 300):
        changed = bytearray(data)
        changed[place] = rng.integers(256)
        try:
            unpickle(bytes(changed), "batch")
        except UserError as error:
            assert str(error).startswith("batch must be")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1, 2]}, "a label for each of its 3 images, got 2"),
        ({"labels": [1, 2, 10]}, "labels from 0 to 9, got 10"),
        ({"labels": [1, 2, 2**70]}, "labels from 0 to 9, got 10"),
        ({"labels": [1, 2, "3"]}, "must hold labels, a list of whole numbers"),
        ({"labels": None}, "must hold labels, a list"),
        ({"data": np.zeros((3, 3071), np.uint8)}, r"must hold data \[images, 3072\]"),
        ({"data": [1, 2, 3]}, r"must hold data \[images, 3072\]"),
    ],
)
def test_a_batch_of_something_else_is_refused(tmp_path, pack, change, message):
    batch = {"data": np.zeros((3, 3072), np.uint8), "labels": [1, 2, 3]} | change
    files = dict.fromkeys([*TRAIN, "test_batch"], pickle.dumps(batch))
    with pytest.raises(UserError, match=f"data_batch_1 must hold .*{message[10:]}"):
        read_cifar_python([pack["folder"](tmp_path / "some", files)], 10)


def test_a_list_is_no_batch(tmp_path, pack):
    files = dict.fromkeys([*TRAIN, "test_batch"], pickle.dumps([1]))
    with pytest.raises(UserError, match="data_batch_1 must hold data"):
        read_cifar_python([pack["folder"](tmp_path / "some", files)], 10)


@pytest.fixture
def jpegs(rng, image) -> dict[str, np.ndarray]:
    smooth = rng.integers(0, 256, (6, 1, 1, 3), np.uint8) + np.zeros((1, 32, 32, 1), np.uint8)
    files = [np.frombuffer(image(pixels, "JPEG"), np.uint8) for pixels in smooth]
    return {
        "jpeg": np.concatenate(files),
        "offsets": np.cumsum([0, *map(len, files)]),
        "label": np.arange(6, dtype=np.uint8),
        "is_test": np.array([0, 1, 0, 0, 1, 0], bool),
        "smooth": smooth,
    }


def test_jpegs_in_one_file_are_decoded_into_their_parts(tmp_path, jpegs):
    path = tmp_path / "some.npz"
    np.savez(path, **jpegs)
    found = read_cifar_jpeg([path], tmp_path)
    assert found.train.labels.tolist() == [0, 2, 3, 5]
    assert found.test is not None and found.test.labels.tolist() == [1, 4]
    close = np.abs(found.train.pixels[1] - jpegs["smooth"][2].transpose(2, 0, 1).astype(int))
    assert close.max() < 8
    assert isinstance(found.train.pixels, np.memmap)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.full(6, 10)}, "must hold labels from 0 to 9, got 10"),
        ({"label": np.arange(5)}, "must hold jpeg"),
        ({"is_test": np.zeros(6)}, "must hold jpeg"),
        ({"offsets": np.zeros(7)}, "must hold jpeg"),
        ({"offsets": np.array([0, 5, 3, 9, 9, 9, 9])}, "must hold jpeg"),
        ({"jpeg": np.zeros(0, np.uint8), "offsets": np.zeros(7, int)}, "image 0 of .* must be"),
        ({"jpeg": np.array([print], object)}, "must be an .npz of plain arrays"),
    ],
)
def test_damaged_jpegs_are_told(tmp_path, jpegs, change, message):
    path = tmp_path / "some.npz"
    np.savez(path, **(jpegs | change))
    with pytest.raises(UserError, match=message):
        read_cifar_jpeg([path])


def test_missing_arrays_are_told(tmp_path, jpegs):
    del jpegs["offsets"]
    np.savez(tmp_path / "some.npz", **jpegs)
    with pytest.raises(UserError, match=r"some\.npz must hold offsets"):
        read_cifar_jpeg([tmp_path / "some.npz"])


def test_the_real_jpegs_are_cifar(real, tmp_path):
    with np.load(real / "cifar10" / "cifar10_jpeg_all60k.npz", allow_pickle=False) as arrays:
        chosen = np.arange(0, 60_000, 200)
        jpeg, offsets = arrays["jpeg"], arrays["offsets"]
        files = [jpeg[offsets[n] : offsets[n + 1]] for n in chosen]
        part = {name: arrays[name][chosen] for name in ("label", "is_test")}
    np.savez(
        tmp_path / "some.npz",
        jpeg=np.concatenate(files),
        offsets=np.cumsum([0, *map(len, files)]),
        **part,
    )
    found = read_cifar_jpeg([tmp_path / "some.npz"])
    assert found.test is not None
    assert (len(found.train), len(found.test)) == (250, 50)
    assert np.bincount(found.train.labels).tolist() == [25] * 10
    mean = found.train.numbers().mean((0, 2, 3))
    assert np.abs(mean - [0.4914, 0.4822, 0.4465]).max() < 0.04


def test_cifar10_is_never_read_from_the_lossy_copy(real):
    with pytest.raises(UserError, match="dataset cifar10 must be at .*sane data fetch cifar10"):
        load_dataset("cifar10", real)
