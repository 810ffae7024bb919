"""The control that looks at no weight: what networks answer to fixed random inputs.

Every network gets the same inputs, standard normal and drawn once; its log-probabilities are the
features. No image and no label of the networks' task is needed. All networks run at once.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from sane_core.architectures.architecture import Architecture
from sane_core.seeding import seed_for
from sane_core.zoo.population.cores import groups_of, on_cores
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.outputs import activations_of
from sane_core.zoo.population.score import logits
from sane_core.zoo.population.ways import WAYS, supported_ways

COUNTER = "num_batches_tracked"


def random_inputs(architecture: Architecture, count: int, seed: int) -> torch.Tensor:
    """Draw inputs, float32 [count, channels, height, width]."""
    generator = torch.Generator().manual_seed(seed_for(seed, "probe inputs"))
    return torch.randn((count, *architecture.input_shape), generator=generator)


@torch.no_grad()
def answers(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    inputs: torch.Tensor,
    activations: Sequence[str | None] = (),
) -> np.ndarray:
    """Run networks.

    Args:
        architecture: Of all of them.
        weights: Entry -> float32 [networks, ...]; counters of batches may be left out.
        inputs: float32 [inputs, channels, height, width].
        activations: Of each network, where it has another than its architecture.

    Returns:
        Log-probabilities float32 [networks, inputs · classes].

    Raises:
        ValueError: If an entry is missing, or an answer is not finite.
    """
    wanted = {*architecture.shapes(), *architecture.buffers()}
    counters = [name for name in wanted if name.endswith(COUNTER)]
    if missing := sorted(wanted - {*counters, *weights}):
        raise ValueError(f"networks cannot be run without their entries {', '.join(missing[:3])}")
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    way, count = supported_ways(architecture)[0], len(next(iter(weights.values())))
    members = [Member(i, 1.0, 0.0, "", own, None) for i, own in enumerate(activations)]

    def run(group: slice) -> np.ndarray:
        own = {name: torch.tensor(weights[name][group], device=where) for name in weights}
        for name in counters:
            own[name] = torch.zeros(group.stop - group.start, dtype=torch.int64, device=where)
        made = logits(architecture, own, inputs.to(where), members[group], WAYS[way](architecture))
        return functional.log_softmax(made, -1).flatten(1).cpu().numpy()

    groups = groups_of(count, activations_of(architecture) * len(inputs))
    parts = on_cores(run, groups) if where.type == "cpu" else [run(group) for group in groups]
    made = np.concatenate(parts)
    if broken := int((~np.isfinite(made).all(1)).sum()):
        raise ValueError(f"{broken} networks give answers that are not finite")
    return made
