"""Look ahead whether an axis is only ever picked from by number, as queries, keys and values are.

`x.reshape(b, n, 3, heads, width).permute(2, 0, 3, 1, 4).unbind(0)` makes three tensors of one. If
nothing else is done with it, heads and widths of the three need not be reordered alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

_NAMES = ("dims", "dim0", "dim1", "axis0", "axis1", "source", "destination")
TRANSPOSITIONS = ("permute", "transpose", "swapaxes", "swapdims", "t", "movedim", "moveaxis")


def in_order(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """Return a transposition's arguments as they would be without their names."""
    return [*args, *(kwargs[name] for name in _NAMES if name in kwargs)]


def transposed_order(name: str, axes: int, arguments: list[Any]) -> list[int]:
    """Return which axis of its input each axis of a transposition's output is.

    Args:
        name: One of `TRANSPOSITIONS`.
        axes: How many there are.
        arguments: Its arguments after the tensor.
    """
    order = list(range(axes))
    if name == "permute":
        return [order[i] for i in (arguments if isinstance(arguments[0], int) else arguments[0])]
    if name in ("movedim", "moveaxis"):
        sources, targets = ([each] if isinstance(each, int) else each for each in arguments)
        places = {b % axes: a % axes for a, b in zip(sources, targets, strict=True)}
        rest = iter([axis for axis in order if axis not in places.values()])
        return [places[i] if i in places else next(rest) for i in order]
    if axes > 1:
        a, b = arguments or (0, 1)
        order[a], order[b] = order[b], order[a]
    return order


def picked_axis(node: fx.Node, axes: int) -> int | None:
    """Return the axis of an operation's output that all that follows only picks from, if any."""
    picked: set[int | None] = set()
    waiting = [(node, list(range(axes)))]
    while waiting:
        source, order = waiting.pop()
        for user in source.users:
            name = str(getattr(user.target, "__name__", user.target))
            if any(
                isinstance(each, fx.Node) for each in user.all_input_nodes if each is not source
            ):
                return None
            if name in TRANSPOSITIONS:
                moved = transposed_order(name, axes, in_order(user.args[1:], user.kwargs))
                waiting.append((user, [order[i] for i in moved]))
            elif name == "contiguous":
                waiting.append((user, order))
            else:
                picked.add(_picked_by(name, user, order))
    return picked.pop() if len(picked) == 1 else None


def _picked_by(name: str, user: fx.Node, order: list[int]) -> int | None:
    arguments: list[Any] = [*user.args[1:]]
    if name in ("unbind", "select"):
        dim: Any = arguments[0] if arguments else user.kwargs.get("dim", 0)
        return order[dim]
    if name == "getitem" and type(arguments[0]) is int:
        return order[0]
    return None
