"""Weight matching follows every form of symmetry: blocks, parts of axes, two axes, heads, signs."""

from dataclasses import dataclass
from itertools import permutations as orders
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.shared.plain_alignment import best_step, inner_product, match_plainly
from sane_core.weights.align import match
from sane_core.weights.symmetry.groups import Axis, PermutationGroup
from sane_core.weights.symmetry.permute import permute, random_permutations, random_signs


@dataclass(frozen=True)
class Case:
    """Shapes of the entries and what may be permuted in them."""

    shapes: dict[str, tuple[int, ...]]
    groups: tuple[PermutationGroup, ...]

    def draw(self, seed: int, models: int | None = None) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        lead = () if models is None else (models,)
        return {name: rng.standard_normal((*lead, *own)) for name, own in self.shapes.items()}


def group(name: str, size: int, *axes: Axis, signs: bool = False) -> PermutationGroup:
    return PermutationGroup(name, size, axes, signs)


CASES = {
    "chain": Case(
        {"a": (4, 3), "a.bias": (4,), "b": (3, 4), "c": (2, 3)},
        (
            group("a", 4, Axis("a", 0), Axis("a.bias", 0), Axis("b", 1)),
            group("b", 3, Axis("b", 0), Axis("c", 1)),
        ),
    ),
    "chain that flips": Case(
        {"a": (3, 3), "scale": (3,), "b": (3, 3), "c": (2, 3)},
        (
            group("a", 3, Axis("a", 0), Axis("scale", 0, signed=False), Axis("b", 1), signs=True),
            group("b", 3, Axis("b", 0), Axis("c", 1), signs=True),
        ),
    ),
    "residual": Case(
        {"in": (4, 2), "square": (4, 4), "out": (2, 4)},
        (group("in", 4, Axis("in", 0), *(Axis("square", k) for k in (0, 1)), Axis("out", 1)),),
    ),
    "residual that flips": Case(
        {"in": (4, 2), "square": (4, 4, 2), "out": (2, 4)},
        (
            group(
                "in",
                4,
                Axis("in", 0),
                *(Axis("square", k) for k in (0, 1)),
                Axis("out", 1),
                signs=True,
            ),
        ),
    ),
    "concatenation": Case(
        {"a": (3, 2), "b": (4, 2), "c": (3, 7), "d": (2, 10)},
        (
            group("a", 3, Axis("a", 0), Axis("c", 1), Axis("d", 1)),
            group("b", 4, Axis("b", 0), Axis("c", 1, 3), Axis("d", 1, 3)),
            group("c", 3, Axis("c", 0), Axis("d", 1, 7)),
        ),
    ),
    "one axis twice": Case(
        {"a": (4, 2), "b": (3, 8), "c": (2, 3)},
        (
            group("a", 4, Axis("a", 0), Axis("b", 1), Axis("b", 1, 4)),
            group("b", 3, Axis("b", 0), Axis("c", 1)),
        ),
    ),
    "flatten": Case(
        {"a": (4, 2, 3, 3), "b": (3, 16), "c": (2, 3)},
        (
            group("a", 4, Axis("a", 0), Axis("b", 1, 0, 4, ((4, 1),))),
            group("b", 3, Axis("b", 0), Axis("c", 1)),
        ),
    ),
    "heads": Case(
        {"q": (6, 2), "k": (6, 2), "v": (6, 2), "o": (2, 6)},
        (
            group(
                "heads",
                3,
                *(Axis(name, 0, 0, 2, ((2, 1),)) for name in "qkv"),
                Axis("o", 1, 0, 2, ((2, 1),)),
            ),
            group("within", 2, *(Axis(name, 0, 0, 1, ((3, 2),)) for name in "qk"), signs=True),
        ),
    ),
}


def objective(reference, weights, groups, permutations, signs) -> np.ndarray:
    moved = permute(weights, groups, permutations, signs)
    models = len(next(iter(weights.values())))
    return np.array(
        [
            inner_product(reference, {n: v[m : m + 1] for n, v in moved.items()})
            for m in range(models)
        ]
    )


def reached(case, reference, weights, seed, signs=False, max_sweeps=100) -> np.ndarray:
    found = match(reference, weights, case.groups, seed, max_sweeps, signs)
    return objective(reference, weights, case.groups, found.permutations, found.signs)


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_every_symmetry_takes_the_same_steps_as_the_plain_algorithm(name, signs):
    case = CASES[name]
    reference, weights = case.draw(0), case.draw(1, 40)
    found = match(reference, weights, case.groups, 5, signs=signs)
    assert found.converged.all()
    assert found.sweeps.max() > 2 or len(case.groups) == 1
    for m in range(40):
        model = {entry: values[m] for entry, values in weights.items()}
        permutations, flips = match_plainly(reference, model, case.groups, 5, signs=signs)
        for own, expected in ((found.permutations, permutations), (found.signs, flips)):
            assert {k: v[m].tolist() for k, v in own.items()} == {
                k: v.tolist() for k, v in expected.items()
            }


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(CASES)),
    seed=st.integers(0, 2**32 - 1),
    signs=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_the_inner_product_with_the_reference_never_decreases(name, seed, signs, dtype):
    case = CASES[name]
    reference = {entry: values.astype(dtype) for entry, values in case.draw(seed).items()}
    weights = {entry: values.astype(dtype) for entry, values in case.draw(seed + 1, 4).items()}
    values = [reached(case, reference, weights, seed, signs, sweeps) for sweeps in range(5)]
    assert np.diff(values, axis=0).min() >= -1e-5 * (dtype == np.float32) - 1e-12


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_best_of_a_few_orders_is_mostly_the_best_of_all_permutations(name, signs):
    """Of permuted copies under noise: coordinate descent may stop at a local optimum."""
    case = CASES[name]
    reference, noise = case.draw(0), case.draw(1, 12)
    rng = np.random.default_rng(7)
    hidden = random_permutations(case.groups, 12, rng)
    flips = random_signs(case.groups, 12, rng) if signs else None
    copies = {entry: np.repeat(values[None], 12, axis=0) for entry, values in reference.items()}
    permuted = permute(copies, case.groups, hidden, flips)
    weights = {entry: permuted[entry] + 0.3 * values for entry, values in noise.items()}
    tried = np.stack([reached(case, reference, weights, seed, signs) for seed in range(8)])
    best = best_of_all(case, reference, weights, signs)
    assert np.all(tried <= best + 1e-9)
    assert np.mean(tried.max(axis=0) >= best - 1e-9) >= 0.75


@pytest.mark.parametrize("name", CASES)
def test_nothing_beats_the_best_of_all_permutations_on_unrelated_models(name):
    case = CASES[name]
    reference, weights = case.draw(0), case.draw(1, 12)
    found = reached(case, reference, weights, 0, signs=True)
    best = best_of_all(case, reference, weights, signs=True)
    assert np.all(found <= best + 1e-9)
    assert np.any(found >= best - 1e-9)


def best_of_all(case, reference, weights, signs) -> np.ndarray:
    values = [objective(reference, weights, case.groups, *one) for one in every(case, signs)]
    return np.max(values, axis=0)


def every(case, signs):
    """All permutations and signs of all groups."""
    names = [own.name for own in case.groups]
    flipping = [own for own in case.groups if signs and own.signs]
    for chosen in product(*(orders(range(own.size)) for own in case.groups)):
        permutations = {name: np.array(own) for name, own in zip(names, chosen, strict=True)}
        for flips in product(*(product((1, -1), repeat=own.size) for own in flipping)):
            yield (
                permutations,
                {
                    own.name: np.array(flip, np.int8)
                    for own, flip in zip(flipping, flips, strict=True)
                },
            )


def test_a_step_that_looks_better_but_is_worse_is_not_taken():
    """The linear terms of a residual entry promise twice what it gives."""
    case = CASES["residual"]
    reference, weights = case.draw(3), case.draw(4, 200)
    start = objective(reference, weights, case.groups, {}, {})
    assert np.all(reached(case, reference, weights, 0) >= start)
    refused = 0
    for m in range(200):
        model = {entry: values[m : m + 1] for entry, values in weights.items()}
        step, _ = best_step(reference, model, case.groups[0], signs=False)
        proposed = permute(model, case.groups, {"in": step})
        refused += inner_product(reference, proposed) < inner_product(reference, model)
    assert refused > 0
