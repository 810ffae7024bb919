"""How alike ours and the paper's are, in one of three labels; every table takes it from here.

The rule is data: a label holds where all that it asks for agrees, and the first that holds counts.
"""

from dataclasses import dataclass, fields
from typing import Literal

Likeness = Literal["like for like", "same recipe", "stand-in"]


@dataclass(frozen=True)
class Agreement:
    """What is as published, as far as it can be known; of the zoo, and of the experiment on it.

    Attributes:
        dataset: The images: dataset, size, colours, how many.
        architecture: Of the networks.
        recipe: How they were trained; for samples: how they were drawn and fine-tuned.
        networks: How many there are; for samples: how many prompts and samples.
        epochs: How long they were trained; for samples: the prompts' epoch and the fine-tuning.
    """

    dataset: bool = True
    architecture: bool = True
    recipe: bool = True
    networks: bool = True
    epochs: bool = True

    @property
    def differs(self) -> tuple[str, ...]:
        """What is not as published."""
        return tuple(f.name for f in fields(self) if not getattr(self, f.name))


@dataclass(frozen=True)
class Rule:
    """A label, what must agree for it, and what it means to a reader."""

    label: Likeness
    asks: tuple[str, ...]
    meaning: str


RULES = (
    Rule(
        "like for like",
        ("dataset", "architecture", "recipe", "networks", "epochs"),
        "dataset, architecture, recipe, number of networks and epochs as published, as far as they "
        "are known",
    ),
    Rule(
        "same recipe",
        ("dataset", "architecture", "recipe"),
        "dataset, architecture and recipe as published, but another number of networks, of epochs, "
        "or of prompts and samples",
    ),
    Rule(
        "stand-in",
        (),
        "other images, another architecture or another recipe, so that the difference says nothing "
        "about the method",
    ),
)
"""From the closest to the loosest."""


def likeness(agreement: Agreement) -> Likeness:
    """Return the closest label that holds."""
    return next(rule.label for rule in RULES if not {*rule.asks} & {*agreement.differs})


def loosest(*labels: Likeness) -> Likeness:
    """Return the label of what is made of several things: that of the one least alike."""
    order = [rule.label for rule in RULES]
    return max(labels, key=order.index)


def explained(labels: set[Likeness]) -> tuple[str, ...]:
    """Return a sentence for every label that is used, from the closest to the loosest."""
    return tuple(f"{rule.label}: {rule.meaning}." for rule in RULES if rule.label in labels)
