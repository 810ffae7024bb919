"""Members start from the weights that their initialization's name promises."""

from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.learner import split
from sane_core.zoo.population.train import with_buffers

SEED = 3
ARCHITECTURE = architecture_named("cnn3[classes=4]")


def bounds(kind, shape):
    """Return the least and largest value and the deviation, by the definition of each name.

    Source: He et al. 2015 (kaiming, relu gain), Glorot & Bengio 2010 (xavier, gain 1).
    """
    field = shape[2:].numel()
    fan_in, fan_out = shape[1] * field, shape[0] * field
    kaiming, xavier = sqrt(2 / fan_in), sqrt(2 / (fan_in + fan_out))
    infinite = torch.inf
    return {
        "uniform01": (0, 1, sqrt(1 / 12)),
        "uniform": (-0.1, 0.1, 0.1 / sqrt(3)),
        "normal": (-infinite, infinite, 0.1),
        # A standard normal between -2 and 2 has the deviation 0.8796.
        "truncated_normal": (-0.2, 0.2, 0.08796),
        "kaiming_uniform": (-kaiming * sqrt(3), kaiming * sqrt(3), kaiming),
        "kaiming_normal": (-infinite, infinite, kaiming),
        "xavier_uniform": (-xavier * sqrt(3), xavier * sqrt(3), xavier),
        "xavier_normal": (-infinite, infinite, xavier),
        "default": (-sqrt(1 / fan_in), sqrt(1 / fan_in), sqrt(1 / fan_in / 3)),
    }[kind]


KINDS = (
    "default",
    "uniform01",
    "uniform",
    "normal",
    "truncated_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_follow_the_distribution_of_the_name(kind, make_member):
    members = [make_member(run, initialization=kind) for run in range(20)]
    population = initialize(ARCHITECTURE, members, SEED)
    for name, shape in ARCHITECTURE.shapes().items():
        if not name.endswith("weight"):
            continue
        values, (least, largest, deviation) = population[name], bounds(kind, torch.Size(shape))
        assert least - 1e-6 <= values.min() and values.max() <= largest + 1e-6
        centre = 0.5 if kind == "uniform01" else 0
        error = 5 * deviation / values.numel() ** 0.5
        assert values.mean().item() == pytest.approx(centre, abs=error)
        assert values.std().item() == pytest.approx(deviation, rel=0.1)
        if kind not in ("normal", "kaiming_normal", "xavier_normal"):
            assert values.max() - values.min() > 0.95 * (largest - least)


def test_the_default_is_what_the_module_draws_itself(make_member):
    members = [make_member(run) for run in range(40)]
    for name in ("resnet18[width=2]", "vit[size=8,dim=4,depth=1,heads=2,hidden=6]"):
        architecture = architecture_named(name)
        population = initialize(architecture, members, SEED)
        plain = [architecture.build().state_dict() for _ in members]
        assert list(population) == list(plain[0])
        for entry, values in population.items():
            theirs = torch.stack([state[entry] for state in plain])
            assert values.dtype == theirs.dtype
            assert values.double().std().item() == pytest.approx(
                theirs.double().std().item(), rel=0.25, abs=1e-6
            )


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_run_alone_decide(kind, make_member):
    three, eight = (make_member(run, initialization=kind) for run in (3, 8))
    both = initialize(ARCHITECTURE, [three, eight], SEED)
    torch.rand(7)  # whatever else draws from the global generator
    alone = initialize(ARCHITECTURE, [eight], SEED)
    other = initialize(ARCHITECTURE, [eight], SEED + 1)
    for name, values in both.items():
        assert torch.equal(values[1], alone[name][0])
        assert not torch.equal(values[0], values[1])
        assert not torch.equal(alone[name], other[name])


def test_a_bias_is_given_to_layers_with_weights_and_to_no_batch_norm(make_member):
    architecture = architecture_named("vgg11[width=1,batch_norm=1]")
    members = [make_member(0), make_member(1, initialization="uniform01")]
    population = initialize(architecture, members, SEED, bias=0.01)
    norms = {name for name, layer in architecture.outline.named_modules() if "Norm" in str(layer)}
    for name, values in population.items():
        layer, _, entry = name.rpartition(".")
        if entry == "bias":
            assert (values == (0.0 if layer in norms else torch.tensor(0.01))).all()
    own = initialize(architecture, members, SEED)
    assert len(own["features.0.bias"].unique()) > 1
    assert torch.equal(own["features.0.weight"], population["features.0.weight"])


def test_a_named_initialization_leaves_batch_norms_and_vectors_as_they_were(make_member):
    architecture = architecture_named("resnet18[width=2]")
    state = initialize(architecture, [make_member(0, initialization="normal")], SEED)
    assert (state["bn1.weight"] == 1).all() and (state["bn1.bias"] == 0).all()
    assert (state["bn1.running_var"] == 1).all()
    assert state["bn1.num_batches_tracked"].dtype == torch.int64


def test_threads_that_draw_at_once_draw_what_each_draws_alone(make_member):
    architecture = architecture_named("resnet18[width=4]")
    members = [make_member(run) for run in range(24)]
    expected = initialize(architecture, members, SEED)["layer4.1.conv2.weight"]
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda own: initialize(architecture, [own], SEED), members)
        drawn = [part["layer4.1.conv2.weight"][0] for part in parts]
    assert all(torch.equal(values, expected[place]) for place, values in enumerate(drawn))


def test_split_weights_are_views_of_the_flat_ones():
    shapes = ARCHITECTURE.shapes()
    flat = torch.arange(3.0 * ARCHITECTURE.parameter_count()).view(3, -1)
    parts = split(flat, shapes)
    assert {name: tuple(part.shape[1:]) for name, part in parts.items()} == shapes
    assert torch.equal(torch.cat([part.flatten(1) for part in parts.values()], dim=1), flat)
    parts["module_list.0.weight"].zero_()
    assert (flat[:, : parts["module_list.0.weight"][0].numel()] == 0).all()


def test_buffers_that_are_there_are_kept_and_missing_ones_are_new(make_member):
    architecture = architecture_named("vgg11[width=1,batch_norm=1]")
    whole = initialize(architecture, [make_member(0), make_member(1)], SEED)
    whole["features.1.running_mean"] += 5
    assert with_buffers(architecture, whole).keys() == whole.keys()
    bare = {name: whole[name].double() for name in architecture.shapes()}
    filled = with_buffers(architecture, bare)
    assert set(filled) == set(whole)
    assert (filled["features.1.running_mean"] == 0).all()
    assert filled["features.1.running_var"].dtype == torch.float64
    assert filled["features.1.running_var"].shape == (2, 1)
    filled["features.1.running_var"][0] = 7
    assert (filled["features.1.running_var"][1] == 1).all()
    assert filled["features.1.num_batches_tracked"].dtype == torch.int64
