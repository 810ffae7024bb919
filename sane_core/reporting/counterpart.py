"""Which published zoo a zoo is to be read beside, and how alike the two are.

`like for like`: all that can be known of the published networks agrees: their layout, architecture,
dataset, learning rate, number of runs and epochs. `same recipe`: by the published recipe as far as
it is known, whatever the number of networks and epochs. `stand-in`: neither; the nearest published
zoo stands there all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.config.recipes import RECIPES
from schemas.config.training import TrainingConfig
from schemas.config.zoo import ZooConfig

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


@dataclass(frozen=True)
class Origin:
    """What is known of a zoo that was ingested.

    Attributes:
        source: What it was ingested from.
        reader: What it was ingested by.
        dataset: What its files call the dataset, "" if they do not.
        runs: Their number.
        epochs: The last one of any run.
        rates: Every learning rate that its files name; None stands for a run without.
    """

    source: str
    reader: str = ""
    dataset: str = ""
    runs: int = 0
    epochs: int = 0
    rates: frozenset[float | None] = frozenset()


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
_FEWEST_EPOCHS = 50
"""Of a published zoo; ResNets have up to their recipe's."""
_LEAST_RUNS = 0.9
"""Share of a published zoo's runs: a few may be quarantined."""
_LEAST_RATE = {False: 1.0, True: 0.5}
"""Of the recipe's; the published ResNets' are from half of it."""
_PUBLISHED_READER = "model-zoo"
_SAMPLE = "sample:"


def counterpart(
    architecture: str,
    recipe: Mapping[str, Any] | None = None,
    images: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
) -> Counterpart:
    """Find the published zoo of a zoo.

    Args:
        architecture: Of its networks.
        recipe: How it was trained, if it was trained here.
        images: On which images, if it was trained here.
        origin: Where it was ingested from, if it was.
    """
    origin = origin or Origin("")
    dataset = origin.dataset
    resnet = architecture.startswith("resnet")
    if recipe is not None and images is not None:
        for name, (zoo, deep) in _OF_RECIPE.items():
            if _same(name, recipe, images, architecture):
                return Counterpart(zoo, deep, "same recipe")
        dataset = str(images.get("dataset", ""))
    if (sample := origin.source.removeprefix(_SAMPLE)) != origin.source and sample in _OF_RECIPE:
        return Counterpart(*_OF_RECIPE[sample], "same recipe")
    named = _zoo_of(dataset, resnet)
    if named is None:
        return Counterpart("CIFAR-10", True) if resnet else STAND_IN
    return Counterpart(named, resnet, _likeness(named, resnet, architecture, origin))


def _likeness(named: str, resnet: bool, architecture: str, origin: Origin) -> Likeness:
    """Return how alike an ingested zoo is to the published one of its dataset."""
    recipe = RECIPES[next(name for name, zoo in _OF_RECIPE.items() if zoo == (named, resnet))]
    alike = architecture.split("[")[0] == recipe.architecture.split("[")[0]
    if origin.reader != _PUBLISHED_READER or not alike or not _rates_agree(recipe, resnet, origin):
        return "stand-in"
    whole = _LEAST_RUNS * recipe.members <= origin.runs <= recipe.members
    trained = _FEWEST_EPOCHS <= origin.epochs <= recipe.epochs
    return "like for like" if whole and trained else "same recipe"


def _rates_agree(recipe: ZooConfig, resnet: bool, origin: Origin) -> bool:
    most = recipe.learning_rate
    if not isinstance(most, float) or not origin.rates:
        return False
    least = _LEAST_RATE[resnet] * most
    slack = 1e-6 * most  # files may have been read as float32
    return all(r is not None and least - slack <= r <= most + slack for r in origin.rates)


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
