"""How many members fit into memory at once: found by running one, not guessed."""

from collections.abc import Sequence

import psutil
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.learner import Learner
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.outputs import largest_patches
from sane_core.zoo.population.train import groups_on, with_buffers
from sane_core.zoo.population.ways import WAYS
from schemas.config.training import TrainingConfig

SHARE = 0.7
"""Share of the free memory that a population may take."""

COPIES = 4
"""Copies of its weights that a member needs while an epoch is written: as an array, in a file's
buffer, as training state."""


def members_that_fit(
    architecture: Architecture,
    config: TrainingConfig,
    members: Sequence[Member],
    seed: int,
    way: str,
    device: str = "cpu",
    free: int | None = None,
) -> int:
    """Return how many members can be trained at once, at most all of them.

    Args:
        architecture: Architecture of all members.
        config: The recipe.
        members: Who is to be trained.
        seed: The run's seed.
        way: How they are run at once.
        device: Where.
        free: Bytes that may be used; what the device has left if not given.

    Raises:
        ValueError: If not even one member fits.
    """
    where = torch.device(device)
    available = int(SHARE * free_bytes(where)) if free is None else free
    state, step = bytes_of_a_member(architecture, config, members[0], seed, way)
    if where.type == "cpu":
        group = groups_on(where, architecture, len(members), config.batch, way)[0]
        fixed = step * (group.stop - group.start) * torch.get_num_threads()
        fits = (available - fixed) // state
        needed = step + state
        fits = fits if fits > 0 else (1 if needed <= available else 0)
    else:
        needed = step + state
        fits = available // needed
    if fits < 1:
        raise ValueError(
            f"memory must hold at least one member of {architecture.name}: at batch "
            f"{config.batch} one needs {needed / 2**30:.2f} GiB and {available / 2**30:.2f} GiB "
            "may be used; choose a smaller batch, smaller images or a narrower network"
        )
    return int(min(fits, len(members)))


def free_bytes(device: torch.device) -> int:
    """Return the bytes that a device has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def bytes_of_a_member(
    architecture: Architecture, config: TrainingConfig, member: Member, seed: int, way: str
) -> tuple[int, int]:
    """Return the bytes that a member keeps from step to step, and those a step needs besides.

    A step of one member is taken on the CPU on two images and on four; what autograd keeps for the
    way back is counted, and grows with the batch as it did from two to four.
    """
    population = initialize(architecture, [member], seed)
    state = sum(values.numel() * values.element_size() for values in population.values())
    learner = Learner(
        architecture,
        WAYS[way](architecture),
        [member],
        with_buffers(architecture, population),
        config,
        seed,
    )
    learner.begin(1)
    two, four = (_kept_by_a_step(learner, architecture, images) for images in (2, 4))
    kept = max(two, state) + (four - two) * max(0, config.batch - 2) // 2
    moments = 1 if config.optimizer == "sgd" else 2
    if way == "patches":
        size = 2 if config.precision == "bfloat16" else 4
        kept += largest_patches(architecture) * config.batch * size
    # Outputs and their gradients live at the same time as what is kept.
    return state * (1 + moments + COPIES), 2 * kept


def _kept_by_a_step(learner: Learner, architecture: Architecture, images: int) -> int:
    """Return the bytes that autograd keeps; the step is taken in the thread that counts them."""
    kept: dict[int, int] = {}

    def note(values: torch.Tensor) -> torch.Tensor:
        storage = values.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return values

    dtype = torch.bfloat16 if learner.config.precision == "bfloat16" else torch.float32
    pixels = torch.zeros(1, images, *architecture.input_shape, dtype=dtype)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda values: values):
        learner.step(pixels, torch.zeros(1, images, dtype=torch.int64), 0, 1)
    return sum(kept.values())
