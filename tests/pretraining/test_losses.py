"""The two losses, against plain formulas; whole batches against their parts."""

import math

import pytest
import torch
import torch.distributed as dist

from sane_core.pretraining.losses import (
    gather_views,
    layer_weights,
    nt_xent,
    reconstruction_loss,
)


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


def test_garbage_in_the_padding_reaches_neither_loss_nor_gradient():
    decoded = torch.tensor([[1.0, torch.inf]], requires_grad=True)
    loss = reconstruction_loss(decoded, torch.zeros(1, 2), torch.tensor([[True, False]]))
    loss.backward()
    assert float(loss.detach()) == 1
    assert decoded.grad is not None
    assert decoded.grad.tolist() == [[2.0, 0.0]]


def test_every_layer_counts_alike_once_its_errors_are_in_units_of_its_variance():
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.01, 1.0, 30.0])
    target = torch.randn(3, 5000, generator=generator) * scales[:, None]
    mask = torch.ones(3, 5000, dtype=torch.bool)
    weights = layer_weights([(scales**2).tolist()])[0]
    of_layers = [
        float(reconstruction_loss(torch.zeros(1, 5000), target[[l]], mask[[l]], weights[[l]]))
        for l in range(3)
    ]
    assert of_layers == pytest.approx([1, 1, 1], rel=0.1)
    together = reconstruction_loss(torch.zeros(3, 5000), target, mask, weights)
    assert float(together) == pytest.approx(sum(of_layers) / 3, rel=1e-5)
    assert float(reconstruction_loss(torch.zeros(3, 5000), target, mask)) > 100


def test_constant_layers_and_layers_of_other_sets_have_weight_one():
    assert layer_weights([(4.0, 0.0, 0.5), (2.0,)]).tolist() == [[0.25, 1, 2], [0.5, 1, 1]]


def test_parts_that_share_the_whole_batch_s_count_have_its_loss_as_their_mean():
    generator = torch.Generator().manual_seed(0)
    decoded, target = torch.randn(2, 4, 5, generator=generator)
    mask = torch.arange(5) < torch.tensor([5, 4, 2, 1])[:, None]
    whole = reconstruction_loss(decoded, target, mask)
    share = mask.sum() / 2
    parts = [
        reconstruction_loss(decoded[at], target[at], mask[at], real=share)
        for at in (slice(0, 2), slice(2, 4))
    ]
    alone = [
        reconstruction_loss(decoded[at], target[at], mask[at]) for at in (slice(0, 2), slice(2, 4))
    ]
    assert float(sum(parts) / 2) == pytest.approx(float(whole))
    assert float(sum(alone) / 2) != pytest.approx(float(whole), rel=1e-3)


def test_ranks_that_see_all_projections_have_the_loss_and_gradient_of_one_process():
    whole = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    nt_xent(whole, 0.1).backward()
    parts = [whole.detach()[rows].requires_grad_() for rows in ([0, 1, 4, 5], [2, 3, 6, 7])]

    def gather(_: torch.Tensor) -> torch.Tensor:
        return torch.cat([parts[0][:2], parts[1][:2], parts[0][2:], parts[1][2:]])

    for part in parts:
        (nt_xent(part, 0.1, gather) / 2).backward()
    assert whole.grad is not None
    assert torch.allclose(parts[0].grad, whole.grad[[0, 1, 4, 5]], atol=1e-6)
    assert torch.allclose(parts[1].grad, whole.grad[[2, 3, 6, 7]], atol=1e-6)


def test_half_a_batch_that_does_not_see_the_other_half_has_another_loss():
    whole = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    halves = [nt_xent(whole[rows], 0.1) for rows in ([0, 1, 4, 5], [2, 3, 6, 7])]
    assert float(sum(halves) / 2) != pytest.approx(float(nt_xent(whole, 0.1)), rel=0.05)


@pytest.fixture
def one_rank():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_rank")
def test_gathering_from_one_rank_changes_nothing():
    projected = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (alone,) = torch.autograd.grad(nt_xent(projected, 0.1), projected)
    gathered = nt_xent(projected, 0.1, gather_views)
    (grad,) = torch.autograd.grad(gathered, projected)
    assert torch.equal(gather_views(projected), projected)
    assert torch.allclose(grad, alone)
