"""Transfers stand in the table that says what was new: images, architecture, prompts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sane_core.reporting.beside import figure5, transferred
from sane_core.reporting.beside.catalogue import listed
from sane_core.reporting.beside.collect import collect
from sane_core.reporting.beside.entries import Entry
from sane_core.reporting.beside.outcome import Outcome, Subject
from sane_core.reporting.beside.pages import of_transfer
from sane_core.reporting.counterpart import Counterpart
from schemas.config.recipes import RECIPES

C100 = Subject("c", "resnet18[classes=100]", "cifar100", Counterpart("CIFAR-100", True))
CNNS = Subject("m", "cnn", "svhn", Counterpart("SVHN"))
TINY18 = Subject("t", "resnet18[classes=200,size=64]", "tiny-imagenet")


def outcome(
    folder: Path, zoo: Subject, onto: Subject, prompts: str, count: int = 3, **config: Any
) -> Outcome:
    target = {"prompts": prompts} | config.pop("target", {})
    return Outcome(
        "transfer_learning",
        zoo,
        folder,
        {"target": target} | config,
        key="0" * 32,
        seed=0,
        configuration=onto.architecture,
        onto=onto,
        facts={"prompts": prompts, "prompt_count": count, "prompt_epochs": 2},
    )


@pytest.mark.parametrize(
    ("zoo", "architecture", "dataset", "prompts", "count", "table"),
    [
        (CNNS, "cnn", "mnist", "zoo", 70, "table13"),
        (C100, "resnet18[classes=200,size=64]", "tiny-imagenet", "zoo", 70, "table14"),
        (C100, "resnet18[classes=200,size=64]", "tiny-imagenet", "target", 5, "table5"),
        (C100, "resnet34[classes=100]", "cifar100", "target", 3, "table15"),
        (C100, "resnet34[classes=200,size=64]", "tiny-imagenet", "target", 3, "table16"),
        (C100, "resnet34[classes=100]", "cifar100", "target", 1, "table17"),
        (C100, "resnet18[classes=100,width=32]", "cifar100", "target", 3, "table15"),
    ],
)
def test_the_table_follows_from_what_is_new(
    transferred: Callable[..., Path],
    zoo: Subject,
    architecture: str,
    dataset: str,
    prompts: str,
    count: int,
    table: str,
) -> None:
    found = outcome(transferred(), zoo, Subject("t", architecture, dataset), prompts, count)
    assert rows_of(found, table)
    for other in {"table5", "table13", "table14", "table15", "table16", "table17"} - {table}:
        assert not collect(listed(other), [found]).tables


def rows_of(found: Outcome, table: str) -> dict[tuple[str, str], Entry]:
    assert transferred.fits(found, table)
    return {(entry.row, entry.at): entry for entry in transferred.entries(found, table)}


def test_lengths_stand_beside_the_papers_columns_and_ensembles_at_their_end(
    transferred: Callable[..., Path],
) -> None:
    onto = Subject("t", "resnet34[classes=100]", "cifar100")
    rows = rows_of(outcome(transferred(lengths=(5, 15)), C100, onto, "target"), "table15")
    sampled, ensemble = rows["SANE SUB", "epoch 5 of 5"], rows["SANE SUB, ensemble", "epoch 5 of 5"]
    assert sampled.ours and sampled.paper and ensemble.ours and ensemble.paper
    assert sampled.ours.mean == pytest.approx(35.0)
    assert ensemble.ours.mean == pytest.approx(60.0)
    assert ensemble.paper.mean > sampled.paper.mean
    assert rows["SANE SUB, ensemble", "epoch 1 of 15"].paper is None
    assert rows["SANE SUB", "epoch 15 of 15"].paper != sampled.paper


def test_a_length_that_the_paper_has_not_has_nothing_beside_it(
    transferred: Callable[..., Path],
) -> None:
    onto = Subject("t", "resnet34[classes=100]", "cifar100")
    made = outcome(transferred(lengths=(7,)), C100, onto, "target")
    assert not any(entry.paper for entry in rows_of(made, "table15").values())
    (table,) = collect(listed("table15"), [made]).tables
    assert {row[table.columns.index("compared")] for row in table.rows} == {"stand-in"}


def test_the_title_says_which_of_the_papers_transfers_stands_beside(
    transferred: Callable[..., Path],
) -> None:
    for onto, column in ((TINY18, "CIFAR-100 to Tiny-ImageNet"), (CNNS, "CIFAR-10 to CIFAR-100")):
        (table,) = collect(
            listed("table14"), [outcome(transferred(column), C100, onto, "zoo")]
        ).tables
        assert table.title.endswith(f"beside the paper's {column}")


def test_a_transfer_is_labelled_by_source_target_prompts_and_length(
    transferred: Callable[..., Path],
) -> None:
    recipe = RECIPES["tiny-imagenet-resnet18"].model_dump(mode="json")
    folder = transferred(lengths=(15,))
    source = Counterpart("CIFAR-100", True, "like for like")

    def label(zoo: Counterpart = source, **changes: Any) -> str:
        images = recipe["images"] | changes
        made = outcome(
            folder,
            Subject("c", "resnet18[classes=100]", "cifar100", zoo),
            TINY18,
            "zoo",
            target={"images": images},
            recipe=recipe,
        )
        (found,) = {entry.likeness for entry in transferred_entries(made)}
        return found

    assert label() == "like for like"
    assert label(Counterpart("CIFAR-100", True, "same recipe")) == "same recipe"
    assert label(Counterpart("CIFAR-10", True, "like for like")) == "stand-in"
    assert label(train=1000) == "stand-in"


def transferred_entries(made: Outcome) -> list[Entry]:
    return transferred.entries(made, "table14")


def test_a_page_shows_the_table_of_its_target(transferred: Callable[..., Path]) -> None:
    facts = {"architecture": "resnet34[classes=100]", "prompts": "target", "prompt_count": 1}
    config = {"target": {"name": "r34", "prompts": "target", "images": {"dataset": "cifar100"}}}
    table = of_transfer(transferred(**facts), config, C100)
    assert table.title.startswith("Table 17")
    assert table.title.endswith("c to r34")
    assert [row[0] for row in table.rows][:2] == ["SANE SUB", "from scratch"]
    assert "from" not in table.columns


def test_figure_5_is_one_table_of_all_architectures_and_their_gain(
    transferred: Callable[..., Path],
) -> None:
    made = [
        outcome(transferred(name), C100, Subject("t", name, "tiny-imagenet"), "target")
        for name in ("resnet101", "resnet18", "resnet34")
    ]
    (table,) = figure5.collect(listed("figure5"), made).tables
    assert [row[0] for row in table.rows] == [
        "resnet18 on tiny-imagenet",
        "resnet34 on tiny-imagenet",
        "resnet101 on tiny-imagenet",
    ]
    assert dict(zip(table.columns, table.rows[0], strict=True))["sampled − scratch"] == "10.0"
    drawn = figure5.figure(made)
    assert drawn is not None
    told = [text.get_text() for text in drawn.axes[0].get_xticklabels()]
    assert [text.replace("\n", " ") for text in told] == [row[0] for row in table.rows]
    assert figure5.figure([]) is None
