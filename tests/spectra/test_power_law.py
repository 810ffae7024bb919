"""Fitting power laws: what is known of a sample comes back, and what cannot be fitted says so."""

import numpy as np
import pytest

from sane_core.analysis.power_law import fit_power_law


def pareto(alpha: float, count: int, seed: int = 0) -> np.ndarray:
    """Draw from p(x) ∝ x^-alpha, x >= 1."""
    return np.random.default_rng(seed).pareto(alpha - 1, count) + 1


@pytest.mark.parametrize("alpha", [2.0, 3.0, 4.5])
def test_the_exponent_of_a_pareto_sample_is_recovered(alpha: float) -> None:
    fit = fit_power_law(pareto(alpha, 3000))
    assert fit is not None
    deviation = (alpha - 1) / np.sqrt(fit.tail)  # of the maximum-likelihood estimate
    assert abs(fit.alpha - alpha) < 3 * deviation
    assert fit.distance < 0.03


def test_a_tail_is_found_where_it_begins() -> None:
    body = np.random.default_rng(1).uniform(0.1, 5, 2000)
    fit = fit_power_law(np.concatenate([body, 5 * pareto(3, 1000)]))
    assert fit is not None
    assert 4 < fit.x_min < 6.5
    assert abs(fit.alpha - 3) < 0.25


def test_scaling_keeps_the_exponent_and_shifting_does_not() -> None:
    sample = pareto(2.5, 500)
    plain, scaled, shifted = (fit_power_law(x) for x in (sample, 7 * sample, sample + 3))
    assert plain and scaled and shifted
    assert scaled.alpha == pytest.approx(plain.alpha, rel=1e-9)
    assert scaled.x_min == pytest.approx(7 * plain.x_min)
    assert abs(shifted.alpha - plain.alpha) > 0.3


def test_blocks_of_candidates_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = pareto(2.5, 200)
    whole = fit_power_law(sample)
    monkeypatch.setattr("sane_core.analysis.power_law._BLOCK", 1000)
    assert fit_power_law(sample) == whole


def test_a_small_sample_keeps_a_tail_of_eight() -> None:
    fit = fit_power_law(pareto(3, 12))
    assert fit is not None
    assert fit.tail >= 8


@pytest.mark.parametrize("values", [np.arange(1.0, 8.0), np.full(50, 2.0)])
def test_too_few_or_equal_values_have_no_fit(values: np.ndarray) -> None:
    assert fit_power_law(values) is None


@pytest.mark.parametrize("wrong", [-1.0, 0.0, np.nan, np.inf])
def test_what_is_not_positive_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="must be fitted to positive numbers"):
        fit_power_law(np.array([*range(1, 30), wrong]))
