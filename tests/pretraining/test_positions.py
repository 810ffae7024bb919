"""Positions as vectors: learned tables with a policy, or sines that know every position."""

import numpy as np
import pytest
import torch

from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.pretraining.positions import (
    AMPLITUDE,
    LearnedPositions,
    SinusoidalPositions,
    position_embedding,
)
from schemas.config.pretrain import AutoencoderConfig

SIZES = (12, 3, 6)


def learned(unseen: str = "refuse") -> LearnedPositions:
    found = position_embedding(SIZES, AutoencoderConfig(d_model=16, unseen=unseen))
    assert isinstance(found, LearnedPositions)
    return found


def test_learned_positions_are_sums_and_concatenations_of_their_tables():
    embedding = learned()
    n, l, k = (table.weight for table in embedding.tables)
    vector = embedding(torch.tensor([[[7, 2, 5]]]))[0, 0]
    assert torch.equal(vector, torch.cat([n[7] + l[2], k[5]]))


@pytest.mark.parametrize(("axis", "size"), [("n", 12), ("l", 3), ("k", 6)])
@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_a_position_beyond_a_table_is_refused_with_its_axis_and_the_way_out(axis, size, kind):
    places = [0, 0, 0]
    places["nlk".index(axis)] = size
    wanted = rf"position {axis} must be < {size} \(the learned table of {axis}\), got {size}.*clamp"
    with pytest.raises(ValueError, match=wanted):
        learned().check(kind([[places, [0, 0, 0]]]))


def test_a_negative_position_is_refused_even_where_large_ones_are_clamped():
    with pytest.raises(ValueError, match="position k must be >= 0, got -1"):
        learned("clamp").check(np.array([[0, 0, -1]]))


def test_the_last_positions_of_the_tables_are_known():
    learned().check(np.array([[11, 2, 5]]))


def test_clamped_positions_are_the_last_ones():
    embedding = learned("clamp")
    beyond, last = torch.tensor([[[99, 9, 400]]]), torch.tensor([[[11, 2, 5]]])
    embedding.check(beyond)
    assert torch.equal(embedding(beyond), embedding(last))
    assert not torch.equal(embedding(beyond), embedding(torch.tensor([[[10, 2, 5]]])))


@pytest.mark.parametrize("d_model", [8, 10, 14, 16])
def test_sines_know_every_position_and_fill_the_width(d_model):
    embedding = position_embedding(
        SIZES, AutoencoderConfig(d_model=d_model, heads=1, positions="sinusoidal")
    )
    assert isinstance(embedding, SinusoidalPositions)
    places = torch.tensor([[[54_999, 99, 8_191], [0, 0, 0]]])
    embedding.check(places)
    vectors = embedding(places)
    assert vectors.shape == (1, 2, d_model)
    assert vectors.isfinite().all()


def test_sines_tell_axes_and_neighbours_apart_however_far_out():
    embedding = SinusoidalPositions(32)
    corners = [(a, b, c) for a in (0, 3, 50_000, 50_001) for b in (0, 3, 20) for c in (0, 3, 8_000)]
    vectors = embedding(torch.tensor([corners]))[0] / AMPLITUDE
    gaps = torch.cdist(vectors, vectors) + 9 * torch.eye(len(corners))
    assert gaps.min() > 0.1


def test_sines_have_nothing_to_train_and_nothing_to_store():
    embedding = SinusoidalPositions(16)
    assert not list(embedding.parameters())
    assert not embedding.state_dict()


def test_sines_are_as_large_as_learned_tables_at_the_start():
    config = AutoencoderConfig(d_model=64, positions="sinusoidal")
    tables = build(AutoencoderShape(5, 4, (400, 3, 300)), AutoencoderConfig(d_model=64), 0)
    sizes = [tables.positions.tables[axis].weight.detach().square().mean() for axis in (0, 2)]
    places = torch.randint(0, 300, (1, 500, 3), generator=torch.Generator().manual_seed(0))
    vectors = position_embedding(SIZES, config)(places)
    assert float(vectors.square().mean()) == pytest.approx(float(sum(sizes) / 2), rel=0.2)
