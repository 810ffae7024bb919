"""Scoring many members at once gives what each plain module gives."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.learner import cross_entropy
from sane_core.zoo.population.score import logits, score, stack
from sane_core.zoo.population.train import train
from schemas.config.training import TrainingConfig

SEED = 3
NAMES = [
    "digits-cnn[classes=4]",
    "resnet18[classes=4,width=1,size=8]",
    "vgg11[classes=4,width=1,batch_norm=1]",
]


@pytest.mark.parametrize("way", ["patches", "vmap", "loop"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_plain_modules_whatever_the_batch(
    name, way, make_member, make_images, in_float64, plain_logits
):
    architecture = architecture_named(name)
    members, images = [make_member(run) for run in range(3)], make_images(architecture, 11)
    config = TrainingConfig(batch=6, epochs=2)
    start = in_float64(architecture, members)
    population = train(architecture, start, images.take(slice(6)), members, config, SEED)
    for batch in (None, 4, 1):
        correct, loss = score(architecture, population, images, batch, way=way)
        assert correct.shape == (3, 11)
        for place, member in enumerate(members):
            outputs = plain_logits(architecture, member, population, place, images)
            labels = torch.from_numpy(images.labels)
            assert np.array_equal(correct[place], (outputs.argmax(1) == labels).numpy())
            expected = functional.cross_entropy(outputs, labels).item()
            assert loss[place] == pytest.approx(expected, rel=1e-9)


def test_scoring_changes_no_statistics(make_member, make_images):
    architecture = architecture_named("vgg11[classes=4,width=1,batch_norm=1]")
    members, images = [make_member(0)], make_images(architecture, 5)
    population = initialize(architecture, members, SEED)
    copies = {name: values.clone() for name, values in population.items()}
    for way in ("patches", "vmap", "loop"):
        score(architecture, population, images, way=way)
    assert all(torch.equal(population[name], copies[name]) for name in population)


def test_members_with_activations_of_their_own_are_scored_with_them(
    make_member, make_images, in_float64, plain_logits
):
    architecture = architecture_named("digits-cnn[classes=4]")
    members = [make_member(0, activation="relu"), make_member(0, activation="sigmoid")]
    population, images = in_float64(architecture, members), make_images(architecture, 9)
    for way in ("patches", "vmap", "loop"):
        _, loss = score(architecture, population, images, members=members, way=way)
        for place, member in enumerate(members):
            outputs = plain_logits(architecture, member, population, place, images)
            expected = functional.cross_entropy(outputs, torch.from_numpy(images.labels)).item()
            assert loss[place] == pytest.approx(expected, rel=1e-9)
    assert loss[0] != loss[1]


@pytest.mark.parametrize("name", NAMES)
def test_shared_images_give_what_a_copy_for_each_member_gives(name, make_member, in_float64):
    architecture = architecture_named(name)
    population = in_float64(architecture, [make_member(run) for run in range(3)])
    pixels = torch.rand(6, *architecture.input_shape, dtype=torch.float64)
    shared = logits(architecture, population, pixels)
    copied = logits(architecture, population, pixels.repeat(3, 1, 1, 1, 1))
    torch.testing.assert_close(shared, copied, rtol=0, atol=1e-12)
    assert not torch.allclose(shared[0], shared[1])


def test_members_taken_out_of_a_larger_array_are_scored_as_their_copies(make_member, make_images):
    architecture = architecture_named("vgg11[classes=4,width=1,batch_norm=1]")
    population = initialize(architecture, [make_member(run) for run in range(4)], SEED)
    images = make_images(architecture, 5)
    views = {name: torch.stack([v, v + 1], dim=-1)[::2, ..., 0] for name, v in population.items()}
    copies = {name: values.contiguous() for name, values in views.items()}
    _, loss = score(architecture, views, images)
    assert np.array_equal(loss, score(architecture, copies, images)[1])


def test_cross_entropy_is_each_members_mean():
    outputs, labels = torch.randn(3, 5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])
    expected = [functional.cross_entropy(own, labels) for own in outputs]
    torch.testing.assert_close(cross_entropy(outputs, labels), torch.stack(expected))


def test_stacked_arrays_keep_their_values_in_the_order_of_the_entries(make_member):
    architecture = architecture_named("vgg11[width=1,batch_norm=1]")
    population = initialize(architecture, [make_member(0), make_member(1)], SEED)
    arrays = {name: values.numpy() for name, values in reversed(population.items())}
    stacked = stack(architecture, arrays)
    assert list(stacked) == [*architecture.shapes(), *architecture.buffers()]
    assert all(torch.equal(stacked[name], population[name]) for name in population)
    bare = stack(architecture, {name: arrays[name] for name in architecture.shapes()})
    assert list(bare) == list(architecture.shapes())
