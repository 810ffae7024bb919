"""Half precision is for passes: weights, moments and statistics stay in float32."""

import numpy as np
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.score import score
from sane_core.zoo.population.train import Training
from schemas.config.training import TrainingConfig

SEED = 3


@pytest.fixture
def images():
    """Two kinds of images that a small network can tell apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = rng.integers(0, 100, (40, 1, 8, 8)) + 100 * labels[:, None, None, None]
    return Images(pixels.astype(np.uint8), labels, 1 / 255, (0.5,), (0.3,))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("digits-cnn[classes=2]", "patches"),
        ("digits-cnn[classes=2]", "vmap"),
        ("digits-cnn[classes=2]", "loop"),
        ("cifar-resnet20[classes=2,channels=1,size=8,width=2]", "patches"),
        ("cifar-resnet20[classes=2,channels=1,size=8,width=2]", "loop"),
    ],
)
def test_the_loss_falls_in_bfloat16_and_weights_stay_float32(name, way, images, make_member):
    architecture = architecture_named(name)
    members = [make_member(run, learning_rate=1e-2) for run in range(2)]
    config = TrainingConfig(batch=10, epochs=4, precision="bfloat16")
    start = initialize(architecture, members, SEED)
    training = Training(architecture, start, images, members, config, SEED, way=way)
    for _ in range(config.epochs):
        training.advance()
    for entry, values in training.state().items():
        counts = entry.endswith("num_batches_tracked") or entry in ("epoch", "steps")
        assert values.dtype == (torch.int64 if counts else torch.float32), entry
    before, after = (score(architecture, each, images)[1] for each in (start, training.population))
    assert (after < 0.7 * before).all()


def test_bfloat16_gives_other_weights_than_float32_but_not_far_away(images, make_member):
    architecture, members = architecture_named("digits-cnn[classes=2]"), [make_member(0)]
    start = initialize(architecture, members, SEED)
    full, half = (
        Training(
            architecture,
            start,
            images,
            members,
            TrainingConfig(batch=10, precision=precision),
            SEED,
        )
        for precision in ("float32", "bfloat16")
    )
    full.advance()
    half.advance()
    for entry, values in full.population.items():
        assert not torch.equal(values, half.population[entry])
        # Adam moves a weight by at most its rate in each of the 4 steps, and by twice that apart.
        torch.testing.assert_close(values, half.population[entry], rtol=0, atol=8e-3)
