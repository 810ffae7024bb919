"""A transfer runs every network where its generator is, the prompts that it trains too."""

import pytest

from tests.generation.devices import watch
from tests.transfer_learning.test_transfer import transferred

METHODS = ["scratch", "prompts", "prompts_selected", "reconstruction", "noise", "sub"]


@pytest.mark.parametrize(
    ("images", "model", "changes"),
    [
        ("other", "model", {}),
        ("fewer-classes", "model", {}),
        (
            "other",
            "sines",
            {"prompts": "target", "architecture": "resnet18[channels=1,width=2,size=8]"},
        ),
    ],
    ids=["same-task", "new-head", "other-architecture"],
)
def test_a_transfer_runs_every_network_on_the_device_of_the_generator(
    folders, tmp_path, monkeypatch, images, model, changes
):
    called = watch(monkeypatch)
    transferred(folders, tmp_path, images, model, methods=METHODS, prompt_members=2, **changes)
    assert {*called} >= {"score", "answers_of", "train"}
    assert ("condition" in called) == ("architecture" in changes)
