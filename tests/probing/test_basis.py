"""Ridge in a basis: either side of the matrix, and further columns beside it."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from sane_core.probing.basis import fit_basis
from sane_core.probing.linear import columns_of, fit_ridge, r_squared

ROWS = {"train": np.arange(40), "validation": np.arange(40, 60), "test": np.arange(60, 80)}


def data(columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((80, columns)) * 10.0 ** rng.uniform(-2, 2, columns)
    return x, (x[:, :3] / x[:, :3].std(0)) @ np.array([[1.0], [-2.0], [0.5]])


def reference(x: np.ndarray, y: np.ndarray, λ: float) -> np.ndarray:
    train = ROWS["train"]
    centre, scale = x[train].mean(0), x[train].std(0)
    scale = np.where(scale > 0, scale, 1)
    fitted = Reference(alpha=λ * len(train)).fit((x[train] - centre) / scale, y[train, 0])
    return fitted.predict((x[ROWS["test"]] - centre) / scale)


@pytest.mark.parametrize("columns", [5, 40, 41, 300])
def test_ridge_is_the_same_on_either_side_of_the_matrix(columns: int) -> None:
    x, y = data(columns)
    fit = fit_ridge(columns_of(x, ROWS["train"]), y, *ROWS.values(), (0.1,), r_squared)
    np.testing.assert_allclose(fit.test[:, 0], reference(x, y, 0.1), rtol=1e-7, atol=1e-9)


def test_the_smaller_side_is_decomposed() -> None:
    wide = fit_basis(data(300)[0][ROWS["train"]])
    assert len(wide.values) < 40
    tall = fit_basis(data(5)[0][ROWS["train"]])
    assert len(tall.values) == 5


@pytest.mark.parametrize("columns", [5, 300])
@pytest.mark.parametrize("λ", [1e-4, 1.0])
def test_columns_beside_are_columns_side_by_side(columns: int, λ: float) -> None:
    x, y = data(columns)
    beside = np.c_[y + np.random.default_rng(1).standard_normal((80, 1)), np.ones(80)]
    columns_beside = columns_of(x, ROWS["train"]).with_beside(beside, ROWS["train"])
    fit = fit_ridge(columns_beside, y, *ROWS.values(), (λ,), r_squared)
    together = reference(np.c_[x, beside], y, λ)
    np.testing.assert_allclose(fit.test[:, 0], together, rtol=1e-6, atol=1e-8)
    assert not np.allclose(fit.test[:, 0], reference(x, y, λ), rtol=1e-3)


def test_columns_beside_may_be_penalized_less() -> None:
    x, y = data(300)
    beside = np.random.default_rng(1).standard_normal((80, 2))
    columns = columns_of(x, ROWS["train"]).with_beside(beside, ROWS["train"])
    fit = fit_ridge(columns, y, *ROWS.values(), (1.0,), r_squared, (0.01,))
    train = ROWS["train"]
    scaled = [(z - z[train].mean(0)) / z[train].std(0) for z in (x, beside)]
    fitted = Reference(alpha=len(train)).fit(np.c_[scaled[0], 10 * scaled[1]][train], y[train, 0])
    expected = fitted.predict(np.c_[scaled[0], 10 * scaled[1]][ROWS["test"]])
    np.testing.assert_allclose(fit.test[:, 0], expected, rtol=1e-7, atol=1e-9)
    assert (fit.regularization, fit.share) == (1.0, 0.01)


def test_coefficients_predict_raw_rows_as_the_fit_did() -> None:
    x, y = data(300)
    beside = np.random.default_rng(3).standard_normal((80, 2)) + y
    columns = columns_of(x, ROWS["train"]).with_beside(beside, ROWS["train"])
    fit = fit_ridge(columns, y, *ROWS.values(), (0.3,), r_squared)
    made = fit.ridge.predict(x[ROWS["test"]], beside[ROWS["test"]])
    np.testing.assert_allclose(made, fit.test, rtol=1e-9)


def test_single_precision_features_are_fitted_in_double() -> None:
    x, y = data(20)
    x = (1e4 + x / np.abs(x).max(0)).astype(np.float32)
    fit = fit_ridge(columns_of(x, ROWS["train"]), y, *ROWS.values(), (1e-5,), r_squared)
    assert fit.test.dtype == np.float64
    expected = reference(x.astype(np.float64), y, 1e-5)
    np.testing.assert_allclose(fit.test[:, 0], expected, rtol=1e-5, atol=1e-6)
