"""As many members are trained at once as memory holds, measured, not guessed."""

import pytest
import torch
from torch.nn import functional

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.memory import bytes_of_a_member, members_that_fit
from sane_core.zoo.population.train import Training, groups_on
from schemas.config.training import TrainingConfig

SEED = 3
WAYS = ["patches", "vmap", "loop"]
NAMES = ["cnn3", "resnet18[width=4,size=8]", "vgg11[width=2,batch_norm=1]"]
CPU = torch.device("cpu")


def kept_for_the_way_back(architecture, batch):
    """Return the bytes that autograd keeps of a plain module's step, beside its weights."""
    net = architecture.build().train()
    own = {values.untyped_storage().data_ptr() for values in net.state_dict().values()}
    kept = {}

    def note(values):
        storage = values.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return values

    with torch.autograd.graph.saved_tensors_hooks(note, lambda values: values):
        loss = functional.cross_entropy(
            net(torch.rand(batch, *architecture.input_shape)),
            torch.zeros(batch, dtype=torch.int64),
        )
        bytes_kept = sum(kept.values())
        del loss
    return bytes_kept


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
def test_a_step_holds_at_least_what_the_plain_module_keeps(name, way, make_member):
    architecture = architecture_named(name)
    for batch in (4, 40):
        config = TrainingConfig(batch=batch)
        _, step = bytes_of_a_member(architecture, config, make_member(0), SEED, way)
        kept = kept_for_the_way_back(architecture, batch)
        assert kept <= step <= 20 * kept + 20 * 4 * architecture.parameter_count()


@pytest.mark.parametrize("way", WAYS)
def test_a_step_grows_with_the_batch_and_the_state_does_not(way, make_member):
    architecture = architecture_named("cnn3")
    (small, few), (large, many) = (
        bytes_of_a_member(architecture, TrainingConfig(batch=batch), make_member(0), SEED, way)
        for batch in (10, 100)
    )
    assert small == large
    assert 5 * few < many < 10 * few


def test_the_state_holds_weights_and_moments(make_member):
    architecture = architecture_named("cnn3")
    weights = 4 * architecture.parameter_count()
    sgd, adam = (
        bytes_of_a_member(architecture, TrainingConfig(optimizer=o), make_member(0), SEED, "loop")
        for o in ("sgd", "adam")
    )
    assert adam[0] - sgd[0] == weights
    members = [make_member(0)]
    images_free = initialize(architecture, members, SEED)
    assert adam[0] >= 3 * sum(v.numel() * v.element_size() for v in images_free.values())


@pytest.mark.parametrize("way", ["patches", "loop"])
def test_members_that_fit_keep_below_the_bytes_they_may_use(way, make_member, make_images):
    architecture = architecture_named("cnn3")
    config = TrainingConfig(batch=16, epochs=1)
    members = [make_member(run) for run in range(64)]
    images = make_images(architecture, 16)
    for free in (40 * 2**20, 100 * 2**20):
        fits = members_that_fit(architecture, config, members, SEED, way, free=free)
        group = groups_on(CPU, architecture, fits, config.batch, way)[0]
        at_once = (group.stop - group.start) * torch.get_num_threads()
        chosen = members[:fits]
        start = initialize(architecture, chosen, SEED)
        training = Training(architecture, start, images, chosen, config, SEED, way=way)
        state = sum(v.numel() * v.element_size() for v in training.state().values())
        assert state + at_once * kept_for_the_way_back(architecture, 16) < free
    assert fits > 1


def test_more_memory_holds_more_members_until_all_fit(make_member):
    architecture = architecture_named("digits-cnn")
    config, members = TrainingConfig(batch=10), [make_member(run) for run in range(50)]
    counts = [
        members_that_fit(architecture, config, members, SEED, "loop", free=free)
        for free in (2**18, 2**19, 2**20, 2**30)
    ]
    assert counts == sorted(counts)
    assert 1 <= counts[0] < counts[2] < counts[3] == 50


def test_a_recipe_that_not_even_one_member_fits_is_refused(make_member):
    architecture = architecture_named("resnet18[width=8,size=8]")
    with pytest.raises(
        ValueError,
        match=r"memory must hold at least one member of resnet18\[.*\]: at batch 64 one needs "
        r"\d+\.\d\d GiB and 0\.00 GiB may be used; choose a smaller batch",
    ):
        config, members = TrainingConfig(batch=64), [make_member(0)]
        members_that_fit(architecture, config, members, SEED, "patches", free=2**20)


def test_patches_take_memory_besides_what_is_kept(make_member):
    architecture, config = architecture_named("cnn3"), TrainingConfig(batch=10)
    patches, loop = (
        bytes_of_a_member(architecture, config, make_member(0), SEED, way)[1]
        for way in ("patches", "loop")
    )
    # The first convolution's gradient, 16 channels under 3x3 kernels at 32x32 places, for ten
    # images; as much again for what is made of it.
    assert patches - loop == 2 * 10 * 4 * 16 * 9 * 32 * 32
    flat = architecture_named("mlp")
    patches, loop = (
        bytes_of_a_member(flat, config, make_member(0), SEED, way)[1] for way in ("patches", "loop")
    )
    assert patches == pytest.approx(loop, rel=0.2)


def test_measuring_leaves_nothing_behind(make_member):
    architecture = architecture_named("cnn3[dropout=0.5]")
    config, member = TrainingConfig(batch=8, flip=True, crop=2), make_member(0)
    before = torch.get_rng_state()
    first = bytes_of_a_member(architecture, config, member, SEED, "patches")
    assert bytes_of_a_member(architecture, config, member, SEED, "patches") == first
    assert torch.equal(torch.get_rng_state(), before)
