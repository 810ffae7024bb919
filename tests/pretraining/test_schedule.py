"""The schedule equals PyTorch's, at every step."""

import pytest
import torch

from sane_core.pretraining.schedule import one_cycle


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10, 97])
def test_it_is_the_one_cycle_of_pytorch(steps):
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps + 1)
    for step in range(steps):
        group = optimizer.param_groups[0]
        rate, momentum = one_cycle(step, steps, 0.01)
        assert rate == pytest.approx(group["lr"])
        assert momentum == pytest.approx(group["betas"][0])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_is_refused(step):
    with pytest.raises(ValueError, match=f"step must lie in 0..9, got {step}"):
        one_cycle(step, 10, 0.01)
