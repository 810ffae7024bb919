"""What keeps a state dict from being an architecture's, in one sentence.

Every trained parameter must be there with its shape, and nothing that the architecture does not
have. Buffers may be left out: older checkpoints have no `num_batches_tracked`.
"""

from sane_core.architectures.architecture import Architecture, Shapes

NAMED = 3
"""How many entries of a kind the sentence names before it counts the rest."""


def describe_mismatch(shapes: Shapes, architecture: Architecture) -> str:
    """Return one sentence that names the first entries that do not fit, or "" where all fit.

    Args:
        shapes: Entry -> shape; buffers may be among them.
        architecture: What the state dict is said to be.
    """
    found = differences(shapes, architecture.shapes(), architecture.buffers())
    return f"not a state dict of {architecture.name}: {found}" if found else ""


def differences(shapes: Shapes, parameters: Shapes, buffers: Shapes) -> str:
    """Return the first entries that do not fit, by kind, or "" where all fit.

    Args:
        shapes: Entry -> shape of a state dict.
        parameters: Entries that it must have.
        buffers: Entries that it may have.
    """
    known = {**parameters, **buffers}
    missing = [name for name in parameters if name not in shapes]
    unexpected = [name for name in shapes if name not in known]
    misshapen = [
        f"{name} {list(shapes[name])} instead of {list(known[name])}"
        for name in shapes
        if name in known and tuple(shapes[name]) != known[name]
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "wrong shape": misshapen}
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds.items() if names)


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
