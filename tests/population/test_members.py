"""What a member becomes follows from the recipe, the seed and its run number, and nothing else."""

from collections import Counter

import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population import cores
from sane_core.zoo.population.cores import groups_of, on_cores
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.train import train
from schemas.config.training import TrainingConfig

SEED = 3
WAYS = ["patches", "vmap", "loop"]


@pytest.fixture
def digits():
    return architecture_named("digits-cnn[classes=4]")


@pytest.mark.parametrize("way", WAYS)
def test_a_member_does_not_depend_on_its_neighbours(
    way, digits, make_member, make_images, in_float64
):
    images, config = make_images(digits, 10), TrainingConfig(batch=4, epochs=2)
    members = [make_member(run, learning_rate=1e-3 * (1 + run % 2)) for run in range(35)]
    start = in_float64(digits, members)
    together = train(digits, start, images, members, config, SEED, way=way)
    chosen = [30, 4]
    part = {name: values[chosen] for name, values in start.items()}
    few = [members[place] for place in chosen]
    apart = train(digits, part, images, few, config, SEED, way=way)
    for name in start:
        torch.testing.assert_close(together[name][chosen], apart[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_a_member_without_numbers_leaves_the_others_as_they_are(
    way, make_member, make_images, in_float64
):
    architecture = architecture_named("vgg11[classes=4,width=1,batch_norm=1]")
    members, images = [make_member(run) for run in range(3)], make_images(architecture, 6)
    config = TrainingConfig(batch=3, epochs=2)
    start = in_float64(architecture, members)
    sound = train(architecture, start, images, members, config, SEED, way=way)
    start["features.0.weight"][1, 0, 0, 0, 0] = torch.nan
    ill = train(architecture, start, images, members, config, SEED, way=way)
    assert ill["classifier.weight"][1].isnan().all()
    for name in sound:
        assert torch.equal(ill[name][[0, 2]], sound[name][[0, 2]])


@pytest.mark.parametrize("way", WAYS)
def test_changing_one_members_learning_rate_changes_that_member_only(
    way, digits, make_member, make_images, in_float64
):
    images, config = make_images(digits, 10), TrainingConfig(batch=4, epochs=2)
    rates = [1e-3, 2e-3, 3e-3]
    members = [make_member(run, learning_rate=rate) for run, rate in enumerate(rates)]
    other = [members[0], make_member(1, learning_rate=5e-3), members[2]]
    start = in_float64(digits, members)
    before, after = (
        train(digits, start, images, each, config, SEED, way=way) for each in (members, other)
    )
    for name in start:
        assert torch.equal(before[name][[0, 2]], after[name][[0, 2]])
        assert not torch.equal(before[name][1], after[name][1])


@pytest.mark.parametrize("way", WAYS)
def test_members_are_the_same_bit_for_bit_on_one_core_and_on_two(way, make_member, make_images):
    architecture = architecture_named("vgg11[classes=4,width=1,batch_norm=1]")
    several_groups = range(4 if way == "loop" else 34)
    members, images = [make_member(run) for run in several_groups], make_images(architecture, 6)
    config = TrainingConfig(batch=3, epochs=1, optimizer="sgd")
    start = initialize(architecture, members, SEED)
    results = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            trained = train(architecture, start, images, members, config, SEED, way=way)
            assert torch.get_num_threads() == threads
            results.append(trained)
    finally:
        torch.set_num_threads(1)
    for name in start:
        assert torch.equal(results[0][name], results[1][name])
        assert torch.equal(results[1][name], results[2][name])


def test_equal_members_part_by_their_run_numbers(digits, make_member, make_images, in_float64):
    images, config = make_images(digits, 10), TrainingConfig(batch=4, epochs=1)
    twins = in_float64(digits, [make_member(0), make_member(0)])
    same = train(digits, twins, images, [make_member(5), make_member(5)], config, SEED)
    parted = train(digits, twins, images, [make_member(5), make_member(6)], config, SEED)
    for name in twins:
        assert torch.equal(same[name][0], same[name][1])
        assert not torch.equal(parted[name][0], parted[name][1])


def test_another_seed_gives_other_members(digits, make_member, make_images, in_float64):
    images, config = make_images(digits, 10), TrainingConfig(batch=4, epochs=1)
    start = in_float64(digits, [make_member(0)])
    first, second = (train(digits, start, images, [make_member(0)], config, s) for s in (3, 4))
    assert not torch.equal(first["module_list.0.weight"], second["module_list.0.weight"])


def test_each_run_draws_its_own_values_and_each_value_is_drawn():
    config = TrainingConfig(
        learning_rate=(1e-3, 1e-2),
        weight_decay=(0.0, 0.1),
        activation=("tanh", "relu", "gelu"),
        initialization=("default", "normal"),
        dropout=(0.0, 0.5),
    )
    members = members_of(config, range(200), SEED)
    for name in ("learning_rate", "weight_decay", "activation", "initialization", "dropout"):
        values = getattr(config, name)
        counts = Counter(getattr(member, name) for member in members)
        assert set(counts) == set(values)
        assert min(counts.values()) > 100 / len(values)
    pairs = Counter((member.learning_rate, member.weight_decay) for member in members)
    assert min(pairs.values()) > 25
    assert members_of(config, [17, 3], SEED) == [members[17], members[3]]
    assert members_of(config, range(200), SEED + 1) != members


def test_one_value_is_every_members():
    (member,) = members_of(TrainingConfig(learning_rate=0.5, dropout=0.25), [9], SEED)
    assert (member.run, member.learning_rate, member.dropout) == (9, 0.5, 0.25)
    assert member.activation is None


@pytest.mark.parametrize("members", [1, 2, 31, 32, 33, 64, 65, 100])
@pytest.mark.parametrize("numbers", [1, 2**16, 2**21])
def test_groups_hold_every_member_once_and_are_about_equal(members, numbers):
    groups = groups_of(members, numbers)
    assert [place for group in groups for place in range(members)[group]] == list(range(members))
    sizes = {group.stop - group.start for group in groups}
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(1, min(cores.GROUP_MEMBERS, cores.GROUP_NUMBERS // numbers))


def test_work_keeps_the_order_of_its_items_and_gives_threads_back_when_it_fails():
    torch.set_num_threads(2)
    try:
        assert on_cores(lambda item: item * item, [3, 1, 2]) == [9, 1, 4]
        with pytest.raises(ZeroDivisionError):
            on_cores(lambda item: 1 // item, [1, 0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
