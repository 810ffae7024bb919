"""What pytorchcv calls layers, data sets and models, and what we call them.

Its ResNets and VGGs are the registered ones under other entry names, in the same order; renaming is
one to one, so nothing of a file is lost. Where any entry of a file is known to no rule, all of them
keep their names: it is another architecture.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

IMAGENET = "imagenet"
"""What models whose names say nothing of their data were trained on."""


@dataclass(frozen=True)
class Images:
    """A data set that names end with.

    Attributes:
        classes: Width of the output.
        size: Pixels per side.
        is_top1: Whether the number in a name is 1 - accuracy; for other tasks it is something else.
    """

    classes: int
    size: int
    is_top1: bool = True


DATA: Mapping[str, Images] = {
    "cifar10": Images(10, 32),
    "cifar100": Images(100, 32),
    "svhn": Images(10, 32),
    "cub": Images(200, 224),
    IMAGENET: Images(1000, 224, is_top1=False),
} | {
    task: Images(0, 0, is_top1=False)
    for task in ("ade20k", "celebamaskhq", "cityscapes", "coco", "voc", "widerface")
    + ("en", "en_nr", "de", "fr", "it", "es", "ca", "pl", "ru", "ru34")  # speech
}

_MODEL = re.compile(r"(?:(resnet)(\d+)(b?)|(bn_)?(vgg)(\d+)(b?))", re.ASCII)
_CIFAR_DEPTHS = ("20", "32", "44", "56", "110")
_BOTTLENECKS = ("50", "101")

Parts = re.Match[str]
_RESNET: Sequence[tuple[str, Callable[[Parts], str]]] = (
    (r"features\.init_block\.(?:conv\.)?conv\.weight", lambda m: "conv1.weight"),
    (r"features\.init_block\.(?:conv\.)?bn\.(\w+)", lambda m: f"bn1.{m[1]}"),
    (
        r"features\.stage(\d)\.unit(\d+)\.body\.conv(\d)\.conv\.weight",
        lambda m: f"layer{m[1]}.{int(m[2]) - 1}.conv{m[3]}.weight",
    ),
    (
        r"features\.stage(\d)\.unit(\d+)\.body\.conv(\d)\.bn\.(\w+)",
        lambda m: f"layer{m[1]}.{int(m[2]) - 1}.bn{m[3]}.{m[4]}",
    ),
    (
        r"features\.stage(\d)\.unit(\d+)\.identity_conv\.conv\.weight",
        lambda m: f"layer{m[1]}.{int(m[2]) - 1}.SHORTCUT.0.weight",
    ),
    (
        r"features\.stage(\d)\.unit(\d+)\.identity_conv\.bn\.(\w+)",
        lambda m: f"layer{m[1]}.{int(m[2]) - 1}.SHORTCUT.1.{m[3]}",
    ),
    (r"output\.(weight|bias)", lambda m: f"HEAD.{m[1]}"),
)
_CIFAR = {"SHORTCUT": "shortcut", "HEAD": "linear"}
_TORCHVISION = {"SHORTCUT": "downsample", "HEAD": "fc"}
_VGG_CONVOLUTION = re.compile(r"features\.stage(\d)\.unit(\d+)\.(conv|bn)\.(\w+)", re.ASCII)
_VGG_HEAD = {"fc1.fc": "0", "fc2.fc": "3", "fc3": "6"}
_VGG_LINEAR = re.compile(r"output\.(fc1\.fc|fc2\.fc|fc3)\.(weight|bias)", re.ASCII)


def specification(model: str, data: str) -> str | None:
    """Return the registered architecture of a model, or None where there is none.

    Args:
        model: As pytorchcv calls it: `resnet20`, `resnet50b`, `bn_vgg16b`.
        data: A key of `DATA`.
    """
    parts, images = _MODEL.fullmatch(model), DATA[data]
    if parts is None or not images.classes:
        return None
    said = f"classes={images.classes}"
    if parts[1] and images.size == 32:
        known = parts[2] in _CIFAR_DEPTHS and not parts[3]
        return f"cifar-resnet{parts[2]}[{said},shortcut=projection]" if known else None
    said += f",size={images.size}"
    if parts[1]:
        # Without the b, the first 1x1 convolution of a bottleneck has the stride.
        early = ",strided=1x1" if parts[2] in _BOTTLENECKS and not parts[3] else ""
        return f"resnet{parts[2]}[{said},stem=imagenet{early}]"
    return f"vgg{parts[6]}[{said},head=imagenet{',batch_norm=1' if parts[4] else ''}]"


def with_our_names(entries: Sequence[str]) -> dict[str, str]:
    """Return entry -> its name in our architecture; its own where it is of another one.

    Args:
        entries: All entries of a state dict.
    """
    for rename in (_resnet_names, _vgg_names):
        names = rename(entries)
        if names is not None and len(set(names.values())) == len(entries):
            return names
    return {entry: entry for entry in entries}


def _resnet_names(entries: Sequence[str]) -> dict[str, str] | None:
    """Rename a ResNet's entries; those of CIFAR have no pooling, so no block around their stem."""
    ours = _CIFAR if "features.init_block.conv.weight" in entries else _TORCHVISION
    names = {}
    for entry in entries:
        found = next(
            (say(m) for form, say in _RESNET if (m := re.fullmatch(form, entry, re.ASCII))), None
        )
        if found is None:
            return None
        for placeholder, name in ours.items():
            found = found.replace(placeholder, name)
        names[entry] = found
    return names


def _vgg_names(entries: Sequence[str]) -> dict[str, str] | None:
    """Rename a VGG's entries: its layers are counted through, with activations and poolings."""
    places = _vgg_places(entries)
    names = {}
    for entry in entries:
        if m := _VGG_CONVOLUTION.fullmatch(entry):
            place = places[int(m[1]), int(m[2])] + (m[3] == "bn")
            names[entry] = f"features.{place}.{m[4]}"
        elif m := _VGG_LINEAR.fullmatch(entry):
            names[entry] = f"classifier.{_VGG_HEAD[m[1]]}.{m[2]}"
        else:
            return None
    return names


def _vgg_places(entries: Sequence[str]) -> dict[tuple[int, int], int]:
    """Return (stage, unit) -> place of its convolution in the sequence of layers."""
    found = [m for entry in entries if (m := _VGG_CONVOLUTION.fullmatch(entry))]
    step = 3 if any(m[3] == "bn" for m in found) else 2
    places, place, before = {}, 0, 1
    for stage, unit in sorted({(int(m[1]), int(m[2])) for m in found}):
        place += stage != before  # the max-pooling that ended the stage
        places[stage, unit], before = place, stage
        place += step
    return places
