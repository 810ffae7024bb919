"""Sampled networks run where the SANE is."""

import pytest
import torch

from sane_core.api.sane import Sane
from tests.api.stages import RESNET
from tests.generation.devices import HERE, watch
from tests.sampling.conftest import parts
from tests.sampling.test_sample import LITTLE, prompts_of


@pytest.mark.parametrize("lacking", [False, True], ids=["with-statistics", "without"])
def test_prompts_candidates_and_baselines_run_on_the_device_of_the_sane(sane, monkeypatch, lacking):
    there = Sane(sane.bundle, HERE)
    called = watch(monkeypatch)
    prompts = prompts_of(RESNET)
    if lacking:
        prompts = [{n: v for n, v in each.items() if "running" not in n} for each in prompts]
    found = there.sample(prompts=prompts, n=2, data=parts(RESNET), baselines=True, **LITTLE)
    # Prompts, candidates, prompts selected, noise; what has no running statistics gets them first.
    assert called.count("score") == 4
    assert called.count("condition") == 2 + lacking
    assert all(values.device == torch.device("cpu") for values in found.state_dict(0).values())
