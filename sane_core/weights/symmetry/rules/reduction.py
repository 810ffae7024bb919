"""Sums, means, extrema: none depends on the order of what is reduced."""

from typing import Any

from sane_core.weights.symmetry.labels import Axes, Call, Labelled, functions, unknown
from sane_core.weights.symmetry.rules.elementwise import combined
from sane_core.weights.symmetry.spaces import Space


@functions("sum", "mean", "nansum", "nanmean")
def summed(call: Call, x: Labelled, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Axes:
    """Sum over axes; the others keep their signs."""
    return _reduced(call, x, kwargs.pop("axis", dim), keepdim, kwargs)


@functions("amax", "amin", "logsumexp", "std", "var", "norm", "prod", "any", "all")
def reduced(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Reduce axes by something that is not odd."""
    if call.name == "norm":
        args = args[1:]
    named = {"dim": None, "keepdim": False} | kwargs
    dim = args[0] if args else named.pop("axis", named["dim"])
    keep = args[1] if len(args) > 1 else named["keepdim"]
    if isinstance(dim, bool):
        return unknown(call, x, *args, **kwargs)
    x.unsign()
    return _reduced(call, x, dim, keep, {})


@functions("max", "min", "argmax", "argmin", "median", "mode")
def extremum(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Any:
    """Take an extremum: of all numbers, of two tensors, or along an axis with its place there."""
    if any(isinstance(each, Labelled) for each in (*args, *kwargs.values())):
        return combined(call, x, *args, **kwargs)
    x.unsign()
    if not args and not kwargs and not call.name.startswith("arg"):
        return ()
    named = dict(zip(("dim", "keepdim"), args, strict=False)) | kwargs
    if not isinstance(named.get("dim"), int):
        return unknown(call, x, *args, **kwargs)
    x.axis(named["dim"]).fix("the place of its extremum is an output")
    out = _reduced(call, x, named["dim"], named.get("keepdim", False), {})
    return out if call.name.startswith("arg") else (out, out)


def _reduced(call: Call, x: Labelled, dim: Any, keepdim: Any, kwargs: dict[str, Any]) -> Axes:
    if set(kwargs) - {"dtype", "unbiased", "correction", "p"}:
        return unknown(call, x, dim, kwargs)
    count = len(x.shape)
    over = range(count) if dim is None or dim == () else [dim] if isinstance(dim, int) else dim
    reduced_axes = {axis % count for axis in over} if count else set()
    out = []
    for axis, space in enumerate(x.axes):
        if axis not in reduced_axes:
            out.append(space)
            continue
        space.unsign()
        if keepdim:
            out.append(Space(1))
    return tuple(out)
