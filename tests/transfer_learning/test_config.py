"""Configurations of a transfer: what they stand for, and what they refuse."""

from pathlib import Path

import pytest

from flows.configuration import load_configuration
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.transfer import TransferTarget

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
TARGET = {"name": "task", "images": {"dataset": "digits"}}


def benchmark(**changes):
    return BenchmarkConfig.model_validate(
        {"experiments": ["transfer"], "transfer": {"targets": [TARGET | changes]}}
    )


def test_one_fine_tuning_over_the_last_epoch_is_the_default():
    target = TransferTarget.model_validate(TARGET | {"epochs": [1, 5]})
    assert target.whole_lengths == (5,)
    assert target.epochs_within(5) == (0, 1, 5)


def test_every_length_reports_its_own_end():
    target = TransferTarget.model_validate(TARGET | {"epochs": [1, 5], "lengths": [15, 2]})
    assert target.whole_lengths == (2, 15)
    assert target.epochs_within(2) == (0, 1, 2)
    assert target.epochs_within(15) == (0, 1, 5, 15)


def test_sane_gets_sines_where_it_meets_another_architecture_unless_told_otherwise():
    other = {"prompts": "target", "architecture": "mlp[size=8]"}
    assert benchmark().pretrain.autoencoder.positions == "learned"
    assert benchmark(**other).pretrain.autoencoder.positions == "sinusoidal"
    said = BenchmarkConfig.model_validate(
        {
            "experiments": ["transfer"],
            "transfer": {"targets": [TARGET | other]},
            "pretrain": {"autoencoder": {"positions": "learned"}},
        }
    )
    assert said.pretrain.autoencoder.positions == "learned"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keep": 60}, "keep must be <= candidates"),
        ({"epochs": [0, 1]}, "epochs and lengths must be >= 1"),
        ({"frame": "zoo"}, "frame is of prompts that are trained here"),
        ({"prompts": "target", "head": "new"}, "head must be auto where prompts is target"),
        ({"prompts": "target", "prompt_epochs": 0}, "prompt_epochs must be >= 1"),
        ({"head": "new", "sharpened_on": "target"}, "sharpened_on must be zoo where head is new"),
        ({"methods": ["noise_trained"]}, "noise_trained is trained on the target"),
        (
            {"methods": ["noise_trained", "sharpened_sub"]},
            "add the method sharpened_sub, with sharpened_on: target",
        ),
        ({"methods": ["global_kde30"]}, "set global_baseline: true"),
        (
            {"methods": ["global_kde30"], "prompts": "target"},
            "prompts must be zoo for the method global_kde30",
        ),
        ({"zoos": ["mars"]}, r"zoos of transfer target task must be among \['digits-cnn'\]"),
    ],
    ids=[
        "keep",
        "epochs",
        "frame",
        "head",
        "prompt-epochs",
        "sharpened",
        "control",
        "control-zoo",
        "baseline",
        "whole",
        "zoos",
    ],
)
def test_what_contradicts_itself_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        benchmark(**changes)


def test_a_transfer_needs_targets_of_different_names():
    with pytest.raises(ValueError, match=r"name transfer\.targets"):
        BenchmarkConfig.model_validate({"experiments": ["transfer"]})
    with pytest.raises(ValueError, match="must have names of their own"):
        BenchmarkConfig.model_validate({"transfer": {"targets": [TARGET, TARGET]}})


@pytest.mark.parametrize("name", ["digits-mnist", "mnist-cifar", "resnet", "figure5", "sharpened"])
def test_every_transfer_of_the_paper_can_be_run(name):
    config = load_configuration(DEPLOYMENTS / f"transfer-{name}.yaml")
    others = any(target.prompts == "target" for target in config.transfer.targets)
    assert config.pretrain.autoencoder.positions == ("sinusoidal" if others else "learned")


def test_a_decoder_that_nothing_sharpens_is_refused():
    methods = {"methods": ["scratch", "sharpened_sub"]}
    with pytest.raises(ValueError, match=r"target task need the decoder sharpened.*sharpen\.steps"):
        benchmark(**methods)
    with pytest.raises(ValueError, match="need the decoder sharpened, which nothing makes"):
        BenchmarkConfig.model_validate(
            {
                "experiments": ["transfer"],
                "sharpen": {"steps": 2, "targets": ["prompts"]},
                "transfer": {"targets": [TARGET | methods]},
            }
        )
