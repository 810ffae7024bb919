"""One rule says how alike ours and the paper's are, for zoos, experiments and transfers."""

from pathlib import Path
from typing import Any

import pytest

from sane_core.reporting.beside import generated
from sane_core.reporting.beside.outcome import Outcome, Subject
from sane_core.reporting.counterpart import Counterpart, counterpart
from sane_core.reporting.likeness import RULES, Agreement, explained, likeness, loosest
from schemas.config.recipes import RECIPES
from tests.paper_tables.conftest import accuracy, sampled


def read(recipe: str, **changes: Any) -> Counterpart:
    config = RECIPES[recipe].model_dump(mode="json")
    images = config["images"] | changes.pop("images", {})
    config |= changes
    return counterpart(config["architecture"], config, images)


@pytest.mark.parametrize(
    ("differs", "label"),
    [
        ((), "like for like"),
        (("networks",), "same recipe"),
        (("epochs",), "same recipe"),
        (("networks", "epochs"), "same recipe"),
        (("dataset",), "stand-in"),
        (("architecture",), "stand-in"),
        (("recipe",), "stand-in"),
        (("recipe", "networks"), "stand-in"),
    ],
)
def test_the_closest_label_that_holds_counts(differs: tuple[str, ...], label: str) -> None:
    agreement = Agreement(**dict.fromkeys(differs, False))
    assert likeness(agreement) == label
    assert set(agreement.differs) == set(differs)


@pytest.mark.parametrize(
    ("changes", "label", "differs"),
    [
        ({}, "like for like", ()),
        ({"members": 60}, "same recipe", ("networks",)),
        ({"epochs": 25}, "same recipe", ("epochs",)),
        ({"members": 60, "epochs": 25}, "same recipe", ("networks", "epochs")),
        ({"way": "loop"}, "like for like", ()),
        ({"learning_rate": 1e-3}, "stand-in", ("recipe",)),
        ({"architecture": "cnn[activation=relu]"}, "stand-in", ("architecture",)),
        ({"images": {"train": 10_000}}, "stand-in", ("dataset",)),
    ],
)
def test_a_zoo_trained_here_is_labelled_by_what_of_it_is_as_published(
    changes: dict[str, Any], label: str, differs: tuple[str, ...]
) -> None:
    found = read("mnist-cnn", **changes)
    assert (found.zoo, found.likeness, found.differs) == ("MNIST", label, differs)


def test_a_narrow_resnet_stands_in_for_the_published_one_of_its_dataset() -> None:
    found = read("cifar10-resnet18-narrow")
    assert (found.zoo, found.resnet, found.likeness) == ("CIFAR-10", True, "stand-in")


def test_what_is_made_of_several_is_as_alike_as_the_least_of_them() -> None:
    assert loosest("like for like", "same recipe") == "same recipe"
    assert loosest("stand-in", "like for like") == "stand-in"


def test_every_label_is_explained_once_and_only_where_it_is_used() -> None:
    assert len(explained({rule.label for rule in RULES})) == 3
    (sentence,) = explained({"same recipe"})
    assert sentence.startswith("same recipe: dataset, architecture and recipe as published")


@pytest.mark.parametrize(
    ("prompt_epoch", "tuned", "label"),
    [
        (25, (0, 1, 25), "like for like"),
        (20, (0, 1, 25), "same recipe"),
        (25, (0, 1), "same recipe"),
    ],
)
def test_prompts_and_fine_tuning_count_beside_the_zoo(
    tmp_path: Path, prompt_epoch: int, tuned: tuple[int, ...], label: str
) -> None:
    rows = [row for row in sampled() if row[3] in tuned]
    accuracy(rows).write_parquet(tmp_path / "accuracy.parquet")
    zoo = Subject("mnist", "cnn", beside=Counterpart("MNIST", likeness="like for like"))
    config = {"generate": {"prompt_epoch": prompt_epoch}}
    outcome = Outcome("generation", zoo, tmp_path, config)
    assert {entry.likeness for entry in generated.entries(outcome, "table3")} == {label}


def test_fewer_images_or_another_fine_tuning_than_the_zoos_are_a_stand_in(tmp_path: Path) -> None:
    accuracy(sampled()).write_parquet(tmp_path / "accuracy.parquet")
    zoo = Subject("mnist", "cnn", beside=Counterpart("MNIST", likeness="same recipe"))
    published = RECIPES["mnist-cnn"].model_dump(mode="json")

    def label(images: dict[str, Any], **training: Any) -> set[str]:
        config = {"recipe": published | training}
        outcome = Outcome("generation", zoo, tmp_path, config, images=published["images"] | images)
        return {entry.likeness for entry in generated.entries(outcome, "table3")}

    assert label({}) == label({}, epochs=5) == {"same recipe"}
    assert label({"train": 1000}) == {"stand-in"}
    assert label({}, learning_rate=1.0) == {"stand-in"}


def test_halo_and_conditioning_on_other_networks_than_the_papers_are_a_stand_in(
    tmp_path: Path,
) -> None:
    rows = [row for row in sampled(methods=("naive", "halo_bn_cond", "scratch")) if row[3] < 25]
    rows += [("naive", 0, 0, 5, 0.9)]
    accuracy(rows).write_parquet(tmp_path / "accuracy.parquet")

    def label(beside: Counterpart) -> set[str]:
        outcome = Outcome("generation", Subject("z", beside=beside), tmp_path)
        return {entry.likeness for entry in generated.entries(outcome, "table7")}

    assert label(Counterpart("CIFAR-10", True, "like for like")) == {"like for like"}
    assert label(Counterpart("CIFAR-100", True, "like for like")) == {"stand-in"}
    assert label(Counterpart("CIFAR-10", False, "like for like")) == {"stand-in"}
