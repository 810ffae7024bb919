"""Attention: heads are blocks, and within heads queries move with keys and values on their own."""

from typing import Any

from torch import nn

from sane_core.weights.symmetry.labels import (
    Axes,
    Call,
    Labelled,
    fixed_like,
    functions,
    modules,
    same_units,
    unknown,
)
from sane_core.weights.symmetry.rules.elementwise import broadcast
from sane_core.weights.symmetry.spaces import Space, concat, product, unify

ORDERED = "a mask tells its places apart"


@functions("scaled_dot_product_attention")
def attention(
    call: Call,
    query: Labelled,
    key: Labelled,
    value: Labelled,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> Axes:
    """Contract queries with keys, and places of keys with those of values."""
    if kwargs.get("enable_gqa"):
        return unknown(call, query, key, value, attn_mask)
    del dropout_p
    unify(query.axis(-1), key.axis(-1))
    unify(key.axis(-2), value.axis(-2))
    stacks = [Labelled(each.shape[:-2], each.axes[:-2]) for each in (query, key, value)]
    batch = broadcast(call.shape[:-2], *stacks)
    for space in (*batch, query.axis(-2), key.axis(-2)):
        space.unsign()
    if attn_mask is not None or is_causal:
        mask = attn_mask.axes if isinstance(attn_mask, Labelled) else ()
        for space in (query.axis(-2), key.axis(-2), *batch, *mask):
            space.fix(ORDERED)
    return (*batch, query.axis(-2), value.axis(-1))


@modules(nn.MultiheadAttention)
def multihead_attention(
    call: Call,
    query: Labelled,
    key: Labelled,
    value: Labelled,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """Project, attend, project back."""
    module: Any = call.module
    if key_padding_mask is not None or module.bias_k is not None or module.add_zero_attn:
        return unknown(call, query, key, value, key_padding_mask, attn_mask)
    heads = Space(module.num_heads)
    compared, passed = (product([heads, Space(module.head_dim)]) for _ in range(2))
    _project(call, (query, key, value), (compared, compared, passed))
    back: Any = module.out_proj
    weight = call.labels(back.weight)
    unify(weight.axis(1), passed)
    if back.bias is not None:
        unify(call.labels(back.bias).axis(0), weight.axis(0))
    same_units(*(each.axes[0 if module.batch_first else 1] for each in (query, key, value)))
    places = [each.axes[1 if module.batch_first else 0] for each in (query, key, value)]
    unify(places[1], places[2])
    if attn_mask is not None or is_causal:
        mask = attn_mask.axes if isinstance(attn_mask, Labelled) else ()
        for space in (*places, heads, *mask):
            space.fix(ORDERED)
    for space in (*query.axes[:-1], heads, *places):
        space.unsign()
    out = (*query.axes[:-1], weight.axis(0))
    if not need_weights:
        return (out, None)
    for space in (*places, heads):
        space.fix("the weights of the attention are an output")
    del average_attn_weights
    return (out, fixed_like(call.shape[1], "the weights of the attention are an output"))


def _project(call: Call, inputs: tuple[Labelled, ...], outputs: tuple[Space, ...]) -> None:
    """Map queries, keys and values by one weight [3 · dim, dim], or by one each."""
    whole = call.own("in_proj_weight")
    if whole is not None:
        unify(whole.axis(0), concat(outputs))
        same_units(whole.axis(1), *(each.axis(-1) for each in inputs))
    else:
        for name, given, out in zip("qkv", inputs, outputs, strict=True):
            weight: Any = call.own(f"{name}_proj_weight")
            unify(weight.axis(0), out)
            unify(weight.axis(1), given.axis(-1))
    bias = call.own("in_proj_bias")
    if bias is not None:
        unify(bias.axis(0), concat(outputs))
