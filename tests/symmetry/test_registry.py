"""Every registered architecture against tables written by hand."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sane_core.architectures.registry import FAMILIES, architecture_named
from sane_core.weights.symmetry.derive import derive, groups_of, symmetries_of
from sane_core.weights.symmetry.groups import Axis
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.symmetry.verify import verify
from tests.symmetry.measure import (
    NOTICED,
    change,
    place,
    places,
    randomize,
    turn,
    unsaid,
    without_one,
)

# Groups by hand: one per hidden layer of a plain sequence. In a ResNet, one per stream (a stage; in
# those of bottlenecks the stem has a narrower one) and one per layer inside a block. CIFAR ResNets:
# the stream (one, since shortcuts have no weights), twice what the next stage adds on either side
# of it, and the blocks' insides. Transformers: the stream, then heads, queries and keys, values and
# the perceptron of every block.
NUMBERS = {
    "cnn": 4,
    "cnn[size=20,activation=relu,dropout=0.1]": 4,
    "cnn3": 4,
    "digits-cnn": 4,
    "digits-cnn[activation=silu,dropout=0.1]": 4,
    "mlp[hidden=32x16,size=8]": 2,
    "mlp[hidden=6x1x5,size=4,classes=2]": 2,
    "resnet18[width=8,size=16]": 4 + 8,
    "resnet18[width=4,stem=imagenet,size=32,activation=silu]": 4 + 8,
    "resnet34[width=2,size=8]": 4 + 16,
    "resnet50[width=2,size=8]": 5 + 2 * 16,
    "resnet50[width=2,size=8,strided=1x1]": 5 + 2 * 16,
    "resnet101[width=2,size=8]": 5 + 2 * 33,
    "cifar-resnet20[width=4,size=8]": 1 + 2 + 2 + 9,
    "cifar-resnet20[width=4,size=8,shortcut=projection]": 3 + 9,
    "cifar-resnet32[width=4,size=8]": 1 + 2 + 2 + 15,
    "cifar-resnet44[width=4,size=8]": 1 + 2 + 2 + 21,
    "cifar-resnet56[width=4,size=8]": 1 + 2 + 2 + 27,
    "cifar-resnet110[width=4,size=8]": 1 + 2 + 2 + 54,
    "vgg11[width=2]": 8,
    "vgg11[width=2,head=imagenet,batch_norm=1]": 8 + 2,
    "vgg16[width=2,batch_norm=1]": 13,
    "vgg19[width=2]": 16,
    "minialexnet[width=6]": 4,
    "vit[dim=12,depth=2,hidden=16,size=8]": 1 + 2 * 4,
}
TEXT = pytest.mark.parametrize("text", NUMBERS)


def images_for(architecture, dtype=torch.float64):
    rng = torch.Generator().manual_seed(1)
    return (torch.randn(2, *architecture.input_shape, generator=rng, dtype=dtype),)


@pytest.fixture(scope="module")
def network_of():
    """Make each network in float64 once."""
    made = {}

    def made_once(text):
        if text not in made:
            architecture = architecture_named(text)
            module = randomize(architecture.build())
            made[text] = module, symmetries_of(architecture), images_for(architecture)
        return made[text]

    return made_once


def test_every_family_is_tried():
    assert {text.partition("[")[0] for text in NUMBERS} == set(FAMILIES)


@TEXT
def test_the_number_of_groups_is_that_found_by_hand(text):
    groups = groups_of(architecture_named(text))
    assert len(groups) == NUMBERS[text]
    assert len({group.name for group in groups}) == len(groups)


@pytest.mark.parametrize("text", [text for text, count in NUMBERS.items() if count < 40])
def test_permuting_each_group_keeps_the_function(network_of, text):
    module, symmetries, images = network_of(text)
    assert all(found <= 1e-9 for found in verify(module, symmetries, images).values())


@TEXT
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["double", "single"]
)
def test_permuting_all_groups_keeps_the_function(text, dtype, tolerance):
    architecture = architecture_named(text)
    module = randomize(architecture.build(), dtype=dtype)
    groups = groups_of(architecture)
    drawn = random_permutations(groups, 1, np.random.default_rng(0))
    images = images_for(architecture, dtype)
    assert change(module, images, lambda weights: permute(weights, groups, drawn)) <= tolerance


@TEXT
def test_every_axis_is_permuted_or_fixed_for_a_reason(network_of, text):
    module, symmetries, _ = network_of(text)
    assert not unsaid(module, symmetries)
    assert all(fixed.reason for fixed in symmetries.fixed)


@pytest.mark.parametrize(
    "text", ["digits-cnn", "resnet18[width=8,size=16]", "cifar-resnet20[width=4,size=8]"]
)
def test_forgetting_one_axis_changes_the_function(network_of, text):
    module, symmetries, images = network_of(text)
    for group in symmetries.groups:
        for entry, forgetful in without_one(group):
            assert turn(module, images, (forgetful,)) > NOTICED, f"{group.name} without {entry}"


def test_symmetries_of_an_architecture_are_those_of_its_module():
    architecture = architecture_named("resnet18[width=4]")
    images = torch.zeros(2, *architecture.input_shape)
    assert derive(architecture.build(), images) == symmetries_of(architecture)


def outputs_of(layer: str, *, bias: bool) -> list[Axis]:
    return [Axis(f"{layer}.{kind}", 0) for kind in (("weight", "bias") if bias else ("weight",))]


def batch_norm(layer: str) -> list[Axis]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return [Axis(f"{layer}.{kind}", 0) for kind in kinds]


def inputs_of(layer: str, block: int = 1) -> Axis:
    return Axis(f"{layer}.weight", 1, 0, block, ((block, 1),))


def chain(sizes: dict[str, int], last: str, blocks: dict[str, int]) -> Iterator[tuple]:
    """Yield the groups of a plain sequence: a layer's outputs are the next one's inputs."""
    for layer, following in zip(sizes, [*list(sizes)[1:], last], strict=True):
        axes = [*outputs_of(layer, bias=True), inputs_of(following, blocks.get(following, 1))]
        yield layer, sizes[layer], axes


def resnet18(width: int) -> Iterator[tuple]:
    """Yield the 4 streams and the 8 insides of a ResNet-18."""
    stream = [*outputs_of("conv1", bias=False), *batch_norm("bn1")]
    for stage in range(1, 5):
        size, first = width * 2 ** (stage - 1), f"layer{stage}.0.downsample"
        if stage > 1:
            stream = [*outputs_of(f"{first}.0", bias=False), *batch_norm(f"{first}.1")]
        for block in (f"layer{stage}.0", f"layer{stage}.1"):
            inside = [*outputs_of(f"{block}.conv1", bias=False), *batch_norm(f"{block}.bn1")]
            yield f"{block}.conv1", size, [*inside, inputs_of(f"{block}.conv2")]
            stream += [*outputs_of(f"{block}.conv2", bias=False), *batch_norm(f"{block}.bn2")]
        stream.append(inputs_of(f"layer{stage}.1.conv1"))
        if stage < 4:
            onwards = f"layer{stage + 1}.0"
            stream += [inputs_of(f"{onwards}.conv1"), inputs_of(f"{onwards}.downsample.0")]
        else:
            stream.append(inputs_of("fc"))
        if stage == 1:
            stream.append(inputs_of("layer1.0.conv1"))
        yield "conv1" if stage == 1 else f"layer{stage}.0.conv2", size, stream


def module_list(*places: int) -> list[str]:
    return [f"module_list.{place}" for place in places]


def cnn(places: tuple[int, ...], widths: tuple[int, ...], block: int) -> list[tuple]:
    """Return the groups of three convolutions and two linear layers, a flatten between them."""
    *hidden, last = module_list(*places)
    return list(chain(dict(zip(hidden, widths, strict=True)), last, {hidden[-1]: block}))


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("cnn", cnn((0, 3, 6, 9, 11), (8, 6, 4, 20), 9)),
        ("cnn3", cnn((0, 4, 8, 13, 16), (16, 32, 15, 20), 4)),
        ("digits-cnn", cnn((0, 3, 5, 8, 10), (8, 6, 4, 20), 9)),
        ("resnet18[width=8,size=16]", list(resnet18(8))),
        ("resnet18", list(resnet18(64))),
    ],
    ids=["cnn", "cnn3", "digits-cnn", "narrow resnet18", "resnet18"],
)
def test_groups_are_those_of_a_table_by_hand(text, table):
    found = {
        (group.name, group.size): places(group) for group in groups_of(architecture_named(text))
    }
    assert found == {
        (name, size): frozenset(place(axis, size) for axis in axes) for name, size, axes in table
    }


def test_groups_stand_in_the_order_of_the_state_dict():
    architecture = architecture_named("resnet18[width=4]")
    entries = list(architecture.shapes())
    names = [group.name for group in groups_of(architecture)]
    assert names == sorted(names, key=lambda name: entries.index(f"{name}.weight"))
    assert len(names) == 12
