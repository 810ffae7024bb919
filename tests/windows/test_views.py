"""A view of tokens is the permuted network tokenized again, bit for bit, window by window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.layers import largest_row, layers_of, token_count
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.groups import Axis, PermutationGroup
from sane_core.weights.symmetry.permute import permute, random_permutations, random_signs
from sane_core.weights.tokens import lengths_of, mask_of, tokenize
from sane_core.windows.views import Views, draw_views

DIGITS_CNN = architecture_named("digits-cnn")
GROUPS = groups_of(DIGITS_CNN)
LAYERS = layers_of(DIGITS_CNN.shapes())

NORMALIZED = {
    "conv.weight": (4, 2, 3, 3),
    "bn.weight": (4,),
    "bn.bias": (4,),
    "up.weight": (4, 4, 2, 2),
    "up.bias": (4,),
    "fc.weight": (5, 2 * 4 + 3 * 4),
    "fc.bias": (5,),
    "scale": (),
    "empty.weight": (0, 4),
    "out.weight": (3, 5),
    "out.bias": (3,),
}
"""A convolution with batch norm, a transposed one, a linear layer on both, and odds and ends.

The bias of `up` has as many values as its weight has rows, but rows are the incoming channels.
"""
NORMALIZED_BUFFERS = ("bn.running_mean", "bn.running_var", "bn.num_batches_tracked")
NORMALIZED_GROUPS = (
    PermutationGroup(
        "conv",
        4,
        (
            Axis("conv.weight", 0),
            Axis("bn.weight", 0, signed=False),
            Axis("bn.bias", 0),
            Axis("bn.running_mean", 0),
            Axis("bn.running_var", 0, signed=False),
            Axis("up.weight", 0),
            Axis("fc.weight", 1, 0, 2, ((2, 1),)),
        ),
        signs=True,
    ),
    PermutationGroup(
        "up",
        4,
        (Axis("up.weight", 1), Axis("up.bias", 0), Axis("fc.weight", 1, 8, 3, ((3, 1),))),
        signs=True,
    ),
    PermutationGroup(
        "fc", 5, (Axis("fc.weight", 0), Axis("fc.bias", 0), Axis("out.weight", 1)), signs=True
    ),
)


def drawn(shapes, models=1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((models, *shape)) for name, shape in shapes.items()}


def normalized(batch_norm) -> tuple:
    layers = layers_of(NORMALIZED, NORMALIZED_BUFFERS, batch_norm)
    buffers = dict.fromkeys(NORMALIZED_BUFFERS[:2], (4,))
    return layers, NORMALIZED_GROUPS, drawn(NORMALIZED | buffers)


CASES = {
    "digits-cnn": (LAYERS, GROUPS, drawn(DIGITS_CNN.shapes())),
    "batch norm left out": normalized("exclude"),
    "batch norm cut": normalized("affine"),
}


def seen_by_hand(case, d_t, views, seed, signs=False) -> np.ndarray:
    """Permute the weights and tokenize again: [views, N, d_t]."""
    layers, groups, weights = CASES[case]
    rng = np.random.default_rng(seed)
    permutations = random_permutations(groups, views, rng)
    flips = random_signs(groups, views, rng) if signs else None
    copies = {name: np.repeat(values, views, axis=0) for name, values in weights.items()}
    return tokenize(permute(copies, groups, permutations, flips), layers, d_t)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("d_t", [1, 7, 20, 0])
def test_a_view_is_the_permuted_network_tokenized_again(case, signs, d_t):
    layers, groups, weights = CASES[case]
    d_t = d_t or largest_row(layers)
    tokens = tokenize(weights, layers, d_t)[0]
    views = draw_views(layers, groups, d_t, 3, np.random.default_rng(7), signs)
    found = views.see(tokens, 0, len(tokens))
    assert found.tobytes() == seen_by_hand(case, d_t, 3, 7, signs).tobytes()
    assert not any(np.array_equal(view, tokens) for view in found)
    assert not np.array_equal(found[0], found[1])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.sampled_from([1, 5, 20, 80]), st.data())
def test_a_window_of_a_view_is_cut_out_of_the_whole(case, d_t, data):
    layers, groups, weights = CASES[case]
    tokens = tokenize(weights, layers, d_t)[0]
    start, stop = sorted(data.draw(st.tuples(*2 * [st.integers(0, len(tokens))])))
    views = draw_views(layers, groups, d_t, 2, np.random.default_rng(1), signs=True)
    out = np.empty((2, stop - start, d_t))
    assert views.see(tokens, start, stop, out=out) is out
    assert out.tobytes() == views.see(tokens, 0, len(tokens))[:, start:stop].tobytes()
    index = views.index(start, stop)
    assert np.array_equal(index, views.index(0, len(tokens))[:, start:stop])


@pytest.mark.parametrize("case", CASES)
def test_a_view_moves_every_weight_once_and_padding_to_padding(case):
    layers, groups, _ = CASES[case]
    size = token_count(layers, 7)
    index = draw_views(layers, groups, 7, 2, np.random.default_rng(0)).index(0, size)
    assert index.dtype == np.int32
    real = mask_of(lengths_of(layers, 7), 7).ravel()
    for view in index.reshape(2, -1):
        assert np.array_equal(np.sort(view), np.arange(size * 7))
        assert np.array_equal(real[view], real)


def test_moving_one_axis_of_a_group_alone_is_another_network():
    layers, groups, weights = CASES["digits-cnn"]
    tokens = tokenize(weights, layers, 20)[0]
    halved = tuple(PermutationGroup(g.name, g.size, g.axes[:1]) for g in groups)
    views = draw_views(layers, halved, 20, 1, np.random.default_rng(7))
    assert not np.array_equal(views.see(tokens, 0, 100), seen_by_hand("digits-cnn", 20, 1, 7))


def test_without_groups_every_view_is_the_model():
    layers, _, weights = CASES["batch norm cut"]
    tokens = tokenize(weights, layers, 7)[0]
    views = draw_views(layers, (), 7, 3, np.random.default_rng(0))
    assert np.array_equal(views.see(tokens, 2, 9), np.repeat(tokens[None, 2:9], 3, axis=0))


def test_the_same_seed_draws_the_same_views_and_another_draws_others():
    one, two, other = (
        views.index(0, views.tokens)
        for views in (
            draw_views(LAYERS, GROUPS, 73, 2, rng_for(seed, "views", 3, 1)) for seed in (1, 1, 2)
        )
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_gathering_a_whole_model_is_seeing_all_of_it():
    layers, groups, weights = CASES["digits-cnn"]
    tokens = tokenize(weights, layers, 20)[0]
    views = draw_views(layers, groups, 20, 1, np.random.default_rng(7))
    gathered = tokens.reshape(-1)[views.index(0, views.tokens)]
    assert np.array_equal(gathered, seen_by_hand("digits-cnn", 20, 1, 7))


def test_a_sign_flips_weights_and_never_the_padding():
    layers = layers_of({"a.weight": (2, 3), "b.weight": (1, 2)})
    group = PermutationGroup("a", 2, (Axis("a.weight", 0), Axis("b.weight", 1)), signs=True)
    signs = {"a": np.array([[-1, 1]], np.int8)}
    views = Views(layers, (group,), 4, 1, {}, signs)
    expected = [[-1, -1, -1, 1], [1, 1, 1, 1], [-1, 1, 1, 1]]
    assert views.signs(0, 3).tolist() == [expected]
    assert views.index(0, 3).ravel().tolist() == list(range(12))


def test_windows_outside_the_network_and_other_models_are_refused():
    views = draw_views(LAYERS, GROUPS, 73, 1, np.random.default_rng(0))
    for start, stop in ((-1, 4), (40, 49), (5, 4)):
        with pytest.raises(ValueError, match=rf"in \[0, 48\) .* got \[{start}, {stop}\)"):
            views.index(start, stop)
    with pytest.raises(ValueError, match=r"shape \[48, 73\], got \[47, 73\]"):
        views.see(np.zeros((47, 73)), 0, 4)
