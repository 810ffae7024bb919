"""Tables of the probes say in words what holds, and how alike the zoos are."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from sane_core.reporting.counterpart import STAND_IN, Counterpart, Origin, counterpart
from sane_core.reporting.draw import ReportSources
from sane_core.reporting.headlines import headlines
from sane_core.reporting.names import FEATURES
from sane_core.reporting.probe_tables import (
    classes_table,
    comparisons_table,
    gate_table,
    intervals_table,
    published_table,
    transfer_table,
    unavailable_table,
)
from sane_core.reporting.tables import probes_table
from sane_core.reporting.verdict import verdict
from schemas.config.recipes import RECIPES

PUBLISHED = Origin("zoos/mnist", "model-zoo", "data/MNIST/dump.pt", 1000, 50, frozenset({3e-4}))


def read(sources: ReportSources, name: str) -> pl.DataFrame:
    assert sources.probe
    return pl.read_parquet(sources.probe / f"{name}.parquet")


def test_a_claim_is_above_below_or_undecided(sources: ReportSources) -> None:
    rows = comparisons_table(read(sources, "comparisons")).rows
    assert [row[2] for row in rows] == ["above", "undecided", "below"] * 3
    assert rows[0][:4] == (
        "test accuracy",
        "SANE, pooling selected",
        "above",
        "s(W), layer statistics",
    )
    assert rows[0][4:] == ("+0.030 [+0.010, +0.050]", "90.0 %")


def test_an_interval_that_touches_nothing_decides_nothing() -> None:
    assert [verdict(0.0, 0.1), verdict(-0.1, 0.0), verdict(1e-9, 0.1)] == [
        "undecided",
        "undecided",
        "above",
    ]


def test_every_published_cell_stands_beside_ours_with_the_difference(
    sources: ReportSources,
) -> None:
    table = published_table(read(sources, "probes"), Counterpart("MNIST", likeness="same recipe"))
    earlier = "Table 10, published 2021"
    assert {row[0] for row in table.rows} == {"Tables 1, 9", "Table 10", earlier}
    shown = [row[4] for row in table.rows if row[0] == earlier and row[2].startswith("s(W)")]
    assert shown == ["0.977", "0.987", "0.662"]
    row = next(row for row in table.rows if row[:3] == ("Table 10", "epoch", "SANE, mean"))
    assert row[3:] == ("0.810 [0.779, 0.832]", "0.958", "-0.148", "same recipe")
    full = [row for row in table.rows if row[2] == FEATURES["sane_full"].label]
    assert {row[3] for row in full} == {"not available"}


@pytest.mark.parametrize(
    ("beside", "tables"),
    [
        (Counterpart("SVHN"), {"Tables 1, 9", "Table 11"}),
        (Counterpart("CIFAR-10"), {"Tables 1, 9", "Table 12"}),
        (Counterpart("STL"), {"Tables 1, 9"}),
        (Counterpart("CIFAR-10", resnet=True), {"Table 2"}),
        (Counterpart("Tiny-ImageNet", resnet=True), {"Table 2"}),
    ],
)
def test_each_zoo_has_its_own_tables(
    sources: ReportSources, beside: Counterpart, tables: set[str]
) -> None:
    rows = published_table(read(sources, "probes"), beside).rows
    assert {row[0] for row in rows} == tables
    assert {row[6] for row in rows} == {"stand-in"}


def test_probes_are_headed_by_how_alike_the_zoos_are(sources: ReportSources) -> None:
    probes = read(sources, "probes")
    assert "paper, MNIST (stand-in)" in probes_table(probes).columns
    alike = probes_table(probes, Counterpart("CIFAR-10", True, "same recipe"))
    assert "paper, CIFAR-10 (same recipe)" in alike.columns
    assert not any("stand-in" in note for note in alike.notes)


def test_the_likeness_is_that_of_recipe_and_images() -> None:
    for name, zoo in (("mnist-cnn", "MNIST"), ("cifar100-resnet18", "CIFAR-100")):
        recipe = RECIPES[name].model_dump(mode="json")
        at = (recipe["architecture"], recipe, recipe["images"])
        assert counterpart(*at).likeness == "like for like"
        assert counterpart(*at).zoo == zoo
        fewer = recipe | {"epochs": 25, "members": 60}
        assert counterpart(at[0], fewer, at[2]).likeness == "same recipe"
        other = recipe | {"learning_rate": 0.5}
        assert counterpart(at[0], other, at[2]).likeness == "stand-in"
        grey = recipe["images"] | {"train": 100}
        assert counterpart(at[0], recipe, grey).likeness == "stand-in"


def test_digits_stand_in_for_mnist() -> None:
    recipe = RECIPES["digits-cnn"].model_dump(mode="json")
    assert counterpart("digits-cnn", recipe, recipe["images"]) == STAND_IN
    assert counterpart("mlp") == STAND_IN


def test_published_networks_are_like_for_like_and_samples_of_the_same_recipe() -> None:
    published = counterpart("cnn", None, None, PUBLISHED)
    assert published == Counterpart("MNIST", False, "like for like")
    sample = Origin("sample:mnist-cnn", "sane-zoo")
    assert counterpart("cnn", None, None, sample) == Counterpart("MNIST", False, "same recipe")
    own = counterpart("cnn", None, None, replace(PUBLISHED, reader="torch-folder"))
    assert own == Counterpart("MNIST", False, "stand-in")


@pytest.mark.parametrize(
    ("changed", "likeness"),
    [
        ({"runs": 985}, "like for like"),
        ({"runs": 60}, "same recipe"),
        ({"runs": 2000}, "same recipe"),
        ({"epochs": 25}, "same recipe"),
        ({"rates": frozenset({1e-3})}, "stand-in"),
        ({"rates": frozenset({3e-4, None})}, "stand-in"),
        ({"rates": frozenset()}, "stand-in"),
        ({"dataset": "fashion-mnist"}, "stand-in"),
    ],
)
def test_the_published_layout_alone_makes_no_zoo_the_published_one(
    changed: dict[str, Any], likeness: str
) -> None:
    assert counterpart("cnn", None, None, replace(PUBLISHED, **changed)).likeness == likeness


def test_published_resnets_have_rates_and_epochs_in_a_range() -> None:
    origin = Origin("zoos/r", "model-zoo", "CIFAR10", 140, 60, frozenset({0.1}))
    for changed in ({}, {"rates": frozenset({0.05})}, {"epochs": 50}):
        found = counterpart("resnet18", None, None, replace(origin, **changed))
        assert found == Counterpart("CIFAR-10", True, "like for like")
    slow = replace(origin, rates=frozenset({0.01}))
    assert counterpart("resnet18", None, None, slow).likeness == "stand-in"


def test_classes_stand_beside_the_commonest(sources: ReportSources) -> None:
    table = classes_table(read(sources, "classes"))
    assert table.rows[0] == ("the commonest class", "0.500")
    assert table.rows[1] == ("SANE, pooling selected", "0.750 [0.600, 0.850]")


def test_an_interval_that_is_not_to_be_had_says_so(sources: ReportSources) -> None:
    rows = intervals_table(read(sources, "intervals")).rows
    assert rows[0][2:5] == ("90.0 %", "94.0 %", "0.05")
    assert rows[2][3:5] == ("not available: it takes 9 runs", "–")


def test_the_gate_is_read_by_kinds_of_networks(sources: ReportSources) -> None:
    rows = gate_table(read(sources, "gate")).rows
    assert [row[3] for row in rows] == ["4.0 %", "100.0 %", "25.0 %"]
    assert rows[0][0] == "test runs: the zoo's own"


def test_what_is_missing_is_listed_with_its_reason(sources: ReportSources) -> None:
    missing = read(sources, "unavailable")
    table = unavailable_table(missing)
    assert table
    assert table.rows == (
        ("features", "outputs for random inputs", "not available: no network to run"),
    )
    assert unavailable_table(missing.head(0)) is None


def test_a_transfer_shows_the_order_beside_r2(sources: ReportSources) -> None:
    assert sources.transfer
    table = transfer_table(pl.read_parquet(sources.transfer / "transfer.parquet"))
    assert table.columns[2:4] == ("test accuracy", "Kendall τ")
    assert table.rows[0][:4] == (
        "digits → others",
        "SANE, pooling selected",
        "-0.400 [-0.600, -0.100]",
        "0.70",
    )


def test_the_headline_says_whether_sane_adds_to_the_statistics() -> None:
    metrics = {f"probe.r2.epoch.{name}": 0.9 for name in ("sane_selected", "sane_statistics")}
    ends = {
        f"probe.difference.epoch.sane_statistics.statistics.{end}": value
        for end, value in (("low", 0.01), ("high", 0.02))
    }
    (line,) = headlines(metrics | ends, {})[0].beside
    assert line == "SANE + s(W), pooling selected: 0.900 (beside s(W) alone: above)"
    assert headlines(metrics, {})[0].beside == ()
