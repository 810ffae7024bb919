"""Specifications: one canonical name for each network, and errors that say what is possible."""

import pytest

from sane_core.architectures.registry import FAMILIES, architecture_named


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resnet18", "resnet18"),
        ("resnet18[]", "resnet18"),
        ("resnet18[width=64,classes=10]", "resnet18"),
        ("resnet18[width=8,classes=100]", "resnet18[classes=100,width=8]"),
        ("resnet18[ classes = 0100 ,width=8]", "resnet18[classes=100,width=8]"),
        ("vgg11[batch_norm=0]", "vgg11"),
        ("vgg11[batch_norm=1]", "vgg11[batch_norm=1]"),
        ("mlp[dropout=.10]", "mlp[dropout=0.1]"),
        ("mlp[dropout=0]", "mlp"),
        ("mlp[hidden=8x4]", "mlp[hidden=8x4]"),
    ],
)
def test_a_network_has_one_name(text, name):
    assert architecture_named(text).name == name
    assert architecture_named(name).name == name


def test_options_may_have_their_own_types():
    member = FAMILIES["vgg11"].member({"batch_norm": True, "width": 8})
    assert member == architecture_named("vgg11[width=8,batch_norm=1]")


def test_images_have_the_channels_and_the_size_asked_for():
    assert architecture_named("cnn3[channels=1,size=40]").input_shape == (1, 40, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet", r"architecture must be one of \['cifar-resnet110'.*factory, got 'resnet'"),
        ("", r"must read NAME or NAME\[option=value,...\], got ''"),
        ("cnn[", r"must read NAME or NAME\[option=value,...\], got 'cnn\['"),
        ("cnn[size]", r"must read NAME or NAME\[option=value,...\], got 'cnn\[size\]'"),
        ("cnn[size=]", r"must read NAME or NAME\[option=value,...\], got 'cnn\[size=\]'"),
        ("cnn[size=28,size=29]", r"must give each option once, got 'cnn\[size=28,size=29\]'"),
        ("cnn[depth=3]", r"option of architecture cnn must be one of \['channels'.*got 'depth'"),
        ("cnn[size=big]", r"cnn\[size\] must be a value of type int, got 'big'"),
        ("cnn[size=28.5]", r"cnn\[size\] must be a value of type int, got '28.5'"),
        ("cnn[dropout=no]", r"cnn\[dropout\] must be a value of type float, got 'no'"),
        ("cnn[classes=0]", r"cnn\[classes\] must be >= 1, got 0"),
        ("cnn[size=19]", r"size must be >= 20, got 19"),
        ("cnn[activation=step]", r"activation must be one of \['gelu'.*got 'step'"),
        ("cnn[dropout=2]", r"dropout probability has to be between 0 and 1, but got 2"),
        ("vgg11[batch_norm=yes]", r"vgg11\[batch_norm\] must be 0 or 1, got 'yes'"),
        ("vgg11[head=tall]", r"head must be cifar or imagenet, got 'tall'"),
        ("vgg11[size=31]", r"size must be >= 32, got 31"),
        ("resnet18[stem=stl]", r"stem must be cifar or imagenet, got 'stl'"),
        ("mlp[hidden=64x]", r"hidden must read like 64 or 64x32, got '64x'"),
        ("vit[size=30]", r"size must be a multiple of patch \(4\), got 30"),
        ("vit[heads=5]", r"dim must be a multiple of heads \(5\), got 192"),
    ],
)
def test_a_wrong_specification_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        architecture_named(text)
