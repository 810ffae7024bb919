"""Probes: ridge against scikit-learn, selection on validation, intervals over runs, controls."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sane_core.embedding.files import Embeddings
from sane_core.probing.controls import fit_token_pca, project_tokens
from sane_core.probing.features import one_vector
from sane_core.probing.linear import Split, bootstrap_r2, fit_probe, r_squared
from sane_core.probing.statistics import weight_statistics
from sane_core.weights.layers import layers_of


def splits(rows: int = 60, d: int = 5, seed: int = 0) -> list[Split]:
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(d)
    parts = []
    for _ in range(3):
        x = rng.standard_normal((rows, d)) * 10.0 ** np.arange(d)
        parts.append(Split(x, x / 10.0 ** np.arange(d) @ truth + 0.1 * rng.standard_normal(rows)))
    return parts


def test_ridge_equals_scikit_learns_on_scaled_features():
    train, validation, test = splits()
    probe = fit_probe(train, validation, test, (0.3,))
    centre, scale = train.features.mean(0), train.features.std(0)
    reference = Ridge(alpha=0.3 * len(train.target))
    reference.fit((train.features - centre) / scale, train.target)
    expected = reference.predict((test.features - centre) / scale)
    np.testing.assert_allclose(probe.predictions, expected, rtol=1e-8)


def test_the_penalty_is_chosen_on_validation_and_not_on_test():
    train, validation, test = splits()
    candidates = (1e-3, 1e3)
    misleading = Split(
        validation.features, np.full(60, train.target.mean()) + validation.target * 1e-9
    )
    assert fit_probe(train, validation, test, candidates).regularization == 1e-3
    assert fit_probe(train, misleading, test, candidates).regularization == 1e3


def test_constant_features_do_no_harm():
    train, validation, test = splits()
    padded = [
        Split(np.c_[part.features, np.ones(len(part.target))], part.target)
        for part in (train, validation, test)
    ]
    assert fit_probe(*padded, (0.1,)).test_r2 == pytest.approx(
        fit_probe(train, validation, test, (0.1,)).test_r2
    )


def test_a_constant_target_is_refused():
    train, validation, test = splits()
    constant = Split(validation.features, np.ones(60))
    with pytest.raises(ValueError, match="the target must vary over the validation runs"):
        fit_probe(train, constant, test, (0.1,))


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean():
    target = np.array([1.0, 2.0, 4.0])
    assert r_squared(target, target) == 1
    assert r_squared(target, np.full(3, target.mean())) == pytest.approx(0)


def test_the_interval_counts_runs_and_not_rows():
    rng = np.random.default_rng(0)
    target = rng.standard_normal(400)
    predictions = target + np.repeat(rng.standard_normal(8), 50)
    by_run = bootstrap_r2(target, predictions, np.repeat(np.arange(8), 50), rng, 500)
    by_row = bootstrap_r2(target, predictions, np.arange(400), rng, 500)
    assert by_run[1] - by_run[0] > 2 * (by_row[1] - by_row[0])
    assert by_run[0] <= r_squared(target, predictions) <= by_run[1]


def test_statistics_are_the_seven_of_every_layer():
    layers = layers_of({"a.weight": (2, 3), "a.bias": (2,)})
    rng = np.random.default_rng(0)
    weights = {"a.weight": rng.random((4, 2, 3)), "a.bias": rng.random((4, 2))}
    pooled = np.concatenate([weights["a.weight"].reshape(4, -1), weights["a.bias"]], axis=1)
    expected = [pooled.mean(1), pooled.var(1)]
    expected += list(np.quantile(pooled, [0.01, 0.25, 0.5, 0.75, 0.99], axis=1))
    np.testing.assert_allclose(weight_statistics(weights, layers), np.stack(expected, 1))


def test_token_pca_keeps_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    tokens = (rng.standard_normal((20, 8, 3)) * [1.0, 5.0, 0.1]).astype(np.float32)
    centre, directions = fit_token_pca(lambda: [tokens], 1)
    assert abs(directions[1, 0]) > 0.99
    assert project_tokens(tokens, centre, directions).shape == (20, 8, 1)


def test_token_pca_is_the_same_in_pieces():
    tokens = np.random.default_rng(0).standard_normal((20, 8, 3)).astype(np.float32) + 9
    whole = fit_token_pca(lambda: [tokens], 3)
    pieces = fit_token_pca(lambda: [tokens[:3], tokens[3:4], tokens[4:]], 3)
    np.testing.assert_allclose(pieces[0], whole[0])
    np.testing.assert_allclose(np.abs(pieces[1].T @ whole[1]), np.eye(3), atol=1e-10)


def embeddings(**vectors: np.ndarray) -> Embeddings:
    return Embeddings(vectors, np.array([1, 1, 2]), np.array([0, 5, 0]), np.array(["train"] * 3))


def test_a_baseline_has_one_vector_of_the_same_checkpoints():
    rows = np.arange(6.0).reshape(3, 2)
    own, other = embeddings(sane_mean=rows), embeddings(sane_global=rows + 1)
    np.testing.assert_array_equal(one_vector(other, own), rows + 1)
    with pytest.raises(ValueError, match=r"must have one embedding per model, got \['a', 'b'\]"):
        one_vector(embeddings(a=rows, b=rows), own)
    moved = replace(other, epochs=other.epochs + 1)
    with pytest.raises(ValueError, match="of the same checkpoints, but epochs differ"):
        one_vector(moved, own)
