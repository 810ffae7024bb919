"""A zoo that was interrupted repeats no finished epoch and ends with the same files."""

import hashlib
import shutil
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.images.files import write_images
from sane_core.images.images import PARTS
from sane_core.zoo import build
from sane_core.zoo.build import devices_for, train_zoo
from sane_core.zoo.chunk import Chunk
from sane_core.zoo.files import read_weights
from sane_core.zoo.population import memory
from sane_core.zoo.population.train import Training
from schemas.config.zoo import ZooConfig
from schemas.tables import checkpoints_schema

SEED = 3
RECIPE = ZooConfig(
    members=4,
    epochs=2,
    chunk=2,
    batch=8,
    way="patches",
    architecture="digits-cnn[classes=4]",
    optimizer="sgd",
    schedule="onecycle",
    learning_rate=(1e-3, 1e-2),
)
CALLS = 2 * (RECIPE.epochs + 1)
"""How often progress is told: chunks times epochs, epoch 0 included."""


class Killed(Exception):
    """Stands for a killed process."""


@pytest.fixture(scope="module")
def folder_of_images(tmp_path_factory, make_images):
    folder = tmp_path_factory.mktemp("images")
    write_parts(folder, make_images, RECIPE)
    return folder


def write_parts(folder, make_images, recipe):
    architecture = architecture_named(recipe.architecture)
    counts = zip(PARTS, (16, 6, 7), strict=True)
    parts = {part: make_images(architecture, count, seed=count) for part, count in counts}
    write_images(folder, parts, classes=4)


@pytest.fixture
def train(folder_of_images, tmp_path):
    """Train a zoo into a new folder; equal scratches are one scratch."""
    made = Counter()

    def run(recipe=RECIPE, scratch="scratch", folder_of_images=folder_of_images, **callbacks):
        made["zoo"] += 1
        folder = tmp_path / f"zoo-{made['zoo']}"
        folder.mkdir()
        (tmp_path / scratch).mkdir(exist_ok=True)
        metrics = train_zoo(recipe, folder_of_images, SEED, folder, tmp_path / scratch, **callbacks)
        return folder, metrics

    return run


@pytest.fixture(scope="module")
def undisturbed(folder_of_images, tmp_path_factory):
    folder, scratch = tmp_path_factory.mktemp("zoo"), tmp_path_factory.mktemp("scratch")
    metrics = train_zoo(RECIPE, folder_of_images, SEED, folder, scratch)
    return folder, scratch, metrics


@pytest.fixture
def advances(monkeypatch):
    """Count the epochs that are trained, by the runs of a chunk and the epoch."""
    counted, original = Counter(), Training.advance

    def advance(self, steps=None):
        original(self, steps)
        counted[self.members[0].run, self.epoch] += 1

    monkeypatch.setattr(Training, "advance", advance)
    return counted


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def killing(call):
    """Return a callback that raises when it is called for the n-th time."""
    calls = []

    def on_epoch(members):
        calls.append(members)
        if len(calls) == call:
            raise Killed

    return on_epoch


@pytest.mark.parametrize("call", range(1, CALLS + 1))
def test_a_killed_training_repeats_no_finished_epoch(call, train, advances, undisturbed):
    with pytest.raises(Killed):
        train(on_epoch=killing(call))
    progress = []
    folder, metrics = train(on_epoch=progress.append)
    assert digests(folder) == digests(undisturbed[0])
    assert metrics == undisturbed[2]
    assert progress == [2] * CALLS
    epochs = [(run, epoch) for run in (0, 2) for epoch in (1, 2)]
    assert advances == dict.fromkeys(epochs, 1)


@pytest.mark.parametrize("epoch", range(RECIPE.epochs + 1))
def test_a_training_killed_while_an_epoch_is_written_repeats_that_epoch_only(
    epoch, train, advances, undisturbed, monkeypatch
):
    original = Chunk._keep

    def keep(self, training, images, device):
        original(self, training, images, device)
        if training.epoch == epoch and training.members[0].run == 2:
            monkeypatch.setattr(Chunk, "_keep", original)
            raise Killed

    monkeypatch.setattr(Chunk, "_keep", keep)
    with pytest.raises(Killed):
        train()
    folder, _ = train()
    assert digests(folder) == digests(undisturbed[0])
    repeated = {key for key, count in advances.items() if count > 1}
    assert repeated == ({(2, epoch)} if epoch else set())


def test_half_written_files_are_not_taken_up(train, undisturbed, tmp_path):
    with pytest.raises(Killed):
        train(on_epoch=killing(2))
    (chunk,) = (tmp_path / "scratch").glob("runs-*")
    (chunk / "state.tmp.npz").write_bytes((chunk / "state.npz").read_bytes()[:100])
    (chunk / "epoch-00002.tmp.npz").write_bytes(b"PK")
    folder, _ = train()
    assert digests(folder) == digests(undisturbed[0])


@pytest.mark.parametrize("left", [0, 100, 2000])
def test_a_damaged_training_state_is_not_taken_up(left, train, undisturbed, tmp_path):
    train(scratch="torn")
    for state in (tmp_path / "torn").glob("runs-*/state.npz"):
        state.write_bytes(state.read_bytes()[:left])
    folder, _ = train(scratch="torn")
    assert digests(folder) == digests(undisturbed[0])


def test_a_resumed_zoo_goes_on_the_way_it_began(train, advances, monkeypatch):
    """Another measurement, or other free memory, must not make it start anew."""
    recipe = RECIPE.model_copy(update={"way": "auto", "chunk": None})
    monkeypatch.setattr(build, "choose_way", lambda *_: ("loop", {"patches": 2.0, "loop": 1.0}))
    monkeypatch.setattr(build, "members_that_fit", lambda *_: 2)
    told = []
    with pytest.raises(Killed):
        train(recipe, on_epoch=killing(5), on_choice=lambda *choice: told.append(choice))
    monkeypatch.setattr(build, "choose_way", lambda *_: ("patches", {"patches": 1.0}))
    monkeypatch.setattr(build, "members_that_fit", lambda *_: 4)
    train(recipe, on_choice=lambda *choice: told.append(choice))
    assert told == [("loop", 2, {"patches": 2.0, "loop": 1.0})] * 2
    assert set(advances.values()) == {1}


def test_several_devices_give_the_files_of_one(train, advances, undisturbed, monkeypatch):
    monkeypatch.setattr(build, "devices_for", lambda _: ["cpu", "cpu"])
    folder, _ = train()
    assert digests(folder) == digests(undisturbed[0])
    assert set(advances.values()) == {1}


def test_where_one_device_fails_the_others_end_their_epoch(train, advances, monkeypatch):
    monkeypatch.setattr(build, "devices_for", lambda _: ["cpu", "cpu"])
    recipe = RECIPE.model_copy(update={"epochs": 40, "keep_every": 40})
    with pytest.raises(Killed):
        train(recipe, on_epoch=killing(3))
    assert sum(advances.values()) < 40


@pytest.mark.parametrize(("every", "epochs"), [(2, [0, 2, 4, 5]), (5, [0, 5]), (9, [0, 5])])
def test_epochs_that_are_not_asked_for_are_not_kept(train, every, epochs):
    recipe = RECIPE.model_copy(update={"epochs": 5, "keep_every": every, "members": 4})
    folder, _ = train(recipe)
    table = pq.read_table(folder / "checkpoints.parquet", columns=["run", "epoch"])
    assert table["epoch"].to_pylist() == epochs * 4
    stored = pq.read_table(folder / "weights", columns=["epoch"])["epoch"]
    assert sorted(set(stored.to_pylist())) == epochs


def test_epochs_left_out_change_nothing_in_those_that_are_kept(train):
    all_of_them, few = (
        train(RECIPE.model_copy(update={"keep_every": every}), scratch=f"s{every}")[0]
        for every in (1, 2)
    )
    shapes = architecture_named(RECIPE.architecture).shapes()
    ours, theirs = (
        read_weights(folder / "weights", shapes, range(4), [0, 2]) for folder in (all_of_them, few)
    )
    assert all(np.array_equal(ours[name], theirs[name]) for name in shapes)


def test_chunks_of_another_size_hold_the_same_members(train, undisturbed):
    folder, _ = train(RECIPE.model_copy(update={"chunk": 3}))
    shapes = architecture_named(RECIPE.architecture).shapes()
    ours, theirs = (
        read_weights(each / "weights", shapes, range(4), range(3))
        for each in (folder, undisturbed[0])
    )
    for name in shapes:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-4)


def test_weights_hold_every_entry_of_a_state_dict_and_its_own_dtype(train, tmp_path, make_images):
    recipe = RECIPE.model_copy(update={"architecture": "vgg11[width=1,batch_norm=1,classes=4]"})
    (tmp_path / "images").mkdir()
    write_parts(tmp_path / "images", make_images, recipe)
    folder, _ = train(recipe, folder_of_images=tmp_path / "images")
    table = pq.read_table(folder / "weights").to_pylist()
    state = architecture_named(recipe.architecture).outline.state_dict()
    own = [row for row in table if (row["run"], row["epoch"]) == (3, 2)]
    assert [row["name"] for row in own] == list(state)
    for row in own:
        assert row["dtype"] == str(state[row["name"]].dtype).removeprefix("torch.")
        assert tuple(row["shape"]) == tuple(state[row["name"]].shape)
    (counter,) = (row for row in own if row["name"] == "features.1.num_batches_tracked")
    assert counter["values"] == [4]  # two epochs of 16 images in batches of 8


def test_the_checkpoints_table_has_a_row_per_run_and_epoch(undisturbed):
    folder, _, metrics = undisturbed
    table = pq.read_table(folder / "checkpoints.parquet")
    assert table.schema.equals(checkpoints_schema(build.HYPERPARAMETERS))
    rows = list(zip(table["run"].to_pylist(), table["epoch"].to_pylist(), strict=True))
    assert rows == [(run, epoch) for run in range(4) for epoch in range(3)]
    gap = table["train_accuracy"].to_numpy() - table["test_accuracy"].to_numpy()
    np.testing.assert_allclose(table["generalization_gap"].to_numpy(), gap, atol=1e-6)
    last = table["test_accuracy"].to_numpy()[2::3]
    assert metrics["zoo.test_accuracy"] == pytest.approx(last.mean(), abs=1e-6)


def test_a_members_own_values_stand_in_its_rows(undisturbed):
    rows = pq.read_table(undisturbed[0] / "checkpoints.parquet").to_pylist()
    rates = {row["run"]: row["hyperparameters"]["learning_rate"] for row in rows}
    members = build.members_of(RECIPE, range(4), SEED)
    assert rates == {member.run: member.learning_rate for member in members}
    assert {row["hyperparameters"]["optimizer"] for row in rows} == {"sgd"}


def test_a_run_has_one_split_over_all_its_epochs(undisturbed):
    table = pq.read_table(undisturbed[0] / "checkpoints.parquet", columns=["run", "split"])
    pairs = {tuple(row.values()) for row in table.to_pylist()}
    assert len(pairs) == RECIPE.members
    assert {split for _, split in pairs} == {"train", "validation", "test"}


def test_the_train_accuracy_may_be_measured_on_the_first_images_only(train, undisturbed):
    folder, _ = train(RECIPE.model_copy(update={"scored": 1}))
    accuracies = pq.read_table(folder / "checkpoints.parquet")["train_accuracy"].to_numpy()
    assert set(accuracies) <= {0.0, 1.0}
    ours, theirs = (
        pq.read_table(each / "checkpoints.parquet")["test_loss"]
        for each in (folder, undisturbed[0])
    )
    assert ours.equals(theirs)


def test_images_of_another_shape_are_refused(train):
    with pytest.raises(
        ValueError,
        match=r"images of zoo digits-cnn must have shape \(3, 32, 32\) for vgg11, "
        r"got \(1, 8, 8\); set the architecture's channels and size",
    ):
        train(RECIPE.model_copy(update={"architecture": "vgg11"}))


class Named(nn.Module):
    """Has a weight with the name of what is kept beside the weights."""

    input_shape = (1, 8, 8)

    def __init__(self):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(64, 4))

    def forward(self, images):
        return images.flatten(1) @ self.scores


def test_an_entry_that_would_overwrite_what_is_kept_beside_it_is_refused(tmp_path):
    architecture = Architecture("users:named", (1, 8, 8), Named)
    members = build.members_of(RECIPE, range(2), SEED)
    with pytest.raises(ValueError, match="no entry of users:named may be named .*, got 'scores'"):
        Chunk(RECIPE, architecture, members, SEED, "loop", tmp_path)


def test_images_of_more_classes_are_refused(train):
    recipe = RECIPE.model_copy(update={"architecture": "digits-cnn[classes=3]"})
    with pytest.raises(
        ValueError, match=r"must have labels < 3 for digits-cnn\[.*\], got 3; set the .* classes"
    ):
        train(recipe)


def test_memory_that_holds_no_member_is_refused(train, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**16)
    with pytest.raises(ValueError, match="memory must hold at least one member of digits-cnn"):
        train(RECIPE)


def test_a_graphics_card_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(build.torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="device must be auto or cpu .* got 'cuda'"):
        devices_for("cuda")
    assert devices_for("auto") == devices_for("cpu") == ["cpu"]
    monkeypatch.setattr(build.torch.cuda, "device_count", lambda: 2)
    assert devices_for("auto") == ["cuda:0", "cuda:1"]
    assert devices_for("cpu") == ["cpu"]


def test_finished_chunks_are_taken_from_the_scratch_as_they_are(
    train, advances, undisturbed, tmp_path
):
    shutil.copytree(undisturbed[1], tmp_path / "scratch")
    folder, _ = train()
    assert not advances
    assert digests(folder) == digests(undisturbed[0])
