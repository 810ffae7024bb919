"""The recipes of the published zoos name networks that are theirs."""

import pytest

from sane_core.architectures.registry import architecture_named
from schemas.config.images import KNOWN
from schemas.config.recipes import RECIPES
from schemas.config.training import TrainingConfig
from schemas.config.zoo import ZooConfig

# The zoos' own counts; ResNet-18s are published in millions.
PARAMETERS = {
    "mnist-cnn": 2_464,
    "svhn-cnn": 2_464,
    "cifar10-cnn3": 10_853,
    "stl10-cnn3": 10_853,
    "cifar10-resnet18": 11.17e6,
    "cifar100-resnet18": 11.22e6,
    "tiny-imagenet-resnet18": 11.27e6,
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_a_recipes_network_has_the_published_number_of_weights(name, count):
    architecture = architecture_named(RECIPES[name].architecture)
    if isinstance(count, int):
        assert architecture.parameter_count() == count
    else:
        assert architecture.parameter_count() == pytest.approx(count, abs=5e3)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_valid_and_its_network_reads_its_images(name):
    recipe = RECIPES[name]
    assert recipe.name == name
    assert ZooConfig.model_validate(recipe.model_dump()) == recipe
    architecture, known = architecture_named(recipe.architecture), KNOWN[recipe.images.dataset]
    channels = 1 if recipe.images.grey else known.channels
    side = recipe.images.size or known.side
    assert architecture.input_shape == (channels, side, side)
    last = list(architecture.shapes().values())[-1]
    assert last == (known.classes,)


def test_the_published_ways_to_train_are_the_recipes():
    assert RECIPES["mnist-cnn"].initialization == "uniform01"
    assert RECIPES["mnist-cnn"].learning_rate == 3e-4
    assert RECIPES["svhn-cnn"].learning_rate == 3e-3
    for name in ("mnist-cnn", "svhn-cnn", "cifar10-cnn3", "stl10-cnn3"):
        recipe = RECIPES[name]
        assert (recipe.batch, recipe.epochs, recipe.members) == (10, 50, 1000)
        assert (recipe.optimizer, recipe.initial_bias) == ("adam", 0.01)
    assert RECIPES["cifar10-cnn3"].weight_decay == 1e-2
    assert RECIPES["stl10-cnn3"].weight_decay == 1e-3
    for name in ("cifar10-resnet18", "cifar100-resnet18", "tiny-imagenet-resnet18"):
        recipe = RECIPES[name]
        assert (recipe.optimizer, recipe.momentum, recipe.schedule) == ("sgd", 0.9, "onecycle")
        assert recipe.weight_decay == 5e-4
        assert recipe.members == 140


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": (1e-3, -1e-3)},
        {"weight_decay": -1.0},
        {"dropout": 1.0},
        {"momentum": 1.0},
        {"activation": "swish"},
        {"initialization": ("normal", "zeros")},
        {"optimizer": "lion"},
        {"batch": 0},
        {"crop": -1},
    ],
    ids=str,
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "initialization", "activation", "dropout"]
)
def test_no_values_to_choose_from_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must have at least one value, got none"):
        TrainingConfig(**{name: ()})
