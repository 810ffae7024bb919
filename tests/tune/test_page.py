"""The page of a search shows every trial, the best first."""

from pathlib import Path

import pytest

from sane_core.reporting.study import StudyPage, TriedTrial, write_study_page


def page(**changes: object) -> StudyPage:
    trials = [
        TriedTrial(0, "complete", 0.5, {"pretrain.gamma": 0.1, "pretrain.target": "clean"}),
        TriedTrial(1, "pruned", None, {"pretrain.gamma": 0.2, "pretrain.target": "<b>"}),
        TriedTrial(2, "complete", 0.25, {"pretrain.gamma": 0.3, "pretrain.target": "noised"}),
    ]
    values = {"name": "small", "objective": "loss", "maximize": False, "trials": trials}
    return StudyPage(**values | {"importances": {}} | changes)


@pytest.mark.parametrize(("maximize", "order"), [(False, [2, 0, 1]), (True, [0, 2, 1])])
def test_trials_are_ranked_by_the_objective(tmp_path: Path, maximize: bool, order) -> None:
    text = write_study_page(tmp_path, page(maximize=maximize)).read_text()
    places = [text.index(f"<tr><td>{number}</td>") for number in order]
    assert places == sorted(places)


def test_texts_of_a_study_are_no_markup(tmp_path: Path) -> None:
    text = write_study_page(tmp_path, page(name="<script>")).read_text()
    assert "<script>" not in text
    assert "<b>" not in text


def test_importances_are_drawn_where_they_are_known_and_not_left_over(tmp_path: Path) -> None:
    write_study_page(tmp_path, page(importances={"pretrain.gamma": 1.0}))
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {"study.html", "history.png", "slices.png", "importances.png"}
    text = write_study_page(tmp_path, page()).read_text()
    assert not (tmp_path / "importances.png").exists()
    assert "importances" not in text
