"""What cannot be used is named with its reason; the rest is ingested."""

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sane_core.zoo.ingest import source_digest
from sane_core.zoo.readers.model_zoo import ModelZoo
from sane_core.zoo.readers.torch_folder import TorchFolder
from schemas.config.ingest import IngestConfig
from schemas.errors import SaneError, UserError


@pytest.fixture
def folder(tmp_path, zoos):
    """Ten good files."""
    made = tmp_path / "folder"
    made.mkdir()
    for i in range(10):
        torch.save(zoos.state_dict(i), made / f"good-{i}.pt")
    return made


def spoiled(zoos, change):
    entries = zoos.state_dict(99)
    change(entries)
    return entries


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda e: e["module_list.0.weight"].view(-1)[3:4].fill_(torch.nan), "magnitude of every"),
        (lambda e: e["module_list.0.weight"].view(-1)[3:4].fill_(torch.inf), "magnitude of every"),
        (lambda e: e["module_list.3.bias"].fill_(2e4), "at most 10000, got 20000 in module_list.3"),
        (lambda e: e.pop("module_list.0.bias"), "must be those of a registered architecture"),
        (
            lambda e: e.update({"module_list.0.weight": torch.zeros(2, 2)}),
            "must be those of a registered architecture",
        ),
    ],
)
def test_a_network_that_cannot_be_used_is_quarantined(folder, take, zoos, change, reason):
    torch.save(spoiled(zoos, change), folder / "bad.pt")
    result = take(folder)
    (row,) = result.quarantine
    assert (row["file"], row["run"], row["pending"]) == ("bad.pt", "bad", False)
    assert reason in row["reason"]
    assert row["remedy"]
    assert len(result.rows) == 10


def test_a_file_that_is_no_checkpoint_is_quarantined(folder, take):
    (folder / "bad.pt").write_bytes(b"hello, this is no checkpoint")
    (row,) = take(folder).quarantine
    assert "unknown format" in row["reason"]


def test_a_given_architecture_names_the_entry_that_does_not_fit(folder, take, zoos):
    torch.save(spoiled(zoos, lambda e: e.pop("module_list.0.bias")), folder / "bad.pt")
    (row,) = take(folder, architecture="digits-cnn").quarantine
    assert "missing: module_list.0.bias" in row["reason"]


def test_an_unknown_architecture_is_an_error_before_anything_is_read(folder, take):
    with pytest.raises(UserError, match="architecture must be one of .* got 'resnet-9'"):
        take(folder, architecture="resnet-9")


def test_integers_that_float32_cannot_hold_are_refused(folder, take, zoos):
    entries = spoiled(zoos, lambda e: e.update(counter=torch.tensor([2**24 + 1])))
    torch.save(entries, folder / "bad.pt")
    (row,) = take(folder).quarantine
    assert "at most 2**24 to be kept exactly, got 16777217 in counter" in row["reason"]


def test_too_many_bad_ones_fail_and_the_rows_are_kept(folder, take, zoos, tmp_path):
    for i in range(2):
        (folder / f"bad-{i}.pt").write_bytes(b"hello, this is no checkpoint")
    message = r"at most 10 % of the checkpoints.*got 2 of 12: 2 x unknown format.*every file and"
    with pytest.raises(SaneError, match=message):
        take(folder)
    assert len(pq.read_table(tmp_path / "scratch-0" / "quarantine.parquet")) == 2
    assert len(take(folder, max_quarantined=0.2).rows) == 10


def test_an_empty_folder_is_an_error(tmp_path, take):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="check that the folder is not empty"):
        take(tmp_path / "empty")
    with pytest.raises(UserError, match="at least one checkpoint, got none"):
        take(tmp_path / "empty", reader=TorchFolder())


def test_a_missing_folder_is_an_error(tmp_path, take):
    with pytest.raises(UserError, match="must be an existing folder, file or glob"):
        take(tmp_path / "nowhere", reader=TorchFolder())


@pytest.mark.parametrize("models", [1, 2])
def test_one_or_two_models_are_all_test(tmp_path, take, zoos, models):
    for i in range(models):
        torch.save(zoos.state_dict(i), tmp_path / f"{i}.pt")
    assert [row["split"] for row in take(tmp_path).rows] == ["test"] * models


def test_epochs_that_nothing_has_are_an_error(zoo, take):
    with pytest.raises(UserError, match="got none in .*epochs 50 to the last"):
        take(zoo, first_epoch=50)


def test_two_architectures_are_one_zoo_only_where_that_is_asked_for(folder, take):
    entries = {"module_list.1.weight": torch.ones(3, 4), "module_list.1.bias": torch.ones(3)}
    entries |= {"module_list.3.weight": torch.ones(2, 3), "module_list.3.bias": torch.ones(2)}
    torch.save(entries, folder / "other.pt")
    (row,) = take(folder).quarantine
    assert "must be of one architecture" in row["reason"]
    assert len({row["architecture"] for row in take(folder, mixed=True).rows}) == 2


def test_names_are_printable_wherever_they_appear(folder, take, zoos):
    torch.save(zoos.state_dict(1), folder / "good\n\x1b[31mred.pt")
    (folder / "bad\n\x1b[2J.pt").write_bytes(b"hello, this is no checkpoint")
    (folder / os.fsdecode(b"bad-\xff.pt")).write_bytes(b"hello, this is no checkpoint")
    result = take(folder, max_quarantined=0.5)
    texts = [str(v) for row in result.rows + result.quarantine for v in row.values()]
    assert all(text.isprintable() for text in texts)
    assert any("good\\n\\x1b[31mred" in text for text in texts)


def test_a_pipe_is_not_opened(folder, take):
    os.mkfifo(folder / "pipe.pt")
    (row,) = take(folder).quarantine
    assert row["reason"] == "it must be a regular file"


def test_folders_in_folders_without_end_are_not_followed(folder, take):
    deep = folder.joinpath(*["d"] * 500)
    deep.mkdir(parents=True)
    result = take(folder, reader=TorchFolder(), max_quarantined=0.5)
    assert len(result.rows) == 10
    assert "must be nested at most 32 deep" in result.quarantine[0]["reason"]


def test_a_reader_that_fails_loses_that_checkpoint_only(folder, take):
    class Faulty(TorchFolder):
        def read(self, found):
            if found.run == "good-3":
                raise KeyError("oops")
            return super().read(found)

    (row,) = take(folder, reader=Faulty()).quarantine
    assert row["reason"] == "reader torch failed: KeyError: 'oops'"


def test_an_error_that_is_no_checkpoints_fault_is_not_hidden(folder, take):
    class Full(TorchFolder):
        def read(self, found):
            raise MemoryError

    with pytest.raises(MemoryError):
        take(folder, reader=Full())


def test_weights_are_cut_into_shards_by_whole_runs(zoo, take):
    whole = take(zoo)
    assert sorted(p.name for p in (whole.folder / "weights").iterdir()) == ["part-00000.parquet"]
    big = 2**18
    for run in range(3):
        network = {"module_list.1.weight": torch.full((big, 2), float(run))}
        network |= {"module_list.1.bias": torch.zeros(big)}
        network |= {
            "module_list.3.weight": torch.zeros(1, big),
            "module_list.3.bias": torch.ones(1),
        }
        torch.save(network, zoo.parent / f"big-{run}.pt")
    cut = take(f"{zoo.parent}/big-*.pt", shard_bytes=2**20)
    files = sorted(p.name for p in (cut.folder / "weights").iterdir())
    assert files == [f"part-{i:05d}.parquet" for i in range(3)]
    for run in range(3):
        table = pq.read_table(cut.folder / "weights" / files[run])
        assert set(table["run"].to_pylist()) == {run}
        assert np.all(np.array(table["values"][0].as_py()) == run)


def test_a_number_of_threads_changes_no_byte(folder, take, monkeypatch):
    files = []
    for threads in (0, 1, 3):
        monkeypatch.setattr(
            "sane_core.zoo.loading._threads_for", lambda found, threads=threads: threads
        )
        made = take(folder).folder
        files.append((made / "weights" / "part-00000.parquet").read_bytes())
    assert files[0] == files[1] == files[2]


def test_progress_counts_every_checkpoint_once(folder, take):
    (folder / "bad.pt").write_bytes(b"hello, this is no checkpoint")
    seen = []
    take(folder, on_checkpoint=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 11) for i in range(11)]


def test_the_digest_follows_new_and_changed_files_and_nothing_else(zoo, zoos):
    config = IngestConfig(name="z", source=str(zoo))
    digests = [source_digest(zoo, ModelZoo(), config)]
    (zoo / "notes.txt").write_text("not read by anyone")
    assert source_digest(zoo, ModelZoo(), config) == digests[0]
    run = zoos.write_run(zoo, 4, range(1))
    digests.append(source_digest(zoo, ModelZoo(), config))
    with (run / "result.json").open("a") as file:
        file.write(zoos.result_line(4, 1))
    digests.append(source_digest(zoo, ModelZoo(), config))
    assert len(set(digests)) == 3
