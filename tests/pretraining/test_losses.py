"""The two losses, against plain formulas."""

import math

import pytest
import torch

from sane_core.pretraining.losses import nt_xent, reconstruction_loss


def test_reconstruction_ignores_what_stands_in_the_padding():
    target, mask = torch.zeros(2, 3), torch.tensor([[True, True, False]] * 2)
    decoded = torch.tensor([[1.0, 3.0, 99.0]] * 2)
    assert reconstruction_loss(decoded, target, mask) == pytest.approx(5.0)


def test_reconstruction_is_the_mean_over_real_weights_whatever_the_fill_rate():
    decoded, target = torch.ones(1, 10), torch.zeros(1, 10)
    for real in (1, 5, 10):
        mask = torch.arange(10)[None] < real
        assert reconstruction_loss(decoded, target, mask) == pytest.approx(1.0)


def test_contrastive_loss_equals_the_plain_formula():
    projected = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = projected / projected.norm(dim=1, keepdim=True)
    terms = []
    for i in range(6):
        scores = [math.exp(float(unit[i] @ unit[j]) / 0.1) for j in range(6) if j != i]
        partner = math.exp(float(unit[i] @ unit[(i + 3) % 6]) / 0.1)
        terms.append(-math.log(partner / sum(scores)))
    assert float(nt_xent(projected, 0.1)) == pytest.approx(sum(terms) / 6, rel=1e-5)


def test_matching_views_cost_less_than_mismatched_ones():
    views = torch.eye(4)
    matched = nt_xent(torch.cat([views, views]), 0.1)
    mismatched = nt_xent(torch.cat([views, views.roll(1, 0)]), 0.1)
    assert matched < 1e-3 < mismatched
