"""What one experiment on one zoo left behind: the record that tables are collected from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sane_core.reporting.beside.entries import Source
from sane_core.reporting.counterpart import STAND_IN, Counterpart


@dataclass(frozen=True)
class Subject:
    """A zoo that an experiment was on.

    Attributes:
        name: Of the zoo.
        architecture: Of its networks.
        dataset: That its networks see, as it is configured; "" if it is not known.
        beside: The published zoo to read it beside.
    """

    name: str
    architecture: str = ""
    dataset: str = ""
    beside: Counterpart = STAND_IN


@dataclass(frozen=True)
class Outcome:
    """The artifact of an experiment's stage.

    Attributes:
        stage: Name of the stage.
        zoo: The zoo that SANE was trained on.
        folder: With the stage's files.
        config: The stage's configuration.
        key: Of the artifact; "" where there is no store.
        seed: Of the run; None where the page says it.
        configuration: Equal for outcomes that differ in their seed alone.
        onto: What networks were sampled for, where that is not the zoo's own task.
        facts: What the stage wrote in words about it.
        images: The configuration of the images that samples are scored and fine-tuned on; None if
            it is not known.
    """

    stage: str
    zoo: Subject
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    seed: int | None = None
    configuration: str = ""
    onto: Subject | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, Any] | None = None

    @property
    def source(self) -> Source:
        """Where its values come from."""
        return Source(f"{self.stage}/{self.key}" if self.key else "", self.seed)

    def has(self, file: str) -> bool:
        """Return whether the stage wrote a file."""
        return (self.folder / file).exists()


def target_of(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Subject | None:
    """Return what networks were sampled for; None if it is the zoo's own task.

    Args:
        config: Of the stage; a transfer's has a `target`.
        facts: What the stage wrote in words about it.
    """
    target = config.get("target")
    if not isinstance(target, Mapping):
        return None
    architecture = facts.get("architecture") or target.get("architecture") or ""
    dataset = target.get("images", {}).get("dataset", "")
    return Subject(str(target.get("name", "")), str(architecture), str(dataset))
