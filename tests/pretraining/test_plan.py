"""The plan: processes and parts share a batch, and what is drawn is known by the step."""

import numpy as np
import pytest
import torch

from sane_core.pretraining.plan import Place, Plan
from schemas.config.pretrain import BehaviourConfig
from tests.pretraining.toy import Memory, configured


def plan(windows=None, seed=0, **changes) -> Plan:
    windows = windows or Memory(0, runs=10)
    return Plan(windows.runs, windows.sets, configured(**{"batch": 8, **changes}), seed)


@pytest.mark.parametrize(("accumulate", "ranks"), [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4)])
def test_parts_of_all_processes_are_the_batch_in_its_order(accumulate, ranks):
    known = plan(accumulate=accumulate)
    dealt = [known.parts(1, 0, rank, ranks) for rank in range(ranks)]
    (batch, *_) = known.batches(1)
    got = np.concatenate([dealt[r][part][0] for part in range(accumulate) for r in range(ranks)])
    assert np.array_equal(got, batch)
    rows = [dealt[r][part][1] for part in range(accumulate) for r in range(ranks)]
    assert np.array_equal(np.concatenate([np.arange(8)[part] for part in rows]), np.arange(8))


def test_an_epoch_is_gone_on_with_at_any_step():
    known = plan(accumulate=2)
    whole, rest = known.parts(0, 0, 0, 1), known.parts(0, 3, 0, 1)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(whole[6:], rest, strict=True))


@pytest.mark.parametrize("weights", [(), (2.0, 1.0), (0.5, 1.7)])
def test_steps_are_those_of_the_batches(weights):
    both = Memory(0).and_set(Memory(3, runs=5, epochs=3))
    known = plan(both, weights=weights, epochs=4)
    assert known.lengths == [len(known.batches(epoch)) for epoch in range(4)]
    assert known.steps(2) == sum(known.lengths[:2])
    assert known.steps() == sum(known.lengths)


def test_behaviour_is_asked_for_in_every_so_many_steps_across_epochs():
    known = plan(behaviour=BehaviourConfig(weight=1.0, every=4))
    places = [Place(epoch, step) for epoch in range(3) for step in range(known.lengths[epoch])]
    asked = [known.asked(place) for place in places]
    assert known.lengths[0] % 4
    assert asked == [None if number % 4 else number // 4 for number in range(len(places))]
    assert plan().asked(Place(0, 0)) is None


def test_windows_that_fill_no_batch_are_told_and_not_counted():
    long = Memory(0, runs=4, epochs=2).and_set(Memory(1, runs=1, epochs=40))
    known = plan(long, batch=4)
    assert known.lengths[0] == 2
    assert known.shares == [6, 2]
    assert known.left_out().startswith("40 of 48 windows of an epoch are left out")
    assert plan(batch=8).left_out() is None


def test_draws_differ_by_name_epoch_step_and_seed_and_by_nothing_else():
    def drawn(known, *where):
        return int(torch.randint(2**60, (), generator=known.generator(*where)))

    draws = [
        drawn(plan(), "noise", Place(0, 0)),
        drawn(plan(), "views", Place(0, 0)),
        drawn(plan(), "noise", Place(1, 0)),
        drawn(plan(), "noise", Place(0, 1)),
        drawn(plan(seed=1), "noise", Place(0, 0)),
    ]
    assert len({*draws}) == 5
    assert drawn(plan(batch=4), "noise", Place(0, 0)) == draws[0]
