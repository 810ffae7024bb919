"""Matching: a state dict's names and shapes find the architecture, and nothing else does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sane_core.architectures.mismatch import describe_mismatch
from sane_core.architectures.registry import FAMILIES, architecture_named, match_shapes

OPTIONS = {
    "cnn": ["", "channels=3,size=32,classes=100", "size=36,activation=relu,dropout=0.1"],
    "cnn3": ["", "channels=1,classes=2,activation=tanh", "size=96"],
    "digits-cnn": ["", "channels=3,size=12,classes=4"],
    "mlp": ["", "channels=3,size=32,hidden=7", "channels=5,size=1,classes=5,hidden=50x50x50"],
    "resnet": ["", "classes=200,width=8", "stem=imagenet,channels=1,width=5", "activation=gelu"],
    "cifar-resnet": ["", "shortcut=projection,classes=7,width=3", "activation=tanh,channels=1"],
    "vgg": ["", "batch_norm=1", "head=imagenet,width=2", "head=imagenet,batch_norm=1,classes=3"],
    "minialexnet": ["", "width=12,classes=100", "channels=1,size=32", "size=64,width=7"],
    "vit": ["", "patch=8,dim=64,depth=2,heads=1", "dim=100,hidden=50,heads=4,classes=2", "size=64"],
}
DEEP = ("101", "34", "44", "56", "110", "16", "19")  # as their shallow relatives, only slower
SPECIFICATIONS = [
    f"{family}[{options}]"
    for family in FAMILIES
    for options in OPTIONS[family.rstrip("0123456789")][: 2 if family.endswith(DEEP) else None]
]


@pytest.mark.parametrize("text", SPECIFICATIONS)
def test_an_architectures_shapes_find_it(text):
    architecture = architecture_named(text)
    shapes, buffers = architecture.shapes(), architecture.buffers()
    found = match_shapes(shapes)
    assert found is not None
    assert found.shapes() == shapes
    assert found.buffers() == buffers
    assert found.name.partition("[")[0] == text.partition("[")[0]
    assert match_shapes(shapes | buffers) == found
    assert match_shapes(dict(sorted(shapes.items(), reverse=True))) == found


@pytest.mark.parametrize("text", SPECIFICATIONS)
def test_no_other_family_has_these_shapes(text):
    parameters = architecture_named(text).shapes()
    suggested = {name: family.options_of(parameters) for name, family in FAMILIES.items()}
    fitting = [
        name
        for name, options in suggested.items()
        if options is not None and FAMILIES[name].member(options).shapes() == parameters
    ]
    assert fitting == [text.partition("[")[0]]


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_one_changed_entry_matches_nothing_of_that_name(data):
    shapes = architecture_named(data.draw(st.sampled_from(sorted(FAMILIES)))).shapes()
    name = data.draw(st.sampled_from(sorted(shapes)))
    missing = {entry: shape for entry, shape in shapes.items() if entry != name}
    renamed = missing | {f"strange.{name}": shapes[name]}
    axis = data.draw(st.integers(0, len(shapes[name]) - 1))
    longer = tuple(size + 1000003 * (k == axis) for k, size in enumerate(shapes[name]))
    flat, empty = (*shapes[name], 1), (0, *shapes[name][1:])
    assert match_shapes(missing) is None
    assert match_shapes(renamed) is None
    assert match_shapes(shapes | {"strange.weight": (3, 3)}) is None
    for shape in (flat, empty, ()):
        assert match_shapes(shapes | {name: shape}) is None
    found = match_shapes(shapes | {name: longer})  # may be another member: more classes of an mlp
    assert found is None or found.shapes() == shapes | {name: longer}


def test_options_that_shapes_cannot_tell_are_the_defaults():
    found = match_shapes(architecture_named("resnet18[size=64,activation=tanh,width=8]").shapes())
    assert found == architecture_named("resnet18[width=8]")


def test_a_wrong_width_inside_is_noticed():
    shapes = architecture_named("resnet18").shapes()
    assert match_shapes(shapes | {"layer3.1.conv2.weight": (256, 128, 3, 3)}) is None


@pytest.mark.parametrize(
    "buffer", [{"bn1.running_mean": (65,)}, {"layer5.0.bn1.running_var": (64,)}]
)
def test_buffers_must_be_the_architectures_own(buffer):
    shapes = architecture_named("resnet18").shapes()
    assert match_shapes(shapes | {"bn1.running_mean": (64,)}) is not None
    assert match_shapes(shapes | buffer) is None


def test_strange_or_no_entries_match_nothing():
    assert match_shapes({}) is None
    assert match_shapes({"encoder.weight": (3, 3)}) is None
    assert match_shapes({"bn1.running_mean": (64,)}) is None


def test_checkpoints_of_one_shape_are_matched_once():
    architecture = architecture_named("resnet18")
    shapes = architecture.shapes() | architecture.buffers()
    lists = {name: list(shape) for name, shape in reversed(shapes.items())}
    assert match_shapes(lists) is match_shapes(dict(shapes))


def test_a_mismatch_is_told_in_one_sentence():
    architecture = architecture_named("cnn")
    shapes = architecture.shapes()
    shapes["module_list.0.weight"] = (8, 3, 5, 5)
    for i in (6, 9):
        del shapes[f"module_list.{i}.weight"], shapes[f"module_list.{i}.bias"]
    shapes["head.weight"] = (10, 20)
    assert describe_mismatch(shapes, architecture) == (
        "not a state dict of cnn: missing: module_list.6.weight, module_list.6.bias, "
        "module_list.9.weight and 1 more; unexpected: head.weight; "
        "wrong shape: module_list.0.weight [8, 3, 5, 5] instead of [8, 1, 5, 5]"
    )


def test_what_fits_has_no_mismatch_with_or_without_its_buffers():
    architecture = architecture_named("cifar-resnet20")
    assert describe_mismatch(architecture.shapes(), architecture) == ""
    assert describe_mismatch(architecture.shapes() | architecture.buffers(), architecture) == ""
