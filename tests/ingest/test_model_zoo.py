"""Zoos in the published layout: nothing is off by one, nothing depends on the listing."""

import hashlib
import json
import os

import numpy as np
import pytest
import torch

from sane_core.zoo.readers.model_zoo import ModelZoo
from sane_core.zoo.readers.reader import ScanOptions
from sane_core.zoo.readers.registry import reader_of
from schemas.errors import UserError


def test_every_checkpoint_gets_the_metrics_of_its_own_epoch(zoo, take, zoos):
    result = take(zoo)
    assert [(r["run"], r["epoch"]) for r in result.rows] == [
        (run, epoch) for run in range(4) for epoch in range(run % 2, 3)
    ]
    for row in result.rows:
        assert row["test_accuracy"] == pytest.approx(zoos.accuracy(row["run"], row["epoch"]))
        assert row["generalization_gap"] == pytest.approx(0.05, abs=1e-6)
    assert result.quarantine == []
    assert result.metrics["zoo.checkpoints"] == 10


def test_a_run_whose_checkpoints_start_later_than_its_results_is_not_shifted(tmp_path, take, zoos):
    for run in range(3):
        zoos.write_run(tmp_path / "z", run, range(1, 3), first_line=0)
    for row in take(tmp_path / "z").rows:
        assert row["test_accuracy"] == pytest.approx(zoos.accuracy(row["run"], row["epoch"]))


@pytest.mark.parametrize("first", [0, 1])
def test_without_training_iteration_the_number_of_lines_says_what_the_first_is(
    tmp_path, take, first, zoos
):
    folder = zoos.write_run(tmp_path / "z", 0, range(first, 3), first_line=first)
    lines = (folder / "result.json").read_text().splitlines()
    bare = [json.loads(line) for line in lines]
    for line in bare:
        del line["training_iteration"]
    (folder / "result.json").write_text("\n".join(map(json.dumps, bare)))
    for row in take(tmp_path / "z").rows:
        assert row["test_accuracy"] == pytest.approx(zoos.accuracy(0, row["epoch"]))


def test_percentages_become_fractions_also_below_one_per_cent(tmp_path, take, zoos):
    folder = zoos.write_run(tmp_path / "z", 0, range(2))
    (folder / "result.json").write_text(
        '{"test_acc": 0.9, "training_iteration": 0}\n{"test_acc": 55, "training_iteration": 1}\n'
    )
    assert [r["test_accuracy"] for r in take(tmp_path / "z").rows] == pytest.approx([0.009, 0.55])


def test_weights_come_out_as_they_went_in(zoo, take, zoos):
    result = take(zoo)
    name = next(iter(zoos.SHAPES))
    assert np.array_equal(result.entry(2, 1, name), zoos.state_dict(201)[name].numpy())
    assert {row["dtype"] for row in result.weights} == {"float32"}
    assert len(result.weights) == 10 * len(zoos.SHAPES)


def test_runs_are_numbered_as_the_layout_numbers_them_and_keep_their_names(zoo, take):
    names = {row["run"]: row["run_name"] for row in take(zoo).rows}
    assert [name.split("_")[4] for _, name in sorted(names.items())] == [
        "00000",
        "00001",
        "00002",
        "00003",
    ]


def test_hyperparameters_have_the_names_and_types_of_the_zoo(zoo, take):
    first = take(zoo).rows[0]["hyperparameters"]
    assert first == {"seed": 1, "optim::lr": 3e-4, "model::type": "CNN", "dropout": 0}


def test_two_ingestions_in_another_order_of_listing_give_equal_bytes(zoo, take, monkeypatch):
    one = digests(take(zoo).folder)
    scandir = os.scandir

    class Backwards:
        def __init__(self, path):
            self.entries = list(scandir(path))[::-1]

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("sane_core.zoo.readers.sources.os.scandir", Backwards)
    assert digests(take(zoo).folder) == one


def test_splits_are_by_run(zoo, take):
    splits: dict[int, set[str]] = {}
    for row in take(zoo).rows:
        splits.setdefault(row["run"], set()).add(row["split"])
    assert all(len(split) == 1 for split in splits.values())
    assert {s for split in splits.values() for s in split} == {"train", "validation", "test"}


def test_only_the_epochs_asked_for_are_kept(zoo, take):
    assert {row["epoch"] for row in take(zoo, every=2).rows} == {0, 2}
    assert {row["epoch"] for row in take(zoo, first_epoch=1, last_epoch=1).rows} == {1}


def test_a_result_file_shorter_than_its_checkpoints_quarantines_those_without_metrics(
    zoo, take, zoos
):
    zoos.write_run(zoo, 4, range(3), lines=range(1))
    result = take(zoo, max_quarantined=0.5)
    assert [(row["epoch"], row["pending"]) for row in result.quarantine] == [(1, False), (2, True)]
    assert "test accuracy must be known" in result.quarantine[0]["reason"]
    kept = take(zoo, require_metrics=False)
    assert [r["test_accuracy"] for r in kept.rows if r["run"] == 4][1:] == [None, None]


def test_a_half_written_checkpoint_is_pending_and_picked_up_by_the_next_ingestion(zoo, take, zoos):
    zoos.write_run(zoo, 4, range(3))
    path = next(zoo.glob("*_00004_*")) / "checkpoint_000002" / "checkpoints"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    first = take(zoo, max_quarantined=0.0)
    (row,) = first.quarantine
    assert row["pending"]
    assert "the next ingestion reads it" in row["remedy"]
    assert first.metrics["zoo.pending"] == 1
    path.write_bytes(whole)
    second = take(zoo, max_quarantined=0.0)
    assert second.quarantine == []
    assert second.metrics["zoo.checkpoints"] == first.metrics["zoo.checkpoints"] + 1


def test_a_cut_off_checkpoint_with_later_ones_is_damaged_and_not_pending(zoo, take):
    path = next(zoo.glob("*_00000_*")) / "checkpoint_000000" / "checkpoints"
    path.write_bytes(path.read_bytes()[:1000])
    (row,) = take(zoo, max_quarantined=0.2).quarantine
    assert not row["pending"]


def test_a_result_file_that_is_being_written_costs_its_last_line_only(zoo, take, zoos):
    zoos.write_run(zoo, 4, range(3))
    path = next(zoo.glob("*_00004_*")) / "result.json"
    path.write_text(path.read_text()[:-20])
    (row,) = take(zoo, max_quarantined=0.0).quarantine
    assert (row["epoch"], row["pending"]) == (2, True)


def test_an_epoch_that_stands_twice_is_taken_once(zoo, take, zoos):
    run = next(zoo.glob("*_00000_*"))
    (run / "checkpoint_1").mkdir()
    torch.save(zoos.state_dict(7), run / "checkpoint_1" / "checkpoints")
    result = take(zoo, max_quarantined=0.2)
    (row,) = result.quarantine
    assert "must stand once" in row["reason"]
    assert row["file"].endswith("checkpoint_1/checkpoints")


def test_a_link_that_leaves_the_zoo_is_not_opened(zoo, take, tmp_path, zoos):
    outside = tmp_path / "outside"
    torch.save(zoos.state_dict(1), outside)
    run = zoos.write_run(zoo, 4, range(3))
    path = run / "checkpoint_000002" / "checkpoints"
    path.unlink()
    path.symlink_to(outside)
    (zoo / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    reasons = {
        r["file"].rpartition("/")[2]: r["reason"] for r in take(zoo, max_quarantined=0.5).quarantine
    }
    assert reasons == {
        "checkpoints": "a link must end inside the source",
        "elsewhere": "links to folders are not followed",
    }


def test_a_later_line_for_the_same_epoch_counts(zoo, take, zoos):
    path = next(zoo.glob("*_00000_*")) / "result.json"
    with path.open("a") as file:
        file.write(zoos.result_line(9, 1))
    row = next(r for r in take(zoo).rows if (r["run"], r["epoch"]) == (0, 1))
    assert row["test_accuracy"] == pytest.approx(zoos.accuracy(9, 1))


def test_the_layout_is_recognised(zoo):
    assert reader_of(str(zoo)).name == "model-zoo"


def test_the_scan_is_lazy_and_opens_no_checkpoint(zoo, monkeypatch):
    monkeypatch.setattr("sane_core.zoo.readers.model_zoo.read_tensors", None)
    scan = ModelZoo().scan(str(zoo), ScanOptions())
    assert next(scan).epoch == 0


def test_runs_in_groups_are_found_as_in_the_phase_transition_zoos(tmp_path, take, zoos):
    for run, group in enumerate(["width-8", "width-16", "width-16"]):
        zoos.write_run(tmp_path / "z" / "phase" / group, run)
    assert take(tmp_path / "z").metrics["zoo.runs"] == 3


def test_a_single_run_is_a_zoo_of_one(tmp_path, take, zoos):
    folder = zoos.write_run(tmp_path / "z", 5)
    result = take(folder)
    assert {(row["run"], row["run_name"]) for row in result.rows} == {(0, folder.name)}


def test_a_damaged_checkpoint_is_not_pending_because_later_epochs_were_left_out(zoo, take):
    path = next(zoo.glob("*_00000_*")) / "checkpoint_000001" / "checkpoints"
    path.write_bytes(path.read_bytes()[:1000])
    (row,) = take(zoo, last_epoch=1, max_quarantined=0.5).quarantine
    assert not row["pending"]


def test_a_pattern_is_refused_where_the_layout_says_everything(zoo, take):
    with pytest.raises(UserError, match="takes its facts from its own files"):
        take(zoo, pattern="{run}.pt")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
