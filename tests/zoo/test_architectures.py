"""An architecture is data; everything else is read off it."""

import pytest
import torch

from sane_core.weights.layers import largest_row, layers_of
from sane_core.weights.tokens import lengths_of
from sane_core.zoo.architectures import DIGITS_CNN, SequentialNet, architecture_named


def test_the_digits_cnn_has_1568_weights_in_48_tokens_of_73():
    layers = layers_of(DIGITS_CNN.shapes())
    d_t = largest_row(layers)
    lengths = lengths_of(layers, d_t)
    assert d_t == 73
    assert len(lengths) == 48
    assert lengths.sum() == DIGITS_CNN.parameter_count() == 1568


def test_the_plain_module_has_the_entries_of_the_architecture():
    state = SequentialNet(DIGITS_CNN).state_dict()
    assert {name: tuple(values.shape) for name, values in state.items()} == DIGITS_CNN.shapes()
    assert list(state) == list(DIGITS_CNN.shapes())


def test_the_plain_module_maps_images_to_ten_logits():
    assert SequentialNet(DIGITS_CNN)(torch.zeros(3, *DIGITS_CNN.input_shape)).shape == (3, 10)


def test_a_registered_name_gives_its_architecture():
    assert architecture_named("digits-cnn") is DIGITS_CNN


def test_an_unknown_architecture_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"must be one of \['digits-cnn'.*\], got 'resnet-9'"):
        architecture_named("resnet-9")
