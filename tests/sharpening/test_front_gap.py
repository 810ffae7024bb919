"""The average advantage of one accuracy-novelty front over another."""

from math import isnan

import numpy as np
import pytest

from sane_core.generation.front import FrontPoint
from sane_core.generation.front_gap import Point, front_gap, upper_hull
from sane_core.generation.rows import front_metrics


def front(*pairs: tuple[float, float], seed: int = 0) -> list[Point]:
    return [Point(seed, overlap, accuracy) for overlap, accuracy in pairs]


BASE = front((0.3, 0.8), (0.5, 0.9), (0.9, 0.95))


def test_a_front_that_is_higher_by_two_points_everywhere_has_that_advantage() -> None:
    higher = [Point(p.seed, p.overlap, p.accuracy + 0.02) for p in BASE]
    gap = front_gap(higher, BASE)
    assert gap.mean == pytest.approx(0.02)
    assert gap.ranges[0] == (0.3, 0.7)
    assert front_gap(BASE, higher).mean == pytest.approx(-0.02)


def test_overlaps_above_the_limit_do_not_count() -> None:
    better_above = front((0.3, 0.8), (0.5, 0.9), (0.9, 0.98))
    assert front_gap(better_above, BASE, limit=0.5).mean == pytest.approx(0)
    assert front_gap(better_above, BASE, limit=0.9).mean == pytest.approx(0.01, rel=1e-4)


def test_nothing_is_compared_where_only_one_has_a_front() -> None:
    reaching_further = [Point(0, 0.1, 0.7), *BASE]
    assert front_gap(reaching_further, BASE).ranges[0][0] == 0.3
    assert front_gap(BASE, reaching_further).ranges[0][0] == 0.3
    apart = front_gap(front((0.6, 0.9)), front((0.2, 0.9), (0.5, 0.95)))
    assert isnan(apart.mean)
    assert isnan(apart.by_seed[0])


def test_a_narrow_sweep_is_never_to_the_samplers_advantage() -> None:
    whole = front((0.3, 0.85), (0.5, 0.92), (0.8, 0.96))
    narrow = whole[:2]
    assert front_gap(narrow, BASE).mean < front_gap(whole, BASE).mean
    assert front_gap(narrow, BASE).ranges[0] == (0.3, 0.7)


def test_a_worse_draw_at_a_larger_overlap_lowers_nothing() -> None:
    assert front_gap([*BASE, Point(0, 0.6, 0.5)], BASE).mean == pytest.approx(0)


def test_a_mix_of_two_draws_is_reached() -> None:
    overlaps, accuracies = upper_hull(front((0.2, 0.8), (0.4, 0.81), (0.6, 0.9), (0.8, 0.85)))
    assert np.array_equal(overlaps, [0.2, 0.6])
    assert np.array_equal(accuracies, [0.8, 0.9])


def test_the_interval_is_that_of_the_mean_over_seeds() -> None:
    gaps = (0.01, 0.03, 0.02)
    base = [Point(seed, p.overlap, p.accuracy) for seed in range(3) for p in BASE]
    moved = [Point(p.seed, p.overlap, p.accuracy + gaps[p.seed]) for p in base]
    gap = front_gap(moved, base)
    assert gap.mean == pytest.approx(0.02)
    # 4.303 is Student's t for two degrees of freedom, 0.01 the deviation.
    assert gap.high - gap.mean == pytest.approx(4.303 * 0.01 / 3**0.5, rel=1e-3)
    assert isnan(front_gap(BASE, BASE).low)


def test_fronts_of_other_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"points of the same seeds, got \[0\] and \[1\]"):
        front_gap(BASE, front((0.3, 0.8), seed=1))


def swept(sampler: str, knob: float, accuracy: float, overlap: float) -> FrontPoint:
    return FrontPoint(sampler, knob, 0, accuracy, overlap, accuracy)


def test_the_gap_of_every_sampler_is_over_noise_and_interpolation_together() -> None:
    noise = [swept("noise", 0.1, 0.9, 0.6), swept("noise", 0.3, 0.8, 0.4)]
    mixed = [swept("interpolation", 0.1, 0.91, 0.6), swept("interpolation", 0.5, 0.5, 0.4)]
    ours = [swept("sub", 0.1, 0.94, 0.6), swept("sub", 0.5, 0.83, 0.4)]
    metrics = front_metrics([*noise, *mixed, *ours])
    # The joint front is (0.4, 0.8), (0.6, 0.91): 0.03 below at both ends.
    assert metrics["front.sub.gap"] == pytest.approx(0.03)
    assert not {name for name in metrics if name.startswith(("front.noise.gap", "front.inter.gap"))}
    assert "front.sub.gap.low" not in metrics
    assert "front.sub.gap" not in front_metrics(ours)
