"""Where sharpening stands in the flow: before generation, a decoder for each target."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from flows.experiments import _generate
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.sharpen import SharpenConfig
from schemas.config.training import TrainingConfig


class Recorder:
    """Runs no stage, and remembers which it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, str]]] = []

    def __call__(self, stage, config, **inputs) -> str:
        self.calls.append((stage.name, config, inputs))
        return f"{stage.name} {len(self.calls)}"


def calls(**sharpen) -> list[tuple[str, Any, dict[str, str]]]:
    made = SimpleNamespace(images="images", artifact="zoo", training=TrainingConfig())
    zoo = SimpleNamespace(zoo=made, tokens="tokens", epochs=(0, 25))
    run, config = Recorder(), BenchmarkConfig(sharpen=SharpenConfig(**sharpen))
    _generate(run, config, zoo, "model", None)
    return run.calls


def test_generation_gets_a_decoder_for_each_target() -> None:
    first, second, generation = calls(steps=5)
    assert [name for name, *_ in (first, second, generation)] == [
        "sharpen",
        "sharpen",
        "generation",
    ]
    assert [each[1].sharpen.targets for each in (first, second)] == [("labels",), ("prompts",)]
    assert first[2] == {"images": "images", "tokens": "tokens", "model": "model", "zoo": "zoo"}
    inputs = generation[2]
    assert inputs["model"] == "model"
    assert (inputs["sharpened"], inputs["sharpened_unlabelled"]) == ("sharpen 1", "sharpen 2")


def test_one_target_makes_one_decoder() -> None:
    _, generation = calls(steps=5, targets=("prompts",))
    assert generation[2]["sharpened_unlabelled"] == "sharpen 1"
    assert "sharpened" not in generation[2]


def test_without_steps_there_is_none() -> None:
    ((name, _, inputs),) = calls()
    assert name == "generation"
    assert not {each for each in inputs if each.startswith("sharpened")}


def test_epochs_after_the_zoos_last_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"sharpen.first_epoch must be <= epochs of zoo"):
        BenchmarkConfig(sharpen={"steps": 1, "first_epoch": 60, "last_epoch": 70})
