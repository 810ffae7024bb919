"""Every network: its size, its names, and that it works, trains and can be traced."""

import copy

import pytest
import torch

from sane_core.architectures.registry import FAMILIES, architecture_named

SMALL = [
    "cnn",
    "cnn3",
    "digits-cnn",
    "mlp[hidden=32x16]",
    "resnet18[width=4]",
    "resnet18[width=4,stem=imagenet,size=64,activation=silu]",
    "resnet34[width=4]",
    "resnet50[width=4]",
    "resnet101[width=2]",
    "cifar-resnet20[width=4]",
    "cifar-resnet32[width=3]",
    "cifar-resnet44[width=4]",
    "cifar-resnet56[width=4]",
    "cifar-resnet110[width=2]",
    "vgg11[width=4]",
    "vgg11[width=2,head=imagenet,batch_norm=1]",
    "vgg16[width=4,batch_norm=1]",
    "vgg19[width=4]",
    "minialexnet[width=12]",
    "vit[dim=24,depth=2,hidden=48]",
]


def images_for(architecture, batch=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, *architecture.input_shape, generator=generator)


def test_every_family_is_tried():
    assert {text.partition("[")[0] for text in SMALL} == set(FAMILIES)


# Sources: the zoos' papers, torchvision's table of weights, akamaster's README (0.27M to 1.7M),
# timm's vit_tiny_patch16_224, Katz et al. for 5-50x6-5. The zoos' ResNet-18 is torchvision's with
# another head (513 weights per class) and a stem of 3 x 3 in place of 7 x 7 pixels.
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("cnn", 2_464),
        ("cnn3", 10_853),
        ("digits-cnn", 1_568),
        ("mlp", (784 + 1) * 64 + (64 + 1) * 64 + (64 + 1) * 10),
        ("mlp[channels=5,size=1,classes=5,hidden=50x50x50x50x50x50]", 13_305),
        ("resnet18[stem=imagenet,classes=1000]", 11_689_512),
        ("resnet34[stem=imagenet,classes=1000]", 21_797_672),
        ("resnet50[stem=imagenet,classes=1000]", 25_557_032),
        ("resnet101[stem=imagenet,classes=1000]", 44_549_160),
        ("resnet18", 11_689_512 - (1000 - 10) * 513 - 3 * 64 * (49 - 9)),
        ("resnet18", 11_173_962),
        ("resnet18[classes=100]", 11_220_132),
        ("resnet18[classes=200]", 11_271_432),
        ("cifar-resnet20", 269_722),
        ("cifar-resnet32", 464_154),
        ("cifar-resnet44", 658_586),
        ("cifar-resnet56", 853_018),
        ("cifar-resnet110", 1_727_962),
        ("vgg11[head=imagenet,classes=1000]", 132_863_336),
        ("vgg16[head=imagenet,classes=1000]", 138_357_544),
        ("vgg19[head=imagenet,classes=1000]", 143_667_240),
        ("vgg11[head=imagenet,classes=1000,batch_norm=1]", 132_868_840),
        ("vgg16[head=imagenet,classes=1000,batch_norm=1]", 138_365_992),
        ("vgg19[head=imagenet,classes=1000,batch_norm=1]", 143_678_248),
        ("minialexnet", 76 * 96 + 2401 * 256 + 4097 * 384 + 385 * 192 + 193 * 10),
        ("vit[size=224,patch=16,depth=12,classes=1000]", 5_717_416),
    ],
)
def test_networks_have_the_published_number_of_weights(text, count):
    assert architecture_named(text).parameter_count() == count


@pytest.mark.parametrize("text", SMALL)
def test_networks_map_images_to_logits_and_train(text):
    architecture = architecture_named(text)
    network, images = architecture.build(), images_for(architecture)
    logits = network.train()(images)
    assert logits.shape == (2, 10)
    logits.square().sum().backward()
    assert all(weights.grad is not None for weights in network.parameters())
    with torch.no_grad():
        logits = network.eval()(images)
        assert torch.isfinite(logits).all()
        # In eval mode an image's logits do not depend on the rest of the batch.
        torch.testing.assert_close(network(images[:1]), logits[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", SMALL)
def test_traced_networks_give_the_same_logits(text):
    architecture = architecture_named(text)
    network, images = architecture.build().eval(), images_for(architecture)
    with torch.no_grad():
        assert torch.equal(torch.fx.symbolic_trace(network)(images), network(images))


@pytest.mark.parametrize("text", SMALL)
def test_the_outline_tells_the_state_dict_without_weights(text):
    architecture = architecture_named(text)
    state = architecture.build().state_dict()
    told = architecture.shapes() | architecture.buffers()
    assert {name: tuple(entry.shape) for name, entry in state.items()} == told
    assert [name for name in state if name in architecture.shapes()] == list(architecture.shapes())
    assert all(weights.is_meta for weights in architecture.outline.parameters())


@pytest.mark.parametrize("text", [text for text in SMALL if "resnet" in text or "vgg" in text])
def test_parameters_stand_in_the_order_in_which_they_are_used(text):
    architecture = architecture_named(text)
    network = architecture.build().eval()
    used = []
    for name, module in network.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            module.register_forward_hook(lambda *_, name=name: used.append(name))
    network(images_for(architecture))
    assert used == list(dict.fromkeys(name.rpartition(".")[0] for name in architecture.shapes()))


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("resnet18", ["conv1.weight", "bn1.bias", "layer2.0.downsample.1.bias", "fc.bias"]),
        ("resnet50", ["layer1.0.downsample.0.weight", "layer4.2.bn3.weight"]),
        ("cifar-resnet20", ["layer3.2.conv2.weight", "linear.weight"]),
        ("vgg16[head=imagenet]", ["features.28.bias", "classifier.6.weight"]),
        ("vgg16[batch_norm=1,head=imagenet]", ["features.41.weight", "classifier.3.bias"]),
        ("vgg11", ["features.18.weight", "classifier.weight"]),
        ("minialexnet", ["features.3.weight", "classifier.4.bias"]),
        ("vit", ["cls_token", "patch_embed.proj.weight", "blocks.5.attn.qkv.bias", "head.weight"]),
        ("mlp", ["module_list.1.weight", "module_list.5.bias"]),
    ],
)
def test_entries_have_their_published_names(text, some):
    assert set(some) <= set(architecture_named(text).shapes())


def test_the_stem_for_large_images_shrinks_them_fourfold():
    maps = {}
    for stem in ("cifar", "imagenet"):
        network = architecture_named(f"resnet18[width=4,stem={stem}]").build()
        network.layer1.register_forward_hook(
            lambda *call, stem=stem: maps.update({stem: call[-1].shape[-1]})
        )
        network(torch.zeros(2, 3, 32, 32))
    assert maps == {"cifar": 32, "imagenet": 8}


@pytest.mark.parametrize(
    "text",
    [
        "cnn[size=20]",
        "cnn3[size=22]",
        "digits-cnn[size=4]",
        "mlp[size=1]",
        "resnet18[size=1,width=4]",
        "resnet18[size=1,width=4,stem=imagenet]",
        "cifar-resnet20[size=1]",
        "vgg11[size=32,width=4]",
        "minialexnet[size=1]",
        "vit[size=4]",
    ],
)
def test_the_smallest_images_still_pass(text):
    architecture = architecture_named(text)
    assert architecture.build().eval()(images_for(architecture)).shape == (2, 10)


def test_dropout_acts_in_training_only():
    network = architecture_named("mlp[dropout=0.5]").build()
    images = torch.ones(1, 1, 28, 28)
    assert not torch.equal(network.train()(images), network(images))
    assert torch.equal(network.eval()(images), network(images))


def test_an_architecture_builds_a_new_network_each_time():
    architecture = architecture_named("mlp[hidden=8]")
    first, second = architecture.build(), architecture.build()
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_looking_at_an_architecture_draws_no_random_numbers():
    before = torch.get_rng_state()
    architecture_named("vit[dim=30,hidden=31]").parameter_count()
    assert torch.equal(torch.get_rng_state(), before)


def test_architectures_of_one_name_are_equal_and_can_be_copied():
    first = architecture_named("cifar-resnet20[width=8]")
    assert copy.deepcopy(first) == first == FAMILIES["cifar-resnet20"].member({"width": 8})
    assert first != architecture_named("cifar-resnet20")
