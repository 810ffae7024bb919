"""A zoo from elsewhere says what its networks see, so that networks can be generated like them."""

import pytest
from pydantic import ValidationError

from schemas.config.benchmark import BenchmarkConfig, TrackingConfig
from schemas.config.recipes import RECIPES
from tasks.ingest import IngestStage


def ingested(**more):
    zoo = {"name": "mine", "source": "sample:mnist-cnn", **more}
    return BenchmarkConfig.model_validate({"zoos": [zoo]}).zoos[0]


def test_a_recipe_gives_images_and_training():
    zoo = ingested(trained_like="mnist-cnn")
    assert zoo.images == RECIPES["mnist-cnn"].images
    assert zoo.training == RECIPES["mnist-cnn"].training()


def test_what_is_said_beside_it_counts_more():
    zoo = ingested(trained_like="mnist-cnn", images={"train": 1000}, training={"batch": 64})
    assert zoo.images.train == 1000 and zoo.images.dataset == "mnist"
    assert zoo.training.batch == 64 and zoo.training.initialization == "uniform01"


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ValidationError, match="trained_like must be one of digits-cnn, mnist-cnn"):
        ingested(trained_like="mnist")


def test_the_same_networks_are_not_ingested_again_for_it():
    plain, told = ingested(), ingested(trained_like="mnist-cnn")
    tracking = TrackingConfig()
    assert IngestStage.of(plain, tracking) == IngestStage.of(told, tracking)
    assert IngestStage.of(plain, tracking) != IngestStage.of(ingested(every=2), tracking)
