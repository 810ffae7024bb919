"""Training many members at once gives what plain PyTorch gives for each of them alone."""

import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.optimizers import one_cycle
from sane_core.zoo.population.train import Training, train
from sane_core.zoo.population.ways import supported_ways
from schemas.config.training import TrainingConfig

SEED = 3
DIFFERENT = (
    {"learning_rate": 1e-3, "weight_decay": 1e-2},
    {"learning_rate": 4e-3, "weight_decay": 0.0},
)
CASES = {
    "digits-cnn[classes=4]": {"optimizer": "adam", "batch": 6, "epochs": 25},
    "cnn[classes=4]": {"optimizer": "adamw", "schedule": "onecycle", "batch": 4, "epochs": 25},
    "cnn3[classes=4,size=22,dropout=0.25]": {"optimizer": "adam", "batch": 4, "epochs": 25},
    "mlp[classes=4,size=6,hidden=7x5]": {"optimizer": "sgd", "batch": 5, "epochs": 25},
    "resnet18[classes=4,width=4,size=8]": {
        "optimizer": "sgd",
        "schedule": "onecycle",
        "batch": 8,
        "epochs": 25,
    },
    "cifar-resnet20[classes=4,width=2,size=8]": {"optimizer": "adamw", "batch": 4, "epochs": 3},
    "vgg11[classes=4,width=1,batch_norm=1]": {
        "optimizer": "sgd",
        "momentum": 0.5,
        "batch": 6,
        "epochs": 5,
    },
    "minialexnet[classes=4,width=2]": {"schedule": "onecycle", "batch": 4, "epochs": 5},
    "vit[classes=4,size=8,dim=4,depth=1,heads=2,hidden=6,dropout=0.1]": {
        "optimizer": "adamw",
        "batch": 4,
        "epochs": 5,
    },
}
"""Architecture -> recipe of 4 steps an epoch, the last of which sees fewer images."""


def assert_close(population, place, state, tolerance=1e-9):
    assert set(population) == set(state)
    for name, values in state.items():
        torch.testing.assert_close(
            population[name][place],
            values,
            rtol=tolerance,
            atol=tolerance,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap and attention
@pytest.mark.parametrize("name", CASES)
def test_every_way_gives_what_each_member_alone_gives(
    name, make_member, make_images, in_float64, train_alone
):
    architecture = architecture_named(name)
    batch = CASES[name]["batch"]
    images = make_images(architecture, 4 * batch - 1)
    config = TrainingConfig(**CASES[name])
    members = [make_member(run, **own) for run, own in zip((2, 11), DIFFERENT, strict=True)]
    start = in_float64(architecture, members)
    alone = [
        train_alone(architecture, member, {k: v[place] for k, v in start.items()}, images, config)
        for place, member in enumerate(members)
    ]
    for way in supported_ways(architecture):
        trained = train(architecture, start, images, members, config, SEED, way=way)
        for place, state in enumerate(alone):
            assert_close(trained, place, state)
    moved = max((alone[1][k] - start[k][1]).abs().max() for k in architecture.shapes())
    assert moved > 1e-3


@pytest.mark.parametrize("way", ["patches", "vmap", "loop"])
def test_members_may_differ_in_everything_that_a_recipe_varies(
    way, make_member, make_images, in_float64, train_alone
):
    architecture = architecture_named("digits-cnn[classes=4,dropout=0.5]")
    images = make_images(architecture, 23)
    config = TrainingConfig(optimizer="adamw", schedule="onecycle", batch=10, epochs=10)
    members = [
        make_member(1, learning_rate=1e-2, activation="tanh", dropout=0.0),
        make_member(2, weight_decay=0.1, activation="gelu", dropout=0.3),
        make_member(5, initialization="kaiming_normal", activation="leakyrelu", dropout=0.6),
        make_member(7, initialization="uniform01", activation="silu", dropout=0.1),
        make_member(8, learning_rate=3e-3, activation="relu", dropout=0.2),
        make_member(9, initialization="xavier_normal", activation="sigmoid", dropout=0.5),
    ]
    start = in_float64(architecture, members, bias=0.01)
    trained = train(architecture, start, images, members, config, SEED, way=way)
    for place, member in enumerate(members):
        state = {name: values[place] for name, values in start.items()}
        assert_close(trained, place, train_alone(architecture, member, state, images, config))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_every_optimizer_is_pytorchs_under_every_schedule(
    optimizer, schedule, make_member, make_images, in_float64, train_alone
):
    architecture = architecture_named("mlp[classes=4,size=3,hidden=5]")
    images = make_images(architecture, 12)
    config = TrainingConfig(optimizer=optimizer, schedule=schedule, batch=5, epochs=12)
    members = [make_member(run, **own) for run, own in enumerate(DIFFERENT)]
    start = in_float64(architecture, members)
    trained = train(architecture, start, images, members, config, SEED)
    for place, member in enumerate(members):
        state = {name: values[place] for name, values in start.items()}
        assert_close(trained, place, train_alone(architecture, member, state, images, config))


def test_decay_of_adam_is_not_that_of_adamw(make_member, make_images, in_float64, train_alone):
    architecture = architecture_named("mlp[classes=4,size=3,hidden=5]")
    images, members = make_images(architecture, 12), [make_member(0, weight_decay=0.3)]
    start = in_float64(architecture, members)
    coupled, decoupled = (
        train(architecture, start, images, members, TrainingConfig(optimizer=kind, epochs=9), SEED)
        for kind in ("adam", "adamw")
    )
    assert not torch.allclose(coupled["module_list.1.weight"], decoupled["module_list.1.weight"])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10, 37, 100])
def test_one_cycle_is_pytorchs_schedule_and_momentum(steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2.0, steps)
    for step in range(steps):
        group = optimizer.param_groups[0]
        factor, momentum = one_cycle(step, steps)
        assert 2 * factor == pytest.approx(group["lr"], rel=1e-12)
        assert momentum == pytest.approx(group["momentum"], rel=1e-12)
        optimizer.step()
        if step + 1 < steps:
            schedule.step()


def test_training_leaves_the_start_and_the_images_as_they_were(
    make_member, make_images, in_float64
):
    architecture = architecture_named("resnet18[classes=4,width=2,size=8]")
    members, images = [make_member(0), make_member(1)], make_images(architecture, 9)
    start = in_float64(architecture, members)
    copies = {name: values.clone() for name, values in start.items()}
    pixels = images.pixels.copy()
    config = TrainingConfig(batch=4, epochs=1, crop=1, flip=True)
    images = images.take(slice(0, 8))
    train(architecture, start, images, members, config, SEED)
    assert all(torch.equal(start[name], copies[name]) for name in start)
    assert (images.pixels == pixels[:8]).all()


def test_what_a_callback_gets_is_not_changed_by_later_epochs(make_member, make_images, in_float64):
    architecture = architecture_named("vgg11[classes=4,width=1,batch_norm=1]")
    members, images = [make_member(0)], make_images(architecture, 6)
    seen = {}
    config = TrainingConfig(batch=3, epochs=2)
    start = in_float64(architecture, members)
    last = train(
        architecture,
        start,
        images,
        members,
        config,
        SEED,
        on_epoch=lambda e, p: seen.update({e: p}),
    )
    assert sorted(seen) == [0, 1, 2]
    for name in architecture.shapes():
        assert torch.equal(seen[0][name], start[name])
        assert not torch.equal(seen[1][name], seen[2][name])
        assert torch.equal(seen[2][name], last[name])
    assert seen[1]["features.1.num_batches_tracked"].tolist() == [2]


@pytest.mark.parametrize("way", ["patches", "vmap", "loop"])
def test_a_restored_training_goes_on_as_if_it_had_never_stopped(
    way, make_member, make_images, in_float64
):
    architecture = architecture_named("cifar-resnet20[classes=4,width=1,size=4]")
    members, images = [make_member(run) for run in (4, 9)], make_images(architecture, 8)
    config = TrainingConfig(optimizer="sgd", schedule="onecycle", batch=4, epochs=3)
    start = in_float64(architecture, members)
    first = Training(architecture, start, images, members, config, SEED, way=way)
    first.advance()
    state = first.state()
    first.advance()
    second = Training(architecture, start, images, members, config, SEED, way=way)
    second.restore(state)
    second.advance()
    assert second.epoch == 2
    for name, values in first.state().items():
        assert torch.equal(values, second.state()[name]), name


def test_a_batch_norm_without_statistics_starts_as_its_module_does(
    make_member, make_images, in_float64
):
    architecture = architecture_named("vgg11[classes=4,width=1,batch_norm=1]")
    members, images = [make_member(0), make_member(1)], make_images(architecture, 6)
    whole = in_float64(architecture, members)
    bare = {name: whole[name] for name in architecture.shapes()}
    config = TrainingConfig(batch=3, epochs=1)
    for way in supported_ways(architecture):
        ours = train(architecture, bare, images, members, config, SEED, way=way)
        theirs = train(architecture, whole, images, members, config, SEED, way=way)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_batch_norm_over_one_number_is_refused_as_pytorch_refuses_it(
    make_member, make_images, in_float64
):
    architecture = architecture_named("resnet18[classes=4,width=1,size=8]")
    members, images = [make_member(0)], make_images(architecture, 5)
    start = in_float64(architecture, members)
    for way in supported_ways(architecture):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            config = TrainingConfig(batch=4, epochs=1)
            train(architecture, start, images, members, config, SEED, way=way)


def test_a_batch_norm_over_one_image_uses_its_places(
    make_member, make_images, in_float64, train_alone
):
    architecture = architecture_named("cifar-resnet20[classes=4,width=1,size=8]")
    members, images = [make_member(0), make_member(1)], make_images(architecture, 5)
    config = TrainingConfig(batch=2, epochs=2)
    start = in_float64(architecture, members)
    for way in supported_ways(architecture):
        trained = train(architecture, start, images, members, config, SEED, way=way)
        for place, member in enumerate(members):
            state = {name: values[place] for name, values in start.items()}
            assert_close(trained, place, train_alone(architecture, member, state, images, config))
