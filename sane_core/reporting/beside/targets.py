"""What the published transfers were, and how alike ours are: source, target, prompts, lengths."""

from dataclasses import dataclass

from sane_core.reporting.beside.outcome import Outcome
from sane_core.reporting.counterpart import training_agrees
from sane_core.reporting.likeness import Agreement, Likeness, likeness, loosest
from sane_core.reporting.paper import published_columns_of
from schemas.config.recipes import RECIPES


@dataclass(frozen=True)
class Transferred:
    """A published transfer.

    Attributes:
        source: Published zoo that SANE was trained on.
        target: Recipe of the networks sampled: their images and their training.
        architecture: Of the networks sampled.
        length: Epochs of fine-tuning.
        prompts: Number of prompts; None where they are a zoo's.
        prompt_epochs: Epoch of the prompts; None where the paper does not say.
        samples: Number of networks; None where the paper does not say.
    """

    source: str
    target: str
    architecture: str
    length: int
    prompts: int | None = None
    prompt_epochs: int | None = None
    samples: int | None = None


_C100, _TINY = "cifar100-resnet18", "tiny-imagenet-resnet18"
_R18_TINY = RECIPES[_TINY].architecture
_R34_C100, _R34_TINY = "resnet34[classes=100]", "resnet34[classes=200,size=64]"
PUBLISHED: dict[str, dict[str, Transferred]] = {
    "table5": {"Tiny-ImageNet": Transferred("CIFAR-100", _TINY, _R18_TINY, 2, 5, 25, 15)},
    "table13": {
        "SVHN to MNIST": Transferred("SVHN", "mnist-cnn", "cnn", 25),
        "CIFAR-10 to STL-10": Transferred("CIFAR-10", "stl10-cnn3", "cnn3", 25),
    },
    "table14": {
        "CIFAR-10 to CIFAR-100": Transferred("CIFAR-10", _C100, "resnet18[classes=100]", 15),
        "CIFAR-100 to Tiny-ImageNet": Transferred("CIFAR-100", _TINY, _R18_TINY, 15),
        "Tiny-ImageNet to CIFAR-100": Transferred(
            "Tiny-ImageNet", _C100, "resnet18[classes=100]", 15
        ),
    },
    **{
        table: {
            f"{length} epochs": Transferred(
                "CIFAR-100", target, architecture, length, prompts, 2, 5
            )
            for length in (5, 15)
        }
        for table, target, architecture, prompts in (
            ("table15", _C100, _R34_C100, 3),
            ("table16", _TINY, _R34_TINY, 3),
            ("table17", _C100, _R34_C100, 1),
        )
    },
}
"""Table -> column -> what was done."""


def published_column(outcome: Outcome, table: str, length: int) -> str | None:
    """Return the column to read a transfer beside: that of its source and target, else the nearest.

    Args:
        outcome: Of the stage `transfer_learning`.
        table: One of `PUBLISHED`.
        length: Epochs of its fine-tuning.
    """
    columns = PUBLISHED[table]
    if f"{length} epochs" in columns:
        return f"{length} epochs"
    if table in ("table15", "table16", "table17"):
        return None
    dataset = outcome.onto.dataset if outcome.onto else ""

    def nearness(column: str) -> tuple[bool, bool]:
        done = columns[column]
        same = RECIPES[done.target].images.dataset == dataset
        return same and done.source == outcome.zoo.beside.zoo, same

    return max(published_columns_of(table), key=nearness)


def label_of(outcome: Outcome, table: str, length: int) -> Likeness:
    """Return how alike zoo, target, prompts and fine-tuning are to the published ones."""
    column = published_column(outcome, table, length)
    if column is None or outcome.onto is None:
        return "stand-in"
    done = PUBLISHED[table][column]
    if outcome.zoo.beside.zoo != done.source:
        return "stand-in"
    return loosest(outcome.zoo.beside.likeness, likeness(_agreement(outcome, done, length)))


def _agreement(outcome: Outcome, done: Transferred, length: int) -> Agreement:
    facts, recipe = outcome.facts, RECIPES[done.target]
    target, trained = outcome.config["target"], outcome.config.get("recipe", {})
    expected = recipe.model_dump(mode="json")
    prompts, epochs = facts.get("prompt_count"), facts.get("prompt_epochs")
    return Agreement(
        dataset=target.get("images") == expected["images"],
        architecture=outcome.onto is not None and outcome.onto.architecture == done.architecture,
        recipe=training_agrees(trained, recipe),
        networks=done.prompts in (None, prompts) and done.samples in (None, target.get("keep")),
        epochs=done.prompt_epochs in (None, epochs) and length == done.length,
    )
