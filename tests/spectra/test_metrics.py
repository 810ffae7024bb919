"""Spectral metrics: their definitions, what changes them, and reasons where there are none."""

from dataclasses import astuple

import numpy as np
import pytest

from sane_core.analysis.eigenvalues import eigenvalue_count, eigenvalues_of, random_edge
from sane_core.analysis.spectra import SPECTRAL, Metrics, metrics_of, spectral_metrics


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def values(metrics: Metrics) -> np.ndarray:
    return np.array([getattr(metrics, name) for name in SPECTRAL])


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_eigenvalues_are_squared_singular_values(shape: tuple[int, int]) -> None:
    weights = draw(2, *shape)
    singular = np.linalg.svd(weights.astype(np.float64), compute_uv=False)
    assert np.allclose(eigenvalues_of(weights), np.sort(singular**2, axis=1), rtol=1e-10)


def test_a_convolution_has_half_the_eigenvalues_of_each_position() -> None:
    weights = draw(1, 8, 5, 3, 3)
    each = [
        np.linalg.svd(weights[0, :, :, i, j], compute_uv=False) ** 2 / 2
        for i in range(3)
        for j in range(3)
    ]
    assert eigenvalue_count((8, 5, 3, 3)) == 45
    assert np.allclose(eigenvalues_of(weights)[0], np.sort(np.concatenate(each)), rtol=1e-5)


def test_metrics_are_what_they_are_called() -> None:
    eigenvalues = eigenvalues_of(draw(1, 60, 40))[0]
    found = metrics_of(eigenvalues)
    assert found.note == ""
    assert found.log_spectral_norm == pytest.approx(np.log10(eigenvalues.max()))
    assert found.log_norm == pytest.approx(np.log10(eigenvalues.sum()))
    assert found.stable_rank == pytest.approx(eigenvalues.sum() / eigenvalues.max())
    assert found.alpha_weighted == pytest.approx(found.alpha * found.log_spectral_norm)
    assert found.log_alpha_norm == pytest.approx(np.log10((eigenvalues**found.alpha).sum()))


def test_the_order_of_units_changes_nothing_and_that_of_weights_does() -> None:
    weights = draw(1, 16, 12, 3, 3)
    rng = np.random.default_rng(1)
    units = weights[:, rng.permutation(16)][:, :, rng.permutation(12)]
    shuffled = rng.permutation(weights.ravel()).reshape(weights.shape)
    shuffled[0, 0] *= 5
    plain, same, other = (values(spectral_metrics(w)[0]) for w in (weights, units, shuffled))
    assert np.allclose(same, plain, rtol=1e-6)
    assert not np.allclose(other, plain, rtol=1e-2)


def test_networks_do_not_depend_on_their_neighbours() -> None:
    weights = draw(3, 12, 10)
    assert spectral_metrics(weights)[1] == spectral_metrics(weights[1:2])[0]


def test_huge_weights_do_not_overflow() -> None:
    (found,) = spectral_metrics(1e15 * draw(1, 30, 30))
    assert found.note == ""
    assert np.isfinite(values(found)).all()


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((64,), "no matrix: a vector has no spectrum"),
        ((), "no matrix: a vector has no spectrum"),
        ((7, 100), "too small: 7 eigenvalues, at least 8 are needed"),
        ((20_000, 20_000), "too large: 20000 eigenvalues, at most 15000 are taken"),
    ],
)
def test_shapes_without_a_spectrum_say_why(shape: tuple[int, ...], note: str) -> None:
    weights = np.broadcast_to(np.float32(1), (2, *shape))
    found = spectral_metrics(weights)
    assert [each.note for each in found] == [note, note]
    assert np.isnan(astuple(found[0])[:-1]).all()


def test_weights_that_are_not_finite_have_no_metrics_and_harm_no_others() -> None:
    weights = draw(3, 12, 10)
    weights[0, 3, 4], weights[2, 0, 0] = np.nan, np.inf
    first, second, third = spectral_metrics(weights)
    assert first.note == third.note == "weights are not finite"
    assert np.isnan(values(first)).all()
    assert second.note == ""


def test_zeros_have_no_metrics_and_a_low_rank_has_no_fit() -> None:
    low = draw(1, 20, 3) @ draw(1, 3, 20, seed=1)
    zero, few = metrics_of(eigenvalues_of(np.zeros((1, 9, 9)))[0]), spectral_metrics(low)[0]
    assert zero.note == "all weights are zero"
    assert few.note.startswith("no fit: fewer than 8 eigenvalues over 1e-05")
    assert np.isnan(few.alpha)
    assert np.isfinite(few.log_spectral_norm)


def test_random_weights_end_at_their_edge_and_a_spike_lies_beyond() -> None:
    weights = draw(400, 300)
    edge = random_edge(weights)
    assert eigenvalues_of(weights[None])[0].max() == pytest.approx(edge, rel=0.05)
    spiked = weights + 0.3 * np.outer(np.ones(400), np.ones(300)).astype(np.float32)
    assert eigenvalues_of(spiked[None])[0].max() > 2 * random_edge(spiked)
