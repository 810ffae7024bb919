"""What stands on a map: every checkpoint once, and what is known of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sane_core.analysis.map import draw_map, principal, write_map
from sane_core.analysis.neighbours import Space, nearest


def field(drawn: dict, name: str) -> dict:
    (found,) = (each for each in drawn["fields"] if each["name"] == name)
    return found


@pytest.mark.parametrize("shape", [(80, 9), (9, 80), (2, 2), (3, 2)])
def test_components_are_those_of_scikit_learn(shape):
    rng = np.random.default_rng(1)
    points = (rng.standard_normal(shape) * np.linspace(1, 3, shape[1])).astype(np.float32)
    found, theirs = principal(points), PCA(2).fit(points.astype(float))
    scores = theirs.transform(points.astype(float))
    assert np.allclose(np.abs(found.scores), np.abs(scores), atol=1e-5)
    assert found.explained == pytest.approx(theirs.explained_variance_ratio_, abs=1e-6)


@pytest.mark.parametrize("points", [np.ones((1, 4)), np.ones((6, 3)), np.arange(4.0)[:, None]])
def test_what_has_no_two_components_lies_on_a_line_or_a_point(points):
    found = principal(points.astype(np.float32))
    assert found.scores.shape == (len(points), 2)
    assert np.allclose(found.scores[:, 1], 0)
    assert found.explained[1] == 0


def test_every_checkpoint_is_a_point_by_run_and_epoch(zoo):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints)
    pairs = list(zip(drawn["run"], drawn["epoch"], strict=True))
    assert pairs == [(run, epoch) for run in range(6) for epoch in range(4)]
    assert len(drawn["x"]) == len(drawn["y"]) == 24


def test_what_is_known_of_a_point_is_its_own(zoo):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints)
    accuracy = field(drawn, "test_accuracy")["values"]
    assert accuracy[5] == pytest.approx(0.1 + 0.01 + 0.1)
    assert accuracy[-1] is None
    assert field(drawn, "split")["values"][:3] == ["train", "validation", "test"]


def test_a_field_that_does_not_change_within_runs_stands_once_per_run(zoo):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints)
    assert field(drawn, "optimizer") == {
        "name": "optimizer",
        "numbers": False,
        "by_run": True,
        "values": ["adam", "sgd"] * 3,
    }
    assert not field(drawn, "epoch")["by_run"]
    assert field(drawn, "epoch (hyper-parameter)")["values"] == list(range(6))


def test_what_is_the_same_for_all_or_unknown_is_no_field(zoo):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints)
    assert drawn["constants"] == {"architecture": "cnn", "lr": 0.1}
    names = [each["name"] for each in drawn["fields"]]
    assert "train_accuracy" not in names
    assert "lr" not in names


def test_neighbours_are_those_of_the_whole_embedding_one_of_each_other_run(zoo):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints, neighbours=3)
    placed, runs = Space.of(zoo.vectors).place(zoo.vectors), np.repeat(np.arange(6), 4)
    found = nearest(placed, placed, 3, runs, runs)
    assert drawn["neighbours"] == found.rows.ravel().tolist()
    assert drawn["distances"] == pytest.approx(found.distances.ravel(), abs=1e-4)
    others = runs[found.rows]
    assert (others != runs[:, None]).all()
    assert all(len(set(row)) == 3 for row in others.tolist())


def test_there_are_no_more_neighbours_than_other_runs(zoo):
    assert draw_map(zoo.embeddings, zoo.checkpoints, neighbours=50)["k"] == 5


def test_of_a_large_zoo_evenly_spaced_whole_runs_are_shown_and_it_is_said(larger_zoo):
    drawn = draw_map(larger_zoo.embeddings, larger_zoo.checkpoints, most=42)
    assert len(drawn["runs"]) == 10
    assert drawn["runs"][:3] == ["0", "5", "10"]
    assert len(drawn["x"]) == 40
    assert (drawn["checkpoints"], drawn["all_runs"]) == (200, 50)


def test_the_map_depends_on_no_order_of_the_embeddings(zoo):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints)
    order = np.argsort(zoo.embeddings.epochs, kind="stable")
    other = type(zoo.embeddings)(
        {name: values[order] for name, values in zoo.embeddings.vectors.items()},
        *(getattr(zoo.embeddings, name)[order] for name in ("runs", "epochs", "split")),
    )
    assert draw_map(other, zoo.checkpoints) == drawn


def test_it_is_plain_json_without_infinities(zoo, tmp_path: Path):
    drawn = draw_map(zoo.embeddings, zoo.checkpoints)
    write_map(tmp_path / "map.json", drawn)
    assert json.loads((tmp_path / "map.json").read_text()) == drawn
    assert field(drawn, "test_loss")["values"][:2] == [None, 1.0]


def test_a_checkpoint_that_the_table_lacks_is_named(zoo):
    with pytest.raises(ValueError, match="got none of run 5, epoch 3; take the zoo that was"):
        draw_map(zoo.embeddings, zoo.checkpoints.slice(0, 23))
