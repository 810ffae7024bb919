"""Which published zoo a zoo is to be read beside, and how alike the two are.

`like for like`: the published networks themselves, in the layout they are published in. `same
recipe`: trained anew by the published recipe, whatever the number of networks and epochs.
`stand-in`: neither; the nearest published zoo stands there all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.config.recipes import RECIPES
from schemas.config.training import TrainingConfig

Likeness = Literal["like for like", "same recipe", "stand-in"]


@dataclass(frozen=True)
class Counterpart:
    """A published zoo.

    Attributes:
        zoo: As the paper's tables call it.
        resnet: Whether it is one of ResNet-18s (Table 2), not of small CNNs.
        likeness: Of the zoo at hand.
    """

    zoo: str
    resnet: bool = False
    likeness: Likeness = "stand-in"

    @property
    def heading(self) -> str:
        """What stands over the paper's values."""
        return f"paper, {self.zoo} ({self.likeness})"

    @property
    def far(self) -> bool:
        """Whether it is neither the same networks nor the same recipe."""
        return self.likeness == "stand-in"


STAND_IN = Counterpart("MNIST")
"""Where nothing is known: the digits' nearest."""

_OF_RECIPE = {
    "mnist-cnn": ("MNIST", False),
    "svhn-cnn": ("SVHN", False),
    "cifar10-cnn3": ("CIFAR-10", False),
    "stl10-cnn3": ("STL", False),
    "cifar10-resnet18": ("CIFAR-10", True),
    "cifar100-resnet18": ("CIFAR-100", True),
    "tiny-imagenet-resnet18": ("Tiny-ImageNet", True),
}
_DATASETS = {
    "fashion": None,
    "tiny": "Tiny-ImageNet",
    "cifar100": "CIFAR-100",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN",
    "stl": "STL",
    "mnist": "MNIST",
}
"""Part of a dataset's name, in order -> zoo."""
_COUNTS = {"epochs", "way"}
"""Of a recipe; zoos that differ in these alone are of one recipe."""
_PUBLISHED_READER = "model-zoo"
_SAMPLE = "sample:"


def counterpart(
    architecture: str,
    recipe: Mapping[str, Any] | None = None,
    images: Mapping[str, Any] | None = None,
    source: str = "",
    reader: str = "",
    dataset: str = "",
) -> Counterpart:
    """Find the published zoo of a zoo.

    Args:
        architecture: Of its networks.
        recipe: How it was trained, if it was trained here.
        images: On which images, if it was trained here.
        source: What it was ingested from, if it was.
        reader: What it was ingested by, if it was.
        dataset: What its files call the dataset, if they do.
    """
    resnet = architecture.startswith("resnet")
    if recipe is not None and images is not None:
        for name, (zoo, deep) in _OF_RECIPE.items():
            if _same(name, recipe, images, architecture):
                return Counterpart(zoo, deep, "same recipe")
        dataset = str(images.get("dataset", ""))
    if (sample := source.removeprefix(_SAMPLE)) != source and sample in _OF_RECIPE:
        return Counterpart(*_OF_RECIPE[sample], "same recipe")
    named = _zoo_of(dataset, resnet)
    if named is None:
        return Counterpart("CIFAR-10", True) if resnet else STAND_IN
    network = "resnet18" if resnet else "cnn3" if named in ("CIFAR-10", "STL") else "cnn"
    published = reader == _PUBLISHED_READER and architecture.split("[")[0] == network
    return Counterpart(named, resnet, "like for like" if published else "stand-in")


def _zoo_of(dataset: str, resnet: bool) -> str | None:
    text = dataset.lower().replace("-", "").replace("_", "")
    found = next((zoo for part, zoo in _DATASETS.items() if part in text), None)
    return found if (found, resnet) in _OF_RECIPE.values() else None


def _same(
    name: str, recipe: Mapping[str, Any], images: Mapping[str, Any], architecture: str
) -> bool:
    published = RECIPES[name].model_dump(mode="json")
    fields = {*TrainingConfig.model_fields} - _COUNTS
    return (
        all(recipe.get(field) == published[field] for field in fields)
        and dict(images) == published["images"]
        and architecture == published["architecture"]
    )
