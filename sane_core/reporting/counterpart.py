"""Which published zoo a zoo is to be read beside, and what of it is as published.

How alike the two are follows from that by the one rule of `likeness.py`. The nearest published zoo
stands there all the same where neither images nor recipe agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sane_core.reporting.likeness import Agreement, Likeness, likeness
from schemas.config.recipes import RECIPES
from schemas.config.training import TrainingConfig
from schemas.config.zoo import ZooConfig


@dataclass(frozen=True)
class Counterpart:
    """A published zoo.

    Attributes:
        zoo: As the paper's tables call it.
        resnet: Whether it is one of ResNet-18s (Table 2), not of small CNNs.
        likeness: Of the zoo at hand.
        differs: What of the zoo at hand is not as published (`Agreement`).
    """

    zoo: str
    resnet: bool = False
    likeness: Likeness = "stand-in"
    differs: tuple[str, ...] = field(default=(), compare=False)

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
            agreement = _agreement(RECIPES[name], recipe, images, architecture)
            if agreement.dataset and agreement.architecture and agreement.recipe:
                return _beside(zoo, deep, agreement)
        dataset = str(images.get("dataset", ""))
    if (sample := origin.source.removeprefix(_SAMPLE)) != origin.source and sample in _OF_RECIPE:
        return _beside(*_OF_RECIPE[sample], Agreement(networks=False))
    named = _zoo_of(dataset, resnet)
    if named is None:
        other = Agreement(False, False, False, False, False)
        return _beside("CIFAR-10" if resnet else STAND_IN.zoo, resnet, other)
    published = published_recipe(named, resnet)
    if recipe is not None and images is not None:
        agreement = _agreement(published, recipe, images, architecture)
    else:
        agreement = _agreement_of_files(published, resnet, architecture, origin)
    return _beside(named, resnet, agreement)


def published_recipe(zoo: str, resnet: bool) -> ZooConfig:
    """Return the recipe of a published zoo.

    Args:
        zoo: As the paper's tables call it.
        resnet: Whether the one of ResNet-18s is meant.

    Raises:
        ValueError: If there is no such zoo.
    """
    for name, published in _OF_RECIPE.items():
        if published == (zoo, resnet):
            return RECIPES[name]
    raise ValueError(f"a published zoo must be one of {[*_OF_RECIPE.values()]}, got {zoo, resnet}")


def training_agrees(training: Mapping[str, Any], published: ZooConfig) -> bool:
    """Return whether networks are trained as published, for however many epochs."""
    expected = published.model_dump(mode="json")
    return all(
        training.get(name) == expected[name] for name in {*TrainingConfig.model_fields} - _COUNTS
    )


def _beside(zoo: str, resnet: bool, agreement: Agreement) -> Counterpart:
    return Counterpart(zoo, resnet, likeness(agreement), agreement.differs)


def _agreement(
    published: ZooConfig,
    recipe: Mapping[str, Any],
    images: Mapping[str, Any],
    architecture: str,
) -> Agreement:
    """Return what of a zoo that was trained here is as published."""
    expected = published.model_dump(mode="json")
    runs, epochs = int(recipe.get("members", 0)), int(recipe.get("epochs", 0))
    return Agreement(
        dataset=dict(images) == expected["images"],
        architecture=architecture == expected["architecture"],
        recipe=training_agrees(recipe, published),
        networks=_as_many(runs, published),
        epochs=_as_long(epochs, published),
    )


def _agreement_of_files(
    published: ZooConfig, resnet: bool, architecture: str, origin: Origin
) -> Agreement:
    """Return what of a zoo that was ingested is as published; the layout tells whose it is."""
    return Agreement(
        dataset=origin.reader == _PUBLISHED_READER,
        architecture=architecture.split("[")[0] == published.architecture.split("[")[0],
        recipe=_rates_agree(published, resnet, origin),
        networks=_as_many(origin.runs, published),
        epochs=_as_long(origin.epochs, published),
    )


def _as_many(runs: int, published: ZooConfig) -> bool:
    return _LEAST_RUNS * published.members <= runs <= published.members


def _as_long(epochs: int, published: ZooConfig) -> bool:
    return _FEWEST_EPOCHS <= epochs <= published.epochs


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
