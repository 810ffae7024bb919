"""Correlations with accuracy: only over twenty networks, with n beside them."""

import numpy as np
import pytest

from sane_core.analysis.correlate import correlate


def test_what_rises_with_accuracy_correlates_and_what_is_drawn_does_not() -> None:
    accuracy = np.linspace(0.5, 0.9, 40)
    found = correlate(np.exp(9 * accuracy), accuracy)
    assert (found.networks, found.note) == (40, "")
    assert found.spearman == found.kendall == pytest.approx(1)
    assert found.pearson < 0.99
    drawn = correlate(np.random.default_rng(0).standard_normal(40), accuracy)
    assert abs(drawn.kendall) < 0.3


def test_below_twenty_networks_there_is_none() -> None:
    values = np.arange(19.0)
    found = correlate(values, values)
    assert (found.networks, found.note) == (19, "no correlation below 20 networks")
    assert np.isnan([found.pearson, found.spearman, found.kendall]).all()
    assert not correlate(np.arange(20.0), np.arange(20.0)).note


def test_networks_without_either_value_do_not_count() -> None:
    feature, accuracy = np.arange(22.0), np.arange(22.0)
    feature[3], accuracy[5] = np.nan, np.nan
    assert correlate(feature, accuracy).networks == 20
    accuracy[6] = np.nan
    assert correlate(feature, accuracy).note == "no correlation below 20 networks"


def test_a_constant_says_so() -> None:
    assert "constant" in correlate(np.ones(30), np.arange(30.0)).note
