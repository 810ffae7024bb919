"""Where nothing is measured, the way to run networks follows from their size."""

import numpy as np
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.score import groups_to_run, images_per_pass, score
from sane_core.zoo.population.settled import way_to_score, way_to_train
from sane_core.zoo.population.train import way_for
from schemas.config.training import TrainingConfig

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "scored", "trained"),
    [
        ("digits-cnn", "patches", "patches"),
        ("cnn", "patches", "patches"),
        ("cnn3", "loop", "patches"),
        ("resnet18[size=16,width=8]", "loop", "loop"),
        ("vit[size=8,dim=4,depth=1,heads=2,hidden=6]", "vmap", "vmap"),
    ],
)
def test_small_networks_are_run_together_and_large_ones_one_by_one(name, scored, trained):
    architecture = architecture_named(name)
    assert way_to_score(architecture) == scored
    assert way_to_train(architecture) == way_for(architecture, TrainingConfig()) == trained


def test_on_a_gpu_large_networks_are_run_together_too():
    architecture = architecture_named("resnet18[size=16,width=8]")
    assert way_to_score(architecture, "cuda") == "patches"
    assert way_for(architecture, TrainingConfig(), "cuda:1") == "patches"


def test_a_recipe_s_own_way_is_taken_whatever_the_size():
    network = architecture_named("digits-cnn")
    assert way_for(network, TrainingConfig(way="loop")) == "loop"


@pytest.mark.parametrize("members", [1, 3, 5, 40, 41])
def test_members_run_one_by_one_are_in_one_group_each(members):
    groups = groups_to_run(CPU, architecture_named("digits-cnn"), members, 8, "loop")
    assert [i for group in groups for i in range(members)[group]] == [*range(members)]


@pytest.mark.parametrize(
    ("members", "groups", "largest"), [(1, 1, 1), (5, 2, 3), (40, 8, 5), (200, 13, 16)]
)
def test_members_run_together_are_in_even_groups_enough_for_many_cores(members, groups, largest):
    cnn = architecture_named("cnn")
    found = groups_to_run(CPU, cnn, members, images_per_pass(CPU, cnn, "patches"), "patches")
    assert [i for group in found for i in range(members)[group]] == [*range(members)]
    sizes = [group.stop - group.start for group in found]
    assert (len(sizes), max(sizes)) == (groups, largest)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("name", "together"), [("digits-cnn", 200), ("resnet18[size=32]", 2)])
def test_a_gpu_runs_as_many_together_as_its_memory_holds(name, together):
    groups = groups_to_run(GPU, architecture_named(name), 200, 128, "patches")
    assert [i for group in groups for i in range(200)[group]] == [*range(200)]
    assert {group.stop - group.start for group in groups[:-1] or groups} == {together}


def test_a_gpu_takes_more_images_at_once_than_a_core():
    cnn = architecture_named("cnn")
    assert images_per_pass(CPU, cnn, "patches") < images_per_pass(GPU, cnn, "patches") == 256


def test_how_networks_are_grouped_changes_no_score(make_member, make_images, monkeypatch):
    architecture = architecture_named("resnet18[classes=4,width=1,size=8]")
    population = initialize(architecture, [make_member(run) for run in range(5)], 0)
    images = make_images(architecture, 9)
    together = score(architecture, population, images, way="loop")
    monkeypatch.setattr("sane_core.zoo.population.score.LOOPED_MEMBERS", 1)
    alone = score(architecture, population, images, way="loop")
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
