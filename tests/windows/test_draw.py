"""Where windows start decides how often each token is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sane_core.windows.draw import coverage, cut, draw_starts


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(1, 80), st.integers(0, 2**32))
def test_stratified_windows_cover_every_token_exactly_once(tokens, length, seed):
    starts = draw_starts(tokens, length, "stratified", np.random.default_rng(seed))
    assert np.array_equal(coverage(starts, tokens, length), np.ones(tokens))


def test_uniform_windows_starve_both_ends():
    rng = np.random.default_rng(0)
    draws = [coverage(draw_starts(48, 32, "uniform", rng), 48, 32) for _ in range(2000)]
    mean = np.mean(draws, axis=0)
    assert mean[0] == pytest.approx(2 / 17, abs=0.03)  # one of the 17 starts, two windows a draw
    assert mean[-1] == pytest.approx(2 / 17, abs=0.03)
    assert mean[20] == pytest.approx(2, abs=1e-9)


@pytest.mark.parametrize("mode", ["stratified", "uniform"])
def test_a_sequence_no_longer_than_the_window_is_one_window(mode):
    assert draw_starts(48, 48, mode, np.random.default_rng(0)).tolist() == [0]
    assert draw_starts(20, 48, mode, np.random.default_rng(0)).tolist() == [0]


def test_stratified_offsets_differ_from_draw_to_draw():
    rng = np.random.default_rng(0)
    assert len({int(draw_starts(48, 32, "stratified", rng)[0]) for _ in range(200)}) == 32


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="must be 'stratified' or 'uniform', got 'random'"):
        draw_starts(48, 32, "random", np.random.default_rng(0))


def test_a_cut_within_the_sequence_is_a_slice():
    array = np.arange(1, 13).reshape(2, 6)
    assert np.array_equal(cut(array, 1, 3, axis=1), array[:, 1:4])


@pytest.mark.parametrize(
    ("start", "expected"),
    [(-2, [0, 0, 1, 2]), (4, [5, 6, 0, 0]), (-1, [0, 1, 2, 3]), (3, [4, 5, 6, 0])],
)
def test_a_cut_over_an_end_is_padded_with_zeros(start, expected):
    assert cut(np.arange(1, 7), start, 4, axis=0).tolist() == expected


def test_a_cut_longer_than_the_sequence_is_padded_on_both_sides():
    assert cut(np.array([1, 2]), -1, 5, axis=0).tolist() == [0, 1, 2, 0, 0]
