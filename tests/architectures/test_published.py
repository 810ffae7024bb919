"""Published checkpoints fit the architectures and classify real images.

The files are not part of the project: akamaster/pytorch_resnet_cifar10 and CIFAR-10 as lossy JPEG
(60,000 images), on which the networks lose some ten points, in `shared/data` beside the checkout.
"""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sane_core.architectures.mismatch import describe_mismatch
from sane_core.architectures.registry import architecture_named, match_shapes

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CHECKPOINTS = DATA / "pytorch_resnet_cifar10" / "pretrained_models"
IMAGES = DATA / "cifar10" / "cifar10_jpeg_all60k.npz"
NORMALIZATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # as the networks were trained


def published(depth):
    """Return the published state dict of one depth."""
    paths = sorted(CHECKPOINTS.glob(f"resnet{depth}-*.th"))
    if not paths:
        pytest.skip(f"no published checkpoint of ResNet-{depth} in {CHECKPOINTS}")
    state = torch.load(paths[0], map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix("module."): entry for name, entry in state.items()}


def test_images(count):
    """Return test images of every class, normalized [count, 3, 32, 32], and their labels."""
    if not IMAGES.exists():
        pytest.skip(f"no images in {IMAGES}")
    with np.load(IMAGES) as stored:
        test = np.flatnonzero(stored["is_test"])  # sorted by class
        chosen = test[:: len(test) // count]
        jpeg, offsets, labels = stored["jpeg"], stored["offsets"], stored["label"]
    pixels = np.stack(
        [np.asarray(Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]]))) for i in chosen]
    )
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in NORMALIZATION)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    return (images - mean) / std, torch.from_numpy(labels[chosen].astype(np.int64))


test_images.__test__ = False


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_published_checkpoints_fit(depth):
    state = published(depth)
    shapes = {name: tuple(entry.shape) for name, entry in state.items()}
    architecture = architecture_named(f"cifar-resnet{depth}")
    assert match_shapes(shapes) == architecture
    assert describe_mismatch(shapes, architecture) == ""
    network = architecture.build()
    network.load_state_dict(state, strict=True)


def test_a_published_checkpoint_classifies_real_images():
    network = architecture_named("cifar-resnet20").build().eval()
    network.load_state_dict(published(20))
    images, labels = test_images(500)
    with torch.no_grad():
        accuracy = (network(images).argmax(1) == labels).float().mean().item()
    assert accuracy > 0.75
