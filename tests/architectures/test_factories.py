"""A user's own factory gives an architecture; what keeps it from doing so is said."""

import pytest
import torch

from sane_core.architectures.registry import architecture_named

MODULE = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, width: int = 4, tanh: bool = False, note=None):
        super().__init__()
        self.input_shape = (1, 6, 5)
        self.first = nn.Linear(30, width)
        self.act = nn.Tanh() if tanh else nn.ReLU()
        self.last = nn.Linear(width, 3)

    def forward(self, images):
        return self.last(self.act(self.first(torch.flatten(images, 1))))

def silent(width=4, scale=1.0):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.Linear(width, 2))

def needy(width):
    return silent(width)

def broken():
    raise RuntimeError("no luck")

def maps():
    return nn.Conv2d(1, 2, 3)

def pair():
    class Pair(nn.Module):
        input_shape = [1, 2, 2]
        def forward(self, images):
            return images, images
    return Pair()

constant = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of an importable module with the factories above, new for every test."""
    name = f"users_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_factory_builds_with_the_options_given(module):
    architecture = architecture_named(f"{module}:Tiny[tanh=1,width=7]")
    assert architecture.name == f"{module}:Tiny[width=7,tanh=1]"
    assert architecture.input_shape == (1, 6, 5)
    assert architecture.shapes()["first.weight"] == (7, 30)
    network = architecture.build()
    assert isinstance(network.act, torch.nn.Tanh)
    assert network(torch.zeros(2, 1, 6, 5)).shape == (2, 3)


def test_a_factorys_networks_have_one_name_too(module):
    assert architecture_named(f"{module}:Tiny[width=4]").name == f"{module}:Tiny"
    architecture = architecture_named(f"{module}:silent[image=3x2x2,width=9]")
    assert architecture.name == f"{module}:silent[width=9,image=3x2x2]"
    assert architecture.input_shape == (3, 2, 2)
    assert architecture_named(architecture.name) == architecture


def test_the_image_asked_for_goes_before_the_modules_own(module):
    assert architecture_named(f"{module}:Tiny[image=5x3x2]").input_shape == (5, 3, 2)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("silent", r"must say what its images are: write \w+:silent\[image=CxHxW\].*got None"),
        ("silent[image=3x2]", r"image must read CxHxW, such as 3x32x32, got '3x2'"),
        ("silent[image=1x2x2]", r"must map images \(1, 2, 2\) to logits, but on the meta device"),
        ("silent[depth=3]", r"must be one of \['width', 'scale'\], got 'depth'"),
        ("silent[width=wide]", r"silent\[width\] must be a value of type int, got 'wide'"),
        ("Tiny[note=1]", r"must be one of \['width', 'tanh'\], got 'note'"),
        ("needy[width=3]", r"every parameter of \w+:needy must have a default.*'width'"),
        ("broken", r"broken must build on the meta device, but no luck"),
        ("broken[image=1x2x2]", r"must map images \(1, 2, 2\) to logits, but .*no luck"),
        ("maps[image=1x4x4]", r"\[batch, classes\], got \[2, 2, 2, 2\] for a batch of 2"),
        ("pair", r"\[batch, classes\], got tuple for a batch of 2"),
        ("constant", r"must be an importable function, but 3 is not a callable object"),
        ("absent", r"must be an importable function, but module .* has no attribute 'absent'"),
    ],
)
def test_a_wrong_factory_is_refused(module, factory, message):
    with pytest.raises(ValueError, match=message):
        architecture_named(f"{module}:{factory}")


def test_a_module_that_is_not_there_is_refused():
    message = r"No module named 'no_such_package'; is its folder on the Python path\?"
    with pytest.raises(ValueError, match=message):
        architecture_named("no_such_package.networks:build")


def test_a_module_that_fails_while_it_is_imported_is_refused(tmp_path, monkeypatch):
    (tmp_path / "users_unfinished.py").write_text("width = = 3")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="users_unfinished:build must be an importable function"):
        architecture_named("users_unfinished:build")
