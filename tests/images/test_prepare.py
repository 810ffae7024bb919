"""One call takes a configuration to three parts on disk; names, counts and files are checked."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from flows.data import app
from sane_core.images.digest import source_digest
from sane_core.images.files import read_facts, read_images
from sane_core.images.normalize import measure
from sane_core.images.prepare import prepare
from sane_core.images.registry import DATASETS, load_dataset
from schemas.config.images import KNOWN, ImagesConfig
from schemas.errors import UserError


@pytest.fixture
def root(tmp_path, rng) -> Path:
    """A data folder with colour images of one's own."""
    (tmp_path / "data").mkdir()
    np.savez(
        tmp_path / "data" / "own.npz",
        x_train=rng.integers(0, 256, (60, 32, 32, 3), np.uint8),
        y_train=np.arange(60) % 3,
        x_test=rng.integers(0, 256, (20, 32, 32, 3), np.uint8),
        y_test=np.arange(20) % 3,
    )
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "stage").mkdir()
    return tmp_path / "stage"


def test_digits_are_prepared_without_a_data_folder(folder):
    metrics = prepare(ImagesConfig(train=1000, validation=297, test=500), Path("none"), 0, folder)
    assert metrics == {
        "images.train": 1000,
        "images.validation": 297,
        "images.test": 500,
        "images.channels": 1,
        "images.height": 8,
        "images.width": 8,
        "images.classes": 10,
    }
    parts = read_images(folder)
    assert isinstance(parts["train"].pixels, np.memmap)
    assert parts["train"].numbers().max() == 1
    assert (read_facts(folder).dataset, read_facts(folder).licence) == ("digits", "CC BY 4.0")


def test_images_are_made_grey_small_and_normalized_by_the_training_part(root, folder):
    config = ImagesConfig(
        dataset="npz:own.npz", train=40, validation=10, size=28, grey=True, normalize="dataset"
    )
    assert prepare(config, root, 0, folder)["images.test"] == 20
    train = read_images(folder)["train"]
    assert train.shape == (1, 28, 28)
    assert abs(train.numbers().mean()) < 1e-6
    assert abs(train.numbers().std() - 1) < 1e-6
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["images.json"]
        + [f"{p}_{k}.npy" for p in ("train", "validation", "test") for k in ("pixels", "labels")]
    )


def test_the_same_configuration_and_seed_give_the_same_files(root, tmp_path):
    config = ImagesConfig(dataset="npz:own.npz", size=16)
    contents = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        (tmp_path / name).mkdir()
        prepare(config, root, seed, tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_folders_of_several_sizes_are_brought_to_one(tmp_path, pack, image, folder):
    files = {
        f"train/{name}/{number}.png": image(np.full((6 + number, 8, 3), 50, np.uint8))
        for name in ("a", "b")
        for number in range(5)
    }
    pack["folder"](tmp_path / "tree", files)
    with pytest.raises(UserError, match="one size unless `size` is given"):
        prepare(ImagesConfig(dataset="folder:tree"), tmp_path, 0, folder)
    metrics = prepare(ImagesConfig(dataset="folder:tree", size=4), tmp_path, 0, folder)
    assert (metrics["images.train"], metrics["images.height"]) == (7, 4)


def test_mnist_is_normalized_by_its_customary_numbers(real, folder):
    config = ImagesConfig(dataset="mnist", train=50, validation=20, test=10, normalize="dataset")
    prepare(config, real, 0, folder)
    train = read_images(folder)["train"]
    assert (train.mean, train.std) == ((0.1307,), (0.3081,))


def test_customary_numbers_are_not_used_for_images_of_another_shape(real, folder):
    config = ImagesConfig(dataset="mnist", train=50, validation=20, test=10, size=14)
    prepare(config.model_copy(update={"normalize": "dataset"}), real, 0, folder)
    train = read_images(folder)["train"]
    assert (train.mean, train.std) == measure(train)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "minst"}, "dataset must be digits, mnist, .*npz:PATH or folder:PATH, got 'm"),
        ({"dataset": "npz:"}, "dataset must be"),
        ({"dataset": "mnist", "train": 60_001}, r"<= 60000 for mnist, got 60001 \+ 6000"),
        ({"dataset": "mnist", "validation": 60_000}, r"<= 60000 for mnist, got 1 \+ 60000"),
        ({"dataset": "cifar10", "test": 10_001}, "test images must be <= 10000 for cifar10"),
        ({"train": 1000, "validation": 298, "test": 500}, "<= 1797 for digits"),
        ({"size": 0}, "greater than or equal to 1"),
        ({"normalise": "none"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_before_a_file_is_read(values, message):
    with pytest.raises(ValidationError, match=message):
        ImagesConfig(**values)


def test_every_field_says_what_it_means():
    assert all(field.description for field in ImagesConfig.model_fields.values())


def test_images_of_ones_own_are_counted_when_they_are_read(root, folder):
    config = ImagesConfig(dataset="npz:own.npz", train=55, validation=6)
    with pytest.raises(ValueError, match=r"<= 60 for npz:own\.npz, got 55 \+ 6"):
        prepare(config, root, 0, folder)


def test_missing_files_are_told_with_what_to_do(tmp_path):
    with pytest.raises(UserError) as error:
        load_dataset("svhn", tmp_path)
    assert str(error.value) == (
        f"dataset svhn must be at {tmp_path}/svhn/train_32x32.mat and "
        f"{tmp_path}/svhn/test_32x32.mat; run: sane data fetch svhn"
    )
    with pytest.raises(UserError, match=r"must be at .*/a\.npz; put the file there"):
        load_dataset("npz:a.npz", tmp_path)
    with pytest.raises(ValueError, match=r"dataset must be digits, .* got 'imagenet'"):
        load_dataset("imagenet", tmp_path)


def test_the_table_of_datasets_and_the_table_of_their_sizes_are_one():
    assert set(DATASETS) == set(KNOWN)
    for name, entry in DATASETS.items():
        assert entry.known == KNOWN[name]
        assert len(entry.mean) == len(entry.std) in (0, entry.known.channels)


def test_a_digest_follows_names_and_contents_and_no_place(tmp_path, pack, image):
    picture = image(np.zeros((4, 4), np.uint8))
    files = {"train/a/1.png": picture, "train/b/1.png": picture}
    for name in ("one", "two"):
        pack["folder"](tmp_path / name, files)
    first = source_digest("folder:one", tmp_path)
    assert first == source_digest("folder:two", tmp_path)
    (tmp_path / "two/train/a/1.png").write_bytes(picture + b"x")
    assert source_digest("folder:two", tmp_path) != first
    (tmp_path / "one/train/a/1.png").rename(tmp_path / "one/train/a/2.png")
    assert source_digest("folder:one", tmp_path) != first
    assert source_digest("digits", tmp_path) == source_digest("digits", Path("elsewhere"))
    with pytest.raises(UserError, match="sane data fetch mnist"):
        source_digest("mnist", tmp_path)


HEAVY = ("PIL", "scipy", "sklearn", "torch", "pandas", "matplotlib")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("sane_core.images.registry", HEAVY),
        ("sane_core.images.prepare", HEAVY),
        ("flows.data", (*HEAVY, "numpy")),
        ("schemas.config.images", (*HEAVY, "numpy", "pyarrow")),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(module, heavy):
    script = f"import sys, {module}; sys.exit(str(set({heavy!r}) & set(sys.modules) or ''))"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.stderr.strip() == ""


def test_the_command_line_lists_and_checks(root):
    listed = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["list", "--data", str(root)])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in KNOWN)
    checked = CliRunner().invoke(app, ["check", "npz:own.npz", "--data", str(root)])
    assert checked.output.splitlines() == [
        "npz:own.npz: 60 images, 20 test images, 3x32x32, 3 classes",
        "licence: not stated",
        f"sha256: {source_digest('npz:own.npz', root)}",
    ]


def test_the_command_line_refuses_damaged_and_unknown_data(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    for command, message in (
        (["check", "mnist"], "must have the published checksum and has not"),
        (["check", "minst"], "dataset must be digits"),
        (["fetch", "minst"], "dataset must be digits"),
        (["fetch", "digits"], "cannot be fetched"),
    ):
        done = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])
        assert isinstance(done.exception, UserError)
        assert message in str(done.exception)
