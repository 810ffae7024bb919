"""Neighbours: exact, in a space that knows no units, and the same however they are sought."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from sane_core.analysis import neighbours
from sane_core.analysis.neighbours import Space, evenly, nearest, pooling_of, usual_distance


def points_of(seed: int, count: int = 60, size: int = 7) -> np.ndarray:
    """Points of unlike lengths, some of them equal."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, size)) * 10 ** rng.uniform(-3, 2, (count, 1))
    points[rng.integers(count, size=5)] = points[0]
    return points.astype(np.float32)


@given(st.integers(0, 10**6), st.integers(1, 12), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=40)
def test_the_search_is_exact_and_ties_come_in_order(seed, k, per_run, without_own):
    points = points_of(seed)
    runs = np.random.default_rng(seed).integers(0, 20, len(points))
    k = min(k, len(np.unique(runs)) - 1)
    own = runs if per_run and without_own else None
    found = nearest(points, points, k, runs if per_run else None, own)
    distances = cdist(points.astype(float), points.astype(float))
    for i, row in enumerate(distances):
        order = [j for j in np.argsort(row, kind="stable") if own is None or runs[j] != own[i]]
        seen: set[int] = set()
        kept = [j for j in order if not (per_run and runs[j] in seen or seen.add(runs[j]))]
        assert found.rows[i].tolist() == kept[:k]
        assert found.distances[i] == pytest.approx(row[kept[:k]], abs=1e-12)


def test_the_result_depends_on_no_batch(monkeypatch):
    points = points_of(3)
    whole = nearest(points, points, 5)
    monkeypatch.setattr(neighbours, "_VALUES", 2 * len(points))
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    parts = nearest(points, points, 5)
    assert np.array_equal(whole.rows, parts.rows)
    assert np.array_equal(whole.distances, parts.distances)
    assert np.allclose(Space.of(points).place(points).mean(axis=0), 0, atol=1e-6)


def test_a_point_of_the_zoo_is_at_distance_zero_from_itself():
    points = points_of(4, size=300)
    space = Space.of(points)
    found = nearest(space.place(points[7:8]), space.place(points), 1)
    assert found.distances[0, 0] == 0


def test_distances_know_no_units_and_no_offset():
    points = points_of(5)
    changed = points * np.array([1, 10, 0.1, 3, 7, 2, 5], np.float32) + 4
    one, other = (Space.of(each).place(each) for each in (points, changed))
    assert np.allclose(one, other, atol=1e-4)


def test_a_typical_distance_is_that_of_two_deviations_whatever_the_width():
    rng = np.random.default_rng(0)
    for size in (10, 1000):
        points = rng.standard_normal((300, size)).astype(np.float32)
        placed = Space.of(points).place(points)
        assert np.median(cdist(placed, placed)) == pytest.approx(2**0.5, abs=0.05)


def test_a_dimension_that_hardly_varies_does_not_decide_alone():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((50, 8)).astype(np.float32)
    points[:, 3] = 1 + 1e-7 * rng.standard_normal(50)
    moved = points[:1].copy()
    moved[0, 3] += 1e-4
    space = Space.of(points)
    assert nearest(space.place(moved), space.place(points), 1).distances[0, 0] < 0.1


def test_a_zoo_of_equal_networks_has_a_space():
    points = np.ones((5, 3), np.float32)
    assert np.array_equal(Space.of(points).place(points), np.zeros((5, 3)))


@pytest.mark.parametrize("k", [0, 61])
def test_k_must_be_there(k):
    points = points_of(0)
    with pytest.raises(ValueError, match=f"k must be from 1 to 60, the zoo's checkpoints, got {k}"):
        nearest(points, points, k)


def test_k_of_other_runs_must_be_there():
    points, runs = points_of(0, 6), np.array([0, 0, 0, 1, 1, 2])
    assert nearest(points, points, 2, runs, runs).rows.shape == (6, 2)
    with pytest.raises(ValueError, match="k must be from 1 to 2, the zoo's other runs, got 3"):
        nearest(points, points, 3, runs, runs)


def test_an_embedding_of_another_width_is_another_models():
    space = Space.of(points_of(0))
    with pytest.raises(ValueError, match="must have 7 dimensions, as the zoo's have, got 8"):
        space.place(np.zeros((1, 8), np.float32))


def test_embeddings_must_be_finite():
    points = points_of(0)
    points[3, 2] = np.nan
    with pytest.raises(ValueError, match="embeddings must be finite"):
        Space.of(points)


def test_the_usual_distance_is_to_other_runs():
    runs = np.repeat(np.arange(30), 2)
    points = np.repeat(np.random.default_rng(0).standard_normal((30, 5)), 2, axis=0)
    assert usual_distance(points.astype(np.float32), runs) > 0.1
    assert usual_distance(points.astype(np.float32), np.arange(60)) == 0
    assert np.isnan(usual_distance(points.astype(np.float32), np.zeros(60, int)))


@given(st.integers(1, 500), st.integers(1, 500))
@settings(deadline=None)
def test_evenly_spaced_are_as_many_as_may_be_and_none_twice(count, most):
    chosen = evenly(count, most)
    assert len(set(chosen.tolist())) == min(count, most)
    assert chosen[0] == 0
    assert chosen[-1] < count


def test_layers_are_searched_unless_they_are_too_wide():
    assert pooling_of({"sane_mean": 8, "sane_layers": 160}) == "sane_layers"
    assert pooling_of({"sane_mean": 8, "sane_layers": 10**5}) == "sane_mean"
    assert pooling_of({"sane_global": 8}) == "sane_global"
