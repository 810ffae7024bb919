"""Align models to a reference by weight matching, against the algorithm as one would write it down.

`related` models are permuted copies of the reference under noise of three times its deviation, so
that it takes several sweeps to find them back; `independent` ones are initialized anew, the longest
way there is. Batch norms are scattered as training leaves them. The plain algorithm takes the same
steps in float64, on all of NumPy's threads.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from shared.plain_alignment import inner_product, match_plainly
from shared.rows import Row, alternate, median

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.align import match
from sane_core.weights.shards import within
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.groups import PermutationGroup
from sane_core.weights.symmetry.permute import Permutations, permute, random_permutations
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.training import TrainingConfig

NOISE = 3.0
"""Deviation of the noise on related models, in deviations of each entry of the reference."""
RESNETS = 16
DIGITS = 1000

Weights = dict[str, np.ndarray]
Groups = Sequence[PermutationGroup]


def measure_alignment(quick: bool) -> list[Row]:
    reference = _first(_resnets(1, 0))
    groups = _groups("resnet18")
    draws: dict[str, Callable[[int], Weights]] = {
        "related": partial(_related, reference, groups),
        "independent": partial(_resnets, seed=1),
    }
    if quick:
        del draws["independent"]
    rows = []
    for kind, draw in draws.items():
        rows += _pair(f"resnet18.{kind}", reference, draw(1), groups, 1 if quick else 3)
    members = members_of(TrainingConfig(), range(DIGITS + 1), 0)
    drawn = initialize(architecture_named("digits-cnn"), members, 0)
    models = {name: values[1:].numpy() for name, values in drawn.items()}
    zeroth = {name: values[0].numpy() for name, values in drawn.items()}
    rows += _many("digits-cnn", zeroth, models, _groups("digits-cnn"), 3)
    for kind, draw in draws.items():
        shard = draw(4 if quick else RESNETS)
        rows += _many(f"resnet18.{kind}", reference, shard, groups, 1)
    return rows


def _pair(name: str, reference: Weights, model: Weights, groups: Groups, repeats: int) -> list[Row]:
    start = time.perf_counter()
    plain, _ = match_plainly(reference, _first(model), groups, 0)
    slow = time.perf_counter() - start
    rows = [Row(f"{name}.pair.plain", slow, "s")]
    for device in _devices():
        run = partial(match, reference, model, groups, 0, device=device)
        fast = median(alternate({device: run}, repeats)[device])
        rows.append(Row(f"{name}.pair.{device}", fast, "s", "the plain algorithm", slow / fast))
    found = run()
    reached, wanted = (
        _raised(reference, model, groups, {key: values.reshape(-1) for key, values in own.items()})
        for own in (found.permutations, plain)
    )
    compared = "what the plain algorithm raises it by"
    return [
        *rows,
        Row(f"{name}.pair.sweeps", int(found.sweeps[0]), "sweeps"),
        Row(f"{name}.pair.raised", reached, "inner product", compared, reached / wanted),
    ]


def _many(
    name: str, reference: Weights, weights: Weights, groups: Groups, repeats: int
) -> list[Row]:
    models = len(next(iter(weights.values())))
    rows = []
    for device in _devices():
        run = partial(match, reference, weights, groups, 0, device=device)
        seconds = median(alternate({device: run}, repeats)[device])
        rows.append(Row(f"{name}.{models}-models.{device}", seconds, "s"))
        rows.append(Row(f"{name}.{models}-models.{device}.each", seconds / models, "s/model"))
    return rows


def _raised(
    reference: Weights, model: Weights, groups: Groups, permutations: Permutations
) -> float:
    """Return by how much the permutations raise the inner product with the reference."""
    exact = {key: values.astype(np.float64) for key, values in model.items()}
    before, after = (
        inner_product(reference, own) for own in (exact, permute(exact, groups, permutations))
    )
    return after - before


def _resnets(models: int, seed: int) -> Weights:
    """Return initialized ResNet-18s, their batch norms scattered."""
    rng = rng_for(seed, "batch norms")
    members = members_of(TrainingConfig(), range(models), seed)
    population = initialize(architecture_named("resnet18"), members, seed)
    return {
        name: values.numpy()
        if values.ndim != 2
        else values.numpy() + 0.1 * rng.standard_normal(values.shape, np.float32)
        for name, values in population.items()
        if values.ndim > 1
    }


def _related(reference: Weights, groups: Groups, models: int) -> Weights:
    """Return permuted copies of the reference, under noise."""
    rng = rng_for(0, "related")
    noisy = {
        name: values
        + NOISE * values.std() * rng.standard_normal((models, *values.shape), np.float32)
        for name, values in reference.items()
    }
    return permute(noisy, groups, random_permutations(groups, models, rng))


def _groups(name: str) -> Groups:
    """Return what may be permuted in an architecture, of its trained entries."""
    network = architecture_named(name)
    return within(groups_of(network), network.shapes())


def _devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _first(weights: Weights) -> Weights:
    return {name: values[0] for name, values in weights.items()}
