"""Training many members at once gives what training each alone gives."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sane_core.seeding import rng_for
from sane_core.zoo.architectures import (
    DIGITS_CNN,
    Activation,
    Architecture,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    SequentialNet,
)
from sane_core.zoo.images import Images, split_digits
from sane_core.zoo.population import cross_entropy, initialize, logits, score, stack, train

PADDED = Architecture(
    name="padded",
    input_shape=(2, 9, 7),
    operations=(
        Conv(2, 3, 3, padding=2),
        Activation("relu"),
        MaxPool(3),
        Conv(3, 4, 2, padding=1),
        Activation("gelu"),
        MaxPool(2),
        Flatten(),
        Linear(16, 5),
    ),
)
"""Paddings up to kernel - 1, pools that leave a rest, images that are not square."""

RECIPE = {"batch": 40, "learning_rate": 1e-3, "seed": 3}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The networks are tiny: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images() -> dict[str, Images]:
    return split_digits(0, 160, 40, 60)


def in_float64(images: Images) -> Images:
    return Images(images.pixels.astype(np.float64), images.labels)


def doubled(population):
    return {name: values.double() for name, values in population.items()}


def plain_net(architecture, population, member) -> SequentialNet:
    state = {name: values[member] for name, values in population.items()}
    net = SequentialNet(architecture).to(next(iter(state.values())).dtype)
    net.load_state_dict(state)
    return net


def train_alone(population, member, images, *, runs, epochs, batch, learning_rate, seed):
    """Train one member as a plain module with PyTorch's Adam on the same batches."""
    net = plain_net(DIGITS_CNN, population, member)
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    for epoch in range(1, epochs + 1):
        order = rng_for(seed, "order", runs[0], epoch).permutation(len(labels))
        for chosen in torch.from_numpy(order).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(net(pixels[chosen]), labels[chosen]).backward()
            optimizer.step()
    return net.state_dict()


@pytest.mark.parametrize("architecture", [DIGITS_CNN, PADDED], ids=lambda a: a.name)
def test_logits_and_gradients_are_those_of_the_plain_module(architecture):
    population = {
        name: values.requires_grad_()
        for name, values in doubled(initialize(architecture, [4, 7, 9], 0)).items()
    }
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(3, 11, *architecture.input_shape, generator=generator).double()
    pixels[:, :, :, :2] = 0  # equal patches: pooling meets ties
    pixels.requires_grad_()
    labels = torch.randint(5, (3, 11), generator=generator)
    outputs = logits(architecture, population, pixels)
    cross_entropy(outputs, labels).sum().backward()
    for member in range(3):
        net = plain_net(architecture, population, member)
        own = pixels[member].detach().requires_grad_()
        expected = net(own)
        functional.cross_entropy(expected, labels[member]).backward()
        torch.testing.assert_close(outputs[member], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(pixels.grad[member], own.grad, rtol=0, atol=1e-12)
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(
                population[name].grad[member], parameter.grad, rtol=0, atol=1e-12
            )


def test_logits_of_shared_images_are_those_of_a_copy_for_each_member():
    population = initialize(DIGITS_CNN, [0, 1, 2], 0)
    pixels = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shared = logits(DIGITS_CNN, population, pixels)
    copied = logits(DIGITS_CNN, population, pixels.repeat(3, 1, 1, 1, 1))
    torch.testing.assert_close(shared, copied, rtol=0, atol=1e-6)


def test_logits_are_not_those_of_another_member():
    population = initialize(DIGITS_CNN, [0, 1], 0)
    pixels = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = logits(DIGITS_CNN, population, pixels)
    assert not torch.allclose(outputs[0], plain_net(DIGITS_CNN, population, 1)(pixels), atol=1e-2)


@pytest.mark.parametrize("batch", [10, 64])
def test_both_ways_of_training_give_the_same_weights_after_100_steps(images, batch):
    part = in_float64(images["train"])
    epochs = -(-100 // -(-len(part.labels) // batch))
    runs = [2, 5, 11]
    recipe = {"runs": runs, "epochs": epochs, "batch": batch, "learning_rate": 1e-3, "seed": 3}
    start = doubled(initialize(DIGITS_CNN, runs, 0))
    at_once = train(DIGITS_CNN, start, part, **recipe)
    for member, run in enumerate(runs):
        alone = train_alone(start, member, part, **(recipe | {"runs": [run]}))
        for name, values in alone.items():
            torch.testing.assert_close(at_once[name][member], values, rtol=0, atol=1e-9)
    moved = at_once["module_list.0.weight"] - start["module_list.0.weight"]
    assert moved.abs().max() > 1e-2


def test_training_does_not_depend_on_the_neighbours(images):
    """Close, not equal bit for bit: a product rounds by how its operands lie in memory."""
    runs = list(range(35))
    start = initialize(DIGITS_CNN, runs, 0)
    together = train(DIGITS_CNN, start, images["train"], runs=runs, epochs=2, **RECIPE)
    chosen = [30, 4]
    part = {name: values[chosen] for name, values in start.items()}
    apart = train(DIGITS_CNN, part, images["train"], runs=chosen, epochs=2, **RECIPE)
    for name in start:
        torch.testing.assert_close(together[name][chosen], apart[name], rtol=0, atol=1e-5)


def test_training_is_the_same_bit_for_bit_on_one_core_and_on_two(images):
    runs = list(range(40))
    start = initialize(DIGITS_CNN, runs, 0)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            results.append(train(DIGITS_CNN, start, images["train"], runs=runs, epochs=2, **RECIPE))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name in start:
        assert torch.equal(results[0][name], results[1][name])
        assert torch.equal(results[1][name], results[2][name])


def test_training_leaves_the_start_as_it_was(images):
    start = initialize(DIGITS_CNN, [0, 1], 0)
    copies = {name: values.clone() for name, values in start.items()}
    train(DIGITS_CNN, start, images["train"], runs=[0, 1], epochs=1, **RECIPE)
    assert all(torch.equal(start[name], copies[name]) for name in start)


def test_a_member_sees_the_batches_of_its_run(images):
    start = initialize(DIGITS_CNN, [0, 0], 0)
    trained = train(DIGITS_CNN, start, images["train"], runs=[0, 1], epochs=1, **RECIPE)
    first, second = trained["module_list.8.weight"]
    assert not torch.equal(first, second)


def test_initialization_is_drawn_from_seed_and_run_alone():
    both = initialize(DIGITS_CNN, [3, 8], 0)
    alone = initialize(DIGITS_CNN, [8], 0)
    other_seed = initialize(DIGITS_CNN, [8], 1)
    for name, values in both.items():
        assert torch.equal(values[1], alone[name][0])
        assert not torch.equal(values[0], values[1])
        assert not torch.equal(alone[name], other_seed[name])


def test_initialization_stays_within_one_over_root_fan_in():
    for name, values in initialize(DIGITS_CNN, list(range(30)), 0).items():
        weight = DIGITS_CNN.shapes()[name.rsplit(".", 1)[0] + ".weight"]
        bound = float(np.prod(weight[1:])) ** -0.5
        assert 0.9 * bound < values.abs().max() <= bound


def test_score_agrees_with_a_loop_over_plain_modules(images):
    runs = list(range(6))
    population = initialize(DIGITS_CNN, runs, 0)
    part = images["validation"]
    correct, loss = score(DIGITS_CNN, population, part, batch=16)
    pixels, labels = torch.from_numpy(part.pixels), torch.from_numpy(part.labels)
    assert correct.shape == (len(runs), len(labels))
    for member in runs:
        outputs = plain_net(DIGITS_CNN, population, member)(pixels).detach()
        assert np.array_equal(correct[member], (outputs.argmax(1) == labels).numpy())
        expected = functional.cross_entropy(outputs, labels).item()
        assert loss[member] == pytest.approx(expected, abs=1e-5)


def test_stacked_arrays_keep_their_values_in_the_order_of_the_entries():
    population = initialize(DIGITS_CNN, [0, 1], 0)
    arrays = {name: values.numpy() for name, values in reversed(population.items())}
    stacked = stack(DIGITS_CNN, arrays)
    assert list(stacked) == list(DIGITS_CNN.shapes())
    assert all(torch.equal(stacked[name], population[name]) for name in population)
