"""A zoo that was interrupted ends with the same files."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from sane_core.zoo import build
from sane_core.zoo.architectures import DIGITS_CNN
from sane_core.zoo.build import train_zoo
from sane_core.zoo.files import read_weights
from schemas.config.zoo import ZooConfig
from schemas.tables import CHECKPOINTS

RECIPE = ZooConfig(
    members=5, epochs=2, chunk=2, train_images=96, validation_images=20, test_images=30
)


class Killed(Exception):
    """Stands for a killed process."""


def folders(tmp_path, name):
    made = tmp_path / name
    made.mkdir()
    scratch = tmp_path / f"{name}-scratch"
    scratch.mkdir()
    return made, scratch


def digests(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("zoo")
    made, scratch = folders(tmp_path, "undisturbed")
    metrics = train_zoo(RECIPE, 0, made, scratch)
    return made, scratch, metrics


def test_a_zoo_resumes_after_its_finished_chunks_with_equal_files(
    undisturbed, tmp_path, monkeypatch
):
    _, scratch = folders(tmp_path, "killed")
    epochs = []

    def kill(members: int) -> None:
        epochs.append(members)
        if len(epochs) == 5:  # in the second chunk
            raise Killed

    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        train_zoo(RECIPE, 0, folder, scratch, on_epoch=kill)

    trained = []
    original = build.train
    monkeypatch.setattr(
        build, "train", lambda *a, **k: trained.append(k["runs"]) or original(*a, **k)
    )
    again = tmp_path / "again"
    again.mkdir()
    progress = []
    train_zoo(RECIPE, 0, again, scratch, on_epoch=progress.append)
    assert trained == [[2, 3], [4]]
    assert sum(progress) == RECIPE.members * (RECIPE.epochs + 1)
    assert digests(again) == digests(undisturbed[0])


def test_a_finished_chunk_is_named_after_its_runs(undisturbed):
    names = sorted(path.name for path in undisturbed[1].iterdir())
    assert names == ["runs-00000-00001.npz", "runs-00002-00003.npz", "runs-00004-00004.npz"]


def test_chunks_of_another_size_are_not_taken_up(undisturbed, tmp_path):
    made, scratch = folders(tmp_path, "other")
    for path in undisturbed[1].iterdir():
        (scratch / path.name).write_bytes(path.read_bytes())
    train_zoo(RECIPE.model_copy(update={"chunk": 5}), 0, made, scratch)
    assert (scratch / "runs-00000-00004.npz").exists()
    shapes = DIGITS_CNN.shapes()
    ours, theirs = (
        read_weights(folder / "weights", shapes, range(5), range(3))
        for folder in (made, undisturbed[0])
    )
    for name in shapes:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-5)


def test_the_checkpoints_table_has_a_row_per_run_and_epoch(undisturbed):
    folder, _, metrics = undisturbed
    table = pq.read_table(folder / "checkpoints.parquet")
    assert table.schema.equals(CHECKPOINTS)
    rows = list(zip(table["run"].to_pylist(), table["epoch"].to_pylist(), strict=True))
    assert rows == [(run, epoch) for run in range(5) for epoch in range(3)]
    gap = table["train_accuracy"].to_numpy() - table["test_accuracy"].to_numpy()
    np.testing.assert_allclose(table["generalization_gap"].to_numpy(), gap, atol=1e-6)
    last = table["test_accuracy"].to_numpy()[2::3]
    assert metrics["zoo.test_accuracy"] == pytest.approx(last.mean(), abs=1e-6)


def test_a_run_has_one_split_over_all_its_epochs(undisturbed):
    table = pq.read_table(undisturbed[0] / "checkpoints.parquet", columns=["run", "split"])
    pairs = {tuple(row.values()) for row in table.to_pylist()}
    assert len(pairs) == RECIPE.members
    assert {split for _, split in pairs} == {"train", "validation", "test"}
