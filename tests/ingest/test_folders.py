"""Folders of files: what a name, a table and the file itself say."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from sane_core.zoo.readers.name_pattern import NamePattern
from schemas.errors import UserError

RESNETS = Path(__file__).parents[3] / "shared/data/pytorch_resnet_cifar10/pretrained_models"


@pytest.fixture
def files(tmp_path, zoos) -> Path:
    """Three runs with two epochs each, named after both."""
    folder = tmp_path / "files"
    folder.mkdir()
    for run in ("a", "b", "c"):
        for epoch in (2, 10):
            torch.save(zoos.state_dict(epoch), folder / f"net_{run}_epoch{epoch}.pt")
    return folder


def test_run_and_epoch_are_read_off_the_name(files, take):
    result = take(files, pattern="net_{run}_epoch{epoch}.pt")
    found = [(row["run_name"], row["run"], row["epoch"]) for row in result.rows]
    assert found == [(name, i, e) for i, name in enumerate("abc") for e in (2, 10)]


def test_without_a_pattern_every_file_is_a_run_of_its_own(files, take):
    result = take(files)
    assert [row["run_name"] for row in result.rows] == [
        f"net_{run}_epoch{epoch}" for run in "abc" for epoch in (2, 10)
    ]
    assert {row["epoch"] for row in result.rows} == {0}


def test_a_name_that_does_not_fit_the_pattern_is_quarantined(files, take, zoos):
    torch.save(zoos.state_dict(0), files / "other.pt")
    (row,) = take(files, pattern="net_{run}_epoch{epoch}.pt", max_quarantined=0.2).quarantine
    assert row["file"] == "other.pt"
    assert "must fit the pattern" in row["reason"]


def test_a_glob_leaves_files_out(files, take):
    assert [r["run_name"] for r in take(f"{files}/net_b_*.pt").rows] == [
        "net_b_epoch2",
        "net_b_epoch10",
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_beside_the_files_gives_metrics_and_properties(files, take, kind):
    rows = {
        "file": [path.name for path in sorted(files.glob("*.pt"))],
        "test_acc": [91.0, 0.5, 92.0, 93.0, 94.0, 95.0],
        "lr": [0.1] * 6,
        "optimizer": ["sgd"] * 6,
    }
    table = pa.table(rows)
    if kind == "csv":
        pa.csv.write_csv(table, files / "zoo.csv")
    else:
        pq.write_table(table, files / "zoo.parquet")
    result = take(files, pattern="net_{run}_epoch{epoch}.pt")
    by_name = {row["source"]: row for row in result.rows}
    first, second = (by_name[name] for name in rows["file"][:2])
    assert (first["test_accuracy"], second["test_accuracy"]) == pytest.approx((0.91, 0.005))
    assert first["hyperparameters"] == {"lr": 0.1, "optimizer": "sgd"}


def test_a_table_without_a_column_file_is_an_error(files, take):
    (files / "zoo.csv").write_text("name,lr\na,1\n")
    with pytest.raises(UserError, match="must have a column file .* got \\['name', 'lr'\\]"):
        take(files)


def test_a_table_outside_the_source_is_not_read(files, take):
    (files.parent / "t.csv").write_text("file\n")
    with pytest.raises(UserError, match="must lie within the source"):
        take(files, table="../t.csv")


def test_what_the_file_says_is_kept_and_a_percentage_becomes_a_fraction(tmp_path, take, zoos):
    saved = {"state_dict": zoos.state_dict(0), "best_prec1": 91.5, "arch": "x", "epoch": 7}
    saved["state_dict"] = {f"module.{k}": v for k, v in saved["state_dict"].items()}
    torch.save(saved, tmp_path / "a.th")
    (row,) = take(tmp_path / "a.th").rows
    assert row["test_accuracy"] == pytest.approx(0.915)
    assert row["hyperparameters"] == {"arch": "x", "epoch": 7}
    assert row["architecture"] == "digits-cnn"


def test_what_stands_beside_networks_is_no_network(tmp_path, take, zoos):
    torch.save(zoos.state_dict(0), tmp_path / "a.pt")
    torch.save({}, tmp_path / "optimizer.pt")
    assert len(take(tmp_path).rows) == 1


def test_safetensors_are_named_after_their_folder_where_they_are_alone(tmp_path, take, zoos):
    for name in ("x/one", "y/two", "y/three"):
        (tmp_path / "z" / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(zoos.state_dict(0), tmp_path / "z" / f"{name}.safetensors")
    names = [row["run_name"] for row in take(tmp_path / "z").rows]
    assert names == ["x", "y/three", "y/two"]


def test_shards_are_one_model(tmp_path, take, zoos):
    entries = zoos.state_dict(3)
    halves = list(entries)[:4], list(entries)[4:]
    weight_map = {}
    for i, names in enumerate(halves):
        file = f"model-{i}.safetensors"
        save_file({name: entries[name] for name in names}, tmp_path / file)
        weight_map |= dict.fromkeys(names, file)
    text = str({"metadata": {}, "weight_map": weight_map}).replace("'", '"')
    (tmp_path / "model.safetensors.index.json").write_text(text)
    result = take(tmp_path)
    assert [row["run_name"] for row in result.rows] == ["model"]
    assert {r["name"] for r in result.weights} == set(entries)
    name = next(iter(entries))
    assert np.array_equal(result.entry(0, 0, name), entries[name].numpy())


def test_other_types_keep_their_values_and_say_what_they_were(tmp_path, take, zoos):
    entries = {name: w.half() for name, w in zoos.state_dict(0).items()}
    torch.save(entries, tmp_path / "a.pt")
    result = take(tmp_path)
    name = next(iter(entries))
    assert np.array_equal(result.entry(0, 0, name), entries[name].float().numpy())
    assert {row["dtype"] for row in result.weights} == {"float16"}


@pytest.mark.skipif(not RESNETS.is_dir(), reason=f"no networks in {RESNETS}")
def test_real_cifar_resnets_come_with_their_accuracies(take):
    result = take(RESNETS, mixed=True)
    found = {row["run_name"].split("-")[0]: row for row in result.rows}
    accuracies = {"resnet20": 0.9178, "resnet32": 0.9278, "resnet44": 0.9314, "resnet56": 0.9362}
    assert {n: pytest.approx(r["test_accuracy"], abs=1e-4) for n, r in found.items()} == accuracies
    assert found["resnet56"]["architecture"] == "cifar-resnet56"
    assert result.quarantine == []


@pytest.mark.parametrize(
    "pattern, name, fields",
    [
        ("{run}_{epoch}.pt", "my_net_5.pt", {"run": "my_net", "epoch": "5"}),
        ("{run}/e{epoch}.pt", "a/b/e1.pt", None),
        ("*/{run}/e{epoch}.pt", "a/b/e1.pt", {"run": "b", "epoch": "1"}),
        ("e{epoch}.pt", "deep/e7.pt", {"epoch": "7"}),
        ("e{epoch}.pt", "e7a.pt", None),
        ("{run}-lr{lr}-*.pt", "x-lr1e-3-z.pt", {"run": "x", "lr": "1e-3"}),
    ],
)
def test_patterns(pattern, name, fields):
    assert NamePattern(pattern).match(name) == fields


@pytest.mark.parametrize("pattern", ["{run}{epoch}.pt", "{run}_{run}.pt", "{run", "{}.pt"])
def test_a_pattern_that_says_nothing_definite_is_refused(pattern):
    with pytest.raises(UserError, match="a pattern must be text with"):
        NamePattern(pattern)


def test_a_hostile_name_costs_no_more_than_any_other():
    pattern = NamePattern("*a*a*a*a*a*a*a*a*a*a{run}b")
    assert pattern.match("a" * 250) is None
