"""Files named and laid out as pytorchcv publishes them."""

import hashlib
import zipfile
from pathlib import Path

import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.zoo.readers.pytorchcv import Pytorchcv
from sane_core.zoo.readers.pytorchcv_names import specification, with_our_names
from sane_core.zoo.readers.reader import Found, ScanOptions
from sane_core.zoo.readers.registry import reader_of
from schemas.errors import UserError


def batch_norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    numbers = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{number}": (channels,) for number in numbers} | {
        f"{name}.num_batches_tracked": ()
    }


def block(name: str, c_out: int, c_in: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.conv.weight": (c_out, c_in, kernel, kernel)} | batch_norm(f"{name}.bn", c_out)


def resnet(
    stem: dict[str, tuple[int, ...]],
    units: tuple[int, ...],
    width: int,
    classes: int,
    bottleneck: bool = False,
) -> dict[str, tuple[int, ...]]:
    """A ResNet's entries under pytorchcv's names; a third or fourth of its width, to be small."""
    shapes, c_in = dict(stem), width
    for stage, count in enumerate(units):
        inner = width * 2**stage
        c_out = inner * (4 if bottleneck else 1)
        for unit in range(count):
            name = f"features.stage{stage + 1}.unit{unit + 1}"
            sizes = [(inner, c_in, 3), (inner, inner, 3)]
            if bottleneck:
                sizes = [(inner, c_in, 1), (inner, inner, 3), (c_out, inner, 1)]
            for i, size in enumerate(sizes):
                shapes |= block(f"{name}.body.conv{i + 1}", *size)
            if unit == 0 and (stage or bottleneck):
                shapes |= block(f"{name}.identity_conv", c_out, c_in, 1)
            c_in = c_out
    return shapes | {"output.weight": (classes, c_in), "output.bias": (classes,)}


def cifar(depth: int, classes: int = 10) -> dict[str, tuple[int, ...]]:
    stem = block("features.init_block", 4, 3, 3)
    return resnet(stem, ((depth - 2) // 6,) * 3, 4, classes)


def imagenet(units: tuple[int, ...], bottleneck: bool = False) -> dict[str, tuple[int, ...]]:
    return resnet(block("features.init_block.conv", 4, 3, 7), units, 4, 1000, bottleneck)


def vgg(units: tuple[int, ...], norm: bool = False) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    c_in = 3
    for stage, count in enumerate(units):
        c_out = min(2**stage, 8)
        for unit in range(count):
            name = f"features.stage{stage + 1}.unit{unit + 1}"
            shapes |= {f"{name}.conv.weight": (c_out, c_in, 3, 3), f"{name}.conv.bias": (c_out,)}
            shapes |= batch_norm(f"{name}.bn", c_out) if norm else {}
            c_in = c_out
    linear = {"fc1.fc": (64, 7 * 7 * c_in), "fc2.fc": (64, 64), "fc3": (1000, 64)}
    for name, size in linear.items():
        shapes |= {f"output.{name}.weight": size, f"output.{name}.bias": size[:1]}
    return shapes


def save(folder: Path, name: str, error: str, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a file, and name it after what is in it."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(len(list(folder.iterdir())))
    entries = {
        key: torch.rand(shape, generator=generator) if shape else torch.tensor(7)
        for key, shape in shapes.items()
    }
    torch.save(entries, folder / "new")
    digest = hashlib.sha1((folder / "new").read_bytes()).hexdigest()
    return (folder / "new").rename(folder / f"{name}-{error}-{digest[:8]}.pth")


def pack(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Replace a file by an archive of it, or of what is given."""
    archive = path.with_name(path.name + ".zip")
    with zipfile.ZipFile(archive, "w", method) as packed:
        for name, data in members or ((path.name, path.read_bytes()),):
            packed.writestr(name, data)
    path.unlink()
    return archive


NETWORKS = {
    "resnet20_cifar10": (cifar(20), "cifar-resnet20[width=4,shortcut=projection]"),
    "resnet56_cifar100": (
        cifar(56, 100),
        "cifar-resnet56[classes=100,width=4,shortcut=projection]",
    ),
    "resnet110_svhn": (cifar(110), "cifar-resnet110[width=4,shortcut=projection]"),
    "resnet18": (imagenet((2, 2, 2, 2)), "resnet18[classes=1000,width=4,stem=imagenet]"),
    "resnet34": (imagenet((3, 4, 6, 3)), "resnet34[classes=1000,width=4,stem=imagenet]"),
    "resnet50b": (imagenet((3, 4, 6, 3), True), "resnet50[classes=1000,width=4,stem=imagenet]"),
    "vgg11": (vgg((1, 1, 2, 2, 2)), "vgg11[classes=1000,width=1,head=imagenet]"),
    "bn_vgg16b": (
        vgg((2, 2, 3, 3, 3), True),
        "vgg16[classes=1000,width=1,batch_norm=1,head=imagenet]",
    ),
    "vgg19": (vgg((2, 2, 4, 4, 4)), "vgg19[classes=1000,width=1,head=imagenet]"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_its_networks_are_registered_architectures(name, tmp_path, take):
    shapes, architecture = NETWORKS[name]
    save(tmp_path / "models", name, "0597", shapes)
    result = take(tmp_path / "models")
    (row,) = result.rows
    assert row["architecture"] == architecture_named(architecture).name
    assert len(result.weights) == len(shapes)


def test_they_have_the_symmetries_of_that_architecture(tmp_path, take):
    save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    (row,) = take(tmp_path / "models").rows
    # A stream in each of three stages, and the inside of every block.
    assert len(symmetries_of(architecture_named(row["architecture"])).groups) == 3 + 9


@pytest.mark.parametrize(
    "model, data, architecture",
    [
        ("resnet20", "cifar10", "cifar-resnet20[shortcut=projection]"),
        ("resnet18", "imagenet", "resnet18[classes=1000,size=224,stem=imagenet]"),
        ("resnet50", "imagenet", "resnet50[classes=1000,size=224,stem=imagenet,strided=1x1]"),
        ("resnet50b", "cub", "resnet50[classes=200,size=224,stem=imagenet]"),
        ("bn_vgg16b", "imagenet", "vgg16[classes=1000,size=224,head=imagenet,batch_norm=1]"),
    ],
)
def test_what_shapes_cannot_tell_comes_from_the_name(model, data, architecture):
    said = specification(model, data)
    assert said is not None
    assert architecture_named(said) == architecture_named(architecture)


@pytest.mark.parametrize("model", ["resnet164bn", "seresnet20", "densenet40_k12_bc", "resnet20b"])
def test_other_models_are_no_registered_architecture(model):
    assert specification(model, "cifar10") is None


def test_the_error_of_small_images_becomes_an_accuracy(tmp_path, take):
    save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    (row,) = take(tmp_path / "models").rows
    assert row["test_accuracy"] == pytest.approx(0.9403)
    assert row["hyperparameters"] == {"data": "cifar10", "model": "resnet20"}


def test_the_error_of_imagenet_is_top_5_and_no_accuracy(tmp_path, take):
    save(tmp_path / "models", "resnet18", "0896", imagenet((2, 2, 2, 2)))
    (row,) = take(tmp_path / "models").rows
    assert row["test_accuracy"] is None
    assert row["hyperparameters"]["top5_error"] == pytest.approx(0.0896)


def test_an_archive_gives_what_the_file_in_it_gives(tmp_path, take):
    path = save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    plain = take(tmp_path / "models")
    pack(path)
    packed = take(tmp_path / "models")
    assert packed.weights == plain.weights
    assert packed.rows[0]["sha256"] == plain.rows[0]["sha256"]
    assert packed.rows[0]["run_name"] == plain.rows[0]["run_name"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_another_digest_than_its_name_is_quarantined(packed, tmp_path, take):
    path = save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    changed = path.rename(path.with_name("resnet20_cifar10-0597-9b0024ac.pth"))
    if packed:
        pack(changed)
    save(tmp_path / "models", "resnet20_cifar10", "0601", cifar(20))
    result = take(tmp_path / "models", max_quarantined=0.5)
    (row,) = result.quarantine
    got = path.stem.rpartition("-")[2]
    assert row["reason"] == (
        f"the SHA-1 of the file must begin with 9b0024ac, as its name says, got {got}"
    )
    assert len(result.rows) == 1


@pytest.mark.parametrize(
    "member", ["../{name}", "/tmp/{name}", "models/{name}", "{name}\\..\\x", "other.pth"]
)
def test_an_archive_with_a_file_of_another_name_is_quarantined(member, tmp_path, take):
    path = save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    pack(path, (member.format(name=path.name), path.read_bytes()))
    save(tmp_path / "models", "resnet20_cifar10", "0601", cifar(20))
    (row,) = take(tmp_path / "models", max_quarantined=0.5).quarantine
    assert row["reason"].startswith(f"an archive must hold one file, {path.name}, got ")
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".pth") == []


def test_an_archive_of_several_files_is_quarantined(tmp_path, take):
    path = save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    pack(path, (path.name, path.read_bytes()), ("more", b""))
    save(tmp_path / "models", "resnet20_cifar10", "0601", cifar(20))
    (row,) = take(tmp_path / "models", max_quarantined=0.5).quarantine
    assert "must hold one file" in row["reason"]


def test_a_damaged_archive_is_quarantined(tmp_path, take):
    archive = pack(save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20)))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)
    save(tmp_path / "models", "resnet20_cifar10", "0601", cifar(20))
    (row,) = take(tmp_path / "models", max_quarantined=0.5).quarantine
    assert row["reason"].startswith("the archive must be a whole zip archive, got: ")


def test_an_unregistered_architecture_is_quarantined_under_its_own_names(tmp_path, take):
    save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    save(tmp_path / "models", "senet_cifar10", "0601", cifar(20) | {"features.se.weight": (4, 4)})
    (row,) = take(tmp_path / "models", max_quarantined=0.5).quarantine
    assert row["reason"].startswith(
        "names and shapes must be those of a registered architecture, got "
        "features.init_block.conv.weight"
    )


def test_a_file_of_another_name_is_quarantined_with_the_form_of_names(tmp_path, take):
    save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    torch.save({}, tmp_path / "models" / "mine.pth")
    (row,) = take(tmp_path / "models", max_quarantined=0.5).quarantine
    assert row["reason"].startswith("its name must be MODEL-ERROR-SHA1.pth")


def test_renaming_loses_no_entry_and_joins_none():
    for shapes, _ in NETWORKS.values():
        names = with_our_names(list(shapes))
        assert list(names) == list(shapes)
        assert len(set(names.values())) == len(shapes)
    mixed = [*NETWORKS["vgg11"][0], "features.stage9.unknown"]
    assert with_our_names(mixed) == {name: name for name in mixed}


def test_the_layout_is_recognised_before_the_format_and_nothing_else_is(tmp_path):
    save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    assert reader_of(str(tmp_path / "models")).name == "pytorchcv"
    (tmp_path / "others").mkdir()
    torch.save({}, tmp_path / "others" / "resnet20-12fca82f.pth")
    assert reader_of(str(tmp_path / "others")).name == "torch"


def test_order_and_runs_do_not_depend_on_which_files_are_packed(tmp_path):
    for error in ("0601", "0597", "0343"):
        save(tmp_path / "models", "resnet20_cifar10", error, cifar(20))

    def scanned() -> list[str]:
        found = list(Pytorchcv().scan(str(tmp_path / "models"), ScanOptions()))
        assert all(isinstance(each, Found) for each in found)
        return [each.run for each in found]

    before = scanned()
    pack(sorted((tmp_path / "models").iterdir())[1])
    assert scanned() == before


def test_a_pattern_is_refused(tmp_path, take):
    save(tmp_path / "models", "resnet20_cifar10", "0597", cifar(20))
    with pytest.raises(UserError, match="take their facts from their names, got a pattern"):
        take(tmp_path / "models", pattern="{run}.pth")
