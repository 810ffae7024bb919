"""Every trained entry of any network is in exactly one layer."""

import numpy as np
import pytest
import torch
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import FAMILIES, architecture_named
from sane_core.weights.layers import (
    Layer,
    largest_row,
    layers_of,
    layers_of_architecture,
    token_count,
)
from sane_core.weights.tokens import detokenize, lengths_of, tokenize

D_T_RESNET = 288
"""32 · 9, set by hand in the published work."""


def network(build) -> Architecture:
    return Architecture("own", (3, 8, 8), build)


def pooled(layers: tuple[Layer, ...]) -> list[list[str]]:
    return [layer.entries for layer in layers]


@pytest.mark.parametrize(
    ("name", "d_t", "tokens"),
    [
        ("cnn", 201, 48),
        ("cnn3", 289, 93),
        ("resnet18[classes=10]", D_T_RESNET, 39_124),
        ("resnet18[classes=100]", D_T_RESNET, 39_304),
        ("resnet18[classes=200]", D_T_RESNET, 39_504),
    ],
)
def test_the_papers_networks_have_as_many_tokens_as_published(name, d_t, tokens):
    assert token_count(layers_of_architecture(architecture_named(name)), d_t) == tokens


@pytest.mark.parametrize(("classes", "published"), [(10, 53_524), (100, 53_704), (200, 53_904)])
def test_batch_norms_of_a_resnet18_are_4800_tokens_of_scale_and_shift(classes, published):
    """The published 53,524, 53,704 and 53,904 hold running mean and variance as well.

    As 2 · 4,800 tokens: there each of the four quantities but one is cut apart.
    """
    architecture = architecture_named(f"resnet18[classes={classes}]")
    without = token_count(layers_of_architecture(architecture), D_T_RESNET)
    affine = token_count(layers_of_architecture(architecture, "affine"), D_T_RESNET)
    assert affine == without + 4_800
    assert affine + 2 * 4_800 == published


@pytest.mark.parametrize(
    ("name", "d_t", "share"),
    [("cnn", 201, 0.74), ("cnn3", 289, 0.60), ("resnet18", D_T_RESNET, 0.009)],
)
def test_shares_of_padding_are_those_known(name, d_t, share):
    lengths = lengths_of(layers_of_architecture(architecture_named(name)), d_t)
    assert 1 - lengths.mean() / d_t == pytest.approx(share, abs=0.005 if share > 0.1 else 5e-4)


@pytest.mark.parametrize(("name", "d_t"), [("cnn", 201), ("cnn3", 289)])
def test_the_largest_row_is_the_token_size_of_the_paper(name, d_t):
    assert largest_row(layers_of_architecture(architecture_named(name))) == d_t


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_trained_entry_of_every_family_is_in_one_layer(name):
    architecture = architecture_named(name)
    shapes, buffers = architecture.shapes(), architecture.buffers()
    layers = layers_of_architecture(architecture, "affine")
    assert sorted(sum(pooled(layers), [])) == sorted(shapes)
    assert sum(layer.size for layer in layers) == architecture.parameter_count()
    assert [layer.weight for layer in layers] == [
        entry for entry in shapes if entry in {layer.weight for layer in layers}
    ]
    assert [layer.l for layer in layers] == list(range(len(layers)))
    assert len({layer.name for layer in layers}) == len(layers)
    kept = sum(pooled(layers_of_architecture(architecture)), [])
    normalized = {buffer.rpartition(".")[0] for buffer in buffers if "running_mean" in buffer}
    assert {entry.rpartition(".")[0] for entry in set(shapes) - set(kept)} == normalized


def test_a_bias_is_the_last_column_of_its_weight():
    layers = layers_of({"a.weight": (2, 3, 5), "a.bias": (2,), "b.weight": (4, 2)})
    assert layers == (
        Layer(0, "a", "a.weight", (2, 3, 5), "a.bias"),
        Layer(1, "b", "b.weight", (4, 2)),
    )
    assert [(layer.c_out, layer.c_r, layer.row) for layer in layers] == [(2, 15, 16), (4, 2, 2)]


def test_projections_and_recurrent_weights_find_their_biases():
    attention = dict(nn.MultiheadAttention(4, 2).named_parameters())
    recurrent = dict(nn.LSTM(3, 2).named_parameters())
    shapes = {name: tuple(values.shape) for name, values in {**attention, **recurrent}.items()}
    assert pooled(layers_of(shapes)) == [
        ["in_proj_weight", "in_proj_bias"],
        ["out_proj.weight", "out_proj.bias"],
        ["weight_ih_l0", "bias_ih_l0"],
        ["weight_hh_l0", "bias_hh_l0"],
    ]


def test_a_module_at_the_root_has_its_bias_too():
    assert pooled(layers_of({"weight": (2, 3), "bias": (2,)})) == [["weight", "bias"]]


def test_a_bias_that_has_no_value_per_row_is_a_layer():
    shapes = {"up.weight": (4, 6, 2, 2), "up.bias": (6,), "fc.weight": (2, 6)}
    layers = layers_of(shapes)
    assert pooled(layers) == [["up.weight"], ["up.bias"], ["fc.weight"]]
    assert (layers[1].name, layers[1].c_out, layers[1].row) == ("up.bias", 6, 1)


def test_a_bias_before_its_weight_is_pooled_where_the_weight_is():
    shapes = {"a.bias": (2,), "b.weight": (3, 3), "a.weight": (2, 3)}
    assert pooled(layers_of(shapes)) == [["b.weight"], ["a.weight", "a.bias"]]


def test_no_choice_of_names_loses_an_entry_or_cuts_it_twice():
    names = ["weight_weight", "bias_weight", "weight_bias", "bias_bias", "bias", "a.bias"]
    layers = layers_of(dict.fromkeys(names, (2,)))
    assert sorted(sum(pooled(layers), [])) == sorted(names)


def test_a_vision_transformer_has_tokens_for_class_positions_and_norms():
    layers = {layer.name: layer for layer in layers_of_architecture(architecture_named("vit"))}
    assert layers["cls_token"].shape == (1, 1, 192)
    assert layers["pos_embed"].row == 65 * 192
    norm = layers["blocks.0.norm1"]
    assert (norm.entries, norm.c_out, norm.row) == (
        ["blocks.0.norm1.weight", "blocks.0.norm1.bias"],
        192,
        2,
    )


def test_batch_norms_are_told_by_their_running_mean():
    shapes = {"bn.weight": (3,), "bn.bias": (3,), "ln.weight": (3,), "ln.bias": (3,)}
    buffers = ["bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]
    assert pooled(layers_of(shapes, buffers)) == [["ln.weight", "ln.bias"]]
    affine = layers_of(shapes, buffers, "affine")
    assert pooled(affine) == [["bn.weight", "bn.bias"], ["ln.weight", "ln.bias"]]
    assert (affine[0].c_out, affine[0].row) == (3, 2)


def test_a_batch_norm_without_running_statistics_is_like_a_layer_norm():
    architecture = network(lambda: nn.BatchNorm2d(3, track_running_stats=False))
    assert pooled(layers_of_architecture(architecture)) == [["weight", "bias"]]


def test_a_network_of_nothing_but_batch_norms_is_refused():
    with pytest.raises(ValueError, match="must have trained entries to cut into tokens, got none"):
        layers_of_architecture(network(lambda: nn.BatchNorm2d(3)))


def test_scalars_are_one_weight_and_empty_entries_have_no_tokens():
    shapes = {"scale": (), "empty.weight": (3, 0), "none.weight": (0, 2), "bias.weight": (2, 0)}
    shapes["bias.bias"] = (2,)
    layers = layers_of(shapes)
    assert [layer.tokens(4) for layer in layers] == [1, 0, 0, 2]
    weights = {name: np.ones((5, *shape), np.float32) for name, shape in shapes.items()}
    found = detokenize(tokenize(weights, layers, 4), layers)
    assert {name: values.shape for name, values in found.items()} == {
        name: (5, *shape) for name, shape in shapes.items()
    }


def test_what_a_state_dict_holds_twice_is_cut_twice_and_what_is_trained_once():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight

    shapes = {name: tuple(values.shape) for name, values in Tied().state_dict().items()}
    assert pooled(layers_of(shapes)) == [["first.weight"], ["second.weight"]]
    assert pooled(layers_of_architecture(network(Tied))) == [["first.weight"]]


def test_a_parameter_of_integers_is_refused_by_name():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)
            self.steps = nn.Parameter(torch.zeros(3, dtype=torch.int64), requires_grad=False)

    message = r"entry steps of own must be of floating point .* got torch.int64; register it as a"
    with pytest.raises(ValueError, match=message):
        layers_of_architecture(network(Counting))
