"""The recipes of the published zoos, by name (paper §3; Schürholt et al., 2022).

They are ready to be trained or changed.
"""

from collections.abc import Mapping

from schemas.config.images import ImagesConfig
from schemas.config.zoo import ZooConfig

_MNIST = ImagesConfig(dataset="mnist", train=50_000, validation=10_000, normalize="dataset")
_SVHN = ImagesConfig(dataset="svhn", size=28, grey=True)
_CIFAR10 = ImagesConfig(dataset="cifar10", normalize="dataset")
_RESNET = {
    "batch": 128,
    "epochs": 60,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "onecycle",
    "flip": True,
    "crop": 4,
    "members": 140,
    "scored": 10_000,
}


def _recipe(name: str, images: ImagesConfig, architecture: str, **training: object) -> ZooConfig:
    return ZooConfig.model_validate(
        {"name": name, "images": images, "architecture": architecture, **training}
    )


def _cnn(name: str, images: ImagesConfig, architecture: str, **training: object) -> ZooConfig:
    shared = {"members": 1000, "epochs": 50, "batch": 10, "initial_bias": 0.01, "scored": 10_000}
    return _recipe(name, images, architecture, **{**shared, **training})


RECIPES = {
    recipe.name: recipe
    for recipe in (
        ZooConfig(),
        _cnn("mnist-cnn", _MNIST, "cnn", learning_rate=3e-4, initialization="uniform01"),
        _cnn("svhn-cnn", _SVHN, "cnn", learning_rate=3e-3, initialization="uniform01"),
        _cnn(
            "cifar10-cnn3",
            _CIFAR10,
            "cnn3",
            learning_rate=1e-4,
            weight_decay=1e-2,
            initialization="kaiming_uniform",
        ),
        _cnn(
            "stl10-cnn3",
            ImagesConfig(dataset="stl10", size=32, normalize="dataset"),
            "cnn3[activation=tanh]",
            learning_rate=1e-4,
            weight_decay=1e-3,
            initialization="kaiming_uniform",
        ),
        _recipe("cifar10-resnet18", _CIFAR10, "resnet18", **_RESNET),
        _recipe(
            "cifar100-resnet18",
            ImagesConfig(dataset="cifar100", normalize="dataset"),
            "resnet18[classes=100]",
            **_RESNET,
        ),
        _recipe(
            "tiny-imagenet-resnet18",
            ImagesConfig(dataset="tiny-imagenet", normalize="dataset"),
            "resnet18[classes=200,size=64]",
            **_RESNET,
        ),
        _recipe(
            "cifar10-resnet18-narrow",
            ImagesConfig(dataset="cifar10-jpeg", size=16, normalize="dataset", train=20_000),
            "resnet18[size=16,width=8]",
            **{**_RESNET, "members": 60, "epochs": 12, "crop": 2},
        ),
    )
}
"""Recipe name -> configuration."""


def recipe_on(architecture: str, dataset: str) -> ZooConfig | None:
    """Return the recipe of an architecture on a dataset, by their names; None if there is none."""
    found = (
        recipe
        for recipe in RECIPES.values()
        if (recipe.architecture, recipe.images.dataset) == (architecture, dataset)
    )
    return next(found, None)


def with_recipe(zoo: object) -> object:
    """Lay what a mapping says over the recipe that its key `recipe` names.

    A zoo from elsewhere says by `trained_like` what its networks see and how they were trained.

    Raises:
        ValueError: If there is no such recipe.
    """
    if isinstance(zoo, Mapping) and "trained_like" in zoo:
        return _trained_like(zoo)
    if not isinstance(zoo, Mapping) or "recipe" not in zoo:
        return zoo
    written = _named(zoo["recipe"], "recipe").model_dump(mode="json")
    changes = {key: value for key, value in zoo.items() if key != "recipe"}
    if isinstance(changes.get("images"), Mapping):
        changes["images"] = written["images"] | dict(changes["images"])
    return written | changes


def _named(name: object, key: str) -> ZooConfig:
    if name not in RECIPES:
        raise ValueError(f"{key} must be one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[str(name)]


def _trained_like(zoo: Mapping[str, object]) -> dict[str, object]:
    recipe = _named(zoo["trained_like"], "trained_like")
    given = {key: value for key, value in zoo.items() if key != "trained_like"}
    found: dict[str, object] = {}
    for key, base in (("images", recipe.images), ("training", recipe.training())):
        changes = given.get(key)
        written = base.model_dump(mode="json")
        found[key] = written | dict(changes) if isinstance(changes, Mapping) else written
    return given | found
