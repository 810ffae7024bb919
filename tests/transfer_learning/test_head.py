"""A new head changes the head alone."""

import numpy as np
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.generation.transfer_head import (
    head_of,
    require_same_body,
    with_classes,
    with_new_head,
)
from tests.transfer_learning.made import CNN, RESNET, drawn


def test_the_head_is_what_follows_the_number_of_classes():
    assert head_of(CNN) == ("module_list.10.weight", "module_list.10.bias")
    assert head_of(RESNET) == ("fc.weight", "fc.bias")


def test_an_architecture_with_other_classes_keeps_its_other_options():
    assert with_classes(RESNET, 7).name == "resnet18[size=8,classes=7,width=2]"


def test_a_new_head_keeps_all_other_entries_bit_for_bit():
    weights, fresh = drawn(RESNET, 2), drawn(with_classes(RESNET, 7), 3, seed=1)
    head = head_of(RESNET)
    found = with_new_head(weights, head, fresh)
    assert found.keys() == weights.keys()
    for name, values in found.items():
        if name in head:
            np.testing.assert_array_equal(values, fresh[name][:2])
        else:
            assert values.tobytes() == weights[name].tobytes()


def test_a_zoo_of_another_body_cannot_prompt():
    require_same_body(CNN, with_classes(CNN, 3))
    other = architecture_named("resnet18[width=3,size=8]")
    with pytest.raises(ValueError, match="conv1.weight differs; take prompts: target"):
        require_same_body(RESNET, other)


def test_a_network_without_the_option_classes_needs_its_target_named():
    own = architecture_named("torch.nn:Flatten[image=1x2x5]")
    with pytest.raises(ValueError, match="must have an option classes.*name the target's"):
        with_classes(own, 3)
