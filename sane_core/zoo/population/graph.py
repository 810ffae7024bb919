"""A network's traced graph, run for many members at once (the way `patches`).

The images of a batch are the innermost axis, `[members, channels, height, width, batch]`: whatever
the layer, members are the batch of one matrix product, and every copy moves long rows.
"""

import copy
from collections.abc import Iterable

import torch
from torch import fx, nn

from sane_core.architectures.architecture import Architecture
from sane_core.zoo.population.operations import (
    LAYERS,
    OPERATIONS,
    Pass,
    Step,
    Unsupported,
    pooled_convolution,
    window_of,
)


class Graph:
    """A network's operations in order."""

    def __init__(self, architecture: Architecture) -> None:
        """Trace the network.

        Raises:
            Unsupported: If an operation is none of those known here, or what the network does
                depends on the images, or on whether it is trained.
        """
        module = architecture.outline
        traced = _traced(module)
        self._steps = _steps(module, traced)
        self._done = _last_uses(traced)
        self._try(architecture)

    def __call__(self, state: Pass, pixels: torch.Tensor) -> torch.Tensor:
        """Run every member.

        Args:
            state: Weights and the like.
            pixels: [members, batch, channels, height, width].

        Returns:
            Logits [members, batch, classes].
        """
        values: dict[fx.Node, torch.Tensor] = {}
        shared = pixels.stride(0) == 0
        x = (pixels[:1] if shared else pixels).movedim(1, -1).contiguous()
        for node, step in self._steps:
            if node.op == "placeholder":
                values[node] = x.expand(len(pixels), -1, -1, -1, -1)
            elif node.op == "output":
                return values[node.all_input_nodes[0]].transpose(1, 2)
            else:
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = step(state, *args, **kwargs)
            for finished in self._done[node]:
                del values[finished]
        raise Unsupported("a network must return its logits")

    def _try(self, architecture: Architecture) -> None:
        """Run three images through two members that are nowhere."""
        module = architecture.outline

        def both(entries: Iterable[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
            return {name: values.expand(2, *values.shape).clone() for name, values in entries}

        state = Pass(both(module.named_parameters()), both(module.named_buffers()))
        pixels = torch.empty(2, 3, *architecture.input_shape, device="meta")
        with torch.no_grad():
            wanted = [2, *module(pixels[0]).shape]
            try:
                got = list(self(state, pixels).shape)
            except Exception as error:  # whatever an operation says of shapes it does not know
                raise Unsupported(
                    f"{architecture.name} cannot be run for many members at once here: {error}"
                ) from error
        if got != wanted:
            raise Unsupported(
                f"{architecture.name} cannot be run for many members at once here: logits must "
                f"have shape {wanted}, got {got}"
            )


def _traced(module: nn.Module) -> fx.Graph:
    """Trace a network in eval mode."""
    try:
        traced = fx.symbolic_trace(module)
        trained = fx.symbolic_trace(copy.deepcopy(module).train())
    except Exception as error:  # whatever a network does that depends on its input's values
        raise Unsupported(
            f"{type(module).__name__} cannot be run for many members at once here: {error}"
        ) from error
    if traced.code != trained.code:
        raise Unsupported(
            f"{type(module).__name__} cannot be run for many members at once here: it does other "
            "things while it is trained"
        )
    return traced.graph


def _last_uses(graph: fx.Graph) -> dict[fx.Node, list[fx.Node]]:
    """Return node -> values that nothing needs after it."""
    done: dict[fx.Node, list[fx.Node]] = {node: [] for node in graph.nodes}
    seen: set[fx.Node] = set()
    for node in reversed(list(graph.nodes)):
        for used in node.all_input_nodes:
            if used not in seen and node.op != "output":
                done[node].append(used)
            seen.add(used)
    return done


def _steps(module: nn.Module, graph: fx.Graph) -> list[tuple[fx.Node, Step]]:
    """Return what every node does; a convolution that is pooled waits for its pooling."""
    steps = {node: _step(module, node) for node in graph.nodes}
    for node in graph.nodes:
        users = list(node.users)
        if len(users) != 1 or node.op != "call_module" or users[0].op != "call_module":
            continue
        layer, user = (module.get_submodule(str(each.target)) for each in (node, users[0]))
        if type(layer) is not nn.Conv2d or type(user) is not nn.MaxPool2d:
            continue
        if window := window_of(user):
            steps[node] = lambda state, x: x
            steps[users[0]] = pooled_convolution(layer, str(node.target), user, window)
    return list(steps.items())


def _step(module: nn.Module, node: fx.Node) -> Step:
    """Return what a node does to every member at once."""
    if node.op in ("placeholder", "output"):
        return lambda *_: torch.empty(0)
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if type(layer) in LAYERS:
            return LAYERS[type(layer)](layer, str(node.target))
        what = type(layer).__name__
    else:
        if node.op != "get_attr" and node.target in OPERATIONS:
            return OPERATIONS[node.target]
        what = str(node.target)
    raise Unsupported(f"{what} cannot be run for many members at once here")
