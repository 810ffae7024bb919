"""ẑ_l of Eq. 8: the spread of a layer's tokens, and nothing else."""

import numpy as np
import pytest

from sane_core.analysis.spread import mean_over_layers, spread

LAYER = np.array([0, 0, 0, 1, 2, 2])


def latents(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((4, 6, 5)).astype(np.float32)


def test_it_is_the_mean_over_dimensions_of_the_deviation_over_tokens() -> None:
    z = latents()
    found = spread(z, LAYER, 3)
    assert found[1, 0] == pytest.approx(z[1, :3].std(axis=0).mean(), rel=1e-6)
    assert found[3, 2] == pytest.approx(z[3, 4:].std(axis=0).mean(), rel=1e-6)


def test_moving_all_tokens_of_a_layer_changes_nothing_and_moving_one_does() -> None:
    z = latents()
    together, one = z.copy(), z.copy()
    together[:, :3] += 7
    one[:, 0] += 7
    assert np.allclose(spread(together, LAYER, 3)[:, 0], spread(z, LAYER, 3)[:, 0], rtol=1e-5)
    assert (spread(one, LAYER, 3)[:, 0] > 2 * spread(z, LAYER, 3)[:, 0]).all()


def test_a_layer_of_one_token_or_none_has_no_spread() -> None:
    found = spread(latents(), LAYER, 4)
    assert np.isnan(found[:, [1, 3]]).all()
    assert np.isfinite(found[:, [0, 2]]).all()


def test_one_latent_for_a_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs a latent per token \(6\), got 1"):
        spread(latents()[:, :1], LAYER, 3)


def test_means_leave_out_what_is_not_there() -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan] * 3])
    assert np.array_equal(mean_over_layers(values), [2.0, np.nan], equal_nan=True)
