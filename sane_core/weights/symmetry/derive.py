"""The permutation groups of an architecture."""

from torch import fx, nn

from sane_core.architectures.activations import MODULES
from sane_core.architectures.architecture import Architecture, Shapes
from sane_core.weights.symmetry.groups import Axis, PermutationGroup

PASSING = (*MODULES.values(), nn.MaxPool2d, nn.AvgPool2d, nn.Flatten, nn.Dropout, nn.Identity)
"""Layers that treat every channel alike."""


def groups_of(architecture: Architecture) -> tuple[PermutationGroup, ...]:
    """Derive the groups of a sequential network; the last layer's outputs stay fixed.

    Raises:
        ValueError: If the network is not a sequence of convolutions, linear layers and what treats
            every channel alike.
    """
    module, shapes = architecture.outline, architecture.shapes()
    groups: list[PermutationGroup] = []
    producer: tuple[str, int] | None = None
    for node in fx.symbolic_trace(module).graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if len(node.all_input_nodes) != 1 or not _is_known(layer):
            raise ValueError(
                f"permutation groups of {architecture.name} cannot be derived: its operation "
                f"{node.name} is none of a sequential network; set preprocess.align to false"
            )
        if isinstance(layer, nn.Conv2d | nn.Linear):
            name = str(node.target)
            channels = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
            if producer:
                groups.append(_group(shapes, *producer, name, channels // producer[1]))
            producer = (name, layer.weight.shape[0])
    return tuple(groups)


def _is_known(layer: nn.Module | None) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1
    return isinstance(layer, (nn.Linear, *PASSING))


def _group(shapes: Shapes, producer: str, size: int, consumer: str, block: int) -> PermutationGroup:
    own = [Axis(f"{producer}.{kind}", 0) for kind in ("weight", "bias")]
    axes = [axis for axis in own if axis.entry in shapes]
    return PermutationGroup(producer, size, (*axes, _block(f"{consumer}.weight", block)))


def _block(entry: str, block: int) -> Axis:
    return Axis(entry, 1, 0, block, ((block, 1),) if block > 1 else ())
