"""Trained CNNs of digits, an untrained SANE for them, and the stages of a few small ResNets."""

import numpy as np
import pytest

from sane_core.generation.generator import Generator
from sane_core.generation.material import open_material
from sane_core.images.dataset import split
from sane_core.images.registry import load_dataset
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.standardize import identity
from sane_core.weights.tokens import lengths_of, positions_of
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.train import train
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.config.training import TrainingConfig
from tests.generation.digits import DIGITS_CNN, LAYERS
from tests.generation.resnets import CONFIG, EMBED, EPOCHS, RECIPE, write_stages


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    digits = load_dataset("digits", tmp_path_factory.mktemp("data"))
    return split(digits, 0, 200, 100, 100)


@pytest.fixture(scope="module")
def population(images):
    config = TrainingConfig(epochs=12, batch=20, learning_rate=3e-3)
    members = members_of(config, range(6), 0)
    start = initialize(DIGITS_CNN, members, 0)
    trained = train(DIGITS_CNN, start, images["train"], members, config, 0)
    return {name: values.numpy() for name, values in trained.items()}


@pytest.fixture(scope="module")
def generator(images):
    shape = AutoencoderShape(73, 48, (48, 5, 20))
    config = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=6, d_projection=4)
    return Generator(
        model=build(shape, config, 0).eval(),
        architecture=DIGITS_CNN,
        layers=LAYERS,
        statistics=identity(LAYERS),
        positions=positions_of(LAYERS, 73),
        lengths=lengths_of(LAYERS, 73),
        mean=np.zeros(6),
        scale=np.ones(6),
        embed=EmbedConfig(),
        validation=images["validation"],
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_stages(tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="module")
def given(sources):
    return open_material(sources, EPOCHS, CONFIG, EMBED, 0, RECIPE)
