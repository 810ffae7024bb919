"""Claims are paired over runs; what is chosen is chosen on validation runs."""

import numpy as np
import pytest

from sane_core.probing.bootstrap import interval, resample_mean, resample_r2
from sane_core.probing.compare import Compared, compare, fit_all
from sane_core.probing.folds import fixed_sides, folded_sides
from sane_core.probing.linear import bootstrap_r2, r_squared
from sane_core.probing.selections import COMBINED, SELECTED
from sane_core.probing.targets import Target
from schemas.config.probe import ProbeConfig

RUNS = np.repeat(np.arange(60), 4)
SPLIT = np.repeat(["train"] * 30 + ["validation"] * 15 + ["test"] * 15, 4)
CONFIG = ProbeConfig(bootstraps=400)


def noisy(values: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return np.c_[values + noise * np.random.default_rng(seed).standard_normal(len(values))]


def compared(features: dict[str, np.ndarray], target: Target, folds: int = 0) -> Compared:
    rng = np.random.default_rng(0)
    sides = folded_sides(RUNS, SPLIT, folds, "unseen", rng) if folds else fixed_sides(SPLIT)
    fits = fit_all(features, [target], sides, CONFIG.lambdas)
    return compare(fits, target, RUNS, sides, CONFIG, 0)


TRUTH = np.random.default_rng(5).standard_normal(240)
NUMBER = Target("epoch", TRUTH)


def test_better_features_are_above_and_equal_ones_are_undecided() -> None:
    features = {
        "sane_mean": noisy(TRUTH, 0.1, 1),
        "statistics": noisy(TRUTH, 0.6, 2),
        "outputs": noisy(TRUTH, 0.1, 3),
    }
    claims = {(c.a, c.b): c for c in compared(features, NUMBER).differences}
    better, equal = claims[SELECTED, "statistics"], claims[SELECTED, "outputs"]
    assert better.low > 0
    assert better.share_above > 0.99
    assert equal.low < 0 < equal.high
    assert better.runs == 15


def test_features_compared_with_themselves_differ_by_nothing() -> None:
    same = noisy(TRUTH, 0.5, 1)
    claims = {
        (c.a, c.b): c for c in compared({"sane_mean": same, "weights": same}, NUMBER).differences
    }
    claim = claims[SELECTED, "weights"]
    found = (claim.difference, claim.low, claim.high, claim.share_above)
    assert found == pytest.approx((0, 0, 0, 0), abs=1e-12)


def test_pairing_decides_what_the_intervals_of_each_alone_do_not() -> None:
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(20), 5)
    truth = rng.standard_normal(100)
    shared = np.repeat(rng.standard_normal(20) * rng.uniform(0, 1.5, 20), 5)
    first = truth + shared
    second = truth + 1.15 * shared
    both = resample_r2(truth, np.stack([first, second]), runs, rng, 1000)
    alone = interval(both)
    assert alone[0, 0] < alone[1, 1]
    assert interval(both[0] - both[1])[0] > 0


def test_resamples_of_r2_are_r2_of_resampled_runs() -> None:
    rng = np.random.default_rng(0)
    truth, runs = 1e6 + rng.standard_normal(40), np.repeat(np.arange(10), 4)
    made = truth + 0.3 * rng.standard_normal(40)
    seen = resample_r2(truth, made[None], runs, np.random.default_rng(7), 5)[0]
    weights = np.random.default_rng(7).multinomial(10, np.full(10, 0.1), size=5)
    for value, weight in zip(seen, weights, strict=True):
        rows = np.concatenate([np.flatnonzero(runs == r) for r in np.repeat(range(10), weight)])
        assert value == pytest.approx(r_squared(truth[rows], made[rows]), rel=1e-6)
    low, high = bootstrap_r2(truth, made, runs, np.random.default_rng(7), 5)
    assert (low, high) == tuple(np.quantile(seen, [0.025, 0.975]))


def test_resamples_of_a_mean_are_means_of_resampled_runs() -> None:
    hits, runs = np.array([[1.0, 1, 0, 0]]), np.array([0, 0, 1, 1])
    seen = resample_mean(hits, runs, np.random.default_rng(0), 50)
    assert set(seen[0].tolist()) == {0.0, 0.5, 1.0}


def test_every_selection_is_made_on_validation_runs() -> None:
    lucky = noisy(TRUTH, 3.0, 1)
    lucky[SPLIT == "test"] = TRUTH[SPLIT == "test", None]
    features = {
        "sane_mean": noisy(TRUTH, 0.3, 2),
        "sane_layers": lucky,
        "untrained_mean": noisy(TRUTH, 2.0, 3),
        "untrained_layers": noisy(TRUTH, 1.0, 4),
        "statistics": noisy(TRUTH, 0.3, 6),
    }
    found = compared(features, NUMBER)
    assert found.chosen[SELECTED] == ["sane_mean"]
    assert found.chosen["untrained_selected"] == ["untrained_layers"]
    by_name = {row.features: row for row in found.results}
    assert by_name[SELECTED].test_r2 == by_name["sane_mean"].test_r2
    assert by_name[COMBINED].test_r2 > by_name["sane_mean"].test_r2
    assert by_name[COMBINED].dimensions == 2
    assert by_name[COMBINED].chosen == "sane_mean"
    assert not any("+" in name for name in by_name)


def test_the_order_counts_for_kendall_alone() -> None:
    features = {"sane_mean": np.c_[np.exp(3 * TRUTH)], "statistics": np.c_[TRUTH]}
    by_name = {row.features: row for row in compared(features, NUMBER).results}
    assert by_name["sane_mean"].kendall == pytest.approx(1)
    assert by_name["sane_mean"].test_r2 < 0.9


def test_a_class_is_told_by_the_largest_answer() -> None:
    classes = np.arange(240) % 3
    target = Target("activation", 1.0 * classes, ("gelu", "relu", "tanh"))
    told = np.eye(3)[classes] + 0.1 * np.random.default_rng(0).standard_normal((240, 3))
    features = {"sane_mean": told, "statistics": noisy(TRUTH, 0.1, 1)}
    found = compared(features, target)
    by_name = {row.features: row for row in found.results}
    assert by_name["sane_mean"].test_accuracy == 1
    assert by_name["statistics"].test_accuracy < 0.7
    assert by_name["statistics"].majority == pytest.approx(1 / 3)
    assert {claim.measure for claim in found.differences} == {"accuracy"}


def test_folds_pool_what_was_predicted_without_the_run() -> None:
    features = {"sane_mean": noisy(TRUTH, 0.3, 1), "statistics": noisy(TRUTH, 0.6, 2)}
    fixed, folded = compared(features, NUMBER), compared(features, NUMBER, folds=5)
    assert len(fixed.predictions[SELECTED]) == 60
    assert len(folded.predictions[SELECTED]) == 120
    assert folded.differences[0].runs == 30
    rows = np.flatnonzero(SPLIT != "train")
    assert r_squared(TRUTH[rows], folded.predictions[SELECTED]) == folded.results[-2].test_r2


def test_chance_is_no_better_in_folds() -> None:
    chance = {"sane_mean": np.random.default_rng(1).standard_normal((240, 30))}
    by_name = {row.features: row for row in compared(chance, NUMBER, folds=5).results}
    assert by_name["sane_mean"].test_r2 < 0.05
