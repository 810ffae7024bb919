"""A transfer runs every network where its generator is, the prompts that it trains too."""

import pytest

from tests.generation.devices import watch
from tests.transfer_learning.made import sharpened
from tests.transfer_learning.test_transfer import transferred

METHODS = ["scratch", "prompts", "prompts_selected", "reconstruction", "noise", "interpolation"]
METHODS += ["sub", "sharpened_sub"]
TAUGHT = {"methods": [*METHODS, "noise_trained"], "sharpened_on": "target"}


@pytest.mark.parametrize(
    ("images", "model", "changes"),
    [
        ("other", "model", TAUGHT),
        ("fewer-classes", "model", {"methods": METHODS}),
        (
            "other",
            "sines",
            {"prompts": "target", "architecture": "resnet18[channels=1,width=2,size=8]", **TAUGHT},
        ),
    ],
    ids=["same-task", "new-head", "other-architecture"],
)
def test_a_transfer_runs_every_network_on_the_device_of_the_generator(
    folders, tmp_path, monkeypatch, images, model, changes
):
    decoder = sharpened(folders.root / model, tmp_path / "sharpened", steps=20, networks=2)
    called = watch(monkeypatch)
    others = {"sharpened": decoder}
    (tmp_path / "out").mkdir()
    transferred(folders, tmp_path / "out", images, model, others, prompt_members=2, **changes)
    assert {*called} >= {"score", "answers_of", "train"}
    # Fine-tuning; prompts that are trained here; the control.
    own, control = "architecture" in changes, "noise_trained" in changes["methods"]
    assert called.count("train") == 1 + own + control
    assert ("condition" in called) == ("architecture" in changes)
