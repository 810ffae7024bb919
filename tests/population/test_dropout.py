"""Dropout keeps the mean, by each member's own share, and is gone after training."""

import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.learner import Learner
from sane_core.zoo.population.score import logits
from sane_core.zoo.population.train import train
from sane_core.zoo.population.ways import WAYS
from schemas.config.training import TrainingConfig

SEED = 3
NAME = "mlp[classes=4,size=4,hidden=500,dropout=0.5]"


class Spy:
    """A way that keeps what it is given."""

    def __init__(self, way):
        self.way, self.seen = way, []

    def __call__(self, given, pixels):
        self.seen.append(given.kept)
        return self.way(given, pixels)


@pytest.fixture
def factors(make_member, in_float64):
    """Take steps of members with these shares and return what their dropout multiplied by."""

    def take(shares, way="patches", precision="float32", epoch=1, steps=1, runs=None):
        architecture = architecture_named(NAME)
        runs = runs or range(len(shares))
        members = [make_member(run, dropout=p) for run, p in zip(runs, shares, strict=True)]
        spy = Spy(WAYS[way](architecture))
        config = TrainingConfig(precision=precision)
        learner = Learner(
            architecture, spy, members, in_float64(architecture, members), config, SEED
        )
        learner.begin(epoch)
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float64
        pixels = torch.rand(len(shares), 20, 1, 4, 4, dtype=dtype)
        for step in range(steps):
            labels = torch.zeros(len(shares), 20, dtype=torch.int64)
            learner.step(pixels, labels, step, steps)
        return [next(iter(kept.values()), None) for kept in spy.seen]

    return take


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_each_member_drops_its_own_share_and_keeps_the_mean(factors, precision):
    shares = [0.0, 0.1, 0.5, 0.9]
    (kept,) = factors(shares, precision=precision)
    assert kept.shape == (4, 20, 500)
    for place, share in enumerate(shares):
        own = kept[place].double()
        values = own.unique()
        assert (own == 0).double().mean().item() == pytest.approx(share, abs=0.02)
        assert values.max().item() == pytest.approx(1 / (1 - share), rel=4e-3)
        # 10,000 draws: five standard errors of the mean.
        error = 5 * (share / (1 - share) / 10_000) ** 0.5
        assert own.mean().item() == pytest.approx(1, abs=error + 4e-3)
        assert len(values) == (1 if share == 0 else 2)


def test_masks_differ_between_members_steps_and_epochs_but_not_by_the_company(factors):
    first, second = factors([0.5, 0.5], steps=2)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    assert not torch.equal(factors([0.5, 0.5], epoch=2)[0], first)
    assert torch.equal(factors([0.5], runs=[1])[0][0], first[1])
    assert torch.equal(factors([0.9, 0.5])[0][1], first[1])


def test_masks_are_the_same_by_every_way(factors):
    masks = [factors([0.5, 0.2], way=way)[0] for way in WAYS]
    assert all(torch.equal(masks[0], mask) for mask in masks)


def test_a_share_of_zero_drops_nothing_whatever_the_architecture_says(
    factors, make_member, make_images, in_float64
):
    assert factors([0.0, 0.0]) == [None]
    dropping, plain = (
        architecture_named(f"mlp[classes=4,size=4{p}]") for p in (",dropout=0.5", "")
    )
    members, images = [make_member(0, dropout=0.0)], make_images(plain, 7)
    start = in_float64(plain, members)
    config = TrainingConfig(batch=4, epochs=2)
    expected = train(plain, start, images, members, config, SEED)
    for way in WAYS:
        trained = train(dropping, start, images, members, config, SEED, way=way)
        for name in expected:
            torch.testing.assert_close(trained[name], expected[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_a_trained_network_drops_nothing(way, make_member, make_images, in_float64, plain_logits):
    architecture = architecture_named(NAME)
    members, images = [make_member(0, dropout=0.9, activation="tanh")], make_images(architecture, 5)
    population = in_float64(architecture, members)
    pixels = torch.from_numpy(images.numbers()).double()
    got = logits(architecture, population, pixels, members, WAYS[way](architecture))
    expected = plain_logits(architecture, members[0], population, 0, images)
    torch.testing.assert_close(got[0], expected, rtol=0, atol=1e-6)
